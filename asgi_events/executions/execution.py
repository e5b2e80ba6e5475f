"""One execution, wherever it runs: what it is, how it stands, and who watches it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from pydantic import BaseModel, TypeAdapter, ValidationError

from asgi_events.aio.waiter import Waiter
from asgi_events.events import (
    CANCELLED,
    CompleteEvent,
    ExecutionStatus,
    ProgressEvent,
    TerminalEvent,
)
from asgi_events.exceptions import (
    ExecutionCancelled,
    ExecutionFailed,
    ExecutionLost,
    ResultGone,
)
from asgi_events.executions.viewers import Viewers
from asgi_events.log.cursor import ReadPage
from asgi_events.log.log import Log
from asgi_events.log.stored import StoredLog
from asgi_events.wire.decoding import AnyEvent, EventDecoder
from asgi_events.wire.frames import split
from asgi_events.wire.sse import Decoder

# How many frames are searched for the newest progress: the newest ones, then those
# before them, 256 in all. The search ends when they have had so many bytes.
_PROGRESS = 16, 48, 192
_PROGRESS_BYTES = 1024 * 1024

_FAILURES: Mapping[str, type[ExecutionFailed]] = {
    ExecutionStatus.FAILED: ExecutionFailed,
    ExecutionStatus.CANCELLED: ExecutionCancelled,
    ExecutionStatus.LOST: ExecutionLost,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What an execution is, which does not change.

    Attributes:
        id: Its name in URLs and event ids; by default 32 hexadecimal digits.
        actor: The actor's name.
        owner: Who started it, as ``authorize`` returned; None without one.
        created: When it was started.
        fingerprint: A hash of what was asked for, to tell whether the same is asked
            for again.
        thread: The thread that it is a turn of; None without one.
    """

    id: str
    actor: str
    owner: str | None
    created: datetime
    fingerprint: str
    thread: str | None = None

    @classmethod
    def from_meta(cls, id: str, meta: Mapping[str, str]) -> Facts:
        """The facts that a store keeps with a log."""
        return cls(
            id=id,
            actor=meta["actor"],
            owner=meta.get("owner"),
            created=datetime.fromisoformat(meta["created"]),
            fingerprint=meta["fingerprint"],
            thread=meta.get("thread"),
        )

    def to_meta(self) -> dict[str, str]:
        """The facts as a store keeps them with a log."""
        meta = {
            "actor": self.actor,
            "created": self.created.isoformat(),
            "fingerprint": self.fingerprint,
        }
        if self.owner is not None:
            meta["owner"] = self.owner
        if self.thread is not None:
            meta["thread"] = self.thread
        return meta


class Run(Protocol):
    """What is behind an execution: a task of this process, or of another one.

    Attributes:
        is_local: Whether it runs in this process.
        ended: When its terminal event was stored; None while it runs.
    """

    ended: datetime | None

    @property
    def is_local(self) -> bool: ...

    async def cancel(self, message: str) -> bool:
        """Cancel it; False when it is over."""

    async def wait(self) -> None:
        """Wait until its terminal event is stored."""

    def abandon(self) -> None:
        """Stop recording: the process stops, and others see its lease end."""


