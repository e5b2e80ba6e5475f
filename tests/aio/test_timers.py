"""Shared timers, on an event loop whose clock only moves when it would wait."""

import asyncio
import gc
import logging
import selectors
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from asgi_events.aio.timers import TimerWheel, timers

SLOT = 0.025  # seconds: how late a callback may come
START = 1000.0


class Clock(selectors.DefaultSelector):
    """Never waits: it moves its own time on by as much as it was to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.waits = 0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        assert timeout is not None, "nothing will ever happen any more"
        self.now += timeout
        self.waits += 1
        return ready


Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def run(clock: Clock) -> Iterator[Run]:
    """Run a coroutine on a loop of its own, which has that clock."""
    loop = asyncio.SelectorEventLoop(clock)
    loop.time = lambda: clock.now  # type: ignore[method-assign]  # that is the point
    yield loop.run_until_complete
    loop.close()


def test_calls_back_at_most_a_slot_late(run: Run, clock: Clock) -> None:
    late: list[float] = []

    async def main() -> None:
        timers = TimerWheel()
        for n in range(200):
            at = START + n * 0.0037

            def tick(now: float, at: float = at) -> None:
                late.append(now - at)

            timers.start(tick, at)
        await asyncio.sleep(2)

    run(main())
    assert len(late) == 200
    assert -1e-6 <= min(late)
    assert max(late) <= SLOT + 1e-6


def test_tells_the_tick_the_loop_s_time(run: Run, clock: Clock) -> None:
    told: list[bool] = []

    def tick(now: float) -> None:
        told.append(now == clock.now)

    async def main() -> None:
        TimerWheel().start(tick, START + 1)
        await asyncio.sleep(2)

    run(main())
    assert told == [True]


def test_calls_back_whenever_the_tick_says(run: Run) -> None:
    times: list[float] = []

    def tick(now: float) -> float | None:
        times.append(round(now - START, 1))
        return START + 2 * len(times) + 1 if len(times) < 4 else None

    async def main() -> None:
        TimerWheel().start(tick, START + 1)
        await asyncio.sleep(60)

    run(main())
    assert times == [1.0, 3.0, 5.0, 7.0]


def test_calls_back_in_the_next_slot_when_the_time_is_over(run: Run) -> None:
    times: list[float] = []

    async def main() -> None:
        TimerWheel().start(times.append, START - 500)
        assert times == []  # never within start
        await asyncio.sleep(1)

    run(main())
    assert len(times) == 1
    assert START <= times[0] <= START + SLOT + 1e-6


def test_lets_the_loop_run_between_ticks_that_are_always_late(run: Run) -> None:
    count = 0

    def tick(now: float) -> float | None:
        nonlocal count
        count += 1
        return now - 1 if count < 1000 else None

    async def main() -> None:
        TimerWheel().start(tick, START)
        await asyncio.sleep(1)

    run(main())
    assert 1 < count <= 1 / SLOT + 2


def test_shares_one_timer_of_the_loop_by_slot(run: Run) -> None:
    called: list[float] = []

    async def main() -> int:
        loop: Any = asyncio.get_running_loop()
        timers = TimerWheel()
        before = len(loop._scheduled)
        for _ in range(5000):
            timers.start(called.append, START + 0.51)
        used = len(loop._scheduled) - before
        await asyncio.sleep(1)
        return used

    assert run(main()) == 1
    assert len(called) == 5000


def test_does_not_call_a_timer_that_was_stopped(run: Run) -> None:
    called: list[str] = []

    async def main() -> None:
        timers = TimerWheel()
        gone = timers.start(lambda now: called.append("gone"), START + 1)
        timers.start(lambda now: called.append("kept"), START + 1)
        gone.stop()
        gone.stop()  # harmless
        await asyncio.sleep(2)

    run(main())
    assert called == ["kept"]


def test_leaves_nothing_on_the_loop_when_all_timers_are_stopped(run: Run) -> None:
    async def main() -> list[Any]:
        loop: Any = asyncio.get_running_loop()
        timers = TimerWheel()
        for started in [timers.start(print, START + n) for n in range(1, 9)]:
            started.stop()
        return [h for h in loop._scheduled if not h.cancelled()]

    assert run(main()) == []


def test_places_a_timer_again_where_another_was_stopped(run: Run) -> None:
    called: list[str] = []

    async def main() -> None:
        timers = TimerWheel()
        timers.start(lambda now: called.append("first"), START + 1).stop()
        timers.start(lambda now: called.append("second"), START + 1)
        await asyncio.sleep(2)

    run(main())
    assert called == ["second"]


def test_may_be_stopped_by_a_tick_of_the_same_slot(run: Run) -> None:
    called: list[int] = []

    async def main() -> None:
        timers = TimerWheel()

        def tick(me: int, other: int) -> None:
            called.append(me)
            started[other].stop()

        started = {
            me: timers.start(lambda now, me=me: tick(me, 1 - me), START + 1)
            for me in (0, 1)
        }
        await asyncio.sleep(2)

    run(main())
    assert len(called) == 1


def test_lets_the_loop_run_after_a_hundred_of_a_slot(run: Run) -> None:
    called: list[int] = []
    seen: list[int] = []

    async def main() -> None:
        loop, timers = asyncio.get_running_loop(), TimerWheel()
        over = loop.create_future()

        def look() -> None:
            seen.append(len(called))
            if len(called) == 250:
                over.set_result(None)
            else:
                loop.call_soon(look)

        def tick(number: int) -> None:
            if not called:
                loop.call_soon(look)
            called.append(number)

        for number in range(250):
            timers.start(lambda now, number=number: tick(number), START + 0.01)
        await over

    run(main())
    assert seen == [100, 200, 250]
    assert sorted(called) == list(range(250))


def test_may_be_stopped_between_two_hundreds_of_a_slot(run: Run) -> None:
    called: set[int] = set()

    async def main() -> None:
        loop, timers = asyncio.get_running_loop(), TimerWheel()
        stopped = loop.create_future()

        def stop() -> None:
            for number, timer in enumerate(started):
                if number not in called:
                    timer.stop()
            stopped.set_result(None)

        def tick(number: int) -> None:
            if not called:
                loop.call_soon(stop)
            called.add(number)

        started = [
            timers.start(lambda now, number=number: tick(number), START + 0.01)
            for number in range(250)
        ]
        await stopped
        again = loop.create_future()
        timers.start(lambda now: again.set_result(None), START + 0.01)
        await again

    run(main())
    assert len(called) == 100


def test_keeps_a_slot_whose_number_was_that_of_an_emptied_one(run: Run) -> None:
    called: list[str] = []

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        loop._clock_resolution = 0.001  # how early it may call
        loop.call_at(START + SLOT - 0.0005, lambda: None)
        timers = TimerWheel()

        def tick(now: float) -> None:
            assert now < START + SLOT
            timers.start(lambda now: called.append("next"), START)
            for timer in started:
                timer.stop()

        started = [timers.start(tick, START + 0.01) for _ in range(2)]
        await asyncio.sleep(1)

    run(main())
    assert called == ["next"]


def test_keeps_nothing_of_those_it_has_called(run: Run) -> None:
    class Held:
        pass

    async def main() -> weakref.ref[Held]:
        held, over = Held(), asyncio.get_running_loop().create_future()
        timers = TimerWheel()

        def tick(now: float, held: Held = held) -> None:
            if not over.done():
                over.set_result(None)

        for _ in range(250):
            timers.start(tick, START + 0.01)
        await over
        for _ in range(4):  # the other slices
            await asyncio.sleep(0)
        return weakref.ref(held)

    gc.disable()
    try:
        assert run(main())() is None
    finally:
        gc.enable()


def test_may_stop_itself_while_it_asks_for_more(run: Run) -> None:
    called: list[float] = []

    async def main() -> None:
        def tick(now: float) -> float:
            called.append(now)
            timer.stop()
            return now + 1

        timer = TimerWheel().start(tick, START + 1)
        await asyncio.sleep(10)

    run(main())
    assert len(called) == 1


def test_may_be_stopped_after_it_was_called(run: Run) -> None:
    called: list[str] = []

    async def main() -> None:
        timers = TimerWheel()
        done = timers.start(lambda now: called.append("done"), START + 1)
        await asyncio.sleep(2)
        timers.start(lambda now: called.append("next"), START + 3)
        done.stop()
        await asyncio.sleep(2)

    run(main())
    assert called == ["done", "next"]


def test_logs_a_failing_tick_and_goes_on(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    called: list[float] = []

    def fail(now: float) -> None:
        raise ValueError("bad tick")

    async def main() -> None:
        timers = TimerWheel()
        timers.start(fail, START + 1)
        timers.start(called.append, START + 1)
        timers.start(called.append, START + 2)
        await asyncio.sleep(3)

    run(main())
    assert len(called) == 2
    assert [(r.levelno, r.message) for r in caplog.records] == [
        (logging.ERROR, "A timer failed; the others go on.")
    ]


def test_does_not_wake_the_loop_without_need(run: Run, clock: Clock) -> None:
    async def main() -> None:
        TimerWheel().start(lambda now: None, START + 3600)
        await asyncio.sleep(3000)

    run(main())
    assert clock.waits == 1


def test_is_one_for_each_event_loop() -> None:
    async def same() -> tuple[TimerWheel, bool]:
        return timers(), timers() is timers()

    loops = [asyncio.new_event_loop() for _ in range(2)]
    (one, same_one), (other, same_other) = (
        loop.run_until_complete(same()) for loop in loops
    )
    for loop in loops:
        loop.close()
    assert (same_one, same_other, one is other) == (True, True, False)


@pytest.mark.parametrize("pending", [False, True], ids=["idle", "pending"])
def test_lets_an_event_loop_be_freed(pending: bool) -> None:
    async def use() -> weakref.ref[asyncio.AbstractEventLoop]:
        loop = asyncio.get_running_loop()
        timer = timers().start(lambda now: None, loop.time() + 1000)
        if not pending:
            timer.stop()
        return weakref.ref(loop)

    gone = asyncio.run(use())
    gc.collect()
    assert gone() is None


async def test_calls_back_on_a_real_loop() -> None:
    loop = asyncio.get_running_loop()
    called = loop.create_future()
    timers().start(called.set_result, loop.time() + 0.03)
    now = await asyncio.wait_for(called, 10)
    assert now <= loop.time()


def test_needs_a_running_loop() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        timers()
