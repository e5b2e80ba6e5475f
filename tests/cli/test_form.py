"""The forms of questions as words, and what words stand for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import AnyUrl, BaseModel, Field

from asgi_events.actors.forms import form_of
from asgi_events.cli.form import ask, complaints, content_of, fields, sentence

SOME_TITLED: dict[str, Any] = {
    "type": "array",
    "items": {
        "anyOf": [{"const": "t", "title": "Tea"}, {"const": "c", "title": "Cake"}]
    },
}


class Meal(Enum):
    TEA = "tea"
    CAKE = "cake"


class Trip(BaseModel):
    seat: Literal["window", "aisle"]
    bags: Annotated[int, Field(ge=0, le=3, description="to check in")] = 1
    price: float
    meals: list[Meal] = []
    note: str | None = None
    name: Annotated[str, Field(min_length=2, max_length=9)] = ""
    day: date
    at: datetime
    link: AnyUrl
    fast: bool = False


def test_says_what_each_field_may_be() -> None:
    assert [field.line for field in fields(form_of(Trip))] == [
        "seat: window or aisle",
        "bags: a whole number, at least 0, at most 3, 1 if it is left out (to check "
        "in)",
        "price: a number",
        "meals: some of tea, cake, [] if it is left out",
        "note: a text, may be left out",
        'name: a text, at least 2 characters, at most 9 characters, "" if it is left '
        "out",
        "day: a date, as 2026-01-31",
        "at: a date and a time, as 2026-01-31T12:00:00Z",
        "link: a URL",
        "fast: yes or no, no if it is left out",
    ]


@pytest.mark.parametrize(
    "form, line",
    [
        (form_of(bool), "yes or no"),
        (form_of(Meal), "tea or cake"),
        (
            {"type": "string", "oneOf": [{"const": "t", "title": "Tea"}]},
            "t (Tea)",
        ),
        (
            {"type": "string", "enum": ["t", "c"], "enumNames": ["Tea", "Cake"]},
            "t (Tea) or c (Cake)",
        ),
        (SOME_TITLED, "some of t (Tea), c (Cake)"),
        ({"type": "string", "format": "email"}, "an e-mail address"),
        ({"type": "boolean", "default": True}, "yes or no"),
        ({"type": "object", "properties": {}}, "JSON"),
        # Of a later version, or of somebody who means no good.
        ({}, "JSON"),
        ({"type": "colour"}, "JSON"),
        ({"type": ["string"], "enum": 5, "items": 5, "oneOf": [5]}, "JSON"),
        ({"type": "object", "properties": 5}, "JSON"),
        ({"type": "string", "description": "a\nb\x1b[2J"}, "a text (a b\ufffd[2J)"),
    ],
)
def test_says_what_an_answer_may_be(form: dict[str, Any], line: str) -> None:
    assert [field.line for field in fields(form)] == [line]


def test_shows_fields_that_are_not_known_here() -> None:
    form = {"type": "object", "properties": {"a\n": 5, "b": {}}, "required": 5}

    assert [field.line for field in fields(form)] == [
        "a : JSON, may be left out",
        "b: JSON, may be left out",
    ]


TITLED = {"type": "string", "oneOf": [{"const": "t", "title": "Tea"}]}


@pytest.mark.parametrize(
    "form, text, content",
    [
        (form_of(bool), "yes", True),
        (form_of(bool), "No", False),
        (form_of(bool), "true", True),
        (form_of(str), "yes", "yes"),
        (form_of(str), "42", "42"),
        (form_of(str), '"42"', "42"),
        (form_of(str), '""', ""),
        (form_of(str), '{"a":1}', '{"a":1}'),
        (form_of(Meal), "tea", "tea"),
        (TITLED, "Tea", "t"),
        (TITLED, "t", "t"),
        (form_of(int), "42", 42),
        (form_of(float), "-1.5", -1.5),
        (form_of(date), "2026-01-31", "2026-01-31"),
        (form_of(list[Meal]), "tea, cake", ["tea", "cake"]),
        (form_of(list[Meal]), '["tea"]', ["tea"]),
        (form_of(Trip), '{"seat":"aisle"}', {"seat": "aisle"}),
        ({"type": "colour"}, "red", "red"),
        ({"type": "colour"}, "[1]", [1]),
    ],
)
def test_takes_words_and_json(form: dict[str, Any], text: str, content: Any) -> None:
    assert content_of(form, text) == content


@pytest.mark.parametrize(
    "form, text, says",
    [
        (form_of(bool), "maybe", "It must be yes or no."),
        (form_of(int), "many", "It must be a whole number."),
        (form_of(list[Meal]), "[tea", "It must be some of tea, cake."),
        (form_of(Trip), "aisle", "It must be a JSON object of seat, bags, "),
        (form_of(int), "[" * 100_000, "It must be a whole number."),
    ],
)
def test_refuses_other_words(form: dict[str, Any], text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        content_of(form, text)


def test_says_what_does_not_fit() -> None:
    form = form_of(Trip)

    assert complaints(form, {"seat": "tail", "bags": True, "x": 1})[-3:] == [
        "seat: It must be one of ['window', 'aisle'].",
        "bags: It must be a whole number.",
        "x: There is no such field.",
    ]
    assert complaints(form_of(bool), 1) == ["It must be true or false."]
    assert complaints(form_of(int), float("nan")) == ["It must be a whole number."]


@pytest.mark.parametrize(
    "form", [{}, {"type": "colour"}, {"type": "string", "format": "x"}, {"type": []}]
)
def test_leaves_to_the_server_what_is_not_known_here(form: dict[str, Any]) -> None:
    assert complaints(form, "a") == []


def test_reads_the_errors_of_a_server() -> None:
    assert sentence({"loc": ["meals", 1], "msg": "No\x1b."}) == "meals.1: No\ufffd."
    assert sentence({"loc": [], "msg": "No."}) == "No."
    assert sentence({"loc": 5, "msg": None}) == "None"
    assert sentence({"loc": 5}) == "{'loc': 5}"
    assert sentence("No.") == "No."


class Terminal:
    """Somebody who types lines, and what is shown to them."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = list(lines)
        self.shown: list[str] = []

    def prompt(self, text: str) -> str:
        self.shown.append(text)
        if not self._lines:
            raise EOFError
        return self._lines.pop(0)

    def ask(self, form: dict[str, Any]) -> Any:
        content = ask(form, self.prompt, self.shown.append)
        assert self._lines == []
        return content


