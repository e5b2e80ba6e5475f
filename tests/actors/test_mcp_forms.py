"""Forms from schemas that others have written: the examples of MCP's specification.

Source: https://modelcontextprotocol.io/specification/2026-07-28/client/elicitation, and
for ``enumNames`` the page of 2025-06-18.
"""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from asgi_events.actors.answers import errors_in
from asgi_events.actors.forms import form_from

HEXES = ["#FF0000", "#00FF00", "#0000FF"]
OPTIONS = [
    {"const": color, "title": title}
    for color, title in zip(HEXES, ["Red", "Green", "Blue"], strict=True)
]
COLORS = {"title": "Color Selection", "description": "Choose your favorite colors"}
TEXTS = {"title": "Display Name", "description": "Description text"}

FIELDS: dict[str, tuple[dict[str, Any], list[Any], list[Any]]] = {
    "a text": (
        {
            "type": "string",
            **TEXTS,
            "minLength": 3,
            "maxLength": 50,
            "format": "email",
            "default": "user@example.com",
        },
        ["user@example.com", "a@b.example"],
        ["", "ab", "no mail", f"{'a' * 50}@example.com", 1, None],
    ),
    "a date": (
        {"type": "string", "format": "date"},
        ["2026-02-28"],
        ["2026-02-30", "tomorrow", 20260228],
    ),
    "a moment": (
        {"type": "string", "format": "date-time"},
        ["2026-02-28T10:00:00Z"],
        ["2026-02-28", "noon", False],
    ),
    "a URI": (
        {"type": "string", "format": "uri"},
        ["https://example.com/a?b#c"],
        ["", 1],
    ),
    "a number": (
        {"type": "number", **TEXTS, "minimum": 0, "maximum": 100, "default": 50},
        [0, 100, 50, 0.5, 99.5],
        [-1, 100.5, "50", True, None],
    ),
    "a whole number": (
        {"type": "integer", **TEXTS, "minimum": 0, "maximum": 100, "default": 50},
        [0, 100, 50, 2.0],
        [-1, 101, 0.5, "50", False],
    ),
    "a yes or no": (
        {"type": "boolean", **TEXTS, "default": False},
        [True, False],
        [0, 1, "true", None],
    ),
    "one of some": (
        {"type": "string", **COLORS, "enum": ["Red", "Green", "Blue"]},
        ["Red", "Blue"],
        ["red", "", None, ["Red"]],
    ),
    "one of some with titles": (
        {"type": "string", **COLORS, "oneOf": OPTIONS, "default": "#FF0000"},
        HEXES,
        ["Red", "#ff0000", 1],
    ),
    "one of some with titles, before 2025-11-25": (
        {
            "type": "string",
            **TEXTS,
            "enum": ["option1", "option2"],
            "enumNames": ["Option 1", "Option 2"],
        },
        ["option1"],
        ["Option 1", 1],
    ),
    "several of some": (
        {
            "type": "array",
            **COLORS,
            "minItems": 1,
            "maxItems": 2,
            "items": {"type": "string", "enum": ["Red", "Green", "Blue"]},
            "default": ["Red", "Green"],
        },
        [["Red"], ["Red", "Blue"]],
        [[], ["Red", "Green", "Blue"], ["red"], "Red", [1], None],
    ),
    "several of some with titles": (
        {
            "type": "array",
            **COLORS,
            "minItems": 1,
            "maxItems": 2,
            "items": {"anyOf": OPTIONS},
            "default": ["#FF0000", "#00FF00"],
        },
        [["#FF0000"], ["#FF0000", "#0000FF"]],
        [[], HEXES, ["Red"], "#FF0000", [1], [["#FF0000"]]],
    ),
}

CONTACT = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "Your full name"},
        "email": {"type": "string", "format": "email"},
        "age": {"type": "number", "minimum": 18, "description": "Your age"},
    },
    "required": ["name", "email"],
}


@pytest.mark.parametrize("name", FIELDS)
def test_takes_the_very_schema_and_judges_as_jsonschema_does(name: str) -> None:
    field, right, wrong = FIELDS[name]
    schema = {"type": "object", "properties": {"it": field}, "required": ["it"]}
    judge = Draft202012Validator(schema, format_checker=FormatChecker())
    form = form_from({"$schema": "https://json-schema.org/draft/2020-12", **schema})
    contents = [{"it": value} for value in (*right, *wrong)]

    assert form == schema
    told = [not errors_in(form, content) for content in contents]
    assert told == [True] * len(right) + [False] * len(wrong)
    if field.get("format", "date") in FormatChecker.checkers:  # some need a package
        assert told == [judge.is_valid(content) for content in contents]
    if "default" in field:
        assert errors_in(form, {"it": field["default"]}) == []
    assert form_from(field) == field


