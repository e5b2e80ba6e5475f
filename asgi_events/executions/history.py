"""Looks back in the log of an execution, for what somebody missed."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError

from asgi_events.events import (
    CompleteEvent,
    ProgressEvent,
    TerminalEvent,
)
from asgi_events.exceptions import (
    ExecutionFailed,
    ResultGone,
)
from asgi_events.executions.facts import Facts
from asgi_events.log.log import Log
from asgi_events.log.pages import ReadPage
from asgi_events.wire.decoding import EventDecoder
from asgi_events.wire.frames import split

# How many frames are searched for the newest progress: the newest ones, then those
# before them, 256 in all. The search ends when they have had so many bytes.
_PROGRESS = 16, 48, 192
_PROGRESS_BYTES = 1024 * 1024


class History:
    """What the log of an execution has had so far.

    Args:
        log: Its frames.
        read_page: Reads frames that the log has dropped; None where nobody has them.
    """

    __slots__ = ("_log", "_read_page")

    def __init__(self, log: Log, read_page: ReadPage | None) -> None:
        self._log = log
        self._read_page = read_page

    async def terminal_event(self) -> TerminalEvent | None:
        """The terminal event; None while it runs, or when it is not kept any more."""
        log = self._log
        if log.end is None or log.committed < log.last:
            return None
        for payload in reversed(await self._between(log.last - 1, log.last)):
            event = EventDecoder().from_json(payload)
            if isinstance(event, TerminalEvent):
                return event
        return None

    async def result(self, facts: Facts, type: Any) -> Any:
        """Return what the actor has returned; see ``Execution.result``."""
        id, event = facts.id, await self.terminal_event()
        if event is None:
            raise ResultGone(id)
        if not isinstance(event, CompleteEvent):
            raise ExecutionFailed.of(id, str(self._log.end), event.message)
        try:
            return TypeAdapter(type).validate_python(event.result)
        except ValidationError as error:
            raise ValueError(
                f"Execution {id} returned something else than its actor "
                f"{facts.actor!r} is annotated to return: {error}"
            ) from error

    async def progress(self) -> ProgressEvent | None:
        """The newest progress among the newest 256 events; if they are long, fewer."""
        last, size = self._log.committed, 0
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
        return await self._between(0, max(self._log.committed, self._log.known))

    async def _between(self, after: int, last: int) -> list[bytes]:
        """The payloads of the events after ``after`` up to ``last`` that are kept."""
        log, read_page = self._log, self._read_page
        frames: list[bytes] = []
        while after < last:
            if after >= log.first - 1 or read_page is None:
                after = max(after, log.first - 1)
                frames += log.between(after, max(after, last))
                break
            page = await read_page(after, _PROGRESS_BYTES)
            if page is None or not page.frames:
                break
            frames += page.frames[: max(last + 1 - page.first, 0)]
            after = page.first - 1 + len(page.frames)
        return [split(frame)[0] for frame in frames]