class Small(BaseModel):
    seat: Literal["window", "aisle"]
    bags: Annotated[int, Field(ge=0)] = 1
    note: str | None = None


def test_asks_for_each_field_until_it_fits() -> None:
    terminal = Terminal(["", "tail", " aisle ", "many", "-1", "2", "42"])

    assert terminal.ask(form_of(Small)) == {"seat": "aisle", "bags": 2, "note": "42"}

    seat = "seat (window or aisle): "
    bags = "bags (a whole number, at least 0, 1 if it is left out): "
    assert terminal.shown == [
        seat,
        "It is required.",
        seat,
        "It must be one of ['window', 'aisle'].",
        seat,
        bags,
        "It must be a whole number, at least 0, 1 if it is left out.",
        bags,
        "It must be at least 0.",
        bags,
        "note (a text, may be left out): ",
    ]


def test_leaves_out_what_may_be_left_out() -> None:
    assert Terminal(["aisle", "", ""]).ask(form_of(Small)) == {"seat": "aisle"}
    assert Terminal(["", "no"]).ask({"type": "boolean", "default": True}) is False


@pytest.mark.parametrize(
    "form, line, content",
    [(form_of(bool), "y", True), (form_of(str), "a b", "a b"), (form_of(int), "3", 3)],
)
def test_asks_for_one_answer(form: dict[str, Any], line: str, content: Any) -> None:
    terminal = Terminal([line])

    assert terminal.ask(form) == content
    assert terminal.shown[0].startswith("answer (")


def test_asks_nobody_who_has_left() -> None:
    with pytest.raises(EOFError):
        Terminal([]).ask(form_of(bool))


def test_takes_titles_for_what_they_stand_for() -> None:
    (field,) = fields(SOME_TITLED)

    assert field.value("Tea, c") == ["t", "c"]
    assert complaints(SOME_TITLED, ["Tea"]) == [
        "0: It must be one of those that are offered."
    ]
