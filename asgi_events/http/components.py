"""The components of the OpenAPI document of executions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from asgi_events.actors.actor import Actor
from asgi_events.event_types import event_type_of
from asgi_events.events import EventType, ExecutionStatus
from asgi_events.executions.executions import Executions
from asgi_events.http.forms import add_form
from asgi_events.http.schemas import (
    Schema,
    add_feed_events,
    add_inputs,
    add_own_events,
    add_published,
    add_results,
    complete_event,
    not_null,
)
from asgi_events.http.shared import Reference, Shared

_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "integer", "minimum": 0}
_TIME: Schema = {"type": "string", "format": "date-time"}
_LINK: Schema = {"type": "string", "format": "uri-reference"}


ANSWER: Schema = {
    "oneOf": [
        {
            "type": "object",
            "properties": {
                "action": {"type": "string", "const": "accept"},
                "content": {"description": "What fits the `response_schema`."},
            },
            "required": ["action", "content"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"action": {"type": "string", "const": "decline"}},
            "required": ["action"],
            "additionalProperties": False,
        },
    ]
}
"""The body of an answer to a question."""


def json_object(**members: Any) -> Schema:
    """Return the schema of an object that has all of these members."""
    return {"type": "object", "properties": members, "required": list(members)}


@dataclass(frozen=True, slots=True)
class ActorComponents:
    """The components of one actor.

    Attributes:
        input: Its input.
        needs_input: Whether the input has members that it cannot do without.
        event: The union of the events in the stream of its executions.
        execution: The status of its executions.
    """

    input: Schema
    needs_input: bool
    event: Reference
    execution: Reference


class EventComponents:
    """The schemas of executions and of their events.

    Args:
        shared: Where they go.
        executions: The executions.

    Attributes:
        actors: The components of each actor.
        event: The union of all events, whatever the actor.
        execution: The status of any execution.
        input: A question, and what has closed it.
        listing: The list of actors.
        page: A page of the list of executions.
        feed: The union of the events of the feed.
    """

    def __init__(self, shared: Shared, executions: Executions) -> None:
        self._shared = shared
        self._redacts = executions.viewing.options["redact"] is not None
        form = add_form(shared)
        self._own = add_own_events(shared, form)
        self._complete = complete_event(shared)
        self._named = self._add_named()
        self._question = shared.add("WaitingInput", question(form))
        self.input = shared.add("AskedInput", _answered(form))
        actors = executions.actors
        inputs = add_inputs(shared, executions.inputs)
        results = add_results(shared, actors)
        published = self._published(actors.values())
        self.actors: dict[str, ActorComponents] = {}
        for name, actor in actors.items():
            input = executions.inputs[name].model
            models = {model: published[model] for model in actor.publishes}
            self.actors[name] = ActorComponents(
                input=inputs[name],
                needs_input=any(f.is_required() for f in input.model_fields.values()),
                event=self._add_event(_pascal(name), results[name], models),
                execution=self._add_execution(name, results[name]),
            )
        self.event = self._add_event("", _any_of(results.values()), published)
        self.execution = self._add_any_execution()
        self.listing = shared.add("ActorList", _listing())
        listed = shared.add("ListedExecution", _listed())
        self.page = shared.add("ExecutionList", _page(listed))
        self.feed = self._add_feed()

    def _published(self, actors: Iterable[Actor[..., Any]]) -> dict[Any, Schema]:
        models = list({m: None for actor in actors for m in actor.publishes})
        made = add_published(
            self._shared, {str(n): model for n, model in enumerate(models)}
        )
        return {model: made[str(n)] for n, model in enumerate(models)}

    def _add_event(
        self, prefix: str, result: Schema, published: Mapping[Any, Schema]
    ) -> Reference:
        """Add the union of our own events and some models that are published."""
        complete = self._shared.add(
            f"{prefix}CompleteEvent", self._complete_with(result)
        )
        pairs = [
            *self._own.items(),
            (str(EventType.COMPLETE), complete),
            *((event_type_of(model), given) for model, given in published.items()),
        ]
        members = [
            {"$ref": kind} for kind in dict.fromkeys(s["$ref"] for _, s in pairs)
        ]
        mapping = {kind: schema["$ref"] for kind, schema in pairs}
        union: Schema = {"anyOf": members}
        # Models of two actors may have the same event_type.
        if len(mapping) == len(pairs):
            discriminator = {"propertyName": "event_type", "mapping": mapping}
            union = {"oneOf": members, "discriminator": discriminator}
        return self._shared.add(f"{prefix}Event", union)

    def _complete_with(self, result: Schema) -> Schema:
        """Return the schema of ``complete`` with a result, which None is not."""
        schema = dict(self._complete)
        properties = dict(schema["properties"])
        del properties["result"]
        there = not_null(result)
        if there is not None:
            properties["result"] = there
        if there and there == result and not self._redacts:
            schema["required"] = [*schema["required"], "result"]
        return schema | {"properties": properties}

    def _add_named(self) -> dict[str, Reference]:
        """Add the data of the events that have a name."""
        reasons = ["trimmed", "future", "foreign", "malformed"]
        away = ["draining", "max_duration", "backlog"]
        named = {
            "Reset": json_object(reason=_TEXT | {"enum": reasons}, first=_NUMBER),
            "Goodbye": json_object(reason=_TEXT | {"enum": away}),
            "End": json_object(status=_status()),
        }
        return {
            name.lower(): self._shared.add(name, data) for name, data in named.items()
        }

    def _add_feed(self) -> Reference:
        events = add_feed_events(self._shared)
        mapping = {kind: event["$ref"] for kind, event in events.items()}
        union = {
            "oneOf": [{"$ref": reference} for reference in mapping.values()],
            "discriminator": {"propertyName": "event_type", "mapping": mapping},
        }
        reasons = ["new", "trimmed", "future", "foreign", "malformed"]
        reset = json_object(reason=_TEXT | {"enum": reasons}, first=_NUMBER)
        self._feed_reset = self._shared.add("FeedReset", reset)
        return self._shared.add("FeedEvent", union)

    def frames(self, event: Reference) -> Schema:
        """Return the schema of a block of an event stream, with its fields."""
        named = self._named
        if event == self.feed:
            named = {"reset": self._feed_reset, "goodbye": named["goodbye"]}
        retry = {"retry": _NUMBER}
        plain = _block(event)
        # It has no name, which is the name "message" to a client.
        unnamed = {"event": {"type": "string", "const": "message"}}
        plain["properties"] |= unnamed | {"id": _TEXT} | retry
        return {
            "oneOf": [
                plain,
                *(
                    _block(data, name, retry if name == "goodbye" else {})
                    for name, data in named.items()
                ),
            ]
        }

    def _add_execution(self, name: str, result: Schema) -> Reference:
        schema = _execution({"type": "string", "const": name}, result, self._question)
        return self._shared.add(f"{_pascal(name)}Execution", schema)

    def _add_any_execution(self) -> Reference:
        if not self.actors:
            return self._shared.add("Execution", _execution(_TEXT, {}, self._question))
        mapping = {
            name: components.execution["$ref"]
            for name, components in self.actors.items()
        }
        schema = {
            "oneOf": [{"$ref": reference} for reference in mapping.values()],
            "discriminator": {"propertyName": "actor", "mapping": mapping},
        }
        return self._shared.add("Execution", schema)


def add_problem(shared: Shared) -> Reference:
    """Add the schema of a problem."""
    schema = json_object(
        type=_LINK, title=_TEXT, status={"type": "integer"}, detail=_TEXT
    )
    place = {"anyOf": [_TEXT, {"type": "integer"}]}
    error = json_object(type=_TEXT, loc={"type": "array", "items": place}, msg=_TEXT)
    schema["properties"]["errors"] = {
        "type": "array",
        "items": error,
        "description": "What is not valid in the input.",
    }
    return shared.add("Problem", {"description": "A problem (RFC 9457)."} | schema)


def _block(data: Reference, name: str = "", more: Schema | None = None) -> Schema:
    """Return the schema of a block whose data is JSON."""
    members: Schema = {"event": {"type": "string", "const": name}} if name else {}
    members["data"] = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": data,
    }
    return json_object(**members, **(more or {}))


def question(form: Reference) -> Schema:
    """Return the schema of a question that an execution asks."""
    return json_object(
        n={"type": "integer", "minimum": 1},
        address=_TEXT,
        message=_TEXT,
        response_schema=form,
        expires=_or_null(_TIME),
        to=_or_null(_TEXT),
    )


def _answered(form: Reference) -> Schema:
    """Return the schema of a question, and of what has closed it."""
    actions = ["accept", "decline", "expired", "cancelled"]
    closed = json_object(
        action=_TEXT | {"enum": actions}, by=_or_null(_TEXT), timestamp=_TIME
    )
    schema = question(form)
    schema["properties"]["answer"] = _or_null(closed)
    schema["required"].append("answer")
    return schema


def _execution(actor: Schema, result: Schema, question: Reference) -> Schema:
    members = {
        "id": _TEXT,
        "actor": actor,
        "thread": _or_null(_TEXT),
        "status": _status(),
        "created": _TIME,
        "ended": _or_null(_TIME),
        "result": _or_null(result),
        "error": _or_null(_TEXT),
        "progress": _or_null(
            json_object(
                address=_TEXT,
                current={"type": "number"},
                total=_or_null({"type": "number"}),
                message=_or_null(_TEXT),
            )
        ),
        "last": _NUMBER | {"description": "The number of its newest event."},
        "waiting": {
            "type": "array",
            "items": question,
            "description": "What it asks, and nobody has answered yet.",
        },
        "viewers": _NUMBER,
        "links": _links(),
    }
    return json_object(**members)


def _links() -> Schema:
    return json_object(self=_LINK, events=_LINK, cancel=_LINK)


def _listed() -> Schema:
    return json_object(
        id=_TEXT,
        actor=_TEXT,
        thread=_or_null(_TEXT),
        status=_status(),
        last=_NUMBER | {"description": "The number of its newest event."},
        created=_TIME,
        ended=_or_null(_TIME),
        links=_links(),
    )


def _page(listed: Reference) -> Schema:
    following = _or_null(_TEXT) | {"description": "The `after` of the next page."}
    executions = {"type": "array", "items": listed}
    return json_object(executions=executions, next=following)


def _listing() -> Schema:
    actor = json_object(
        name=_TEXT,
        kind={"type": "string", "enum": ["agent", "tool", "llm"]},
        description=_TEXT,
        input={
            "type": "object",
            "additionalProperties": True,
            "description": "Its input as JSON Schema.",
        },
        links=json_object(start=_LINK),
    )
    return json_object(actors={"type": "array", "items": actor})


def _status() -> Schema:
    """Return the schema of how a whole execution stands."""
    of_calls = {ExecutionStatus.RETRYING, ExecutionStatus.RECOVERED}
    kinds = [str(status) for status in ExecutionStatus if status not in of_calls]
    return {"type": "string", "enum": kinds}


def _or_null(schema: Schema) -> Schema:
    if not schema or not_null(schema) != schema:
        return schema
    return {"anyOf": [schema, {"type": "null"}]}


def _any_of(results: Iterable[Schema]) -> Schema:
    """Return the schema of what has one of some schemas."""
    kinds: list[Schema] = []
    for result in results:
        several = result["anyOf"] if result.keys() == {"anyOf"} else [result]
        kinds.extend(kind for kind in several if kind not in kinds)
    if {} in kinds or not kinds:
        return {}
    return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}


def _pascal(name: str) -> str:
    """Return the name of an actor as the first part of the name of a component."""
    parts = re.findall(r"[A-Za-z0-9]+", name)
    return "".join(part[0].upper() + part[1:] for part in parts) or "Actor"
