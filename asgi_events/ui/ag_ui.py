"""Runs of AG-UI, as one ASGI application.

| request | answer |
|---|---|
| ``POST {prefix}`` | the stream of the run of the ``runId``, which it starts |
| the same with ``resume`` | answers questions, and streams what follows them |
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
from typing import Any
from urllib.parse import parse_qs

from asgi_events.actors.actor import ActorFunction
from asgi_events.aio.awaitables import resolved
from asgi_events.events import ConversationEvent
from asgi_events.exceptions import (
    Gone,
    IdempotencyConflict,
    ThreadBusy,
    UnknownExecution,
)
from asgi_events.executions.execution import Execution
from asgi_events.executions.executions import Executions
from asgi_events.http.authorize import Action, Authorize
from asgi_events.http.endpoint import Endpoint
from asgi_events.http.exchange import Exchange
from asgi_events.http.problems import Problem
from asgi_events.types import ASGIApp
from asgi_events.ui.ag_ui_resume import BadResume, Resumption
from asgi_events.ui.ag_ui_streams import gone, run_error, run_stream, whole_stream
from asgi_events.ui.ag_ui_thread import about_thread
from asgi_events.ui.inputs import answering
from asgi_events.ui.requests import MAX_BODY, id_in_path, parsed, stop
from asgi_events.ui.run_agent_input import Resume, RunAgentInput
from asgi_events.wire.frames import parse_event_id


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
        authorize: Decides who may ``"start"``, ``"read"``, ``"answer"`` and
            ``"cancel"``; see ``Authorize``. Without it, everybody who knows the id of a
            thread or run may.
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
        if asked.resume:
            return await self._answer_questions(exchange, asked, asked.resume)
        if exchange.request.last_event_id is not None:
            return await self._resume(exchange, asked)
        with suppress(UnknownExecution):
            execution = await self._find(exchange, asked.run_id, "read")
            return await run_stream(exchange, execution, asked)
        try:
            with exchange.place_for(owner) as place:
                execution = await self._start(exchange, owner, asked)
                return await run_stream(exchange, execution, asked, place=place)
        except Gone:
            return gone(asked.run_id)

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
        except ThreadBusy as busy:
            running = await self.executions.get(busy.execution_id)
            for question in await running.waiting():
                raise _waits(asked.thread_id, running, question.message) from None
            raise

    async def _answer_questions(
        self, exchange: Exchange, asked: RunAgentInput, resume: Sequence[Resume]
    ) -> ASGIApp:
        """Stream what follows the questions that the client answers.

        Where somebody else was faster, that is what it is shown.
        """
        is_again = exchange.request.last_event_id is not None
        try:
            given = Resumption.of(resume)
            execution = await self._of_the_actor(exchange, given.execution, "read")
            owner = await exchange.owner_of("answer", execution)
            if owner != execution.owner:
                raise UnknownExecution(given.execution)
            if not is_again:
                await given.answer(execution, owner)
        except UnknownExecution:
            return gone(asked.run_id)
        except BadResume as error:
            return run_error(str(error), error.code)
        resumed = asked.run_id, frozenset(given.entries)
        return await run_stream(
            exchange, execution, asked, resumes=is_again, resumed=resumed
        )

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
            return gone(asked.run_id)
        return await run_stream(exchange, execution, asked, resumes=True)

    async def _connect(self, exchange: Exchange) -> ASGIApp:
        asked = parsed(RunAgentInput, await exchange.read_json())
        execution = await exchange.newest(asked.thread_id, "read", actor=self._actor)
        if execution is None:
            return whole_stream()  # a thread that is new is no fault
        return await run_stream(exchange, execution, asked)

    async def _look(self, exchange: Exchange) -> ASGIApp:
        query = parse_qs(exchange.request.scope.get("query_string", b"").decode())
        run, thread = query.get("runId", [""])[-1], query.get("threadId", [""])[-1]
        if run:
            if query.get("offset", ["-1"])[-1] != "-1":
                raise Problem(400, "offset is -1; to go on, send a Last-Event-ID.")
            execution = await self._find(exchange, run, "read")
            return await run_stream(exchange, execution, resumes=True)
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


def _id_of(owner: str | None, run: str) -> str:
    """Return the id of an execution: the same run of another owner is another one."""
    asked = json.dumps(["ag-ui", owner, run]).encode("utf-8", "surrogatepass")
    return hashlib.sha256(asked).hexdigest()[:32]


def _waits(thread: str, execution: Execution, question: str) -> Problem:
    return Problem(
        409,
        f"Thread {thread!r} waits for an answer; nothing was started. Answer with "
        f"resume, or cancel execution {execution.id!r}. It asks: {question}",
        execution=execution.id,
    )