class Execution:
    """A running or finished call of an actor; ``Executions`` starts and finds them.

    Args:
        facts: What it is.
        log: Its frames.
        viewers: Who watches it.
        run: What is behind it.
        read_page: Reads frames that the log has dropped; None where nobody has them.
        result_type: What the actor's function is annotated to return.

    Attributes:
        log: Its frames.
        watchers: Who watches it in this process.
    """

    __slots__ = (
        "__weakref__",
        "_facts",
        "_read_page",
        "_result_type",
        "_run",
        "log",
        "watchers",
    )

    def __init__(
        self,
        facts: Facts,
        *,
        log: Log,
        viewers: Viewers,
        run: Run,
        read_page: ReadPage | None = None,
        result_type: Any = Any,
    ) -> None:
        self.log = log
        self.watchers = viewers
        self._facts = facts
        self._run = run
        self._read_page = read_page
        self._result_type = result_type

    def __repr__(self) -> str:
        return f"<Execution {self.id} of {self.actor}: {self.status}>"

    def end(self, run: Run) -> None:
        """Hold no more than what viewers need, where all else is in a store.

        Args:
            run: What is behind it from now on.
        """
        self._run = run
        self.watchers.on_change = None
        if isinstance(self.log, StoredLog):
            self.watchers.on_change = partial(self._drop_unwatched, self.log)
            self._drop_unwatched(self.log)

    @property
    def id(self) -> str:
        """Its name in URLs and event ids; by default 32 hexadecimal digits."""
        return self._facts.id

    @property
    def actor(self) -> str:
        """The actor's name."""
        return self._facts.actor

    @property
    def owner(self) -> str | None:
        """Who started it, as ``authorize`` returned; None without one."""
        return self._facts.owner

    @property
    def thread(self) -> str | None:
        """The thread that it is a turn of; None without one."""
        return self._facts.thread

    @property
    def created(self) -> datetime:
        """When it was started."""
        return self._facts.created

    @property
    def ended(self) -> datetime | None:
        """When its terminal event was stored; None while it runs."""
        return self._run.ended

    @ended.setter
    def ended(self, moment: datetime) -> None:
        self._run.ended = moment

    @property
    def fingerprint(self) -> str:
        """A hash of what was asked for."""
        return self._facts.fingerprint

    @property
    def status(self) -> ExecutionStatus:
        """``started`` while it runs, then how it ended."""
        if self.log.end is None or self.log.committed < self.log.last:
            return ExecutionStatus.STARTED
        return ExecutionStatus(self.log.end)

    @property
    def viewers(self) -> int:
        """How many watch it now, in this process."""
        return len(self.watchers)

    @property
    def runs_here(self) -> bool:
        """Whether it runs in this process."""
        return self._run.is_local and self._run.ended is None

    async def wait(self) -> ExecutionStatus:
        """Wait for the end, and return how it ended."""
        await self._run.wait()
        return self.status

    async def cancel(self, message: str = CANCELLED) -> bool:
        """Cancel it, wherever it runs; False when it is over already.

        Viewers are told ``message`` where it runs in this process.

        Raises:
            Unavailable: It runs elsewhere, and the store does not answer.
        """
        return await self._run.cancel(message)

    async def result(self) -> Any:
        """Wait for the end, and return what the actor returned.

        It comes from the ``complete`` event, so it is the same in every process: the
        JSON of what was returned, validated as the type that the actor's function is
        annotated to return. Without an annotation it is the JSON data itself.

        Raises:
            ExecutionFailed: It failed; ``ExecutionCancelled``, ``ExecutionLost``: it
                was cancelled or lost. All name it and say what viewers were told.
            ResultGone: It is not kept any more.
            ValueError: What was returned is not what the annotation says.
            Unavailable: The store does not answer.
        """
        await self.wait()
        event = await self.terminal_event()
        if event is None:
            raise ResultGone(self.id)
        if not isinstance(event, CompleteEvent):
            status = self.status
            failure = _FAILURES.get(status, ExecutionFailed)
            raise failure(self.id, status.value, event.message)
        try:
            return TypeAdapter(self._result_type).validate_python(event.result)
        except ValidationError as error:
            raise ValueError(
                f"Execution {self.id} returned something else than its actor "
                f"{self.actor!r} is annotated to return: {error}"
            ) from error

    async def events(
        self,
        after: int = 0,
        *,
        types: Iterable[type[BaseModel]] = (),
        counts: bool = True,
    ) -> AsyncGenerator[AnyEvent, None]:
        """The events from number ``after`` + 1 to the terminal one, as they come.

        They are numbered from 1 without holes. Where the oldest are not kept any more
        a ``ResetEvent`` says which one follows.

        Args:
            after: The number of the last event that the caller has.
            types: Models of the application's that events are made into; see
                ``EventDecoder``. What no model knows is a dict.
            counts: The caller counts as a viewer for ``cancel_after``.

        Raises:
            ValueError: There is no event ``after`` yet, or it is negative.
        """
        newest = max(self.log.last, self.log.known)
        if not 0 <= after <= newest:
            raise ValueError(
                f"Execution {self.id} has {newest} events so far, so nobody can have "
                f"had number {after}: give 0 for all of them."
            )
        decoder, sse = EventDecoder(types), Decoder()
        last_event_id = f"{self.id}:{after}" if after else None
        cursor = self.watchers.attach(last_event_id, counts=counts)
        waiter = Waiter(cursor.on_ready)
        try:
            while (chunk := cursor.take()) is not None:
                if not chunk:
                    await waiter.sleep()
                for block in sse.feed(chunk):
                    event = decoder.from_sse(block)
                    if event is not None:
                        yield event
        finally:
            cursor.close()

    async def terminal_event(self) -> TerminalEvent | None:
        """The terminal event; None while it runs, or when it is not kept any more."""
        log = self.log
        if log.end is None or log.committed < log.last:
            return None
        for payload in reversed(await self._between(log.last - 1, log.last)):
            event = EventDecoder().from_json(payload)
            if isinstance(event, TerminalEvent):
                return event
        return None

    async def progress(self) -> ProgressEvent | None:
        """The newest progress among the newest 256 events; if they are long, fewer."""
        last, size = self.log.committed, 0
        for count in _PROGRESS:
            after = max(last - count, 0)
            payloads = await self._between(after, last)
            for payload in reversed(payloads):
                if b'"event_type":"progress"' in payload:
                    event = EventDecoder().from_json(payload)
                    if isinstance(event, ProgressEvent):
                        return event
            size += sum(map(len, payloads))
            if size > _PROGRESS_BYTES:
                break
            last = after
        return None

    async def so_far(self) -> list[bytes]:
        """Return the JSON of the events so far, of those that are kept."""
        return await self._between(0, max(self.log.committed, self.log.known))

    def dismiss(self) -> None:
        """Send the viewers away, since the process stops; they reconnect."""
        self.watchers.dismiss()

    def abandon(self) -> None:
        """Stop recording: the process stops."""
        self._run.abandon()

    def _drop_unwatched(self, log: StoredLog) -> None:
        if not self.watchers:
            log.skip_to(log.last + 1)

    async def _between(self, after: int, last: int) -> list[bytes]:
        return await _payloads(self.log, self._read_page, after, last)


async def _payloads(
    log: Log, read_page: ReadPage | None, after: int, last: int
) -> list[bytes]:
    """The payloads of the events after ``after`` up to ``last`` that are kept."""
    frames: list[bytes] = []
    while after < last:
        if after >= log.first - 1 or read_page is None:
            after = max(after, log.first - 1)
            frames += log.since(after)[: max(last - after, 0)]
            break
        page = await read_page(after, _PROGRESS_BYTES)
        if page is None or not page.frames:
            break
        frames += page.frames[: max(last + 1 - page.first, 0)]
        after = page.first - 1 + len(page.frames)
    return [split(frame)[0] for frame in frames]
