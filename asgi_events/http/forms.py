"""The schemas of forms in the OpenAPI document: what a ``response_schema`` may be.

They describe what ``asgi_events.actors.forms`` makes, so that a client knows which
fields a page has to draw.
"""

from __future__ import annotations

from typing import Any

from asgi_events.http.schemas import Schema
from asgi_events.http.shared import Reference, Shared

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NUMBER: Schema = {"type": "number"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_OPTION: Schema = {
    "type": "object",
    "properties": {"const": _TEXT, "title": _TEXT},
    "required": ["const", "title"],
}
_OPTIONS: Schema = {"type": "array", "items": _OPTION}


def add_form(shared: Shared) -> Reference:
    """Add the schemas of a form and of its fields; return the reference of the form."""
    fields = {
        "boolean": _field("BooleanField", "boolean", default={"type": "boolean"}),
        "integer": _number_field(),
        "number": _number_field(),
        "string": _text_field(),
        "array": _list_field(),
    }
    references = {kind: shared.add(*field) for kind, field in fields.items()}
    field = shared.add("InputField", _one_of(references))
    whole = {
        "description": "Several fields. An answer has a member for each.",
        "type": "object",
        "properties": {
            "type": {"type": "string", "const": "object"},
            "title": _TEXT,
            "description": _TEXT,
            "properties": {"type": "object", "additionalProperties": field},
            "required": _TEXTS,
        },
        "required": ["type", "properties"],
    }
    references["object"] = shared.add("InputFields", whole)
    what = "What an answer may be, as JSON Schema: one field, or several of them."
    return shared.add("InputForm", {"description": what} | _one_of(references))


def _number_field() -> tuple[str, Schema]:
    return _field(
        "NumberField",
        "integer",
        "number",
        minimum=_NUMBER,
        maximum=_NUMBER,
        enum={"type": "array", "items": _NUMBER},
        default=_NUMBER,
    )


def _text_field() -> tuple[str, Schema]:
    return _field(
        "TextField",
        "string",
        minLength=_COUNT,
        maxLength=_COUNT,
        format=_TEXT | {"enum": ["date", "date-time", "email", "uri"]},
        enum=_TEXTS,
        enumNames=_TEXTS,
        oneOf=_OPTIONS,
        default=_TEXT,
    )


def _list_field() -> tuple[str, Schema]:
    name, schema = _field(
        "ListField",
        "array",
        items={
            "type": "object",
            "properties": {"type": _TEXT, "enum": _TEXTS, "anyOf": _OPTIONS},
        },
        minItems=_COUNT,
        maxItems=_COUNT,
        uniqueItems={"type": "boolean"},
        default=_TEXTS,
    )
    return name, schema | {"required": ["type", "items"]}


def _field(name: str, *kinds: str, **members: Any) -> tuple[str, Schema]:
    """Return the name and the schema of a field of one of some types."""
    kind = {"const": kinds[0]} if len(kinds) == 1 else {"enum": list(kinds)}
    properties = {
        "type": _TEXT | kind,
        "title": _TEXT,
        "description": _TEXT,
        **members,
    }
    return name, {"type": "object", "properties": properties, "required": ["type"]}


def _one_of(references: dict[str, Reference]) -> Schema:
    """Return the union of some schemas that are told apart by their ``type``."""
    mapping = {kind: reference["$ref"] for kind, reference in references.items()}
    return {
        "oneOf": [{"$ref": name} for name in dict.fromkeys(mapping.values())],
        "discriminator": {"propertyName": "type", "mapping": mapping},
    }
