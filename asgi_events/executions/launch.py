"""Starts actors: checks what is asked for, opens a log for it, and runs it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pydantic import BaseModel
from pydantic_core import from_json

from asgi_events.actors.actor import Actor, ActorFunction, actor_of
from asgi_events.actors.inputs import ActorInput
from asgi_events.actors.state import ExecutionState, current
from asgi_events.aio.threads import Threads
from asgi_events.bus import EventBus
from asgi_events.error_messages import ErrorMessage, redacted, with_traceback
from asgi_events.events import SHUTTING_DOWN
from asgi_events.exceptions import Draining, UnknownActor
from asgi_events.executions.execution import Execution, Run
from asgi_events.executions.facts import Facts
from asgi_events.executions.held import Claim, Held, Make, Opened
from asgi_events.executions.names import check_owner, check_thread
from asgi_events.executions.options import ExecutionsOptions
from asgi_events.executions.run import EndedRun, LocalRun
from asgi_events.executions.shutdown import Shutdown
from asgi_events.executions.viewers import Capacity, Place, Viewers, Viewing
from asgi_events.log.writer import LogWriter, check_size
from asgi_events.redaction import Redaction

# json.dumps would make one for each start.
_write = json.JSONEncoder(sort_keys=True, default=repr)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be started.

    Attributes:
        actor: The actor's name.
        arguments: Its validated input.
        owner: To whom the execution is to belong.
        thread: The thread of that owner that it continues, if any.
        fingerprint: A hash of what was asked for.
        preface: The events that precede those of the actor.
    """

    actor: str
    arguments: dict[str, Any]
    owner: str | None
    thread: str | None
    fingerprint: str
    preface: Sequence[BaseModel] = ()


def ask(
    actors: Mapping[str, Actor[..., Any]],
    inputs: Mapping[str, ActorInput],
    actor: str | ActorFunction[..., Any],
    input: Any,
    owner: str | None,
    thread: str | None,
    preface: Sequence[BaseModel] = (),
) -> Asked:
    """Check what is to be started; the last five are those of ``Executions.start``.

    Raises:
        UnknownActor: There is no such actor.
        TypeError: The owner or the thread is no str.
        ValueError: The owner is blank, or the thread is not valid.
        InvalidInput: The input does not validate.
    """
    name = actor if isinstance(actor, str) else actor_of(actor).name
    if name not in actors:
        raise UnknownActor(name, list(actors))
    check_owner(owner)
    check_thread(thread)
    takes = inputs[name]
    is_json = isinstance(input, bytes)
    arguments = takes.from_json(input) if is_json else takes.from_python(input)
    fingerprint = _fingerprint(name, input, owner, thread)
    return Asked(name, arguments, owner, thread, fingerprint, preface)


def make_execution(
    actors: Mapping[str, Actor[..., Any]],
    viewing: Viewing,
    facts: Facts,
    opened: Opened,
    make_run: Callable[[Viewers], Run],
) -> Execution:
    """An execution of this process or of another one.

    Args:
        actors: Those of this process, which may know what it returns.
        viewing: What its viewers share with others.
        facts: What it is.
        opened: Where its events are.
        make_run: Makes what is behind it.
    """
    log, read_page = opened.log, opened.read_page
    viewers = Viewers(log, viewing, owner=facts.owner, read_page=read_page)
    return Execution(
        facts,
        log=log,
        viewers=viewers,
        run=make_run(viewers),
        questions=opened.questions,
        read_page=read_page,
        calls=actors.get(facts.actor),
    )


