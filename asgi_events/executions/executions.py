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
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self, Unpack

from pydantic import BaseModel
from pydantic_core import from_json

from asgi_events.actors.actor import Actor, ActorFunction, actor_of
from asgi_events.actors.inputs import ActorInput, returned_by
from asgi_events.actors.state import ExecutionState, current
from asgi_events.aio import signals
from asgi_events.aio.backoff import Backoff
from asgi_events.aio.threads import Threads
from asgi_events.bus import EventBus
from asgi_events.error_messages import redacted, with_traceback
from asgi_events.events import SHUTTING_DOWN, TerminalEvent
from asgi_events.exceptions import (
    Draining,
    Gone,
    IdempotencyConflict,
    UnknownActor,
    UnknownExecution,
)
from asgi_events.executions.execution import Execution, Facts
from asgi_events.executions.follower import Follower, Hints, Reaper
from asgi_events.executions.held import Held
from asgi_events.executions.idempotency import Claim, Starts, marker_of
from asgi_events.executions.keeper import Keeper
from asgi_events.executions.options import ExecutionsOptions, complete
from asgi_events.executions.recorder import Opening, Recorder
from asgi_events.executions.run import EndedRun, LocalRun, RemoteRun
from asgi_events.executions.shutdown import Shutdown
from asgi_events.executions.viewers import Capacity, Place, Viewers, Viewing
from asgi_events.log.log import Log
from asgi_events.log.writer import LogWriter
from asgi_events.stores.contract import Grant, Page
from asgi_events.stores.urls import open_store

logger = logging.getLogger(__name__)

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

# An Idempotency-Key is known this long, and the retention, where executions may run for
# ever: as long as most services keep one.
_LONGEST = 86_400.0  # seconds

_LOOK_AGAIN = 0.5  # seconds at most until a start is seen that somebody waits for


