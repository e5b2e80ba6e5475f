"""Forms: what an answer may be, in MCP's subset of JSON Schema."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from jsonschema import Draft202012Validator
from pydantic import (
    AnyUrl,
    BaseModel,
    Field,
    SecretStr,
    TypeAdapter,
    WithJsonSchema,
    create_model,
)

from asgi_events.actors.answers import errors_in
from asgi_events.actors.forms import form_of
from asgi_events.wire.encoding import encode_json


class Meal(Enum):
    """What there is to eat."""

    FISH = "fish"
    PASTA = "pasta"


class Size(Enum):
    ONE = "1"


Seat = Literal["window", "aisle"]

TITLED: dict[str, Any] = {
    "type": "string",
    "oneOf": [{"const": "w", "title": "Window"}, {"const": "a", "title": "Aisle"}],
}

SEATS = {"type": "string", "enum": ["window", "aisle"]}
Email = Annotated[str, WithJsonSchema({"type": "string", "format": "email"})]

FORMS: list[tuple[Any, dict[str, Any]]] = [
    (bool, {"type": "boolean"}),
    (str, {"type": "string"}),
    (int, {"type": "integer"}),
    (float, {"type": "number"}),
    (date, {"type": "string", "format": "date"}),
    (datetime, {"type": "string", "format": "date-time"}),
    (AnyUrl, {"type": "string", "format": "uri", "minLength": 1}),
    (Seat, SEATS),
    (Literal["yes"], {"type": "string", "enum": ["yes"]}),
    (Size, {"type": "string", "enum": ["1"], "title": "Size"}),
    (int | None, {"type": "integer"}),
    (
        list[Seat],
        {"type": "array", "items": {"type": "string", "enum": ["window", "aisle"]}},
    ),
    (Annotated[str, WithJsonSchema(TITLED)], TITLED),
    (
        Annotated[int, Field(ge=0, le=9)],
        {"type": "integer", "minimum": 0, "maximum": 9},
    ),
    (Annotated[float, Field(ge=0.5)], {"type": "number", "minimum": 0.5}),
    (
        Annotated[str, Field(min_length=2, max_length=3, title="Code")],
        {"type": "string", "minLength": 2, "maxLength": 3, "title": "Code"},
    ),
    (
        Annotated[set[Seat], Field(min_length=1, max_length=2)],
        {
            "type": "array",
            "items": {"type": "string", "enum": ["window", "aisle"]},
            "uniqueItems": True,
            "minItems": 1,
            "maxItems": 2,
        },
    ),
]


@pytest.mark.parametrize(("type", "form"), FORMS, ids=lambda value: str(value)[:40])
def test_makes_a_form_of_each_kind_of_field(type: Any, form: dict[str, Any]) -> None:
    assert form_of(type) == form
    Draft202012Validator.check_schema(form)


class Booking(BaseModel):
    """Book a seat."""

    seat: Seat
    meals: list[Meal] = []
    bags: Annotated[int, Field(ge=0, le=3, description="To check in.")] = 0
    note: str | None = None
    meal: Meal = Meal.FISH


def test_makes_a_form_of_a_flat_model() -> None:
    meal = {
        "title": "Meal",
        "description": "What there is to eat.",
        "type": "string",
        "enum": ["fish", "pasta"],
    }
    assert form_of(Booking) == {
        "type": "object",
        "title": "Booking",
        "description": "Book a seat.",
        "required": ["seat"],
        "properties": {
            "seat": {"title": "Seat", "type": "string", "enum": ["window", "aisle"]},
            "meals": {
                "title": "Meals",
                "type": "array",
                "default": [],
                "items": {"type": "string", "enum": ["fish", "pasta"]},
            },
            "bags": {
                "title": "Bags",
                "description": "To check in.",
                "type": "integer",
                "minimum": 0,
                "maximum": 3,
                "default": 0,
            },
            "note": {"title": "Note", "type": "string"},
            "meal": meal | {"default": "fish"},
        },
    }


@dataclass
class Pair:
    a: int


def test_makes_a_form_of_a_dataclass_and_of_no_fields_at_all() -> None:
    class Nothing(BaseModel):
        pass

    assert form_of(Pair)["properties"] == {"a": {"title": "A", "type": "integer"}}
    assert form_of(Nothing)["properties"] == {}


class Inner(BaseModel):
    x: int


class Tree(BaseModel):
    below: list[Tree] = []


def model_of(kind: Any) -> type[BaseModel]:
    return create_model("Asked", plain=(str, ...), odd=(kind, ...))


NOT_FLAT = [
    Inner,
    dict[str, int],
    list[int],
    list[str],
    int | str,
    Any,
    Literal["a", 1],
    tuple[int, int],
]
NOT_ALLOWED = [
    (Annotated[str, Field(pattern="a+")], "pattern"),
    (Annotated[int, Field(gt=0)], "exclusiveMinimum"),
    (Annotated[float, Field(multiple_of=0.5)], "multipleOf"),
    (SecretStr, "format"),
    (Literal[True], "enum"),
]


@pytest.mark.parametrize("kind", NOT_FLAT, ids=str)
def test_names_the_field_that_is_not_flat(kind: Any) -> None:
    with pytest.raises(TypeError, match="because of its field 'odd': it is not flat"):
        form_of(model_of(kind))


@pytest.mark.parametrize(("kind", "what"), NOT_ALLOWED, ids=str)
def test_names_what_a_form_does_not_have(kind: Any, what: str) -> None:
    with pytest.raises(TypeError, match=f"its field 'odd': a form has no {what}"):
        form_of(model_of(kind))


@pytest.mark.parametrize("kind", [*NOT_FLAT[2:], type(None)], ids=str)
def test_refuses_what_is_no_field_either(kind: Any) -> None:
    with pytest.raises(TypeError, match="because of the answer: it is not flat"):
        form_of(kind)


@pytest.mark.parametrize("kind", [dict, object, print, Tree, dict[str, int]], ids=str)
def test_refuses_what_has_no_fields(kind: Any) -> None:
    with pytest.raises(TypeError, match="cannot be asked for"):
        form_of(kind)


def problems(kind: Any, content: Any) -> list[tuple[str, list[Any]]]:
    return [(each["type"], each["loc"]) for each in errors_in(form_of(kind), content)]


RIGHT: list[tuple[Any, list[Any]]] = [
    (bool, [True, False]),
    (str, ["", "a"]),
    (int, [0, -1, 2.0, 10**400]),
    (float, [0, 1.5, -1e300]),
    (date, ["2026-01-31"]),
    (
        datetime,
        [
            "2026-01-31T10:00:00Z",
            "2026-01-31t10:00:00z",
            "2026-01-31T10:00:00.1234567890-23:59",
        ],
    ),
    (AnyUrl, ["https://example.org/a?b=c", "mailto:a@b.c", "urn:isbn:1"]),
    (Seat, ["window"]),
    (list[Seat], [[], ["aisle", "aisle"]]),
    (Annotated[set[Seat], Field(min_length=1)], [["aisle"]]),
    (Annotated[str, WithJsonSchema(TITLED)], ["w", "a"]),
    (Email, ["a@b.c"]),
    (Booking, [{"seat": "aisle"}, {"seat": "aisle", "meals": ["fish"], "bags": 3}]),
]

NO_NUMBER = [True, "1", None, [], {}, float("nan"), float("inf")]
WRONG: list[tuple[Any, list[Any], str]] = [
    (bool, [0, "true", None, [], {}], "type"),
    (str, [1, True, None, ["a"], {}], "type"),
    (int, [*NO_NUMBER, 1.5, 1e300], "type"),
    (float, [*NO_NUMBER, 10**400], "type"),
    (date, ["2026-02-30", "20260131", "2026-1-31", "2026-W01-1", "today"], "format"),
    (datetime, ["2026-01-31", "2026-01-31 10:00", "soon", "T"], "format"),
    (datetime, ["2026-01-31T10", "2026-01-31T10:00:00", "20260131T100000Z"], "format"),
    (datetime, ["2026-02-30T10:00:00Z", "2026-01-31T24:00:00Z"], "format"),
    (datetime, [f"2026-01-31T10:00:00+00:{each}" for each in ("00:30", 60)], "format"),
    (AnyUrl, ["example.org", "//[x", "http://[x", "http:", "a b:c"], "format"),
    (Seat, ["Window", ""], "enum"),
    (list[Seat], ["window", None, {"0": "window"}], "type"),
    (list[Seat], [["middle"]], "enum"),
    (Annotated[set[Seat], Field(min_length=1)], [[]], "minItems"),
    (Annotated[list[Seat], Field(max_length=1)], [["aisle"] * 2], "maxItems"),
    (set[Seat], [["aisle"] * 2], "uniqueItems"),
    (Annotated[str, WithJsonSchema(TITLED)], ["Window"], "oneOf"),
    (Annotated[int, Field(ge=0)], [-1], "minimum"),
    (Annotated[float, Field(le=1)], [1.01], "maximum"),
    (Annotated[str, Field(min_length=2)], ["a"], "minLength"),
    (Annotated[str, Field(max_length=2)], ["abc"], "maxLength"),
    (
        Annotated[str, WithJsonSchema({"type": "string", "format": "email"})],
        ["a"],
        "format",
    ),
    (Booking, [None, [], "aisle", True], "type"),
    (Booking, [{}, {"bags": 1}], "missing"),
    (Booking, [{"seat": "aisle", "x": 1}], "extra_forbidden"),
]


@pytest.mark.parametrize(("kind", "contents"), RIGHT, ids=lambda each: str(each)[:30])
def test_takes_what_fits(kind: Any, contents: list[Any]) -> None:
    assert [problems(kind, content) for content in contents] == [[]] * len(contents)


@pytest.mark.parametrize(("kind", "contents"), RIGHT, ids=lambda each: str(each)[:30])
def test_takes_nothing_that_the_type_refuses(kind: Any, contents: list[Any]) -> None:
    for content in contents:
        TypeAdapter(kind).validate_json(encode_json(content))


@pytest.mark.parametrize(("kind", "contents", "type"), WRONG, ids=lambda e: str(e)[:30])
def test_says_what_does_not_fit(kind: Any, contents: list[Any], type: str) -> None:
    found = [[name for name, _ in problems(kind, content)] for content in contents]
    assert found == [[type]] * len(contents)


def test_says_where_it_does_not_fit_and_finds_all_of_it() -> None:
    content = {"bags": 4, "meals": ["fish", "soup"], "x": 0, "note": None}
    assert problems(Booking, content) == [
        ("missing", ["seat"]),
        ("maximum", ["bags"]),
        ("enum", ["meals", 1]),
        ("extra_forbidden", ["x"]),
        ("type", ["note"]),
    ]


def test_says_it_in_words_of_people() -> None:
    assert errors_in(form_of(Annotated[int, Field(ge=1)]), 0) == [
        {"type": "minimum", "loc": [], "msg": "It must be at least 1."}
    ]
    assert errors_in(form_of(Seat), "x")[0]["msg"] == (
        "It must be one of ['window', 'aisle']."
    )


VALUES: list[Any] = [
    *(True, False, None, 0, 1, -1, 2.0, 2.5, 7, 10**20),
    *("", "a", "ab", "abc", "window", "aisle", "fish", "1", "ä", "\U0001f600"),
    *([], ["window"], ["fish"], ["window", "window"], [1], [[]], {}, {"seat": "aisle"}),
]


def test_judges_as_jsonschema_does() -> None:
    random_ = random.Random(7)
    names = list(Booking.model_fields)
    forms = [form for _, form in FORMS if "format" not in form]
    pairs = [(form, value) for form in forms for value in VALUES]
    booking = form_of(Booking) | {"additionalProperties": False}
    for _ in range(3000):
        some = random_.sample([*names, "x"], random_.randrange(6))
        pairs.append((booking, {name: random_.choice(VALUES) for name in some}))
    told = [(form, value, not errors_in(form, value)) for form, value in pairs]
    right = {id(form): Draft202012Validator(form).is_valid for form, _ in pairs}

    assert [each for each in told if right[id(each[0])](each[1]) != each[2]] == []
    assert sum(fits for *_, fits in told) > 50
