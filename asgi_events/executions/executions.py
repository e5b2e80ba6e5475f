"""The executions of one process: start, find, cancel, drain.

Application code holds the same object that the HTTP routes use; in a view it is
``scope["asgi_events"]``.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from functools import partial
from typing import Any, Self, Unpack

from pydantic import BaseModel

from asgi_events.actors.actor import Actor, ActorFunction, actor_of
from asgi_events.actors.inputs import ActorInput
from asgi_events.aio import signals
from asgi_events.aio.backoff import Backoff
from asgi_events.events import ExecutionStatus
from asgi_events.exceptions import Gone, IdempotencyConflict, UnknownExecution
from asgi_events.executions.execution import Execution
from asgi_events.executions.feeds import feed_of
from asgi_events.executions.held import Begin, Held, Make
from asgi_events.executions.in_memory import HeldInMemory
from asgi_events.executions.in_store import HeldInStore
from asgi_events.executions.launch import Launcher, ask, make_execution
from asgi_events.executions.listing import AnyOwner, Listing, Query
from asgi_events.executions.names import is_id, is_thread, new_id
from asgi_events.executions.options import ExecutionsOptions, complete
from asgi_events.executions.shutdown import Shutdown
from asgi_events.executions.viewers import Capacity, Viewing
from asgi_events.stores.contract import EventStore
from asgi_events.stores.urls import open_store
from asgi_events.wire.decoding import AnyEvent

# Where executions may run for ever, an Idempotency-Key is known for this time and the
# retention. Most services keep one for as long.
_LONGEST = 86_400.0  # seconds

_LOOK_AGAIN = 0.5  # seconds at most between two looks for what is about to start


class Executions:
    """Runs actors, and keeps their events for viewers who come now or later.

    Args:
        actors: What can be started. Without any it finds, watches and cancels what
            other processes run.
        options: See ``ExecutionsOptions``.

    Raises:
        TypeError: One of ``actors`` is no actor, or its input has no JSON form; an
            option does not exist, or is of a wrong type.
        ValueError: Two actors have one name, or an option is out of its range.
    """

    def __init__(
        self, *actors: ActorFunction[..., Any], **options: Unpack[ExecutionsOptions]
    ) -> None:
        self._options = given = complete(options)
        self.actors = _by_name(actors)
        self.inputs = {name: ActorInput(actor) for name, actor in self.actors.items()}
        self.store, self._owns_store = _opened(given["store"])
        self.viewing = _viewing(self.store, given, self.drain)
        make = partial(make_execution, self.actors, self.viewing)
        self._held = _held(self.store, self.actors, given, self.viewing, make)
        self.feeds = self._held.feeds
        self._shutdown = Shutdown(self._held, self.viewing, self._release)
        self._launcher = Launcher(self.actors, given, self._held, self._shutdown, make)

    @property
    def draining(self) -> bool:
        """Whether the process stops."""
        return self.viewing.draining

    async def __aenter__(self) -> Self:
        self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.drain()

    def __iter__(self) -> Iterator[Execution]:
        """Those that run and those that are held in memory, the oldest first.

        Where there is a store, what has ended is not among them: ``get`` finds it.
        """
        return iter(list(self._held.here.values()))

    def open(self) -> None:
        """Serve, again after a drain; a new one is open already."""
        if self._shutdown.reopen():
            self._held.reopen()
        self.hear_signals()

    def hear_signals(self) -> None:
        """Hear signals from now on, unless ``handle_signals`` is off.

        The routes call it with each request, for servers that send no lifespan.
        """
        if self._options["handle_signals"] and not self.draining:
            signals.listen(self, Executions._stop)

    async def start(
        self,
        actor: str | ActorFunction[..., Any],
        input: Any = None,
        *,
        owner: str | None = None,
        idempotency_key: str | None = None,
        id: str | None = None,
        thread: str | None = None,
        preface: Sequence[BaseModel] = (),
    ) -> Execution:
        """Start an actor; it runs whether or not anybody watches.

        Args:
            actor: The actor or its name.
            input: A pydantic model, a dict, None for an actor that needs nothing, or
                bytes of JSON.
            owner: To whom it belongs.
            idempotency_key: The same owner's same key finds the same execution again,
                in any process that shares the store, and never starts a second one. It
                is known for ``max_duration``, or a day, and the retention, from the
                start. Without an owner it should be as hard to guess as an id.
            id: The execution's id, where another process has given it one. It starts
                once, in any process; after the retention nothing is known of it,
                except in a thread.
            thread: The thread of that owner which it continues, a conversation say. In
                all processes that share the store one execution of a thread runs at a
                time; the actor's ``when_busy`` says what another start does. A thread
                is known as long as a key, from its newest start.
            preface: Events, any pydantic models, that viewers see before those of the
                actor.

        Raises:
            UnknownActor: There is no such actor.
            ValueError: The owner is blank, or the id or thread is not valid.
            InvalidInput: The input does not validate.
            IdempotencyConflict: The key or id was used with another actor, input or
                thread.
            EventTooLarge: One of ``preface`` has more bytes than ``max_event_bytes``.
            Gone: The key, or the id in this thread, has started an execution that is no
                longer kept.
            ThreadBusy: Another execution of the thread runs, and the actor rejects this
                one.
            LimitReached: ``max_executions``, or ``max_executions_per_owner`` of that
                owner, run already; or ``max_queued`` of the thread wait.
            Draining: The process is shutting down.
            StoreError: The store did not open the log.
        """
        self.hear_signals()
        asked = ask(self.actors, self.inputs, actor, input, owner, thread, preface)
        if id is not None and not is_id(id):
            raise ValueError(f"An id is 1 to 64 of A-Z a-z 0-9 _ and -, got {id!r}")
        begin = partial(self._launcher.launch, asked)
        if (idempotency_key, id, thread) == (None, None, None):
            return await begin(new_id())
        execution = await self._start_once(owner, idempotency_key, id, begin)
        if execution.facts.fingerprint != asked.fingerprint:
            raise IdempotencyConflict(idempotency_key or execution.id)
        return execution

    async def get(self, id: str, *, wait: float = 0.0) -> Execution:
        """The execution of that id, of any owner, wherever it runs.

        Args:
            id: The execution's id.
            wait: Seconds to wait for an execution that is about to start.

        Raises:
            UnknownExecution: None is held.
            Unavailable: The store does not answer.
        """
        until = asyncio.get_running_loop().time() + wait
        backoff = Backoff(_LOOK_AGAIN)
        while True:
            try:
                local = self._held.here.get(id)
                if local is None and not is_id(id):
                    raise UnknownExecution(id)
                return local or await self._held.find(id)
            except UnknownExecution:
                if asyncio.get_running_loop().time() >= until:
                    raise
            await backoff.wait()

    async def newest(
        self, thread: str, *, owner: str | None = None
    ) -> Execution | None:
        """The newest execution of an owner's thread, whether it runs or has ended.

        None if there is none, or if it is no longer kept.

        Raises:
            Unavailable: The store does not answer.
        """
        if not is_thread(thread):
            return None
        return await self._held.newest(owner, thread)

    async def list(
        self,
        *,
        owner: str | None | AnyOwner,
        thread: str | None = None,
        status: ExecutionStatus | str | None = None,
        actor: str | ActorFunction[..., Any] | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Listing:
        """A page of what runs and what has ended, the newest first.

        They are those of all processes that share the store; without a store those that
        this process holds. Going on from page to page gives each execution once, and
        each that is there the whole time, while others start, end and expire.

        Args:
            owner: Whose. None for those without an owner, ``ANY_OWNER`` for all.
            thread: Only those of that thread.
            status: Only those that are ``started``, ``completed``, ``failed``,
                ``cancelled`` or ``lost``. What has been started and is not over is
                ``lost`` if its process gives no sign of life.
            actor: Only those of that actor, or of the actor of that name.
            after: The ``next`` of the page before; None for the first page.
            limit: How many executions a page has at most, 1 to 1000.

        Raises:
            TypeError: An argument is of a wrong type.
            ValueError: An argument is out of its range, or ``after`` is the cursor of
                another list.
            Unavailable: The store does not answer.
        """
        query = Query(
            owner=owner,
            thread=thread,
            status=status,
            actor=actor if actor is None else _name_of(actor),
            after=after,
            limit=limit,
        )
        return query.page(await self._held.list(query))

    def feed(self, *, owner: str | None) -> AsyncGenerator[AnyEvent, None]:
        """What happens to an owner's executions from now on, in every process.

        Each is a ``FeedEvent``. Questions of others ``to`` this owner are in it, too.
        At each ``ResetEvent``, the first of all, call ``list``: it has what was before.

        Raises:
            ValueError: The owner is blank.
        """
        return feed_of(self.feeds, owner)

    async def drain(self, grace: float | None = None) -> None:
        """Shut down without losing anything; may be called more than once.

        New starts are refused. Executions may run on for ``grace`` seconds,
        ``drain_grace`` by default; the rest is cancelled, and its terminal event
        stored. Viewers are sent a ``goodbye`` at once, from which they resume in
        another process; where the store does not outlive this one they stay and see the
        end.
        """
        if grace is None:
            grace = self._options["drain_grace"]
        await asyncio.shield(self._shutdown.begin(grace))

    async def _start_once(
        self, owner: str | None, key: str | None, id: str | None, begin: Begin
    ) -> Execution:
        try:
            if key is not None:
                return await self._held.by_key(owner, key, begin)
            return await self._held.by_id(id or new_id(), begin)
        except UnknownExecution as error:
            raise Gone(key, error.id) from None

    def _stop(self, longest: float) -> asyncio.Future[None]:
        """Drain: a signal has told the process to stop, within ``longest`` seconds."""
        grace = min(self._options["drain_grace"], longest)
        draining = self._shutdown.begin(grace)
        self._shutdown.shorten(grace)
        return draining

    async def _release(self) -> None:
        """Release what is left when everything has ended."""
        try:
            await self._held.aclose()
            if self.store is not None and self._owns_store:
                await self.store.aclose()
        finally:
            signals.forget(self)


def _viewing(
    store: EventStore | None,
    options: ExecutionsOptions,
    drain: Callable[[], Awaitable[None]],
) -> Viewing:
    viewers = Capacity(
        "max_viewers",
        options["max_viewers"],
        per_owner=options["max_viewers_per_owner"],
    )
    lasts = store is not None and store.durable
    return Viewing(options, viewers, drain=drain, returns=lasts)


def _held(
    store: EventStore | None,
    actors: Mapping[str, Actor[..., Any]],
    options: ExecutionsOptions,
    viewing: Viewing,
    make: Make,
) -> Held:
    key_ttl = options["retention"] + _longest(actors, options)
    if store is None:
        return HeldInMemory(options, key_ttl=key_ttl, viewing=viewing)
    return HeldInStore(store, options, key_ttl=key_ttl, viewing=viewing, make=make)


def _longest(
    actors: Mapping[str, Actor[..., Any]], options: ExecutionsOptions
) -> float:
    """Seconds that an execution may take, and wait for its turn."""
    longest = options["max_duration"]
    if longest is None:
        return _LONGEST
    queues = any(actor.when_busy == "queue" for actor in actors.values())
    return longest * (1 + options["max_queued"]) if queues else longest


def _name_of(actor: str | ActorFunction[..., Any]) -> str:
    return actor if isinstance(actor, str) else actor_of(actor).name


def _opened(store: str | EventStore | None) -> tuple[EventStore | None, bool]:
    """A store, and whether it is ours, so that we close it."""
    return (open_store(store), True) if isinstance(store, str) else (store, False)


def _by_name(actors: Sequence[ActorFunction[..., Any]]) -> dict[str, Actor[..., Any]]:
    named: dict[str, Actor[..., Any]] = {}
    for given in actors:
        if isinstance(given, list | tuple):
            raise TypeError(
                f"Actors are given one by one, got {given!r}: put a star before it, "
                "EventsApp(*actors) say."
            )
        actor = actor_of(given)
        if actor.name in named:
            raise ValueError(
                f"Two actors are called {actor.name!r}: give one of them a name=."
            )
        named[actor.name] = actor
    return named
