"""JSON Schemas of what actors take, return and publish."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from pydantic import BaseModel, PydanticUserError, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode
from pydantic_core import core_schema

from asgi_events.actors.actor import Actor
from asgi_events.actors.inputs import ActorInput, returned_by
from asgi_events.event_types import event_type_of
from asgi_events.events import (
    CompleteEvent,
    Event,
    EventType,
    InputRequestEvent,
    TerminalEvent,
)
from asgi_events.feed_events import FEED_EVENTS
from asgi_events.http.shared import Reference, Shared
from asgi_events.wire.decoding import OURS

Schema: TypeAlias = dict[str, Any]


class Taken(GenerateJsonSchema):
    """Describes JSON that is validated."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}


class Sent(Taken):
    """Describes JSON that ``encode_json`` has written.

    What has a default that is not None is always there. The aliases of a model are
    written only if it says so.
    """

    def field_is_required(self, field: Any, total: bool) -> bool:
        """Return whether a member is always there."""
        if super().field_is_required(field, total):
            return True
        schema = field["schema"]
        if schema["type"] != "default" or field.get("serialization_exclude_if"):
            return False
        return schema.get("default") is not None or "default_factory" in schema

    def model_schema(self, schema: core_schema.ModelSchema) -> Schema:
        """Return the schema of a model."""
        outer = self.by_alias
        self.by_alias = bool(schema["cls"].model_config.get("serialize_by_alias"))
        try:
            return super().model_schema(schema)
        finally:
            self.by_alias = outer


def add_inputs(shared: Shared, inputs: Mapping[str, ActorInput]) -> dict[str, Schema]:
    """Add what the inputs of actors are made of; return each input's schema."""
    types = {name: input.model for name, input in inputs.items()}
    return _add(shared, types, "validation", Taken)


def add_results(
    shared: Shared, actors: Mapping[str, Actor[..., Any]]
) -> dict[str, Schema]:
    """Add what the results of actors are made of; return each result's schema."""
    types = {name: returned_by(actor) for name, actor in actors.items()}
    return _add(shared, types, "serialization", Sent, suffix="Output")


def add_published(
    shared: Shared, models: Mapping[str, type[BaseModel]]
) -> dict[str, Schema]:
    """Add the models that applications publish; return each one's reference."""
    return _add(
        shared, models, "serialization", Sent, suffix="Output", events=set(models)
    )


def add_own_events(shared: Shared, form: Reference) -> dict[str, Schema]:
    """Add our own events, all but ``complete``; return each ``event_type``'s reference.

    A ``complete`` has a result, which depends on the actor; see ``complete_event``.

    Args:
        shared: Where they go.
        form: What the ``response_schema`` of a question is.
    """
    kinds: dict[type[BaseModel], list[str]] = {}
    for kind, model in OURS.items():
        kinds.setdefault(model, []).append(str(kind))
    del kinds[CompleteEvent]
    references: dict[str, Schema] = {}
    for model, names in kinds.items():
        name = model.__name__.partition("[")[0]
        schema = _own_event(shared, model, names)
        if model is InputRequestEvent:
            schema["properties"]["response_schema"] = form
        reference = shared.add(name, schema)
        references |= dict.fromkeys(names, reference)
    return references


def add_feed_events(shared: Shared) -> dict[str, Schema]:
    """Add the events of feeds; return each ``event_type``'s reference."""
    references = {}
    for model in FEED_EVENTS:
        kind = event_type_of(model)
        references[kind] = shared.add(model.__name__, _own_event(shared, model, [kind]))
    return references


def complete_event(shared: Shared) -> Schema:
    """Return the schema of a ``complete`` with any result."""
    return _own_event(shared, CompleteEvent, [str(EventType.COMPLETE)])