class Executions:
    """Runs actors, and keeps their events for viewers who come now or later.

    Args:
        actors: What can be started. Without any it finds, watches and cancels what
            other processes run.
        options: See ``ExecutionsOptions``.

    Raises:
        TypeError: What is no actor, or one whose input has no JSON form; an option
            that does not exist, or of a wrong type.
        ValueError: Two actors of one name, or an option out of its range.
    """

    def __init__(
        self, *actors: ActorFunction[..., Any], **options: Unpack[ExecutionsOptions]
    ) -> None:
        self._options = given = complete(options)
        store = "memory://" if given["store"] is None else given["store"]
        self.actors = _by_name(actors)
        self.inputs = {name: ActorInput(actor) for name, actor in self.actors.items()}
        self.store = open_store(store) if isinstance(store, str) else store
        self._owns_store = isinstance(store, str)
        durable = getattr(self.store, "durable", True)
        self._error_message = given["error_message"]
        if self._error_message is None and given["debug"]:
            self._error_message = with_traceback
        self._name = secrets.token_hex(8)
        self._running = Capacity(
            "max_executions",
            given["max_executions"],
            per_owner=given["max_executions_per_owner"],
        )
        viewers = Capacity(
            "max_viewers",
            given["max_viewers"],
            per_owner=given["max_viewers_per_owner"],
        )
        self.viewing = Viewing(given, viewers, drain=self.drain, returns=durable)
        self._threads = Threads(given["max_threads"])
        self._hints = Hints(self.store, lambda: self._writer)
        self._reaper = Reaper(self.store, lease=given["lease"])
        self._keeper = Keeper(self.store, self._hints, lease=given["lease"])
        self._held = Held(self.store, self._keeper, given)
        self._starts = Starts(
            self.store,
            self.get,
            writer=lambda: self._writer,
            lease=given["lease"],
            ttl=given["retention"] + (given["max_duration"] or _LONGEST),
            on_claimed=self._keeper.keep_mark,
        )
        self._shutdown = Shutdown(self._held, self._starts, self.viewing, self._release)

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

        Where the store lasts, what has ended is not among them: ``get`` finds it.
        """
        return iter(list(self._held.here.values()))

    def open(self) -> None:
        """Serve, again after a drain; a new one is open already."""
        if self._shutdown.reopen():
            self._name = secrets.token_hex(8)  # goes on with no log of its former life
        self.hear_signals()

    def hear_signals(self) -> None:
        """Hear signals from now on, unless ``handle_signals`` is off.

        The routes call it with each request, for servers that send no lifespan.
        """
        if self._options["handle_signals"] and not self.draining:
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
            local = self._held.here.get(id)
            execution = local or await self._starts.by_id(id, begin)
        else:
            return await begin(secrets.token_hex(16))
        if execution.fingerprint != fingerprint:
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
                return await self._get(id)
            except UnknownExecution:
                if asyncio.get_running_loop().time() >= until:
                    raise
            await backoff.wait()

    async def _get(self, id: str) -> Execution:
        local = self._held.here.get(id)
        if local is not None:
            return local
        page = await self._look(id) if _ID.fullmatch(id) else None
        if page is None:
            raise UnknownExecution(id)
        execution = self._held.elsewhere.get(id)
        if execution is None or (execution.log.end is not None and page.end is None):
            # There was none, or one whose end the store does not have.
            execution = self._held.elsewhere[id] = self._make_remote(id, page)
            self._held.share()
        log = execution.log
        log.known = max(log.known, page.last)
        ends_otherwise = page.end is not None and page.last < log.last
        # Who is there is shown what is new, frame by frame.
        if not execution.viewers and (page.last > log.last or ends_otherwise):
            log.fork(page.last, end=page.end)
        if page.ended is not None and log.end is not None:
            execution.ended = datetime.fromtimestamp(page.ended, UTC)
        return execution

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

    def _told(self, longest: float) -> asyncio.Future[None]:
        """The process is told to stop."""
        grace = min(self._options["drain_grace"], longest)
        draining = self._shutdown.begin(grace)
        self._shutdown.shorten(grace)
        return draining

    async def _release(self) -> None:
        """Release what is left when everything has ended."""
        await self._held.clear()
        await self._reaper.aclose()
        await self._keeper.aclose()
        try:
            if self._owns_store:
                await self.store.aclose()
        finally:
            signals.forget(self)

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
        facts = Facts(
            id=id,
            actor=name,
            owner=owner,
            created=datetime.now(UTC),
            fingerprint=fingerprint,
        )
        meta = facts.to_meta() | {
            "writer": self._writer,
            "lease": f"{self._options['lease']:g}",
        }
        opening = Opening(
            store=self.store,
            key=id,
            writer=self._writer,
            lease=self._options["lease"],
            ttl=self._options["retention"],
            meta=meta,
        )
        place = self._running.take(owner)
        try:
            grant = await (opening.open() if claim is None else claim(opening.open))
            if self._shutdown.begun and claim is None:
                await self._held.delete(id)  # nobody else knows the id
                raise Draining
        except BaseException:
            place.release()
            raise
        execution = self._run(facts, arguments, opening, grant, place)
        if self._shutdown.begun:  # since then; others may have found it already
            if self._shutdown.is_grace_over:
                await execution.cancel(SHUTTING_DOWN)
            await execution.wait()
        return execution

    def _run(
        self,
        facts: Facts,
        arguments: dict[str, Any],
        opening: Opening,
        grant: Grant,
        place: Place,
    ) -> Execution:
        """Run an actor, under a log that was opened for it."""
        options, id = self._options, facts.id
        log = self._make_log(id, grant.last)
        viewers = self._make_viewers(facts, log)
        message = self._error_message or partial(_log_redacted, id, facts.owner)
        bus = EventBus()
        state = ExecutionState(
            bus,
            cache_backend=options["cache_backend"],
            error_message=message,
            execution_id=id,
            owner=facts.owner,
        )
        state.threads = self._threads
        writer = LogWriter(
            log,
            include_result=True,
            error_message=message,
            max_event_bytes=options["max_event_bytes"],
            on_end=lambda event: tell(event),
        )
        unsubscribe = bus.subscribe(writer)
        for handler in options["handlers"]:
            bus.subscribe_for(handler, id, actor=facts.actor, owner=facts.owner)
        actor = self.actors[facts.actor]

        def tell(event: TerminalEvent) -> None:
            unsubscribe()
            bus.publish_nowait(event)

        def ended(run: EndedRun) -> None:
            place.release()
            self._held.retain(execution, run)

        run = LocalRun(
            actor.run(state, kwargs=arguments),
            id=id,
            log=log,
            viewers=viewers,
            state=state,
            writer=writer,
            unsubscribe=unsubscribe,
            recorder=Recorder(log, opening, grant),
            follower=self._make_follower(log),
            hints=self._hints,
            options=options,
            cache_backend=options["cache_backend"],
            on_stored=partial(self._keeper.keep, opening, log),
            on_end=ended,
        )
        execution = self._held.here[id] = self._make(facts, log, viewers, run)
        self._held.share()
        return execution

    @property
    def _writer(self) -> str:
        """Who writes the logs; a process that was forked off this one is another."""
        return f"{self._name}-{os.getpid()}"

    def _make(
        self, facts: Facts, log: Log, viewers: Viewers, run: LocalRun | RemoteRun
    ) -> Execution:
        actor = self.actors.get(facts.actor)
        return Execution(
            facts,
            log=log,
            viewers=viewers,
            run=run,
            read_page=partial(self.store.read, facts.id),
            result_type=Any if actor is None else returned_by(actor),
        )

    def _make_remote(self, id: str, page: Page) -> Execution:
        facts = Facts.from_meta(id, page.meta)
        log = self._make_log(id, page.last)
        log.extend([], end=page.end)
        viewers = self._make_viewers(facts, log)
        run = RemoteRun(
            id=id,
            log=log,
            viewers=viewers,
            store=self.store,
            follower=self._make_follower(log),
            ended=None,
        )
        return self._make(facts, log, viewers, run)

    def _make_log(self, id: str, start: int) -> Log:
        return Log(id, keeps="unstored", start=start, bounds=self._held.bounds)

    def _make_viewers(self, facts: Facts, log: Log) -> Viewers:
        read_page = partial(self.store.read, facts.id)
        return Viewers(log, self.viewing, owner=facts.owner, read_page=read_page)

    def _make_follower(self, log: Log) -> Follower:
        after, lease = self._options["cancel_after"], self._options["lease"]
        return Follower(
            log,
            self.store,
            self._hints,
            self._reaper,
            attend=None if after is None else max(after, lease),
            patience=lease,
        )

    async def _look(self, id: str) -> Page | None:
        """How a log stands; one whose writer is dead is ended soon."""
        page = await self.store.read(id, 0, 0)
        if page is not None and not page.alive:
            self._reaper.suspect(id)
        return page


def _log_redacted(id: str, owner: str | None, error: BaseException) -> str:
    """The message of ``redacted``; the server's log says in which call and for whom."""
    state = current.get()
    call = f"actor {state.address!r}, " if state is not None else ""
    return redacted(error, f"{call}execution {id!r}, owner {owner!r}")


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


def _fingerprint(name: str, input: Any, owner: str | None) -> str:
    """Of what was given: defaults may be made anew each time, sets have no order."""
    if isinstance(input, bytes):
        input = from_json(input)
    elif isinstance(input, BaseModel):
        input = input.model_dump(mode="json", exclude_unset=True)
    asked = json.dumps([name, owner, input or {}], sort_keys=True, default=repr)
    return hashlib.sha256(asked.encode()).hexdigest()