class Launcher:
    """Runs what was asked for.

    Args:
        actors: By name.
        options: How they are run.
        held: Where their executions are opened and held.
        shutdown: Whether the process stops.
        make: Makes an execution.
    """

    def __init__(
        self,
        actors: Mapping[str, Actor[..., Any]],
        options: ExecutionsOptions,
        held: Held,
        shutdown: Shutdown,
        make: Make,
    ) -> None:
        self._actors = actors
        self._options = options
        self._held = held
        self._on_news = held.feeds.questioned
        self._shutdown = shutdown
        self._make = make
        self._discarding: set[asyncio.Task[None]] = set()
        self._threads = Threads(options["max_threads"])
        self._running = Capacity(
            "max_executions",
            options["max_executions"],
            per_owner=options["max_executions_per_owner"],
        )
        self._error_message = options["error_message"]
        if self._error_message is None and options["debug"]:
            self._error_message = with_traceback
        redact = options["redact"]
        self._redaction = None if redact is None else Redaction(redact)

    async def launch(
        self, asked: Asked, id: str, claim: Claim | None = None
    ) -> Execution:
        """Start an execution of a new id.

        Args:
            asked: What is to be started.
            id: The execution's id.
            claim: Opens its log, where others may do so too; see ``Held``.

        Raises:
            Draining: The process stops.
            EventTooLarge: An event of the preface has too many bytes.
            LimitReached: No more may run, or wait in its thread.
            ThreadBusy: Another execution of its thread runs.
            UnknownExecution: There was one of that id in the thread, no longer kept.
            Busy, Ended: There is one of that id.
            StoreError: The store did not open the log.
        """
        shutdown = self._shutdown
        if shutdown.stops:
            raise Draining
        for event in asked.preface:
            check_size(event, self._options["max_event_bytes"])
        facts = Facts(
            id=id,
            actor=asked.actor,
            owner=asked.owner,
            created=datetime.now(UTC),
            fingerprint=asked.fingerprint,
            thread=asked.thread,
        )
        place = self._running.take(asked.owner)
        try:
            when_busy = self._actors[asked.actor].when_busy
            with shutdown.launching():
                opened = await self._held.open(facts, claim, when_busy)
                if shutdown.begun and claim is None:
                    await self._held.discard(id)  # nobody else knows the id
                    raise Draining
            execution = self._run(facts, asked, opened, place)
        except BaseException as error:
            place.release()
            if claim is None and isinstance(error, asyncio.CancelledError):
                self._discard_soon(id)  # the store may have opened it
            raise
        if shutdown.is_grace_over:  # since then; others may have found it already
            await execution.cancel(SHUTTING_DOWN)
        return execution

    def _discard_soon(self, id: str) -> None:
        async def discard() -> None:
            with self._shutdown.launching():
                await self._held.discard(id)

        task = asyncio.ensure_future(discard())
        self._discarding.add(task)
        task.add_done_callback(self._discarding.discard)

    def _run(
        self, facts: Facts, asked: Asked, opened: Opened, place: Place
    ) -> Execution:
        """Run an actor, under a log that was opened for it."""
        options, id = self._options, facts.id
        message = self._describe(facts)
        bus = EventBus()
        state = ExecutionState(
            bus,
            cache_backend=options["cache_backend"],
            error_message=message,
            execution_id=id,
            owner=facts.owner,
        )
        state.threads = self._threads
        state.questions = opened.questions
        opened.questions.redaction = self._redaction
        opened.questions.on_news = self._on_news
        writer = LogWriter(
            opened.log,
            include_result=True,
            error_message=message,
            max_event_bytes=options["max_event_bytes"],
            redaction=self._redaction,
        )
        bus.subscribe(writer.write)
        for handler in options["handlers"]:
            bus.subscribe_for(handler, id, actor=facts.actor, owner=facts.owner)
        for event in asked.preface:
            bus.publish_nowait(event)

        ending = _Ending(self._held, place)
        make_run = partial(
            LocalRun,
            call=partial(self._actors[facts.actor].run, state, kwargs=asked.arguments),
            turn=opened.turn,
            id=id,
            state=state,
            writer=writer,
            recording=opened.recording,
            questions=opened.questions,
            options=options,
            on_end=ending,
        )
        ending.execution = execution = self._make(facts, opened, make_run)
        self._held.add(execution)
        self._held.feeds.started(facts)
        return execution

    def _describe(self, facts: Facts) -> ErrorMessage:
        return self._error_message or _Redacting(facts)


class _Ending:
    """What follows when an execution has ended.

    Args:
        held: Where it is held.
        place: The place that it has taken.

    Attributes:
        execution: The execution, once it is made.
    """

    __slots__ = ("_held", "_place", "execution")

    execution: Execution

    def __init__(self, held: Held, place: Place) -> None:
        self._held = held
        self._place = place

    def __call__(self, run: EndedRun) -> None:
        self._place.release()
        execution, held = self.execution, self._held
        held.retain(execution, run)
        if run.ended is not None:
            held.feeds.ended(execution.facts, execution.status, run.ended)


class _Redacting:
    """An ``ErrorMessage``; the server's log says in which call, and for whom.

    Args:
        facts: What the execution is.
    """

    __slots__ = ("_facts",)

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def __call__(self, error: BaseException) -> str:
        state, facts = current.get(), self._facts
        call = f"actor {state.address!r}, " if state is not None else ""
        return redacted(error, f"{call}execution {facts.id!r}, owner {facts.owner!r}")


def _fingerprint(name: str, input: Any, owner: str | None, thread: str | None) -> str:
    """Of what was given: defaults may be made anew each time, sets have no order."""
    if isinstance(input, bytes):
        input = from_json(input)
    elif isinstance(input, BaseModel):
        input = input.model_dump(mode="json", exclude_unset=True)
    what = [name, owner, input or {}]
    if thread is not None:
        what.append(thread)
    asked = _write.encode(what)
    return hashlib.sha256(asked.encode()).hexdigest()
