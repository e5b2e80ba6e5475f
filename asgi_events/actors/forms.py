"""Forms: what an answer to a question may be.

A form is one field, or a flat object of fields, in the subset of JSON Schema that MCP
has for elicitation. So any page can draw it, and any process can check an answer
without the code of the actor.

Spec: https://modelcontextprotocol.io/specification, "Elicitation", "Requested Schema"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from pydantic import PydanticUserError, TypeAdapter

from asgi_events.actors.answers import FORMATS

Schema = Mapping[str, Any]

_NULL = {"type": "null"}
_OPTION = ("const", "title")


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
    return _form(f"{type!r} cannot be asked for", schema)


def form_from(schema: Any) -> dict[str, Any]:
    """Return the form that a JSON Schema from elsewhere describes.

    Raises:
        TypeError: The schema is not flat, or has what a form has not; the message
            names the field.
    """
    if not isinstance(schema, Mapping):
        raise TypeError(f"The schema of a form is an object, got {schema!r}.")
    return _form("The schema is not that of a form", schema)


def _form(refusal: str, schema: Schema) -> dict[str, Any]:
    schema = dict(schema)
    schema.pop("$schema", None)
    definitions = schema.pop("$defs", None)
    if not isinstance(definitions, Mapping):
        definitions = {}
    schema = _resolved(schema, definitions)
    if schema.get("type") != "object":
        return _field(refusal, "the answer", schema, definitions)
    if "properties" not in schema and schema.get("additionalProperties", True):
        raise TypeError(f"{refusal}: it has no fields to fill in")
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    if not isinstance(properties, Mapping) or not _are_texts(required):
        raise TypeError(f"{refusal}: its properties are an object, required a list.")
    if absent := [name for name in required if name not in properties]:
        raise TypeError(f"{refusal}: it requires {absent[0]!r}, which is no field.")
    form = {
        "type": "object",
        "properties": {
            name: _field(refusal, f"its field {name!r}", field, definitions)
            for name, field in properties.items()
        },
    }
    for name in ("title", "description", "required"):
        if name in schema:
            form[name] = schema[name]
    return form


def _resolved(schema: Any, definitions: Schema) -> dict[str, Any]:
    """A schema without a reference at its top, without None, and with ``enum``."""
    found = dict(schema) if isinstance(schema, Mapping) else {}
    whole = found.get("allOf")  # of a reference with a default, before pydantic 2.9
    if isinstance(whole, list) and len(whole) == 1:
        del found["allOf"]
        found = {**_resolved(whole[0], definitions), **found}
    reference = found.pop("$ref", None)
    if reference is not None:
        name = str(reference).removeprefix("#/$defs/")
        others = {each: definitions[each] for each in definitions if each != name}
        found = {**_resolved(definitions.get(name), others), **found}
    branches = found.get("anyOf")
    if isinstance(branches, list) and len(branches) == 2 and _NULL in branches:
        del found["anyOf"]
        branches = [branch for branch in branches if branch != _NULL] or [_NULL]
        found = {**_resolved(branches[0], definitions), **found}
    if found.get("default", 0) is None:
        del found["default"]
    if "const" in found:
        found["enum"] = [found.pop("const")]
    return found


def _field(refusal: str, what: str, schema: Any, definitions: Schema) -> dict[str, Any]:
    field = _resolved(schema, definitions)
    kind = field.get("type")
    if kind == "array":
        items = _resolved(field.get("items"), definitions)
        field["items"] = _choices(items)
        if field["items"] is None:
            kind = None
    allowed = _ALLOWED.get(str(kind), {})
    wrong = [
        name if name not in allowed else f"{name} {value!r}"
        for name, value in field.items()
        if name not in allowed or not allowed[name](value)
    ]
    if wrong or not allowed:
        why = f"a form has no {min(wrong)}" if allowed else "it is not flat"
        raise TypeError(
            f"{refusal}, because of {what}: {why}. A field is a "
            "bool, an int, a float, a str, a date, a datetime, or one or some of "
            "several strings."
        )
    return field


def _choices(items: Schema) -> dict[str, Any] | None:
    """What the items of a list may be; None if they are not some of several strings."""
    if _are_options(items.get("anyOf")):
        return {"anyOf": items["anyOf"]}
    if items.get("type") == "string" and _are_choices(items.get("enum")):
        return {"type": "string", "enum": items["enum"]}
    return None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _are_choices(value: Any) -> bool:
    return value != [] and _are_texts(value)


def _are_options(value: Any) -> bool:
    """Return whether these are texts to choose from, each with a title."""
    return (
        isinstance(value, list)
        and value != []
        and all(isinstance(option, Mapping) for option in value)
        and all(_is_text(option.get(name)) for option in value for name in _OPTION)
    )


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return _is_whole(value) and value >= 0


def _is_number(value: Any) -> bool:
    return _is_whole(value) or (isinstance(value, float) and isfinite(value))


def _are_whole(value: Any) -> bool:
    return isinstance(value, list) and value != [] and all(map(_is_whole, value))


def _is_anything(value: Any) -> bool:
    return True


Members = dict[str, Callable[[Any], bool]]

_ANY: Members = {
    "type": _is_anything,
    "title": _is_text,
    "description": _is_text,
}
_NUMBER: Members = {
    **_ANY,
    "default": _is_number,
    "minimum": _is_number,
    "maximum": _is_number,
}
_ALLOWED: dict[str, Members] = {
    "boolean": {**_ANY, "default": _is_flag},
    "integer": {**_NUMBER, "enum": _are_whole},
    "number": _NUMBER,
    "string": {
        **_ANY,
        "default": _is_text,
        "minLength": _is_count,
        "maxLength": _is_count,
        "format": lambda value: _is_text(value) and value in FORMATS,
        "enum": _are_choices,
        "enumNames": _are_texts,  # MCP before 2025-11-25
        "oneOf": _are_options,
    },
    "array": {
        **_ANY,
        "default": _are_texts,
        "items": _is_anything,
        "minItems": _is_count,
        "maxItems": _is_count,
        "uniqueItems": _is_flag,
    },
}
"""The members of each kind of field, and what each may be."""
