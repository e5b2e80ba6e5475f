"""Makes the response to each request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from asgi_events.events import CompleteEvent, ProgressEvent, TerminalEvent
from asgi_events.exceptions import (
    AccessDenied,
    StoreError,
    UnknownActor,
    UnknownExecution,
)
from asgi_events.executions.execution import Execution
from asgi_events.executions.executions import Executions
from asgi_events.executions.viewers import Place
from asgi_events.http.authorize import Action, Owners
from asgi_events.http.origins import Origins
from asgi_events.http.problems import Problem, send_json
from asgi_events.http.request import Request
from asgi_events.http.viewing import ExecutionResponse
from asgi_events.types import ASGIApp, Receive, Scope, Send
from asgi_events.wire.frames import parse_event_id

_LONGEST_WAIT = 60.0  # seconds for an execution that is about to start


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """What all requests share.

    Attributes:
        executions: The executions that are served.
        owners: Finds the owner for whom a request acts.
        origins: Refuses requests from pages of other origins.
        max_body: Bytes that a request body may have.
        body_timeout: Seconds in which the whole body must arrive; None for any time.
    """

    executions: Executions
    owners: Owners
    origins: Origins
    max_body: int
    body_timeout: float | None


class Exchange:
    """One request.

    Each method returns an ASGI application that sends the response. If it raises,
    nothing was sent.
    """

    def __init__(self, routes: Routes, request: Request, receive: Receive) -> None:
        self._routes = routes
        self._executions = routes.executions
        self._owner_of = routes.owners.owner_of
        self._request = request
        self._receive = receive

    async def answer(self) -> ASGIApp:
        """Return what sends the response.

        Raises:
            Problem: The request is refused.
            AsgiEventsError: See ``problem_of``.
        """
        self._routes.origins.check(self._request)
        match self._request.segments:
            case []:
                self._allow("GET", "HEAD")
                return await self._list()
            case ["executions", id]:
                self._allow("GET", "HEAD", "DELETE")
                if self._request.method == "DELETE":
                    return await self._cancel(id)
                if self._request.wants_stream:
                    return await self._attach(id)
                return await self._status(id)
            case ["executions", id, "events"]:
                self._allow("GET", "HEAD")
                return await self._attach(id)
            case [name] if self._request.method == "POST":
                return await self._start(name)
            case [name]:
                # Only a caller who may list may learn whether the actor exists.
                await self._owner_of(self._request.scope, "list")
                if name in self._executions.actors:
                    self._allow("POST")
        raise Problem(404, f"There is nothing at {self._request.scope['path']!r}.")

    def _allow(self, *methods: str) -> None:
        if self._request.method not in methods:
            raise Problem(
                405,
                f"{self._request.method} is not allowed here. "
                f"Allowed: {', '.join(methods)}.",
                headers={"allow": ", ".join(methods)},
            )

    async def _list(self) -> ASGIApp:
        await self._owner_of(self._request.scope, "list")
        base = self._request.base
        actors = [
            {
                "name": name,
                "kind": actor.event_type.removesuffix("_call"),
                "description": actor.description,
                "input": self._executions.inputs[name].schema(),
                "links": {"start": f"{base}/{name}"},
            }
            for name, actor in self._executions.actors.items()
        ]
        return self._json(200, {"actors": actors})

    async def _start(self, name: str) -> ASGIApp:
        request = self._request
        owner = await self._owner_of(request.scope, "start", actor=name)
        if name not in self._executions.actors:
            raise UnknownActor(name, list(self._executions.actors))
        if request.last_event_id is not None:
            return await self._rejoin(name, request.last_event_id)
        key = request.headers.get("idempotency-key")
        if key is not None and not (0 < len(key) <= 255 and key.isprintable()):
            raise Problem(400, "An Idempotency-Key has 1 to 255 printable characters.")
        body = await request.read_json(
            self._receive,
            limit=self._routes.max_body,
            timeout=self._routes.body_timeout,
        )
        place = None
        if (
            request.wants_stream
        ):  # take the viewer's place first: without one, start nothing
            place = self._executions.viewing.capacity.take(owner)
        try:
            execution = await self._executions.start(
                name, body, owner=owner, idempotency_key=key
            )
            if place is None:
                return await self._about(execution, 202)
            return await self._stream(execution, place=place)
        except BaseException:
            if place is not None:
                place.release()
            raise

    async def _rejoin(self, name: str, last_event_id: str) -> ASGIApp:
        """Find the execution of a client that has reconnected by its POST."""
        parsed = parse_event_id(last_event_id)
        if parsed is None:
            raise Problem(
                400,
                "This Last-Event-ID is none of ours, so there is no execution to go on "
                "with; nothing was started. Leave it out to start one.",
            )
        execution = await self._find(parsed[0], "read")
        if execution.actor != name:
            raise UnknownExecution(parsed[0])
        if self._request.wants_stream:
            return await self._stream(execution)
        return await self._about(execution, 202)

    async def _attach(self, id: str) -> ASGIApp:
        return await self._stream(await self._find(id, "read"))

    async def _status(self, id: str) -> ASGIApp:
        return await self._about(await self._find(id, "read"), 200)

    async def _cancel(self, id: str) -> ASGIApp:
        execution = await self._find(id, "cancel")
        cancels = await execution.cancel()
        return await self._about(execution, 202 if cancels else 200)

    async def _find(self, id: str, action: Action) -> Execution:
        """Return the execution, if it belongs to the caller."""
        wait = self._request.seconds("wait", _LONGEST_WAIT) if action == "read" else 0.0
        try:
            execution: Execution | None = await self._executions.get(id, wait=wait)
        except UnknownExecution:
            execution = None
        except StoreError:
            # A caller who is refused learns that, and nothing about the store.
            await self._owner_of(self._request.scope, action, None)
            raise
        owner = await self._owner_of(self._request.scope, action, execution)
        if execution is None or execution.owner != owner:
            raise UnknownExecution(id)
        return execution

    async def _stream(
        self, execution: Execution, *, place: Place | None = None
    ) -> ASGIApp:
        headers = {}
        if self._request.method == "POST":
            headers["location"] = f"{self._request.base}/executions/{execution.id}"
        counts = await self._may_cancel(execution)
        return ExecutionResponse(execution, headers=headers, counts=counts, place=place)

    async def _may_cancel(self, execution: Execution) -> bool:
        """Return whether the viewer may cancel, and so counts for ``cancel_after``."""
        if self._request.method == "HEAD" or execution.status != "started":
            return True  # it is not a viewer, or there is nothing to cancel
        try:
            owner = await self._owner_of(self._request.scope, "cancel", execution)
        except AccessDenied:
            return False
        return owner == execution.owner

    async def _about(self, execution: Execution, status: int) -> ASGIApp:
        terminal = await execution.terminal_event()
        progress = await execution.progress()
        link = f"{self._request.base}/executions/{execution.id}"
        body = {
            "id": execution.id,
            "actor": execution.actor,
            "status": execution.status,
            "created": execution.created,
            "ended": execution.ended if terminal is None else terminal.timestamp,
            "result": getattr(terminal, "result", None),
            "error": _error_of(terminal),
            "progress": progress and _progress_of(progress),
            "last": execution.log.committed,
            "viewers": execution.viewers,
            "links": {"self": link, "events": f"{link}/events", "cancel": link},
        }
        return self._json(status, body, {"location": link} if status == 202 else None)

    def _json(
        self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None
    ) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            head = scope["method"] == "HEAD"
            await send_json(send, status, body, headers=headers, head=head)

        return answer


def _error_of(terminal: TerminalEvent | None) -> str | None:
    if terminal is None or isinstance(terminal, CompleteEvent):
        return None
    return terminal.message


def _progress_of(progress: ProgressEvent) -> dict[str, Any]:
    return progress.model_dump(include={"address", "current", "total", "message"})


async def no_answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Send nothing: the client has gone."""
