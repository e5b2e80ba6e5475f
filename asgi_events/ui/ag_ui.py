"""Runs of AG-UI, as one ASGI application.

| request | answer |
|---|---|
| ``POST {prefix}`` | the stream of the run of the ``runId``, which it starts |
| ``POST {prefix}/connect`` | the stream of the newest run of the ``threadId`` |
| ``POST {prefix}/{runId}/stop`` | cancel it: 200, or 202 if it cannot end yet |
| ``GET {prefix}?runId=`` | the stream of that run |
| ``GET {prefix}?threadId=`` | the messages of the thread, as TanStack AI reads them |
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from asgi_events.actors.actor import ActorFunction
from asgi_events.aio.waiter import resolved
from asgi_events.events import ConversationEvent
from asgi_events.exceptions import (
    Gone,
    IdempotencyConflict,
    UnknownExecution,
)
from asgi_events.executions.execution import Execution
from asgi_events.executions.executions import Executions
from asgi_events.http.authorize import Action, Authorize
from asgi_events.http.endpoint import Endpoint
from asgi_events.http.exchange import Exchange
from asgi_events.http.problems import Problem, send_bytes
from asgi_events.types import ASGIApp, Receive, Scope, Send
from asgi_events.ui.ag_ui_thread import about_thread
from asgi_events.ui.inputs import answering
from asgi_events.ui.requests import MAX_BODY, id_in_path, parsed, stop
from asgi_events.ui.run_agent_input import ReasoningMessage, RunAgentInput
from asgi_events.wire.ag_ui import (
    AGUIDraftFormat,
    AGUIDraftRewindFormat,
    AGUIFormat,
    AGUIRewindFormat,
)
from asgi_events.wire.encoding import encode_json
from asgi_events.wire.frames import json_block, parse_event_id
from asgi_events.wire.sse import MEDIA_TYPE

_FORMATS = {
    (False, False): AGUIFormat,
    (False, True): AGUIDraftFormat,
    (True, False): AGUIRewindFormat,
    (True, True): AGUIDraftRewindFormat,
}
"""By whether the client runs again what it has of the run, and is from before 1.0."""


class AGUIApp(Endpoint):
    """Starts, streams and stops runs for ``HttpAgent``, TanStack AI and CopilotKit.

    The ``threadId`` is the thread of the executions, so one of them runs at a time. A
    request with the ``runId`` of a run that is known attaches to it, in any process.
    The ``runId`` may also be the id of an execution of the same actor and owner that
    was started in another way.

    Args:
        executions: Runs the actor.
        actor: The actor that answers, or its name; one of ``executions``.
        prefix: The path below which the routes are.
        authorize: Decides who may ``"start"``, ``"read"`` and ``"cancel"``; see
            ``Authorize``. Without it, everybody who knows the id of a thread or run
            may.
        input: Makes the input of the actor of a ``RunAgentInput``; may be a coroutine
            function. By default its parameters say what it gets; see ``input_of``.
        allowed_origins: The other origins whose pages may start and stop; see
            ``EventsApp``.
        max_body: Bytes that a request body may have.
        body_timeout: Seconds in which the whole body must arrive; None for any time.

    Raises:
        TypeError: A value is of a wrong type, or it is not clear what input the actor
            gets.
        ValueError: A value is out of range.
        UnknownActor: ``executions`` has no such actor.
    """

    def __init__(
        self,
        executions: Executions,
        actor: str | ActorFunction[..., Any],
        *,
        prefix: str = "/ag-ui",
        authorize: Authorize | None = None,
        input: Callable[[RunAgentInput], Any] | None = None,
        allowed_origins: Sequence[str] = (),
        max_body: int = MAX_BODY,
        body_timeout: float | None = 30.0,
    ) -> None:
        super().__init__(
            executions,
            self._answer,
            authorize=authorize,
            allowed_origins=allowed_origins,
            max_body=max_body,
            body_timeout=body_timeout,
            prefix=prefix,
        )
        self._actor, self._input = answering(executions, actor, input, RunAgentInput)

    async def _answer(self, exchange: Exchange) -> ASGIApp:
        match exchange.request.segments:
            case []:
                exchange.allow("POST", "GET", "HEAD")
                if exchange.request.method == "POST":
                    return await self._run(exchange)
                return await self._look(exchange)
            case ["connect"]:
                exchange.allow("POST")
                return await self._connect(exchange)
            case [*_, "stop"] if run := id_in_path(exchange.request):
                exchange.allow("POST")
                return await self._stop(exchange, run)
        raise Problem(404, f"There is nothing at {exchange.request.scope['path']!r}.")

    async def _run(self, exchange: Exchange) -> ASGIApp:
        owner = await exchange.owner_of("start", actor=self._actor)
        asked = parsed(RunAgentInput, await exchange.read_json())
        if exchange.request.last_event_id is not None:
            return await self._resume(exchange, asked)
        with suppress(UnknownExecution):
            execution = await self._find(exchange, asked.run_id, "read")
            return await _stream(exchange, execution, asked)
        try:
            with exchange.place_for(owner) as place:
                execution = await self._start(exchange, owner, asked)
                return await _stream(exchange, execution, asked, place=place)
        except Gone:
            return _gone(asked.run_id)

    async def _start(
        self, exchange: Exchange, owner: str | None, asked: RunAgentInput
    ) -> Execution:
        conversation = ConversationEvent(
            thread=asked.thread_id,
            run=asked.run_id,
            messages=asked.messages_as_json(),
        )
        try:
            return await self.executions.start(
                self._actor,
                await resolved(self._input(asked)),
                owner=owner,
                id=_id_of(owner, asked.run_id),
                thread=asked.thread_id,
                preface=[conversation],
            )
        except IdempotencyConflict:  # the same run has been started in the meantime
            return await self._find(exchange, asked.run_id, "read")

    async def _resume(self, exchange: Exchange, asked: RunAgentInput) -> ASGIApp:
        """Go on after the last id that the client has; start nothing."""
        id = parse_event_id(exchange.request.last_event_id or "")
        if id is None:
            raise Problem(
                400,
                "This Last-Event-ID is none of ours, so there is no run to go on with; "
                "nothing was started. Leave it out to start one.",
            )
        try:
            execution = await self._of_the_actor(exchange, id.execution, "read")
        except UnknownExecution:
            return _gone(asked.run_id)
        return await _stream(exchange, execution, asked, resumes=True)

    async def _connect(self, exchange: Exchange) -> ASGIApp:
        asked = parsed(RunAgentInput, await exchange.read_json())
        execution = await exchange.newest(asked.thread_id, "read", actor=self._actor)
        if execution is None:
            return _words()  # a thread that is new is no fault
        return await _stream(exchange, execution, asked)

    async def _look(self, exchange: Exchange) -> ASGIApp:
        query = parse_qs(exchange.request.scope.get("query_string", b"").decode())
        run, thread = query.get("runId", [""])[-1], query.get("threadId", [""])[-1]
        if run:
            if query.get("offset", ["-1"])[-1] != "-1":
                raise Problem(400, "offset is -1; to go on, send a Last-Event-ID.")
            execution = await self._find(exchange, run, "read")
            return await _stream(exchange, execution, resumes=True)
        if thread:
            found = await exchange.newest(thread, "read", actor=self._actor)
            return exchange.json(200, await about_thread(found))
        raise Problem(400, "Say which run or thread: ?runId= or ?threadId=.")

    async def _stop(self, exchange: Exchange, run: str) -> ASGIApp:
        execution = await self._find(exchange, run, "cancel")
        has_ended = await stop(self.executions, execution)
        about = {"runId": run, "execution": execution.id, "status": execution.status}
        return exchange.json(200 if has_ended else 202, about)

    async def _find(self, exchange: Exchange, run: str, action: Action) -> Execution:
        """Return the run of the caller that has the id.

        Raises:
            UnknownExecution: There is none.
        """
        with suppress(UnknownExecution):
            id = _id_of(await exchange.owner_of(action), run)
            return await self._of_the_actor(exchange, id, action)
        return await self._of_the_actor(exchange, run, action)

    async def _of_the_actor(
        self, exchange: Exchange, id: str, action: Action
    ) -> Execution:
        execution = await exchange.find(id, action)
        if execution.actor != self._actor:
            raise UnknownExecution(id)
        return execution


async def _stream(
    exchange: Exchange,
    execution: Execution,
    asked: RunAgentInput | None = None,
    *,
    resumes: bool = False,
    **options: Any,
) -> ASGIApp:
    rewinds = is_draft = False
    if asked is not None:
        rewinds = not resumes and _has_thoughts(asked, execution)
        is_draft = _is_before_1_0(exchange, asked)
    format = _FORMATS[rewinds, is_draft]
    make = partial(format, execution.id, execution.thread or execution.id)
    return await exchange.stream(execution, format=make, resumes=resumes, **options)


def _has_thoughts(asked: RunAgentInput, execution: Execution) -> bool:
    """Whether the client has reasoning of the run that it runs again."""
    return any(
        isinstance(message, ReasoningMessage)
        and message.id.startswith(f"{execution.id}/")
        for message in asked.messages
    )


def _is_before_1_0(exchange: Exchange, asked: RunAgentInput) -> bool:
    # TanStack AI says no version either, but it sends this header, and knows outcomes.
    is_tanstack = "x-run-id" in exchange.request.headers
    return asked.protocol_version is None and not is_tanstack


def _id_of(owner: str | None, run: str) -> str:
    """Return the id of an execution: the same run of another owner is another one."""
    asked = json.dumps(["ag-ui", owner, run]).encode("utf-8", "surrogatepass")
    return hashlib.sha256(asked).hexdigest()[:32]


def _gone(run: str) -> ASGIApp:
    # Clients show the message of an event, and of a response no more than its status.
    message = f"Run {run!r} is over, and its events are not kept any more."
    return _words({"type": "RUN_ERROR", "message": message, "code": "gone"})


def _words(*events: dict[str, Any]) -> ASGIApp:
    """Return a whole stream of events."""
    body = b"".join(json_block(encode_json(event)) for event in events)
    headers = {"content-type": MEDIA_TYPE, "cache-control": "no-store"}

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await send_bytes(send, 200, body, headers)

    return answer
