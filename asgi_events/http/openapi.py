"""The OpenAPI document of executions.

It describes each route, with the input and the result of each actor, and the events of
their streams. OpenAPI 3.2 has ``itemSchema`` for the blocks of an event stream. Since
most generators of clients do not read it, ``schema`` describes their data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from asgi_events.actors.actor import Actor
from asgi_events.executions.executions import Executions
from asgi_events.http.components import (
    ANSWER,
    ActorComponents,
    EventComponents,
    add_problem,
)
from asgi_events.http.parameters import HEADERS, LIST_PARAMETERS, PARAMETERS
from asgi_events.http.shared import Kind, Reference, Shared, free_name
from asgi_events.wire.sse import MEDIA_TYPE

VERSIONS = {"3.1": "3.1.0", "3.1.0": "3.1.0", "3.2": "3.2.0", "3.2.0": "3.2.0"}
"""The versions of OpenAPI, also by a shorter name."""

_KINDS: tuple[Kind, ...] = ("schemas", "responses", "parameters", "headers")

_DENIED = (401, 403)
_FAILED = (500, 503)

_PROBLEMS = {
    400: ("BadRequest", "A parameter, a header or the JSON of the body is malformed."),
    401: ("Unauthorized", "The caller is not authenticated."),
    403: ("Forbidden", "The caller may not do that."),
    404: ("NotFound", "There is no such execution, or it is another owner's."),
    408: ("RequestTimeout", "The body did not come in time."),
    409: (
        "Conflict",
        "Another execution of the thread runs: `execution` is its id; or the question "
        "has another answer: `action` and `by` say which and whose.",
    ),
    410: (
        "Gone",
        "The key has started an execution that is no longer kept; or nobody waits for "
        "the answer any more.",
    ),
    413: ("ContentTooLarge", "The body is too large."),
    415: ("UnsupportedMediaType", "The body is not JSON."),
    422: (
        "UnprocessableContent",
        "The input is not valid, or the key was used with another one.",
    ),
    429: ("TooManyRequests", "Too many executions run, or too many viewers watch."),
    500: ("InternalServerError", "Something failed on the server."),
    503: (
        "ServiceUnavailable",
        "The server is shutting down, or the store does not answer.",
    ),
}


def openapi(
    executions: Executions,
    prefix: str = "",
    version: str = "3.2.0",
    *,
    into: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the OpenAPI document of the routes of ``EventsApp``.

    Args:
        executions: The executions that the routes serve.
        prefix: The path, quoted, below which the routes are.
        version: ``"3.2.0"`` or ``"3.1.0"``; 3.1 has no ``itemSchema``.
        into: The document of a framework; the result describes its routes too, and has
            its version. If two components have the same name, ours gets another one.

    Raises:
        ValueError: The version is another one.
    """
    if into is not None:
        version = str(into.get("openapi", ""))[:3]
    if version not in VERSIONS:
        raise ValueError(f"version is 3.1 or 3.2 of OpenAPI, got {version!r}.")
    return _Document(executions, prefix.rstrip("/"), version, into or {}).document()


