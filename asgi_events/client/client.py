"""The client for asyncio."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from pydantic import BaseModel

from asgi_events.client import answering, outcome, requests
from asgi_events.client import http as library
from asgi_events.client.about import About, Question
from asgi_events.client.actions import Done, Plan, Steps, value_of
from asgi_events.client.connection import Connection, advance
from asgi_events.client.facts import ExecutionFacts, StreamFacts
from asgi_events.client.following import Following
from asgi_events.client.terms import (
    GIVE_UP_AFTER,
    MAX_EVENT_BYTES,
    STALL_TIMEOUT,
    AsyncAuth,
    OnReconnect,
    Terms,
    base_of,
    check_after,
    check_auth,
    check_start,
)
from asgi_events.wire.decoding import AnyEvent, EventDecoder

if TYPE_CHECKING:
    from asgi_events.client.http import AsyncHTTP

T = TypeVar("T")


class Client:
    """Starts, finds, watches and cancels the executions of a server.

    ``async with Client("https://example.com/events") as client``; or call ``aclose``.
    Whatever fails on the way is tried again, for ``give_up_after`` seconds.

    Args:
        url: Where the routes of the server are: that of ``EventsApp``.
        auth: Headers of each request, or a function, or coroutine function, that
            returns them. It is asked before each request. What it raises ends the call.
        http: An ``AsyncClient`` of httpx2, or of httpx, with your own proxies and
            certificates. It stays open.
        stall_timeout: Seconds without a byte after which a connection is broken: three
            times the ``heartbeat_interval`` of the server. None for any time.
        give_up_after: Seconds without any connection, since the call or the loss of a
            stream, after which ``Unreachable`` is raised. None to try for ever.
        max_event_bytes: Bytes that an event, or another answer of the server, may have;
            more raise ``EventTooLarge``. None for any number.
        on_reconnect: Is called before each pause with the reason, and the seconds until
            the next try.

    Raises:
        TypeError, ValueError: An option, or ``url``, is not valid.
    """

    def __init__(
        self,
        url: str,
        *,
        auth: AsyncAuth | None = None,
        http: AsyncHTTP | None = None,
        stall_timeout: float | None = STALL_TIMEOUT,
        give_up_after: float | None = GIVE_UP_AFTER,
        max_event_bytes: int | None = MAX_EVENT_BYTES,
        on_reconnect: OnReconnect | None = None,
    ) -> None:
        self._terms = Terms(
            base=base_of(url),
            stall_timeout=stall_timeout,
            give_up_after=give_up_after,
            max_event_bytes=max_event_bytes,
            on_reconnect=on_reconnect,
        )
        self._auth = check_auth(auth, awaits=True)
        self._http, self._owns_http = library.open_async(http)
        self._connections: set[Connection] = set()
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Leave all streams, and close all connections; executions run on."""
        self._is_closed = True
        for connection in list(self._connections):
            await connection.aclose()
        if self._owns_http:
            await self._http.aclose()

    async def start(
        self,
        actor: str,
        input: Any = None,
        *,
        key: str | None = None,
        thread: str | None = None,
    ) -> RemoteExecution:
        """Start an actor; it runs whether or not anybody watches.

        Args:
            actor: The actor's name.
            input: A pydantic model, a dict, None for an actor that needs nothing, or
                bytes of JSON.
            key: The ``Idempotency-Key``: the same key finds the same execution again,
                and never starts a second one. By default a new random one.
            thread: The thread of the caller that it continues, a conversation say. One
                execution of a thread runs at a time.

        Raises:
            UnknownActor: There is no such actor.
            InvalidInput: The input does not validate.
            IdempotencyConflict: The key was used with another actor, input or thread.
            ThreadBusy: Another execution of the thread runs, and the actor rejects this
                one.
            Gone: The key has started an execution that is no longer kept.
            Refused: The server was busy all the time.
            Unauthorized, Forbidden, RequestFailed, Unreachable: It has not started.
        """
        check_start(actor, key, thread)
        about = await self._run(requests.start(self._terms, actor, input, key, thread))
        return RemoteExecution(self, about.id, about.actor)

    async def get(self, id: str) -> RemoteExecution:
        """Find an execution.

        Raises:
            UnknownExecution: There is none of that id, or it is not the caller's.
            Unauthorized, Forbidden, RequestFailed, Unreachable: There is no answer.
        """
        about = await self._run(requests.about(self._terms, id))
        return RemoteExecution(self, about.id, about.actor)

    def execution(self, id: str) -> RemoteExecution:
        """Return the execution of an id, without a request.

        A person to whom a question is addressed can answer it without seeing the rest.
        """
        return RemoteExecution(self, requests.checked_id(id))

    async def _run(self, plan: Plan[T]) -> T:
        connection = self._connection()
        try:
            value: T = value_of(await advance(Steps(plan), connection))
        finally:
            await connection.aclose()
        return value

    def _follow(
        self, id: str, after: int, types: Iterable[type[BaseModel]]
    ) -> EventStream:
        check_after(after)
        following = Following(self._terms, id, after=after, decoder=EventDecoder(types))
        return EventStream(following, self._connection())

    def _connection(self) -> Connection:
        if self._is_closed:
            raise RuntimeError("The client is closed: make a new one.")
        return Connection(self._http, self._auth, self._terms, self._connections)