@pytest.mark.parametrize(
    ("content", "errors"),
    [
        (
            {"name": "Monalisa Octocat", "email": "octocat@github.com", "age": 30},
            [],
        ),
        ({"name": "octocat"}, ["email"]),
        ({"name": 1, "email": "x", "age": 17}, ["name", "email", "age"]),
    ],
)
def test_judges_the_contact_of_the_specification(
    content: Any, errors: list[str]
) -> None:
    judge = Draft202012Validator(CONTACT, format_checker=FormatChecker())

    found = errors_in(form_from(CONTACT), content)

    assert [each["loc"][0] for each in found] == errors
    assert judge.is_valid(content) == (errors == [])


def test_takes_a_form_without_fields_and_references_and_none() -> None:
    schema = {
        "type": "object",
        "properties": {
            "color": {"$ref": "#/$defs/Color"},
            "bags": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "note": {"type": "string", "default": None},
        },
        "additionalProperties": False,
        "$defs": {"Color": {"enum": ["Red"], "type": "string"}},
    }
    assert form_from({"type": "object", "properties": {}})["properties"] == {}
    assert form_from(schema)["properties"] == {
        "color": {"enum": ["Red"], "type": "string"},
        "bags": {"type": "integer"},
        "note": {"type": "string"},
    }


def odd(**field: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"odd": field}}


LOOP = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}
NOT_FORMS: list[tuple[Any, str]] = [
    (None, "The schema of a form is an object, got None"),
    ([], "The schema of a form is an object"),
    ({}, "because of the answer: it is not flat"),
    (LOOP, "because of the answer: it is not flat"),
    ({"$ref": "#/$defs/a", "$defs": 5}, "because of the answer: it is not flat"),
    ({"type": "object"}, "it has no fields to fill in"),
    ({"type": "object", "properties": []}, "its properties are an object"),
    (odd(type="string") | {"required": "odd"}, "required a list"),
    (odd(type="string") | {"required": ["x"]}, "requires 'x', which is no field"),
    (odd(), "its field 'odd': it is not flat"),
    ({"type": "object", "properties": {"odd": 5}}, "'odd': it is not flat"),
    (odd(type=["string", "null"]), "its field 'odd': it is not flat"),
    (odd(type="object", properties={}), "its field 'odd': it is not flat"),
    (odd(type="null"), "its field 'odd': it is not flat"),
    (odd(type="array", items={"type": "string"}), "its field 'odd': it is not flat"),
    (odd(type="array", items={"type": "string", "enum": [1]}), "it is not flat"),
    (odd(type="array", items=[]), "its field 'odd': it is not flat"),
    (odd(anyOf=5), "its field 'odd': it is not flat"),
    (odd(type="string", pattern="a+"), "a form has no pattern"),
    (odd(type="string", format="password"), "a form has no format 'password'"),
    (odd(type="string", format=["date"]), "a form has no format"),
    (odd(type="string", minLength="3"), "a form has no minLength '3'"),
    (odd(type="string", maxLength=-1), "a form has no maxLength -1"),
    (odd(type="string", enum=[]), "a form has no enum"),
    (odd(type="string", enum="ab"), "a form has no enum"),
    (odd(type="string", oneOf=[{"title": "Red"}]), "a form has no oneOf"),
    (odd(type="string", oneOf=[{"const": "a"}]), "a form has no oneOf"),
    (odd(type="string", default=1), "a form has no default 1"),
    (odd(type="integer", default=True), "a form has no default True"),
    (odd(type="boolean", default="yes"), "a form has no default 'yes'"),
    (
        odd(type="array", items={"type": "string", "enum": ["a"]}, default="a"),
        "a form has no default 'a'",
    ),
    (odd(type="string", title=1), "a form has no title 1"),
    (odd(type="number", minimum="0"), "a form has no minimum '0'"),
    (odd(type="number", maximum=float("nan")), "a form has no maximum nan"),
    (odd(type="integer", enum=[True]), "a form has no enum"),
    (odd(type="boolean", enum=[True]), "a form has no enum"),
]


@pytest.mark.parametrize(("schema", "why"), NOT_FORMS, ids=lambda each: str(each)[:40])
def test_names_what_no_form_has(schema: Any, why: str) -> None:
    with pytest.raises(TypeError, match=why.replace("$", r"\$")):
        form_from(schema)
