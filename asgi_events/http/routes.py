"""Makes the response to each request of ``EventsApp``."""

from __future__ import annotations

from functools import partial
from typing import Any

from asgi_events.events import CompleteEvent, ProgressEvent, TerminalEvent
from asgi_events.exceptions import UnknownActor, UnknownExecution
from asgi_events.executions.execution import Execution
from asgi_events.executions.viewers import Place
from asgi_events.http.exchange import Exchange
from asgi_events.http.feed import stream_feed
from asgi_events.http.inputs import about_waiting, answer_input
from asgi_events.http.listing import links_of, list_executions
from asgi_events.http.openapi import VERSIONS, openapi
from asgi_events.http.problems import Problem
from asgi_events.types import ASGIApp
from asgi_events.wire.frames import parse_event_id


async def answer(exchange: Exchange) -> ASGIApp:
    """Return what sends the response.

    Raises:
        Problem: The request is refused.
        AsgiEventsError: See ``problem_of``.
    """
    request = exchange.request
    match request.segments:
        case []:
            exchange.allow("GET", "HEAD")
            return await _list(exchange)
        case ["openapi.json"] if request.method != "POST":  # an actor may be called so
            exchange.allow("GET", "HEAD")
            return await _describe(exchange)
        case ["executions"]:
            exchange.allow("GET", "HEAD")
            return await list_executions(exchange)
        case ["feed"] if request.method != "POST":  # an actor may be called so
            exchange.allow("GET", "HEAD")
            return await stream_feed(exchange)
        case ["executions", id]:
            exchange.allow("GET", "HEAD", "DELETE")
            if request.method == "DELETE":
                return await _cancel(exchange, id)
            if request.wants_stream:
                return await _attach(exchange, id)
            return await _about(exchange, await exchange.find(id, "read"), 200)
        case ["executions", id, "events"]:
            exchange.allow("GET", "HEAD")
            return await _attach(exchange, id)
        case ["executions", id, "inputs", number]:
            return await answer_input(exchange, id, number)
        case [name] if request.method == "POST":
            return await _start(exchange, name)
        case [name]:
            # Only a caller who may list may learn whether the actor exists.
            await exchange.owner_of("list")
            if name in exchange.executions.actors:
                exchange.allow("POST")
    raise Problem(404, f"There is nothing at {request.scope['path']!r}.")


async def _list(exchange: Exchange) -> ASGIApp:
    await exchange.owner_of("list")
    base, executions = exchange.request.base, exchange.executions
    actors = [
        {
            "name": name,
            "kind": actor.event_type.removesuffix("_call"),
            "description": actor.description,
            "input": executions.inputs[name].schema(),
            "links": {"start": f"{base}/{name}"},
        }
        for name, actor in executions.actors.items()
    ]
    return exchange.json(200, {"actors": actors})


async def _describe(exchange: Exchange) -> ASGIApp:
    await exchange.owner_of("list")
    version = exchange.request.query("version") or "3.2.0"
    if version not in VERSIONS:
        raise Problem(400, f"version is 3.1 or 3.2 of OpenAPI, got {version!r}.")
    base = exchange.request.base
    return exchange.json(200, openapi(exchange.executions, base, version))


async def _start(exchange: Exchange, name: str) -> ASGIApp:
    request, executions = exchange.request, exchange.executions
    owner = await exchange.owner_of("start", actor=name)
    if name not in executions.actors:
        raise UnknownActor(name, list(executions.actors))
    if request.last_event_id is not None:
        return await _rejoin(exchange, name, request.last_event_id)
    key = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= 255 and key.isprintable()):
        raise Problem(400, "An Idempotency-Key has 1 to 255 printable characters.")
    thread = request.thread()
    body = await exchange.read_json()
    start = partial(
        executions.start, name, body, owner=owner, idempotency_key=key, thread=thread
    )
    if not request.wants_stream:
        return await _about(exchange, await start(), 202)
    with exchange.place_for(owner) as place:
        return await _stream(exchange, await start(), place=place)


async def _rejoin(exchange: Exchange, name: str, last_event_id: str) -> ASGIApp:
    """Find the execution of a client that has reconnected by its POST."""
    parsed = parse_event_id(last_event_id)
    if parsed is None:
        raise Problem(
            400,
            "This Last-Event-ID is none of ours, so there is no execution to go on "
            "with; nothing was started. Leave it out to start one.",
        )
    execution = await exchange.find(parsed[0], "read")
    if execution.actor != name:
        raise UnknownExecution(parsed[0])
    if exchange.request.wants_stream:
        return await _stream(exchange, execution)
    return await _about(exchange, execution, 202)


async def _attach(exchange: Exchange, id: str) -> ASGIApp:
    return await _stream(exchange, await exchange.find(id, "read"))


async def _cancel(exchange: Exchange, id: str) -> ASGIApp:
    execution = await exchange.find(id, "cancel")
    cancels = await execution.cancel()
    return await _about(exchange, execution, 202 if cancels else 200)


async def _stream(
    exchange: Exchange, execution: Execution, *, place: Place | None = None
) -> ASGIApp:
    headers = None
    if exchange.request.method == "POST":
        headers = {"location": links_of(exchange, execution.id)["self"]}
    return await exchange.stream(execution, headers=headers, place=place)


async def _about(exchange: Exchange, execution: Execution, status: int) -> ASGIApp:
    terminal = await execution.terminal_event()
    progress = await execution.progress()
    links = links_of(exchange, execution.id)
    body = {
        "id": execution.id,
        "actor": execution.actor,
        "thread": execution.thread,
        "status": execution.status,
        "created": execution.created,
        "ended": execution.ended if terminal is None else terminal.timestamp,
        "result": getattr(terminal, "result", None),
        "error": _error_of(terminal),
        "progress": progress and _progress_of(progress),
        "last": execution.log.committed,
        "waiting": [about_waiting(each) for each in await execution.waiting()],
        "viewers": execution.viewers,
        "links": links,
    }
    headers = {"location": links["self"]} if status == 202 else None
    return exchange.json(status, body, headers)


def _error_of(terminal: TerminalEvent | None) -> str | None:
    if terminal is None or isinstance(terminal, CompleteEvent):
        return None
    return terminal.message


def _progress_of(progress: ProgressEvent) -> dict[str, Any]:
    return progress.model_dump(include={"address", "current", "total", "message"})
