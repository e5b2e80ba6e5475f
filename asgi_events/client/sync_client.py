"""The client for threads: the one for asyncio, without ``await``."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from pydantic import BaseModel

from asgi_events.client import answering, outcome, requests
from asgi_events.client import http as library
from asgi_events.client.about import About, Question
from asgi_events.client.actions import Done, Plan, Steps, value_of
from asgi_events.client.facts import ExecutionFacts, StreamFacts
from asgi_events.client.following import Following
from asgi_events.client.sync_connection import SyncConnection, advance
from asgi_events.client.terms import (
    GIVE_UP_AFTER,
    MAX_EVENT_BYTES,
    STALL_TIMEOUT,
    Auth,
    OnReconnect,
    Terms,
    base_of,
    check_after,
    check_auth,
    check_start,
)
from asgi_events.wire.decoding import AnyEvent, EventDecoder

if TYPE_CHECKING:
    from asgi_events.client.http import SyncHTTP

T = TypeVar("T")


class SyncClient:
    """Starts, finds, watches and cancels the executions of a server.

    ``with SyncClient("https://example.com/events") as client``; or call ``close``. It
    is ``Client`` without ``await``: its options and methods, and what they raise, are
    the same, but ``auth`` is no coroutine function, and ``http`` is a ``Client`` of
    httpx2 or httpx. Threads may share it.
    """

    def __init__(
        self,
        url: str,
        *,
        auth: Auth | None = None,
        http: SyncHTTP | None = None,
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
        self._auth = check_auth(auth, awaits=False)
        self._http, self._owns_http = library.open_sync(http)
        self._connections: set[SyncConnection] = set()
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave all streams, and close all connections; executions run on."""
        self._is_closed = True
        for connection in list(self._connections):
            connection.close()
        if self._owns_http:
            self._http.close()

    def start(
        self,
        actor: str,
        input: Any = None,
        *,
        key: str | None = None,
        thread: str | None = None,
    ) -> SyncRemoteExecution:
        """Start an actor; see ``Client.start``."""
        check_start(actor, key, thread)
        about = self._run(requests.start(self._terms, actor, input, key, thread))
        return SyncRemoteExecution(self, about.id, about.actor)

    def get(self, id: str) -> SyncRemoteExecution:
        """Find an execution; see ``Client.get``."""
        about = self._run(requests.about(self._terms, id))
        return SyncRemoteExecution(self, about.id, about.actor)

    def execution(self, id: str) -> SyncRemoteExecution:
        """Return the execution of an id; see ``Client.execution``."""
        return SyncRemoteExecution(self, requests.checked_id(id))

    def _run(self, plan: Plan[T]) -> T:
        connection = self._connection()
        try:
            value: T = value_of(advance(Steps(plan), connection))
        finally:
            connection.close()
        return value

    def _follow(
        self, id: str, after: int, types: Iterable[type[BaseModel]]
    ) -> SyncEventStream:
        check_after(after)
        following = Following(self._terms, id, after=after, decoder=EventDecoder(types))
        return SyncEventStream(following, self._connection())

    def _connection(self) -> SyncConnection:
        if self._is_closed:
            raise RuntimeError("The client is closed: make a new one.")
        return SyncConnection(self._http, self._auth, self._terms, self._connections)


class SyncRemoteExecution(ExecutionFacts):
    """One execution of a server; see ``RemoteExecution``.

    Attributes:
        id: Its name in URLs and event ids.
        actor: The actor's name.
    """

    __slots__ = ("_client",)

    def __init__(self, client: SyncClient, id: str, actor: str = "") -> None:
        super().__init__(id, actor)
        self._client = client

    def about(self) -> About:
        """Return how it stands: status, result, progress and more."""
        return self._client._run(requests.about(self._client._terms, self.id))

    def status(self) -> str:
        """Return ``started`` while it runs, then how it ended."""
        return self._client._run(outcome.status(self._client._terms, self.id))

    def wait(self) -> str:
        """Wait for the end, and return how it ended."""
        return self._client._run(outcome.wait(self._client._terms, self.id))

    def cancel(self) -> bool:
        """Cancel it; False when it is over already."""
        return self._client._run(requests.cancel(self._client._terms, self.id))

    def waiting(self) -> list[Question]:
        """Return the questions that are open, the oldest first."""
        return self._client._run(answering.waiting(self._client._terms, self.id))

    def question(self, n: int) -> Question:
        """Return a question, and what has closed it."""
        plan = answering.question(self._client._terms, self.id, n)
        return self._client._run(plan)

    def answer(self, n: int, content: Any) -> bool:
        """Answer a question; see ``RemoteExecution.answer``."""
        plan = answering.accept(self._client._terms, self.id, n, content)
        return self._client._run(plan)

    def decline(self, n: int) -> bool:
        """Decline to answer a question; see ``RemoteExecution.decline``."""
        return self._client._run(answering.decline(self._client._terms, self.id, n))

    @overload
    def result(self) -> Any: ...
    @overload
    def result(self, type: type[T]) -> T: ...
    @overload
    def result(self, type: Any) -> Any: ...

    def result(self, type: Any = Any) -> Any:
        """Wait for the end, and return what the actor returned, as ``type``."""
        plan = outcome.result(self._client._terms, self.id, type)
        return self._client._run(plan)

    def events(
        self, after: int = 0, *, types: Iterable[type[BaseModel]] = ()
    ) -> SyncEventStream:
        """Return the events from number ``after`` + 1 to the terminal one."""
        return self._client._follow(self.id, after, types)


class SyncEventStream(StreamFacts):
    """The events of an execution; see ``EventStream``.

    Iterate over it with ``for``. To leave it at a certain place, write ``with
    execution.events() as events``. The execution runs on.
    """

    def __init__(self, following: Following, connection: SyncConnection) -> None:
        super().__init__(following)
        self._connection = connection

    def __del__(self) -> None:
        self._connection.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> AnyEvent:
        with self._alone():
            action = advance(self._steps, self._connection)
        if isinstance(action, Done):
            self._connection.close()
            raise StopIteration
        return action.event

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the stream, and close its connection; the execution runs on."""
        self._connection.close()