class _Document:
    """One document while it is made."""

    def __init__(
        self,
        executions: Executions,
        prefix: str,
        version: str,
        outer: Mapping[str, Any],
    ) -> None:
        self._executions = executions
        self._prefix = prefix
        self._version = VERSIONS[version]
        self._outer = outer
        components = outer.get("components", {})
        self._shared = {kind: Shared(kind, components.get(kind)) for kind in _KINDS}
        self._ids: set[Any] = {
            operation.get("operationId")
            for path in outer.get("paths", {}).values()
            for operation in path.values()
            if isinstance(operation, dict)
        }
        self._events = EventComponents(self._shared["schemas"], executions)

    def document(self) -> dict[str, Any]:
        """Return the whole document."""
        outer = self._outer
        paths = dict(outer.get("paths", {}))
        for path, operations in self._paths().items():
            paths[path] = {**paths.get(path, {}), **operations}
        return {
            "openapi": self._version,
            "info": {"title": "Executions", "version": "1"},
            **outer,
            "paths": paths,
            "components": {
                **outer.get("components", {}),
                **{kind: dict(s.named) for kind, s in self._shared.items()},
            },
        }

    def _paths(self) -> dict[str, Any]:
        prefix = self._prefix
        execution = f"{prefix}/executions/{{id}}"
        paths = {
            f"{prefix}/": {"get": self._list()},
            f"{prefix}/openapi.json": {"get": self._describe()},
        }
        for name, actor in self._executions.actors.items():
            started = self._start(actor, self._events.actors[name])
            paths.setdefault(f"{prefix}/{quote(name, safe='')}", {})["post"] = started
        paths[f"{prefix}/executions"] = {"get": self._list_executions()}
        paths.setdefault(f"{prefix}/feed", {})["get"] = self._feed()
        paths[execution] = {"get": self._about(), "delete": self._cancel()}
        paths[f"{execution}/events"] = {"get": self._stream()}
        paths[f"{execution}/inputs/{{n}}"] = {
            "get": self._about_input(),
            "post": self._answer(),
        }
        return paths

    def _list(self) -> dict[str, Any]:
        return self._operation(
            "list_actors",
            "List the actors.",
            {200: _json("The actors.", self._events.listing)},
            (*_DENIED, 500),
        )

    def _describe(self) -> dict[str, Any]:
        version = {
            "name": "version",
            "in": "query",
            "description": "The version of OpenAPI.",
            "schema": {"type": "string", "enum": [*VERSIONS], "default": "3.2.0"},
        }
        any_object = {"type": "object", "additionalProperties": True}
        return self._operation(
            "get_openapi",
            "Describe the routes.",
            {200: _json("This document.", any_object)},
            (400, *_DENIED, 500),
            parameters=[version],
        )

    def _list_executions(self) -> dict[str, Any]:
        return self._operation(
            "list_executions",
            "List the caller's executions, the newest first.",
            {
                200: _json("A page of the list.", self._events.page)
                | {"headers": self._headers("Link")}
            },
            (400, *_DENIED, *_FAILED),
            parameters=LIST_PARAMETERS,
        )

    def _start(
        self, actor: Actor[..., Any], components: ActorComponents
    ) -> dict[str, Any]:
        location = {"headers": self._headers("Location")}
        operation = self._operation(
            f"start_{_word(actor.name)}",
            actor.description or f"Start {actor.name}.",
            {
                200: self._blocks(components.event) | location,
                202: _json("It has started.", components.execution) | location,
            },
            (400, *_DENIED, 404, 408, 409, 410, 413, 415, 422, 429, *_FAILED),
            parameters=self._parameters(
                "Thread", "IdempotencyKey", "LastEventId", "LastEventIdQuery"
            ),
        )
        operation["requestBody"] = {
            "required": components.needs_input,
            "content": {"application/json": {"schema": components.input}},
        }
        return operation

    def _about(self) -> dict[str, Any]:
        return self._operation(
            "get_execution",
            "Say how an execution stands.",
            {200: _json("Its status, and its result.", self._events.execution)},
            (400, *_DENIED, 404, *_FAILED),
            parameters=self._parameters("ExecutionId", "Wait"),
        )

    def _cancel(self) -> dict[str, Any]:
        return self._operation(
            "cancel_execution",
            "Cancel an execution.",
            {
                200: _json("It had ended.", self._events.execution),
                202: _json("It is being cancelled.", self._events.execution)
                | {"headers": self._headers("Location")},
            },
            (*_DENIED, 404, *_FAILED),
            parameters=self._parameters("ExecutionId"),
        )

    def _stream(self) -> dict[str, Any]:
        return self._operation(
            "stream_execution",
            "Stream the events of an execution.",
            {
                200: self._blocks(self._events.event),
                204: {"description": "The client has all events."},
            },
            (400, *_DENIED, 404, 429, *_FAILED),
            parameters=self._parameters(
                "ExecutionId", "LastEventId", "LastEventIdQuery", "Wait"
            ),
        )

    def _feed(self) -> dict[str, Any]:
        return self._operation(
            "stream_feed",
            "Stream what happens to the caller's executions.",
            {200: self._blocks(self._events.feed)},
            (*_DENIED, 429, *_FAILED),
            parameters=self._parameters("LastEventId", "LastEventIdQuery"),
        )

    def _about_input(self) -> dict[str, Any]:
        return self._operation(
            "get_input",
            "Say how a question stands.",
            {200: _json("The question.", self._events.input)},
            (*_DENIED, 404, *_FAILED),
            parameters=self._parameters("ExecutionId", "InputNumber"),
        )

    def _answer(self) -> dict[str, Any]:
        operation = self._operation(
            "answer_input",
            "Answer a question, once.",
            {
                200: _json("It has this very answer already.", self._events.input),
                201: _json("This is its answer.", self._events.input),
            },
            (400, *_DENIED, 404, 408, 409, 410, 413, 415, 422, *_FAILED),
            parameters=self._parameters("ExecutionId", "InputNumber"),
        )
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": ANSWER}},
        }
        return operation

    def _operation(
        self,
        id: str,
        summary: str,
        responses: Mapping[int, Any],
        problems: tuple[int, ...],
        *,
        parameters: list[Any] | None = None,
    ) -> dict[str, Any]:
        id = free_name(id, self._ids)
        self._ids.add(id)
        said = {str(status): response for status, response in responses.items()}
        operation: dict[str, Any] = {"operationId": id, "summary": summary}
        if parameters:
            operation["parameters"] = parameters
        operation["responses"] = said | {
            str(status): self._problem(status) for status in problems
        }
        return operation

    def _blocks(self, event: Reference) -> dict[str, Any]:
        """Return the response that is a stream."""
        media: dict[str, Any] = {"schema": event}
        if self._version.startswith("3.2"):
            media["itemSchema"] = self._events.frames(event)
        is_feed = event == self._events.feed
        named = "`reset` and `goodbye`" if is_feed else "`reset`, `goodbye` and `end`"
        return {
            "description": "The stream of events. `schema` is the data of one event "
            f"without a name. Then there are the events {named}.",
            "content": {MEDIA_TYPE: media},
        }

    def _problem(self, status: int) -> Reference:
        headers = {
            401: ["WWW-Authenticate"],
            415: ["Accept-Post"],
            429: ["Retry-After"],
            503: ["Retry-After"],
        }.get(status, [])
        name, description = _PROBLEMS[status]
        response: dict[str, Any] = {"description": description}
        if headers:
            response["headers"] = self._headers(*headers)
        content = {"schema": add_problem(self._shared["schemas"])}
        response["content"] = {"application/problem+json": content}
        return self._shared["responses"].add(name, response)

    def _headers(self, *names: str) -> dict[str, Reference]:
        shared = self._shared["headers"]
        return {name: shared.add(name, HEADERS[name]) for name in names}

    def _parameters(self, *names: str) -> list[Reference]:
        shared = self._shared["parameters"]
        return [shared.add(name, PARAMETERS[name]) for name in names]


def _json(description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"schema": schema}},
    }


def _word(name: str) -> str:
    """Return the name of an actor as a part of the name of a function."""
    word = "".join(c if c.isascii() and c.isalnum() else "_" for c in name)
    return word.strip("_") or "actor"