def _own_event(shared: Shared, model: type[BaseModel], kinds: list[str]) -> Schema:
    # What a serializer of a whole model returns has no schema.
    terminal = issubclass(model, TerminalEvent)
    schema = model.model_json_schema(
        ref_template=shared.template,
        schema_generator=Sent,
        mode="validation" if terminal else "serialization",
    )
    # The docstring of a generic model is not that of the models made of it.
    schema.setdefault("description", "A call has begun, begins anew, or has ended.")
    schema = _written_anew(schema)
    definitions = schema.pop("$defs", {})
    definitions.pop(EventType.__name__, None)
    shared.add_all({name: _without_none(one) for name, one in definitions.items()})
    del schema["title"]
    return _named(_without_none(schema), kinds)


def not_null(schema: Schema) -> Schema | None:
    """Return the schema without null; None if nothing is left."""
    if schema.get("type") == "null":
        return None
    if "anyOf" not in schema:
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    kinds = [kind for kind in schema["anyOf"] if kind != {"type": "null"}]
    return rest | (kinds[0] if len(kinds) == 1 else {"anyOf": kinds})


def _add(
    shared: Shared,
    types: Mapping[str, Any],
    mode: JsonSchemaMode,
    generator: type[GenerateJsonSchema],
    *,
    suffix: str = "",
    events: set[str] | None = None,
) -> dict[str, Schema]:
    made, more = TypeAdapter.json_schemas(
        [
            (key, mode, _adapter(type, mode, generator, shared.template))
            for key, type in types.items()
        ],
        by_alias=mode == "validation",
        ref_template=shared.template,
        schema_generator=generator,
    )
    definitions: dict[str, Schema] = more.get("$defs", {})
    for key in events or ():
        name = made[key, mode]["$ref"].rpartition("/")[2]
        model, schema = types[key], definitions[name]
        ours = issubclass(model, Event)
        definitions[name] = _named(
            _without_none(schema) if ours else schema, [event_type_of(model)]
        )
    names = shared.add_all(definitions, suffix)
    return {key: shared.renamed(schema, names) for (key, _), schema in made.items()}


def _adapter(
    type: Any,
    mode: JsonSchemaMode,
    generator: type[GenerateJsonSchema],
    template: str,
) -> TypeAdapter[Any]:
    """Return an adapter of a type; of anything if the type has no JSON Schema."""
    try:
        adapter = TypeAdapter(type)
        adapter.json_schema(mode=mode, schema_generator=generator)
    except PydanticUserError:
        return TypeAdapter(Any)
    return adapter


def _written_anew(value: Any) -> Any:
    """Return a schema as the newest pydantic writes it.

    Earlier versions put a reference that has a default into an ``allOf``, and do not
    say that an object may have any members.
    """
    if isinstance(value, list):
        return [_written_anew(item) for item in value]
    if not isinstance(value, dict):
        return value
    anew = {key: _written_anew(item) for key, item in value.items()}
    if len(anew.get("allOf", ())) == 1:
        return anew.pop("allOf")[0] | anew
    if anew.get("type") == "object" and "properties" not in anew:
        anew.setdefault("additionalProperties", True)
    return anew


def _without_none(schema: Schema) -> Schema:
    """Return the schema of an event of which members that are None are left out.

    Members that it does not have are allowed: a later version may have more.
    """
    kept = {key: schema[key] for key in schema if key != "additionalProperties"}
    if "description" in schema:
        kept["description"] = schema["description"].partition("\n\n")[0]
    if "properties" in schema:
        kept["properties"] = {
            name: {
                key: value
                for key, value in (not_null(member) or {}).items()
                if key not in ("default", "title")
            }
            for name, member in schema["properties"].items()
        }
    return kept


def _named(schema: Schema, kinds: list[str]) -> Schema:
    """Return the schema of an event that clients can tell by its ``event_type``."""
    kind = {"const": kinds[0]} if len(kinds) == 1 else {"enum": kinds}
    event_type = {"event_type": {"type": "string"} | kind}
    required = schema.get("required", [])
    if "event_type" not in required:
        required = ["event_type", *required]
    properties = schema.get("properties", {}) | event_type
    return schema | {"properties": properties, "required": required}
