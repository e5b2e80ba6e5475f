"""A timer wheel: all streams of an event loop share a few timers of the loop.

Five thousand heartbeats cost the loop one timer for each slot in use, not five
thousand. The price is precision: a callback comes up to one slot late.

A slot calls a hundred in each turn of the loop: those whose heartbeat is due write, and
all else has its turn before the next hundred, who come later by these turns.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextvars import Context
from dataclasses import dataclass, field
from itertools import islice
from math import ceil, floor
from typing import TypeAlias
from weakref import WeakKeyDictionary, ref

logger = logging.getLogger(__name__)

Tick: TypeAlias = Callable[[float], float | None]
"""Takes the loop's time; returns the time of its next call, None for never."""

_SLOT = 0.025  # seconds
_SLICE = 100  # timers called in one turn, as viewers are woken


class Timer:
    """What a wheel calls at its time."""

    __slots__ = ("slot",)

    def __init__(self) -> None:
        self.slot: _Slot | None = None

    def tick(self, now: float) -> float | None:
        """Take the loop's time; return the time of the next call, None for never."""
        raise NotImplementedError

    def stop(self) -> None:
        """Do not call it any more. Does nothing when it has stopped already."""
        slot, self.slot = self.slot, None
        if slot is None:
            return
        slot.timers.discard(self)
        if not slot.timers:
            slot.handle.cancel()
            if slot.slots.get(slot.number) is slot:  # a loop may be early with a slot
                del slot.slots[slot.number]


class _Callback(Timer):
    __slots__ = ("_call",)

    def __init__(self, call: Tick) -> None:
        super().__init__()
        self._call = call

    def tick(self, now: float) -> float | None:
        return self._call(now)


@dataclass(eq=False, slots=True)
class _Slot:
    number: int
    slots: dict[int, _Slot]
    handle: asyncio.TimerHandle
    timers: set[Timer] = field(default_factory=set)


class TimerWheel:
    """Calls back at about a given time of the running loop."""

    def __init__(self) -> None:
        self._slots: dict[int, _Slot] = {}

    def start(self, tick: Tick, at: float) -> Timer:
        """Call ``tick`` at the loop's time ``at``, then at each time it returns."""
        timer = _Callback(tick)
        self.place(timer, at)
        return timer

    def place(self, timer: Timer, at: float) -> None:
        """Call ``timer.tick`` likewise."""
        loop = asyncio.get_running_loop()
        number = max(ceil(at / _SLOT), floor(loop.time() / _SLOT) + 1)
        slot = self._slots.get(number)
        if slot is None:
            handle = loop.call_at(number * _SLOT, self._turn, number, context=Context())
            slot = self._slots[number] = _Slot(number, self._slots, handle)
        slot.timers.add(timer)
        timer.slot = slot

    def _turn(self, number: int) -> None:
        slot = self._slots.pop(number)
        self._call_some(slot, iter(list(slot.timers)))

    def _call_some(self, slot: _Slot, rest: Iterator[Timer]) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        some = list(islice(rest, _SLICE))
        for timer in some:
            if timer.slot is not slot:  # it was stopped meanwhile
                continue
            try:
                at = timer.tick(now)
            except Exception:
                logger.exception("A timer failed; the others go on.")
                at = None
            if timer.slot is not slot:
                continue
            if at is None:
                timer.slot = None
            else:
                self.place(timer, at)
        if len(some) == _SLICE:
            loop.call_soon(self._call_some, slot, rest, context=Context())


# NOTE: the values are weak: a wheel refers to its loop through its timer handles, so a
# strong reference would keep the loop for ever. Scheduled timers keep a wheel alive; a
# wheel without timers has no state to lose.
_wheels: WeakKeyDictionary[asyncio.AbstractEventLoop, ref[TimerWheel]]
_wheels = WeakKeyDictionary()


def timers() -> TimerWheel:
    """Return the timer wheel of the running event loop."""
    loop = asyncio.get_running_loop()
    known = _wheels.get(loop)
    found = known() if known is not None else None
    if found is None:
        found = TimerWheel()
        _wheels[loop] = ref(found)
    return found
