"""Forms: what an answer to a question may be, and whether an answer is that.

A form is one field, or a flat object of fields, in the subset of JSON Schema that MCP
has for elicitation. So any page can draw it, and any process can check an answer
without the code of the actor.

Spec: https://modelcontextprotocol.io/specification, "Elicitation", "Requested Schema"
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from math import isfinite
from typing import Any
from urllib.parse import urlsplit

from pydantic import PydanticUserError, TypeAdapter

Schema = Mapping[str, Any]

_TEXTS = {"title", "description", "default"}
_ALLOWED = {
    "boolean": {"type"},
    "integer": {"type", "minimum", "maximum", "enum"},
    "number": {"type", "minimum", "maximum"},
    "string": {"type", "minLength", "maxLength", "format", "enum", "oneOf"},
    "array": {"type", "minItems", "maxItems", "items", "uniqueItems"},
}

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def form_of(type: Any) -> dict[str, Any]:
    """Return the form for values of ``type``.

    Args:
        type: ``bool``, ``str``, ``int``, ``float``, a ``date`` or ``datetime``, a
            ``Literal`` or ``Enum`` of strings, a list of one of these two, or a
            pydantic model whose fields are such types, or one of them or None.

    Raises:
        TypeError: It is none of these; the message names the field.
    """
    try:
        schema = TypeAdapter(type).json_schema()
    except PydanticUserError as error:
        raise TypeError(f"{type!r} cannot be asked for: {error.message}") from None
    definitions = schema.pop("$defs", {})
    schema = _resolved(schema, definitions)
    if schema.get("type") != "object":
        return _field(type, "the answer", schema, definitions)
    if "properties" not in schema and schema.get("additionalProperties", True):
        raise TypeError(f"{type!r} cannot be asked for: it has no fields to fill in")
    properties = schema.get("properties", {})
    form = {
        "type": "object",
        "properties": {
            name: _field(type, f"its field {name!r}", field, definitions)
            for name, field in properties.items()
        },
    }
    for name in ("title", "description", "required"):
        if name in schema:
            form[name] = schema[name]
    return form


def errors_in(form: Schema, content: Any) -> list[dict[str, Any]]:
    """Return what is wrong with an answer, in the shape of pydantic's errors.

    Args:
        form: As ``form_of`` has made it.
        content: The answer, as JSON.
    """
    return list(_errors(form, content, ()))


def _resolved(schema: Schema, definitions: Schema) -> dict[str, Any]:
    """A schema without a reference at its top, without None, and with ``enum``."""
    found = dict(schema)
    reference = found.pop("$ref", None)
    if reference is not None:
        name = reference.removeprefix("#/$defs/")
        found = {**_resolved(definitions[name], definitions), **found}
    branches = found.get("anyOf", [])
    others = [branch for branch in branches if branch != {"type": "null"}]
    if len(others) == 1 and len(branches) == 2:
        del found["anyOf"]
        found = {**_resolved(others[0], definitions), **found}
        if found.get("default", 0) is None:
            del found["default"]
    if "const" in found:
        found["enum"] = [found.pop("const")]
    return found


def _field(type: Any, what: str, schema: Schema, definitions: Schema) -> dict[str, Any]:
    field = _resolved(schema, definitions)
    kind = field.get("type")
    if kind == "array":
        field["items"] = _resolved(field.get("items", {}), definitions)
        items = field["items"]
        if items.get("type") != "string" or "enum" not in items:
            kind = None
        field["items"] = {"type": "string", "enum": items.get("enum", [])}
    unknown = field.keys() - _TEXTS - _ALLOWED.get(str(kind), set())
    if field.get("format", "date") not in _FORMATS:
        unknown = unknown | {"format"}
    if kind not in _ALLOWED or unknown:
        why = f"a form has no {min(unknown)}" if kind in _ALLOWED else "it is not flat"
        raise TypeError(
            f"{type!r} cannot be asked for, because of {what}: {why}. A field is a "
            "bool, an int, a float, a str, a date, a datetime, or one or some of "
            "several strings."
        )
    return field


def _errors(
    schema: Schema, content: Any, loc: tuple[str | int, ...]
) -> Iterator[dict[str, Any]]:
    kind = schema["type"]
    if not _IS[kind](content):
        yield _error("type", loc, f"It must be {_A[kind]}.")
    elif kind == "object":
        yield from _errors_of_members(schema, content)
    elif kind == "array":
        yield from _errors_of_items(schema, content, loc)
    else:
        for name, says in _RULES.items():
            if name in schema and (error := says(schema[name], content)):
                yield _error(name, loc, error)


def _errors_of_members(schema: Schema, content: Schema) -> Iterator[dict[str, Any]]:
    properties = schema["properties"]
    for name in schema.get("required", ()):
        if name not in content:
            yield _error("missing", (name,), "It is required.")
    for name, value in content.items():
        if name not in properties:
            yield _error("extra_forbidden", (name,), "There is no such field.")
        else:
            yield from _errors(properties[name], value, (name,))


def _errors_of_items(
    schema: Schema, content: list[Any], loc: tuple[str | int, ...]
) -> Iterator[dict[str, Any]]:
    fewest, most = schema.get("minItems", 0), schema.get("maxItems")
    if len(content) < fewest:
        yield _error("minItems", loc, f"At least {fewest} are needed.")
    if most is not None and len(content) > most:
        yield _error("maxItems", loc, f"At most {most} are allowed.")
    if schema.get("uniqueItems") and len(set(map(str, content))) < len(content):
        yield _error("uniqueItems", loc, "No two may be the same.")
    for index, item in enumerate(content):
        yield from _errors(schema["items"], item, (*loc, index))


def _error(type: str, loc: tuple[str | int, ...], msg: str) -> dict[str, Any]:
    return {"type": type, "loc": list(loc), "msg": msg}


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return isfinite(value)  # pydantic's parser takes NaN
    return isinstance(value, int) and not isinstance(value, bool)


_IS: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: _is_number(value) and value == int(value),
    "number": _is_number,
}

_A = {
    "object": "an object",
    "array": "a list",
    "string": "a text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
}


def _is_uri(text: str) -> bool:
    try:
        return bool(urlsplit(text).scheme)
    except ValueError:
        return False


def _is_date(text: str) -> bool:
    try:
        return len(text) == 10 and bool(date.fromisoformat(text))
    except ValueError:
        return False


def _is_date_time(text: str) -> bool:
    try:
        return "T" in text.upper() and bool(datetime.fromisoformat(text))
    except ValueError:
        return False


_FORMATS: dict[str, Callable[[str], bool]] = {
    "date": _is_date,
    "date-time": _is_date_time,
    "email": lambda text: _EMAIL.fullmatch(text) is not None,
    "uri": _is_uri,
}


def _says(problem: str, is_right: Callable[[Any, Any], bool]) -> Callable[..., str]:
    def says(limit: Any, value: Any) -> str:
        return "" if is_right(limit, value) else problem.format(limit)

    return says


_RULES: dict[str, Callable[..., str]] = {
    "enum": _says("It must be one of {}.", lambda enum, value: value in enum),
    "oneOf": _says(
        "It must be one of those that are offered.",
        lambda options, value: value in [option["const"] for option in options],
    ),
    "minimum": _says("It must be at least {}.", lambda least, value: value >= least),
    "maximum": _says("It must be at most {}.", lambda most, value: value <= most),
    "minLength": _says(
        "It must have at least {} characters.", lambda least, text: len(text) >= least
    ),
    "maxLength": _says(
        "It must have at most {} characters.", lambda most, text: len(text) <= most
    ),
    "format": _says("It must be a {}.", lambda name, text: _FORMATS[name](text)),
}
