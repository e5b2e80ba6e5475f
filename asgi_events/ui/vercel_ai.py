"""Chats of the Vercel AI SDK, as one ASGI application.

| request | answer |
|---|---|
| ``POST {prefix}`` | start the next execution of the chat, or answer: its stream |
| ``GET {prefix}/{chat id}/stream`` | its stream from the start, or 204 |
| ``POST {prefix}/{chat id}/stop`` | cancel it: 200, or 202 if it cannot end yet; 204 |
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from asgi_events.actors.actor import ActorFunction
from asgi_events.aio.awaitables import resolved
from asgi_events.checks import check_seconds
from asgi_events.events import ConversationEvent, ExecutionStatus
from asgi_events.exceptions import UnknownExecution
from asgi_events.executions.execution import Execution
from asgi_events.executions.executions import Executions
from asgi_events.executions.names import new_id
from asgi_events.http.authorize import Authorize
from asgi_events.http.endpoint import Endpoint
from asgi_events.http.exchange import Exchange
from asgi_events.http.problems import Problem, send_nothing
from asgi_events.types import ASGIApp
from asgi_events.ui import answers
from asgi_events.ui.chat_answers import Continuation
from asgi_events.ui.chat_request import ChatRequest
from asgi_events.ui.inputs import answering
from asgi_events.ui.requests import MAX_BODY, id_in_path, parsed, stop
from asgi_events.wire.vercel_ai import VercelAIApprovalsFormat, VercelAIFormat


class _StopRequest(BaseModel):
    """The body of a stop: the execution that is meant; without one, any."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel)

    execution_id: str | None = None


class VercelAIApp(Endpoint):
    """Answers ``useChat``: starts, streams and stops the executions of chats.

    The id of a chat is the thread of its executions, so one of them runs at a time. The
    id of an execution is the id of the message that it makes. A response ends where the
    execution waits for an answer. The request that brings it continues the message.

    Args:
        executions: Runs the actor.
        actor: The actor that answers, or its name; one of ``executions``.
        prefix: The path below which the routes are; the ``api`` of the client.
        authorize: Decides who may ``"start"``, ``"read"``, ``"cancel"`` and
            ``"answer"``; see ``Authorize``. Without it, everybody who knows the id of a
            chat may.
        input: Makes the input of the actor of a ``ChatRequest``; may be a coroutine
            function. By default its parameters say what it gets; see ``input_of``.
        allowed_origins: The other origins whose pages may start and stop; see
            ``EventsApp``.
        max_body: Bytes that a request body may have.
        body_timeout: Seconds in which the whole body must arrive; None for any time.
        linger: Seconds after its end in which an execution is still streamed to a
            client that resumes. It may have lost the connection just before the end,
            and would take what it has for the whole message.
        sdk_version: The oldest major version of the AI SDK that the pages use. From 6
            on, a question whose answer is yes or no asks for an approval, which version
            5 does not know.

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
        prefix: str = "/api/chat",
        authorize: Authorize | None = None,
        input: Callable[[ChatRequest], Any] | None = None,
        allowed_origins: Sequence[str] = (),
        max_body: int = MAX_BODY,
        body_timeout: float | None = 30.0,
        linger: float = 60.0,
        sdk_version: Literal[5, 6, 7] = 5,
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
        check_seconds(required=True, zero=True, linger=linger)
        self._actor, self._input = answering(executions, actor, input, ChatRequest)
        self._linger = timedelta(seconds=linger)
        if sdk_version not in (5, 6, 7):
            raise ValueError(f"sdk_version must be 5, 6 or 7, got {sdk_version!r}")
        is_old = sdk_version == 5
        self._format = VercelAIFormat if is_old else VercelAIApprovalsFormat

    async def _answer(self, exchange: Exchange) -> ASGIApp:
        match exchange.request.segments:
            case []:
                exchange.allow("POST")
                return await self._start(exchange)
            case [*_, "stream"] if chat := id_in_path(exchange.request):
                exchange.allow("GET", "HEAD")
                return await self._resume(exchange, chat)
            case [*_, "stop"] if chat := id_in_path(exchange.request):
                exchange.allow("POST")
                return await self._stop(exchange, chat)
        raise Problem(404, f"There is nothing at {exchange.request.scope['path']!r}.")

    async def _start(self, exchange: Exchange) -> ASGIApp:
        owner = await exchange.owner_of("start", actor=self._actor)
        chat = parsed(ChatRequest, await exchange.read_json())
        continuation = Continuation.of(chat)
        if continuation is not None:
            return await self._go_on(exchange, chat, continuation)
        id = new_id()
        conversation = ConversationEvent(
            thread=chat.id, run=id, messages=chat.conversation()
        )
        with exchange.place_for(owner) as place:
            execution = await self.executions.start(
                self._actor,
                await resolved(self._input(chat)),
                owner=owner,
                id=id,
                thread=chat.id,
                preface=[conversation],
            )
            return await self._stream(exchange, execution, place=place)

    async def _go_on(
        self, exchange: Exchange, chat: ChatRequest, asked: Continuation
    ) -> ASGIApp:
        """Take the answers to questions, and continue the message."""
        execution = await exchange.find(asked.execution, "answer")
        if (execution.actor, execution.thread) != (self._actor, chat.id):
            raise UnknownExecution(asked.execution)
        closed = await answers.give(execution, asked.answers, by=execution.owner)
        return await self._stream(
            exchange,
            execution,
            last_event_id=f"{execution.id}:{asked.event}",
            answered=closed,
        )

    async def _resume(self, exchange: Exchange, chat: str) -> ASGIApp:
        execution = await exchange.newest(chat, "read", actor=self._actor)
        if execution is None or not self._may_be_missed(execution):
            return send_nothing
        return await self._stream(
            exchange, execution, answered=await answers.closed(execution)
        )

    async def _stop(self, exchange: Exchange, chat: str) -> ASGIApp:
        execution = await exchange.newest(chat, "cancel", actor=self._actor)
        asked = parsed(_StopRequest, await exchange.read_json())
        if execution is not None and asked.execution_id not in (None, execution.id):
            execution = await self._running(exchange, chat, asked.execution_id)
        if execution is None:
            return send_nothing
        has_ended = await stop(self.executions, execution)
        about = {"id": execution.id, "status": execution.status}
        return exchange.json(200 if has_ended else 202, about)

    async def _running(
        self, exchange: Exchange, chat: str, id: str | None
    ) -> Execution | None:
        """Return an execution of the chat that runs while newer ones wait."""
        try:
            execution = await exchange.find(id or "", "cancel")
        except UnknownExecution:
            return None
        is_of_chat = (execution.actor, execution.thread) == (self._actor, chat)
        runs = execution.status is ExecutionStatus.STARTED
        return execution if is_of_chat and runs else None

    def _may_be_missed(self, execution: Execution) -> bool:
        """Whether a client that resumes may not have all of it."""
        if execution.status is ExecutionStatus.STARTED or execution.ended is None:
            return True
        return datetime.now(UTC) - execution.ended < self._linger

    async def _stream(
        self,
        exchange: Exchange,
        execution: Execution,
        *,
        answered: Collection[int] = (),
        **options: Any,
    ) -> ASGIApp:
        is_over = execution.status is not ExecutionStatus.STARTED
        return await exchange.stream(
            execution,
            format=partial(self._format, execution.id),
            resumes=False,
            answered=None if is_over else answered,  # nobody waits any more
            **options,
        )
