"""The HTTP routes of executions, as one ASGI application.

| request | answer |
|---|---|
| ``GET /`` | the actors, their input as JSON Schema, links |
| ``POST /{actor}`` | start: 202 and links, or the stream when ``Accept`` names it |
| ``GET /executions/{id}`` | its status, or the stream when ``Accept`` names it |
| ``GET /executions/{id}/events`` | the stream, from ``Last-Event-ID`` or the start |
| ``DELETE /executions/{id}`` | cancel: 202; 200 when it is over already |
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Unpack

from asgi_events.actors.actor import ActorFunction
from asgi_events.aio.waiter import resolved
from asgi_events.checks import check_callables, check_counts, check_seconds, check_texts
from asgi_events.events import CompleteEvent, ProgressEvent, TerminalEvent
from asgi_events.exceptions import (
    AccessDenied,
    Gone,
    IdempotencyConflict,
    InvalidInput,
    Refused,
    StoreError,
    Unauthorized,
    UnknownActor,
    UnknownExecution,
)
from asgi_events.executions.execution import Execution
from asgi_events.executions.executions import Executions
from asgi_events.executions.options import ExecutionsOptions
from asgi_events.executions.viewers import Place
from asgi_events.http.authorize import Action, Authorize
from asgi_events.http.origins import Origins
from asgi_events.http.problems import Problem, send_json
from asgi_events.http.request import Body, ClientGone, Request
from asgi_events.http.viewing import ExecutionResponse
from asgi_events.types import ASGIApp, Receive, Scope, Send
from asgi_events.wire.frames import parse_event_id

logger = logging.getLogger(__name__)


class EventsApp:
    """Starts, streams and cancels executions over HTTP.

    Args:
        actors: What can be started.
        executions: Those to serve, instead of new ones made of ``actors`` and
            ``options``.
        authorize: Who may do what. Without it everybody may who knows the id of an
            execution, or the ``Idempotency-Key`` that started it.
        allowed_origins: The origins (``https://example.com``) whose pages may start and
            cancel, besides our own; ``"*"`` among them is any. Reading is left to the
            browser: it shows no answer to a page of another origin without CORS.
        max_body: Bytes a request body may have.
        body_timeout: Seconds all of a request body may take to arrive; None for ever.
        prefix: The path below which the routes are.
        options: The options of ``Executions``.

    Raises:
        TypeError, ValueError: As ``Executions`` does.
    """

    def __init__(
        self,
        *actors: ActorFunction[..., Any],
        executions: Executions | None = None,
        authorize: Authorize | None = None,
        allowed_origins: Sequence[str] = (),
        max_body: int = 1024 * 1024,
        body_timeout: float | None = 30.0,
        prefix: str = "",
        **options: Unpack[ExecutionsOptions],
    ) -> None:
        if executions is not None and (actors or options):
            raise ValueError(
                "Give either executions, or actors and options to make them of."
            )
        if executions is not None and not isinstance(executions, Executions):
            raise TypeError(f"executions must be an Executions, got {executions!r}")
        check_counts(required=True, max_body=max_body)
        check_seconds(body_timeout=body_timeout)
        check_callables(authorize=authorize)
        check_texts(prefix=prefix)
        if prefix and not prefix.startswith("/"):
            raise ValueError(f'prefix must start with "/", got {prefix!r}')
        self.executions = executions or Executions(*actors, **options)
        self._authorize = authorize
        self._origins = Origins(allowed_origins)
        self._max_body = max_body
        self._body_timeout = body_timeout
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            # Nothing of the request is held while a stream goes on for hours.
            answer = await self._answer(scope, receive)
            try:
                await answer(scope, receive, send)
            except Refused as error:  # the last seat was taken; nothing is sent yet
                await _problem(error)(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        else:
            raise RuntimeError(f"There is no answer to a {scope['type']!r} scope.")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.executions.open()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.executions.drain()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _answer(self, scope: Scope, receive: Receive) -> ASGIApp:
        self.executions.hear_signals()
        body = Body(receive)
        try:
            request = Request(scope, prefix=self._prefix)
            return await _Exchange(self, request, body.receive).answer()
        except ClientGone:
            return _no_answer
        except Exception as error:
            if scope.get("http_version") == "2":
                await body.discard()
            return error if isinstance(error, Problem) else _problem(error)

    async def owner_of(
        self, scope: Scope, action: Action, execution: Execution | None
    ) -> str | None:
        """On whose behalf the request acts; None when nobody asks for that.

        Raises:
            AccessDenied: It may not.
        """
        if self._authorize is None:
            return None
        owner = await resolved(self._authorize(scope, action, execution))
        if owner is None:
            raise Unauthorized
        if not isinstance(owner, str) or not owner.strip():
            raise TypeError(
                "authorize must return who the caller is, a str that is not blank, or "
                f"None for nobody, got {owner!r}."
            )
        return owner


class _Exchange:
    """One request on its way to its answer.

    Each method decides and then returns how to answer: what it raises has sent nothing.
    """

    def __init__(self, app: EventsApp, request: Request, receive: Receive) -> None:
        self._app = app
        self._executions = app.executions
        self._request = request
        self._receive = receive

    async def answer(self) -> ASGIApp:
        self._app._origins.check(self._request)
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
                # 405 or 404 tells whether there is an actor of that name.
                await self._app.owner_of(self._request.scope, "list", None)
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
        await self._app.owner_of(self._request.scope, "list", None)
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
        owner = await self._app.owner_of(request.scope, "start", None)
        if name not in self._executions.actors:
            raise UnknownActor(name, list(self._executions.actors))
        if request.last_event_id is not None:
            return await self._rejoin(name, request.last_event_id)
        key = request.headers.get("idempotency-key")
        if key is not None and not (0 < len(key) <= 255 and key.isprintable()):
            raise Problem(400, "An Idempotency-Key has 1 to 255 printable characters.")
        body = await request.read_json(
            self._receive,
            limit=self._app._max_body,
            timeout=self._app._body_timeout,
        )
        if not request.wants_stream:
            execution = await self._executions.start(
                name, body, owner=owner, idempotency_key=key
            )
            return await self._about(execution, 202)
        # A start that finds no place for its viewer starts nothing.
        place = self._executions.viewing.capacity.take(owner)
        try:
            execution = await self._executions.start(
                name, body, owner=owner, idempotency_key=key
            )
            return await self._stream(execution, place=place)
        except BaseException:
            place.release()
            raise

    async def _rejoin(self, name: str, last_event_id: str) -> ASGIApp:
        """A client that sends its POST again after a disconnect wants its execution."""
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
        """The execution, if it is the caller's; to all others there is none."""
        try:
            execution: Execution | None = await self._executions.get(id)
        except UnknownExecution:
            execution = None
        except StoreError:
            # Who is refused hears that, and nothing of the store.
            await self._app.owner_of(self._request.scope, action, None)
            raise
        owner = await self._app.owner_of(self._request.scope, action, execution)
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
        """Whether the viewer may cancel; leaving does that too, by ``cancel_after``."""
        if self._request.method == "HEAD" or execution.status != "started":
            return True  # it is no viewer, or nothing is left to cancel
        try:
            owner = await self._app.owner_of(self._request.scope, "cancel", execution)
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


async def _no_answer(scope: Scope, receive: Receive, send: Send) -> None:
    """To a client that has gone."""


def _problem(error: Exception) -> Problem:
    """What a client is told of an exception."""
    match error:
        case InvalidInput():
            malformed = any(item["type"] == "json_invalid" for item in error.errors)
            if malformed:
                return Problem(400, f"The body is not JSON: {error.errors[0]['msg']}.")
            return Problem(422, "The input is not valid.", errors=error.errors)
        case UnknownActor() | UnknownExecution():
            return Problem(404, str(error))
        case IdempotencyConflict():
            return Problem(422, str(error))
        case Gone():
            return Problem(410, str(error))
        case Unauthorized():
            return Problem(
                401, str(error), headers={"www-authenticate": error.challenge}
            )
        case AccessDenied():
            return Problem(403, str(error))
        case Refused():
            return Problem(
                error.status,
                str(error),
                headers={"retry-after": str(error.retry_after)},
            )
        case StoreError():
            logger.error("The store failed.", exc_info=error)
            return Problem(
                503, "The store does not answer.", headers={"retry-after": "5"}
            )
    logger.error("A request failed.", exc_info=error)
    return Problem(500, "Something failed on the server; its log knows more.")