class RemoteExecution(ExecutionFacts):
    """One execution of a server; ``Client`` starts and finds it.

    All methods ask the server. They raise ``UnknownExecution`` if it is not kept any
    more, and ``Unauthorized``, ``Forbidden``, ``RequestFailed`` or ``Unreachable`` if
    there is no answer.

    Attributes:
        id: Its name in URLs and event ids.
        actor: The actor's name.
    """

    __slots__ = ("_client",)

    def __init__(self, client: Client, id: str, actor: str = "") -> None:
        super().__init__(id, actor)
        self._client = client

    async def about(self) -> About:
        """Return how it stands: status, result, progress and more."""
        return await self._client._run(requests.about(self._client._terms, self.id))

    async def status(self) -> str:
        """Return ``started`` while it runs, then how it ended."""
        return await self._client._run(outcome.status(self._client._terms, self.id))

    async def wait(self) -> str:
        """Wait for the end, and return how it ended."""
        return await self._client._run(outcome.wait(self._client._terms, self.id))

    async def cancel(self) -> bool:
        """Cancel it; False when it is over already."""
        return await self._client._run(requests.cancel(self._client._terms, self.id))

    async def waiting(self) -> list[Question]:
        """Return the questions that are open, the oldest first."""
        return await self._client._run(answering.waiting(self._client._terms, self.id))

    async def question(self, n: int) -> Question:
        """Return a question, and what has closed it.

        Raises:
            UnknownQuestion: It has asked no question of that number.
        """
        plan = answering.question(self._client._terms, self.id, n)
        return await self._client._run(plan)

    async def answer(self, n: int, content: Any) -> bool:
        """Answer a question; of all answers exactly one counts.

        If a response is lost, the answer is sent again.

        Args:
            n: The number of the question.
            content: A pydantic model, or what fits its ``response_schema``.

        Returns:
            Whether this answer counts; False if the question had this very answer
            before. After a lost response True says that the question has this very
            answer, which somebody else may have given meanwhile.

        Raises:
            UnknownQuestion: It has asked no question of that number.
            InvalidInput: The content does not fit; ``errors`` names the fields.
            AlreadyAnswered: Another answer counts; ``action`` and ``by`` say which one.
            QuestionClosed: Nobody waits for the answer any more.
            Unreachable, Refused: It is not known what counts: give the same answer
                again.
        """
        plan = answering.accept(self._client._terms, self.id, n, content)
        return await self._client._run(plan)

    async def decline(self, n: int) -> bool:
        """Decline to answer a question; see ``answer``."""
        return await self._client._run(
            answering.decline(self._client._terms, self.id, n)
        )

    @overload
    async def result(self) -> Any: ...
    @overload
    async def result(self, type: type[T]) -> T: ...
    @overload
    async def result(self, type: Any) -> Any: ...

    async def result(self, type: Any = Any) -> Any:
        """Wait for the end, and return what the actor returned.

        Args:
            type: What the JSON is validated as; by default it stays as it is.

        Raises:
            ExecutionFailed: It failed; ``ExecutionCancelled``, ``ExecutionLost``: it
                was cancelled or lost.
            ResultGone: It is not kept any more.
            ValueError: What was returned is not of that type.
        """
        plan = outcome.result(self._client._terms, self.id, type)
        return await self._client._run(plan)

    def events(
        self, after: int = 0, *, types: Iterable[type[BaseModel]] = ()
    ) -> EventStream:
        """Return the events from number ``after`` + 1 to the terminal one.

        Args:
            after: The number of the last event that the caller has.
            types: Models of the application that events are made into; see
                ``EventDecoder``. What no model knows is a dict.

        Raises:
            TypeError, ValueError: An argument is not valid.
        """
        return self._client._follow(self.id, after, types)


class EventStream(StreamFacts):
    """The events of an execution, each once and in order, over any number of cuts.

    Iterate over it with ``async for``. To leave it at a certain place, write ``async
    with execution.events() as events``. The execution runs on.

    The iteration yields a ``ResetEvent`` where the earlier events are void, or are not
    kept any more. It raises ``UnknownExecution`` if the execution is not kept any more,
    ``MalformedEvent``, ``TooManyResets`` or ``NotAnEventStream`` if the server does not
    keep to the protocol, and ``Unauthorized``, ``Forbidden``, ``RequestFailed`` or
    ``Unreachable`` if there is no connection.
    """

    def __init__(self, following: Following, connection: Connection) -> None:
        super().__init__(following)
        self._connection = connection

    def __del__(self) -> None:
        self._connection.drop()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AnyEvent:
        with self._alone():
            action = await advance(self._steps, self._connection)
        if isinstance(action, Done):
            await self._connection.aclose()
            raise StopAsyncIteration
        return action.event

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Leave the stream, and close its connection; the execution runs on."""
        await self._connection.aclose()
