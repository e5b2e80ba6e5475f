"""When a stream has to act, although no frame comes."""

from __future__ import annotations

import asyncio
import random
from math import ceil
from typing import Protocol

from asgi_events.aio.timers import Timer, timers

_GRAINS = 150  # of a step; a heartbeat of 15 s is up to 0.1 s late


class Timed(Protocol):
    """What ``Deadlines`` calls; each call returns at once."""

    def wake(self) -> None:
        """A heartbeat is due."""

    def expire(self) -> None:
        """The stream has lasted for its longest time."""

    def drop(self) -> None:
        """One send has taken longer than ``send_timeout``."""


class Deadlines(Timer):
    """The heartbeat, the send timeout and the longest duration of one stream.

    One timer looks at all three. The sender writes down when it sends, and calls
    nothing here for a frame.

    Args:
        heartbeat_interval: Seconds without a send until a heartbeat is due, or None.
        send_timeout: Seconds that one send may take, or None.
        max_duration: Seconds that the stream may last, or None. It ends up to a tenth
            earlier, so that clients do not all return at once.

    Attributes:
        beat: Whether a heartbeat is due.
        last_sent: The loop's time at which the last send began.
        sending_since: The loop's time at which the send that is under way began; None
            between sends.
        send_timeout: As given; ``shorten`` may lower it.
    """

    __slots__ = (
        "_ends_at",
        "_heartbeat_interval",
        "_longest_step",
        "_timed",
        "beat",
        "last_sent",
        "send_timeout",
        "sending_since",
    )

    def __init__(
        self,
        *,
        heartbeat_interval: float | None,
        send_timeout: float | None,
        max_duration: float | None,
    ) -> None:
        super().__init__()
        self.beat = False
        self.sending_since: float | None = None
        self.last_sent = asyncio.get_running_loop().time()
        self.send_timeout = send_timeout
        self._heartbeat_interval = heartbeat_interval
        self._longest_step = min(heartbeat_interval or 3600.0, max_duration or 3600.0)
        self._ends_at: float | None = None
        if max_duration is not None:
            self._ends_at = self.last_sent + max_duration * random.uniform(0.9, 1)
        self._timed: Timed | None = None

    def start(self, timed: Timed) -> None:
        """Call ``timed`` at the deadlines from now on.

        The first look is in the second half of an interval.
        """
        self._timed = timed
        timers().place(self, self.last_sent + self._step() * random.uniform(0.5, 1))

    def shorten(self, send_timeout: float) -> None:
        """Allow one send ``send_timeout`` seconds at most, also the one under way."""
        self.send_timeout = min(send_timeout, self.send_timeout or send_timeout)
        if self.slot is not None:
            self.stop()
            timers().place(self, self.tick(asyncio.get_running_loop().time()))

    def _step(self) -> float:
        """Return how many seconds may pass until the next look."""
        return min(self._longest_step, self.send_timeout or 3600.0)

    def tick(self, now: float) -> float:
        """Look at every deadline; return when to look again."""
        assert self._timed is not None
        if self._ends_at is not None and now >= self._ends_at:
            self._ends_at = None
            self._timed.expire()
        if self.sending_since is not None:
            at = self._tick_while_sending(self._timed, now, self.sending_since)
        else:
            at = self._tick_between_sends(self._timed, now)
        return at if self._ends_at is None else min(at, self._ends_at)

    def _tick_between_sends(self, timed: Timed, now: float) -> float:
        # Those of many streams fall together: to wake up costs as much as a heartbeat.
        grain = self._step() / _GRAINS
        at = (ceil((now + self._step()) / grain) - 0.01) * grain
        if self._heartbeat_interval is None:
            return at
        due = self.last_sent + self._heartbeat_interval
        if now < due:
            return min(at, due)
        self.beat = True
        timed.wake()
        return at

    def _tick_while_sending(self, timed: Timed, now: float, since: float) -> float:
        at = now + self._step()  # the send may be over at once
        if self.send_timeout is None:
            return at
        if now < since + self.send_timeout:
            return min(at, since + self.send_timeout)
        timed.drop()
        return at
