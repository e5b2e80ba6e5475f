"""The executions of one process: start, find, cancel, drain.

Application code holds the same object that the HTTP routes use; in a view it is
``scope["asgi_events"]``.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import re
import secrets
from collections.abc import (
    AsyncIterator,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self, TypedDict
from weakref import WeakValueDictionary

from pydantic import BaseModel
from pydantic_core import from_json

from asgi_events.actors.actor import Actor, ActorFunction, actor_of
from asgi_events.actors.cache import CacheBackend
from asgi_events.actors.inputs import ActorInput
from asgi_events.actors.state import ExecutionState, current
from asgi_events.aio import signals
from asgi_events.aio.grace import Grace
from asgi_events.aio.threads import MAX_THREADS, Threads
from asgi_events.aio.timers import Timer, timers
from asgi_events.bus import EventBus, EventHandler
from asgi_events.checks import (
    check_callables,
    check_counts,
    check_headers,
    check_iterables,
    check_methods,
    check_seconds,
)
from asgi_events.error_messages import ErrorMessage, redacted, with_traceback
from asgi_events.events import SHUTTING_DOWN
from asgi_events.exceptions import (
    Draining,
    Gone,
    IdempotencyConflict,
    StoreError,
    UnknownActor,
    UnknownExecution,
)
from asgi_events.executions.execution import Execution
from asgi_events.executions.follower import Follower, Hints, Reaper
from asgi_events.executions.idempotency import Claim, Starts, marker_of
from asgi_events.executions.keeper import Keeper
from asgi_events.executions.recorder import Opening, Recorder
from asgi_events.executions.remote import Remote
from asgi_events.executions.run import Run, Terms
from asgi_events.executions.viewers import Seats
from asgi_events.http.response import EventSourceResponse, Unread
from asgi_events.http.streamer import EventStreamer
from asgi_events.log.log import Bounds, Log
from asgi_events.stores.contract import EventStore, InMemory, Page
from asgi_events.stores.urls import open_store
from asgi_events.types import ASGIApp, Headers, Receive, Scope, Send
from asgi_events.wire.frames import goodbye

logger = logging.getLogger(__name__)

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

# An Idempotency-Key is known this long, and the retention, where executions may run for
# ever: as long as most services keep one.
_LONGEST = 86_400.0  # seconds

_LAST_WORD = 1.0  # seconds that viewers have to take the terminal event


_STORE_METHODS = [
    name
    for name, value in vars(EventStore).items()
    if callable(value) and not name.startswith("_")
]


class ExecutionsOptions(TypedDict, total=False):
    """The options of ``Executions``, for those who pass them on."""

    store: str | EventStore
    cache_backend: CacheBackend | None
    handlers: Sequence[EventHandler]
    heartbeat_interval: float | None
    send_timeout: float | None
    max_stream_duration: float | None
    max_stream_backlog: int | None
    retry: int
    cancel_after: float | None
    cancel_timeout: float
    max_duration: float | None
    retention: float
    lease: float
    max_executions: int | None
    max_viewers: int | None
    max_executions_per_owner: int | None
    max_viewers_per_owner: int | None
    max_threads: int | None
    max_events: int
    max_bytes: int
    max_retained_bytes: int
    max_event_bytes: int | None
    error_message: ErrorMessage | None
    debug: bool
    drain_grace: float
    handle_signals: bool


class Executions:
    """Runs actors, and keeps what they publish for whoever watches, now or later.

    Args:
        actors: What can be started.
        store: Where events are kept: a URL for ``open_store``, or a store, which its
            maker closes.
        cache_backend: The cache of cacheable actors that have none of their own.
        handlers: Further event handlers of every execution, an ``EventPrinter`` say.
        heartbeat_interval: Seconds without an event until a viewer is sent a comment.
        send_timeout: Seconds until a viewer that takes nothing is dropped.
        max_stream_duration: Seconds until a viewer is sent away, to reconnect; the
            bound for a peer that has vanished without a word.
        max_stream_backlog: Bytes sent to a viewer until it is sent away, on servers
            that buffer without bound what a viewer does not read.
        retry: Milliseconds a client is told to wait before it reconnects.
        cancel_after: Seconds without any viewer until an execution is cancelled; 0 for
            at once, None for never. One that never had a viewer runs on. With
            ``authorize`` only viewers who may cancel count.
        cancel_timeout: Seconds a cancelled actor may clean up until viewers are told.
        max_duration: Seconds an execution may take; None for ever.
        retention: Seconds an execution is kept after its end.
        lease: Seconds without a sign of life until other processes take this one for
            dead and end its executions with ``lost``.
        max_executions: How many may run; None for any number.
        max_viewers: How many may watch; None for any number.
        max_executions_per_owner: How many of each owner may run; None for any number.
            What has no owner is not counted.
        max_viewers_per_owner: How many may watch in the name of each owner, likewise.
        max_threads: How many sync actors may run at a time; the others wait. What a
            sync actor calls may run in its place, so nested calls wait for nobody.
            None for any number.
        max_events: Frames of each execution that wait to be stored, and that are held
            at hand for its viewers.
        max_bytes: Bytes of such frames.
        max_retained_bytes: Bytes of memory for the frames of all executions together.
            Of a store in memory the oldest ended executions go first, and then the
            oldest frames of the largest ones that run. Where many run, each has less
            than ``max_bytes``.
        max_event_bytes: Bytes of JSON an event may have; None for any number. A larger
            one raises ``EventTooLarge`` at its publisher, and an execution with a
            larger result ends with ``error``.
        error_message: What viewers are told of an exception. By default a neutral
            sentence and an id, under which the exception is logged.
        debug: Tell viewers the exception with its traceback.
        drain_grace: Seconds executions may run on once the process is told to stop;
            half a second at most after Ctrl-C (SIGINT) and where the server reloads,
            and none after a second Ctrl-C.
        handle_signals: Drain at SIGTERM and SIGINT, before the handler that was there
            is called. Most servers wait for their streams before they tell anybody
            else that they stop.

    Raises:
        TypeError: What is no actor, or one whose input has no JSON form.
        ValueError: No actor, two of one name, or an option out of its range.
    """

    def __init__(
        self,
        *actors: ActorFunction[..., Any],
        store: str | EventStore = "memory://",
        cache_backend: CacheBackend | None = None,
        handlers: Sequence[EventHandler] = (),
        heartbeat_interval: float | None = 15.0,
        send_timeout: float | None = 30.0,
        max_stream_duration: float | None = 3600.0,
        max_stream_backlog: int | None = 256 * 1024,
        retry: int = 3000,
        cancel_after: float | None = 30.0,
        cancel_timeout: float = 10.0,
        max_duration: float | None = None,
        retention: float = 600.0,
        lease: float = 15.0,
        max_executions: int | None = 1000,
        max_viewers: int | None = 10_000,
        max_executions_per_owner: int | None = None,
        max_viewers_per_owner: int | None = None,
        max_threads: int | None = MAX_THREADS,
        max_events: int = 10_000,
        max_bytes: int = 16 * 1024 * 1024,
        max_retained_bytes: int = 256 * 1024 * 1024,
        max_event_bytes: int | None = 1024 * 1024,
        error_message: ErrorMessage | None = None,
        debug: bool = False,
        drain_grace: float = 5.0,
        handle_signals: bool = True,
    ) -> None:
        check_seconds(
            heartbeat_interval=heartbeat_interval,
            send_timeout=send_timeout,
            max_stream_duration=max_stream_duration,
            max_duration=max_duration,
        )
        check_seconds(zero=True, cancel_after=cancel_after)
        check_seconds(required=True, zero=True, drain_grace=drain_grace)
        check_seconds(
            required=True,
            cancel_timeout=cancel_timeout,
            retention=retention,
            lease=lease,
        )
        check_counts(
            max_executions=max_executions,
            max_viewers=max_viewers,
            max_executions_per_owner=max_executions_per_owner,
            max_viewers_per_owner=max_viewers_per_owner,
            max_threads=max_threads,
            max_stream_backlog=max_stream_backlog,
            max_event_bytes=max_event_bytes,
        )
        check_counts(
            required=True,
            retry=retry,
            max_events=max_events,
            max_bytes=max_bytes,
            max_retained_bytes=max_retained_bytes,
        )
        check_callables(error_message=error_message)
        check_methods("get", "set", "get_stats", cache_backend=cache_backend)
        check_iterables(handlers=handlers)
        for handler in handlers:
            check_callables(handler=handler)
        _check_store(store)
        self.actors = _by_name(actors)
        self.inputs = {name: ActorInput(actor) for name, actor in self.actors.items()}
        self.store = open_store(store) if isinstance(store, str) else store
        self._owns_store = isinstance(store, str)
        self._durable = getattr(self.store, "durable", True)
        self._in_memory = self.store if isinstance(self.store, InMemory) else None
        if self._in_memory is not None:
            self._in_memory.limit(max_retained_bytes, self._make_room)
        self.draining = False
        self._cache_backend = cache_backend
        self._handlers = tuple(handlers)
        self._heartbeat_interval = heartbeat_interval
        self._send_timeout = send_timeout
        self._max_stream_duration = max_stream_duration
        self._max_stream_backlog = max_stream_backlog
        self._retention = retention
        self._bounds = Bounds(max_events, max_bytes)
        self._max_bytes = max_bytes
        self._max_retained_bytes = max_retained_bytes
        self._max_event_bytes = max_event_bytes
        self._error_message = error_message or (with_traceback if debug else None)
        self._terms = Terms(
            cancel_after=cancel_after,
            cancel_timeout=cancel_timeout,
            max_duration=max_duration,
        )
        self._retry = retry
        self._lease = lease
        self._name = secrets.token_hex(8)
        self._running = Seats(
            "max_executions", max_executions, per_owner=max_executions_per_owner
        )
        self._viewers = Seats(
            "max_viewers", max_viewers, per_owner=max_viewers_per_owner
        )
        self._threads = Threads(max_threads)
        self._unread = Unread()
        self._executions: dict[str, Execution] = {}
        self._remote: WeakValueDictionary[str, Execution] = WeakValueDictionary()
        self._hints = Hints(self.store, lambda: self._writer)
        self._reaper = Reaper(self.store, lease=lease)
        self._keeper = Keeper(self.store, self._hints, lease=lease)
        self._starts = Starts(
            self.store,
            self.get,
            writer=lambda: self._writer,
            lease=lease,
            ttl=retention + (max_duration or _LONGEST),
            on_claimed=self._keeper.keep_mark,
        )
        self._retained: dict[str, float] = {}  # until when, the oldest first
        self._retaining: Timer | None = None
        self._deleting: set[asyncio.Task[None]] = set()
        self._drained: asyncio.Task[None] | None = None
        self._drain_grace = drain_grace
        self._grace: Grace | None = None
        self._handle_signals = handle_signals

    async def __aenter__(self) -> Self:
        self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.drain()

    def __iter__(self) -> Iterator[Execution]:
        """Those that run and those that are held in memory, the oldest first.

        Where the store lasts, what has ended is not among them: ``get`` finds it.
        """
        return iter(list(self._executions.values()))

    def open(self) -> None:
        """Serve, again after a drain; a new one is open already."""
        if self._drained is not None and self._drained.done():
            self.draining = False
            self._drained = None
            self._unread.go_on()
            self._name = secrets.token_hex(8)  # goes on with no log of its former life
        self.hear_signals()

    def hear_signals(self) -> None:
        """Hear signals from now on, unless ``handle_signals`` is off.

        The routes call it with each request, for servers that send no lifespan.
        """
        if self._handle_signals and not self.draining:
            signals.listen(self, Executions._told)

    async def start(
        self,
        actor: str | ActorFunction[..., Any],
        input: Any = None,
        *,
        owner: str | None = None,
        idempotency_key: str | None = None,
        id: str | None = None,
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
                once, in any process; after the retention nothing is known of it.

        Raises:
            UnknownActor: There is no such actor.
            ValueError: The owner is blank, or the id is none.
            InvalidInput: The input does not validate.
            IdempotencyConflict: The key or id was used with another actor or input.
            Gone: The key has started an execution that is no longer kept.
            LimitReached: ``max_executions``, or ``max_executions_per_owner`` of that
                owner, run already.
            Draining: The process is shutting down.
            StoreError: The store did not open the log.
        """
        self.hear_signals()
        name = actor if isinstance(actor, str) else actor_of(actor).name
        if name not in self.actors:
            raise UnknownActor(name, list(self.actors))
        if owner is not None and not owner.strip():
            raise ValueError(
                "owner must be None or a str that is not blank: executions of a blank "
                f"owner would belong to everybody who has no name, got {owner!r}"
            )
        takes = self.inputs[name]
        arguments = (
            takes.from_json(input)
            if isinstance(input, bytes)
            else takes.from_python(input)
        )
        if id is not None and not _ID.fullmatch(id):
            raise ValueError(f"An id is 1 to 64 of A-Z a-z 0-9 _ and -, got {id!r}")
        fingerprint = _fingerprint(name, input, owner)
        begin = partial(
            self._start,
            name=name,
            arguments=arguments,
            owner=owner,
            fingerprint=fingerprint,
        )
        if idempotency_key is not None:
            marker = marker_of(owner, idempotency_key)
            try:
                execution = await self._starts.by_marker(marker, begin)
            except UnknownExecution as error:
                raise Gone(idempotency_key, error.id) from None
        elif id is not None:
            local = self._executions.get(id)
            execution = local or await self._starts.by_id(id, begin)
        else:
            return await begin(secrets.token_hex(16))
        if execution.fingerprint != fingerprint:
            raise IdempotencyConflict(idempotency_key or execution.id)
        return execution

    async def get(self, id: str) -> Execution:
        """The execution of that id, of any owner, wherever it runs.

        Raises:
            UnknownExecution: None is held.
            Unavailable: The store does not answer.
        """
        local = self._executions.get(id)
        if local is not None:
            return local
        page = await self._look(id) if _ID.fullmatch(id) else None
        if page is None:
            raise UnknownExecution(id)
        execution = self._remote.get(id)
        if execution is None or (execution.log.end is not None and page.end is None):
            # There was none, or one whose end the store does not have.
            execution = self._remote[id] = self._make_remote(id, page)
            self._share()
        log = execution.log
        log.known = max(log.known, page.last)
        ends_otherwise = page.end is not None and page.last < log.last
        # Who is there is shown what is new, frame by frame.
        if not execution.viewers and (page.last > log.last or ends_otherwise):
            log.fork(page.last, end=page.end)
        if page.ended is not None and log.end is not None:
            execution.ended = datetime.fromtimestamp(page.ended, UTC)
        return execution

    @contextmanager
    def seat(self, owner: str | None = None) -> Iterator[None]:
        """A seat of ``owner``'s viewer, given back should the block raise.

        Raises:
            LimitReached: ``max_viewers``, or ``max_viewers_per_owner`` of that owner,
                watch already.
        """
        self._viewers.take(owner)
        try:
            yield
        except BaseException:
            self._viewers.leave(owner)
            raise

    def response(
        self,
        execution: Execution,
        *,
        last_event_id: str | None = None,
        headers: Headers | None = None,
        seated: bool = False,
        counts: bool = True,
    ) -> ASGIApp:
        """An ASGI application that makes its caller a viewer of ``execution``.

        One that does not count neither keeps the execution from ``cancel_after`` nor
        makes it begin: the viewer for who may read but not cancel.

        It raises ``LimitReached``, before it has sent anything, when ``max_viewers``,
        or ``max_viewers_per_owner`` of the execution's owner, watch already.

        Raises:
            ValueError: A header that no stream can have.
        """
        check_headers(headers or {})

        def respond_with(content: Any) -> EventSourceResponse:
            response = EventSourceResponse(
                content,
                headers=headers,
                heartbeat_interval=self._heartbeat_interval,
                send_timeout=self._send_timeout,
                max_duration=self._max_stream_duration,
                max_backlog=self._max_stream_backlog,
                handle_signals=self._handle_signals,
            )
            response.unread = self._unread
            response.source_hears = True
            response.last_word = self._last_word
            return response

        async def respond(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["method"] == "HEAD":  # looks, but does not watch
                await respond_with(_no_frames())(scope, receive, send)
                return
            try:
                await take_seat(scope, receive, send)
            except asyncio.CancelledError:
                # Daphne sends no lifespan.shutdown, but waits for its applications.
                if self.draining:
                    await self.drain()
                raise

        async def take_seat(scope: Scope, receive: Receive, send: Send) -> None:
            if not seated:
                self._viewers.take(execution.owner)
            try:
                cursor = execution.attach(last_event_id, seated=True, counts=counts)
                if self.draining and self._durable:
                    cursor.dismiss(goodbye("draining"))
                await respond_with(cursor)(scope, receive, send)
            finally:  # later than the viewer leaves: the server may hold what is unread
                self._viewers.leave(execution.owner)

        return respond

    async def drain(self, grace: float | None = None) -> None:
        """Shut down without losing anything; may be called more than once.

        New starts are refused. Executions may run on for ``grace`` seconds,
        ``drain_grace`` by default; the rest is cancelled, and its terminal event
        stored. Viewers are sent a ``goodbye`` at once, from which they resume in
        another process; where the store does not outlive this one they stay and see the
        end.
        """
        await asyncio.shield(self._begin_drain(grace))

    def _last_word(self) -> bytes:
        """What viewers are told when the server does not wait for the end.

        Nothing, where there is nothing to come back to, as the execution may still end.
        """
        return goodbye("draining") if self._durable else b""

    def _told(self, longest: float) -> asyncio.Future[None]:
        """The process is told to stop."""
        grace = min(self._drain_grace, longest)
        draining = self._begin_drain(grace)
        if self._grace is not None:
            self._grace.shorten(grace)
        return draining

    def _begin_drain(self, grace: float | None = None) -> asyncio.Task[None]:
        self.draining = True
        if self._drained is None:
            if grace is None:
                grace = self._drain_grace
            self._grace = Grace(grace)
            self._drained = asyncio.ensure_future(self._drain(self._grace))
        return self._drained

    async def _drain(self, grace: Grace) -> None:
        if self._durable:
            self._dismiss_all()
        await self._wait_for_all(grace)
        for execution in self:
            await execution.cancel(SHUTTING_DOWN)
        # The second more is for the store to take the terminal events.
        await self._wait_for_all(Grace(self._terms.cancel_timeout + 1.0))
        for execution in self:
            execution.abandon()
        if not self._durable:
            await Grace(_LAST_WORD).wait_for([self._viewers.emptied()])
            self._dismiss_all()
        if self._retaining is not None:
            self._retaining.stop()
            self._retaining = None
        self._executions.clear()
        self._retained.clear()
        self._starts.clear()
        await self._reaper.aclose()
        await self._keeper.aclose()
        if self._deleting:
            await asyncio.wait(self._deleting, timeout=1.0)
        self._unread.give_up()
        if self._owns_store:
            await self.store.aclose()
        signals.forget(self)

    async def _wait_for_all(self, grace: Grace) -> None:
        await grace.wait_for(
            [self._starts.wait(), *(execution.wait() for execution in self)]
        )

    def _dismiss_all(self) -> None:
        for execution in (*self, *self._remote.values()):
            execution.dismiss()

    async def _start(
        self,
        id: str,
        claim: Claim | None = None,
        *,
        name: str,
        arguments: dict[str, Any],
        owner: str | None,
        fingerprint: str,
    ) -> Execution:
        if self.draining:
            raise Draining
        created = datetime.now(UTC)
        meta = {
            "actor": name,
            "created": created.isoformat(),
            "fingerprint": fingerprint,
            "writer": self._writer,
            "lease": f"{self._lease:g}",
        }
        if owner is not None:
            meta["owner"] = owner
        opening = Opening(
            store=self.store,
            key=id,
            writer=self._writer,
            lease=self._lease,
            ttl=self._retention,
            meta=meta,
        )
        self._running.take(owner)
        try:
            grant = await (opening.open() if claim is None else claim(opening.open))
            if self._drained is not None and claim is None:
                await self._delete(id)  # nobody else knows the id
                raise Draining
        except BaseException:
            self._running.leave(owner)
            raise
        execution = self._make(id, meta, start=grant.last)
        self._executions[id] = execution
        self._share()
        error_message = self._error_message or partial(_log_redacted, id, owner)
        bus = EventBus()
        streamer = EventStreamer(
            log=execution.log,
            include_result=True,
            error_message=error_message,
            max_event_bytes=self._max_event_bytes,
        )
        unsubscribe = bus.subscribe(streamer)
        for handler in self._handlers:
            bus.subscribe(handler)
        state = ExecutionState(
            bus, cache_backend=self._cache_backend, error_message=error_message
        )
        state.threads = self._threads
        Run(
            execution,
            self.actors[name].run(state, kwargs=arguments),
            state=state,
            streamer=streamer,
            unsubscribe=unsubscribe,
            recorder=Recorder(execution.log, opening, grant),
            follower=self._follower(execution.log),
            hints=self._hints,
            terms=self._terms,
            cache_backend=self._cache_backend,
            on_stored=partial(self._keeper.keep, opening, execution.log),
            on_end=self._retain,
        )
        if self._drained is not None:  # since then; others may have found it already
            if self._grace is not None and self._grace.is_over:
                await execution.cancel(SHUTTING_DOWN)
            await execution.wait()
        return execution

    @property
    def _writer(self) -> str:
        """Who writes the logs; a process that was forked off this one is another."""
        return f"{self._name}-{os.getpid()}"

    def _make(self, id: str, meta: Mapping[str, str], *, start: int) -> Execution:
        return Execution(
            id,
            actor=meta["actor"],
            owner=meta.get("owner"),
            created=datetime.fromisoformat(meta["created"]),
            fingerprint=meta["fingerprint"],
            log=Log(
                id,
                stored=True,
                start=start,
                bounds=self._bounds,
            ),
            read_page=partial(self.store.read, id),
            retry=self._retry,
            patience=self._lease,
            seats=self._viewers,
        )

    def _make_remote(self, id: str, page: Page) -> Execution:
        execution = self._make(id, page.meta, start=page.last)
        execution.log.extend([], end=page.end)
        follower = self._follower(execution.log)
        execution.work = Remote(execution, self.store, follower)
        return execution

    def _follower(self, log: Log) -> Follower:
        after = self._terms.cancel_after
        attend = None if after is None else max(after, self._lease)
        return Follower(
            log,
            self.store,
            self._hints,
            self._reaper,
            attend=attend,
            patience=self._lease,
        )

    async def _look(self, id: str) -> Page | None:
        """How a log stands; one whose writer is dead is ended soon."""
        page = await self.store.read(id, 0, 0)
        if page is not None and not page.alive:
            self._reaper.suspect(id)
        return page

    def _retain(self, execution: Execution) -> None:
        """Keep what has ended until its retention is over; a store that lasts does."""
        self._running.leave(execution.owner)
        self._keeper.discard_mark(execution.id)
        if execution.id not in self._executions:  # a drain has let go of it
            return
        if self._durable or execution.ended is None:
            del self._executions[execution.id]
        if execution.ended is None:  # its loop has gone; the lease tells the rest
            return
        while self._keeper.held_bytes > self._max_retained_bytes:
            self._keeper.drop_oldest()
        if self._durable:
            self._remote[execution.id] = execution  # for as long as viewers hold it
        else:
            until = asyncio.get_running_loop().time() + self._retention
            self._retained[execution.id] = until
            if self._retaining is None:
                self._retaining = timers().start(self._forget_old, until)
        self._share()

    def _forget_old(self, now: float) -> float | None:
        """Forget what has been retained for long enough; say when to look again."""
        while self._retained:
            id, until = next(iter(self._retained.items()))
            if until > now:
                return until
            self._forget(id)
            deleting = asyncio.ensure_future(self._delete(id))
            self._deleting.add(deleting)
            deleting.add_done_callback(self._deleting.discard)
        self._retaining = None
        return None

    def _make_room(self) -> bool:
        """Forget the oldest that is retained in memory; False when there is none."""
        if not self._retained or self._in_memory is None:
            return False
        id = next(iter(self._retained))
        self._forget(id)
        self._in_memory.discard(id)
        return True

    def _forget(self, id: str) -> None:
        self._executions.pop(id, None)
        self._retained.pop(id, None)
        self._keeper.discard(id)

    def _share(self) -> None:
        """Let all that are at hand together hold no more than may be retained.

        Each that runs, here or elsewhere, may hold the same. The number of shares is a
        power of two, so that it changes, and all have to be looked at, seldom.
        """
        here = len(self._executions) - len(self._retained)
        count = max(here + len(self._remote), 1)
        share = self._max_retained_bytes >> (count - 1).bit_length()
        share = max(min(share, self._max_bytes), 1)
        narrower = share < self._bounds.max_bytes
        self._bounds.max_bytes = share
        if narrower:
            for execution in (*self, *self._remote.values()):
                execution.log.fit()

    async def _delete(self, id: str) -> None:
        try:
            await self.store.delete(id)
        except StoreError:  # it has a time to live as well
            logger.warning("The log %s could not be deleted.", id, exc_info=True)


async def _no_frames() -> AsyncIterator[bytes]:
    return
    yield


def _check_store(store: Any) -> None:
    if store is None or store == "":
        raise (TypeError if store is None else ValueError)(
            f"store must be a URL or a store, got {store!r}. Leave it out to keep "
            'events in memory; of a variable, say os.environ.get("STORE") or '
            '"memory://".'
        )
    if isinstance(store, type):
        raise TypeError(f"store must be a store, got its class {store!r}: make one.")
    if not isinstance(store, str):
        check_methods(*_STORE_METHODS, store=store)


def _log_redacted(id: str, owner: str | None, error: BaseException) -> str:
    """The message of ``redacted``; the server's log says in which call and for whom."""
    state = current.get()
    call = f"actor {state.address!r}, " if state is not None else ""
    return redacted(error, f"{call}execution {id!r}, owner {owner!r}")


def _by_name(actors: Sequence[ActorFunction[..., Any]]) -> dict[str, Actor[..., Any]]:
    if not actors:
        raise ValueError("Give at least one actor: a function under @agent or @tool.")
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


def _fingerprint(name: str, input: Any, owner: str | None) -> str:
    """Of what was given: defaults may be made anew each time, sets have no order."""
    if isinstance(input, bytes):
        input = from_json(input)
    elif isinstance(input, BaseModel):
        input = input.model_dump(mode="json", exclude_unset=True)
    asked = json.dumps([name, owner, input or {}], sort_keys=True, default=repr)
    return hashlib.sha256(asked.encode()).hexdigest()
