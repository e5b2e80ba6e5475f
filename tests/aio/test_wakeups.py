"""Waking the viewers of a log: rounds, slices, pauses."""

import asyncio
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_events.aio.wakeups import Wakeups

SLICE = 100  # the most that are woken in one turn of the loop


class Sleepers:
    """Sleepers by number, who note when they are woken; the clock stands still."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch | None = None) -> None:
        self.now = 1.0
        if monkeypatch is not None:
            loop = asyncio.get_running_loop()
            monkeypatch.setattr(loop, "time", lambda: self.now)
        self.wakeups = Wakeups()
        self.woken: list[int] = []

    def sleep(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.wakeups.sleeping[number] = self._waker(number)

    def hear(self, numbers: Iterable[int], *, urgent: bool = False) -> None:
        """Fall asleep, and then an event comes."""
        self.sleep(numbers)
        self.wakeups.wake(urgent)

    def _waker(self, number: int) -> Callable[[], None]:
        return lambda: self.woken.append(number)

    async def turns(self, count: int) -> list[int]:
        """Those who are woken in so many turns."""
        before = len(self.woken)
        for _ in range(count):
            await asyncio.sleep(0)
        return self.woken[before:]


async def test_wakes_a_hundred_in_each_turn_and_everybody_once_in_order() -> None:
    sleepers = Sleepers()
    sleepers.hear(range(10_000))
    goes = [len(sleepers.woken)]
    while len(sleepers.woken) < 10_000:
        goes.append(len(await sleepers.turns(1)))

    assert goes == [SLICE] * 100
    assert sleepers.woken == list(range(10_000))


async def test_lets_those_who_were_woken_run_before_it_wakes_the_next() -> None:
    wakeups, order = Wakeups(), []
    loop = asyncio.get_running_loop()

    def wake() -> None:
        order.append("wake")
        loop.call_soon(order.append, "write")

    for number in range(250):
        wakeups.sleeping[number] = wake
    wakeups.wake(False)
    for _ in range(4):
        await asyncio.sleep(0)

    whole, rest = ["wake"] * 100 + ["write"] * 100, ["wake"] * 50 + ["write"] * 50
    assert order == whole + whole + rest


async def test_wakes_nobody_again_before_all_have_been_woken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sleepers = Sleepers(monkeypatch)
    sleepers.hear(range(250))
    sleepers.now += 0.01
    sleepers.hear(range(100))
    assert await sleepers.turns(3) == list(range(100, 250))
    sleepers.now += 1.0

    assert await sleepers.turns(3) == list(range(100))


async def test_does_not_wake_those_who_fell_asleep_after_the_last_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sleepers = Sleepers(monkeypatch)
    sleepers.hear(range(300))
    sleepers.now += 0.01
    sleepers.hear(range(50))  # those who are not yet woken find both events
    sleepers.sleep(range(50, 100))
    await sleepers.turns(4)
    sleepers.now += 1.0

    assert await sleepers.turns(5) == list(range(50))
    assert set(sleepers.wakeups.sleeping) == set(range(50, 100))


async def test_pauses_after_a_round_for_as_long_as_all_its_slices_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sleepers = Sleepers(monkeypatch)
    sleepers.hear(range(250))
    for _ in range(3):
        sleepers.now += 0.004
        await sleepers.turns(1)
    sleepers.sleep(range(8))

    sleepers.wakeups.wake(False)
    assert await sleepers.turns(3) == []
    sleepers.now += 0.011
    assert await sleepers.turns(3) == []
    sleepers.now += 0.002

    assert await sleepers.turns(3) == list(range(8))


@pytest.mark.parametrize("already_due", [False, True])
async def test_begins_the_next_round_without_a_pause_for_an_urgent_event(
    monkeypatch: pytest.MonkeyPatch, already_due: bool
) -> None:
    sleepers = Sleepers(monkeypatch)
    sleepers.hear(range(150))
    sleepers.now += 1.0
    sleepers.sleep(range(20))
    if already_due:
        sleepers.wakeups.wake(False)
    sleepers.wakeups.wake(True)

    assert await sleepers.turns(3) == [*range(100, 150), *range(20)]


async def test_cuts_a_pause_short_for_an_urgent_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sleepers = Sleepers(monkeypatch)
    sleepers.hear(range(20))
    sleepers.now += 0.01
    await sleepers.turns(2)
    sleepers.hear(range(150))
    assert len(sleepers.woken) == 20

    sleepers.wakeups.wake(True)
    assert sleepers.woken[20:] == list(range(100))
    sleepers.now += 1.0  # the pause would be over
    assert await sleepers.turns(3) == list(range(100, 150))


async def test_wakes_all_others_though_one_cannot_be_woken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail() -> None:
        raise RuntimeError("It is of another loop.")

    sleepers = Sleepers()
    sleepers.sleep(range(150))
    sleepers.wakeups.sleeping[5] = fail
    sleepers.wakeups.wake(False)
    await sleepers.turns(3)
    sleepers.hear(range(20), urgent=True)
    await sleepers.turns(1)

    assert sleepers.woken == [*range(5), *range(6, 150), *range(20)]
    (record,) = caplog.records
    assert record.message == "A viewer could not be woken."


async def test_forgets_that_an_event_was_urgent_when_all_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sleepers = Sleepers(monkeypatch)
    sleepers.hear(range(20))
    sleepers.wakeups.wake(True)  # they have just been woken
    sleepers.now += 0.01
    await sleepers.turns(2)
    sleepers.hear(range(20))

    assert len(sleepers.woken) == 20


async def test_does_not_wake_who_leaves_during_a_round_or_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sleepers = Sleepers(monkeypatch)
    sleepers.hear(range(200))
    sleepers.now += 0.01
    for number in (5, 150):  # woken, and not yet
        sleepers.wakeups.discard(number)
    assert await sleepers.turns(2) == [*range(100, 150), *range(151, 200)]

    sleepers.hear(range(10))
    sleepers.wakeups.discard(3)
    sleepers.now += 1.0
    assert await sleepers.turns(2) == [0, 1, 2, *range(4, 10)]


async def test_wakes_the_next_many_though_all_of_the_last_have_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sleepers = Sleepers(monkeypatch)
    for urgent in (False, False, True):
        sleepers.hear(range(20), urgent=urgent)
        sleepers.now += 0.01
        for number in range(20):
            sleepers.wakeups.discard(number)
    sleepers.now += 1.0
    await sleepers.turns(3)
    sleepers.woken.clear()

    sleepers.now += 0.021  # the pause is over
    sleepers.hear(range(20))
    assert sleepers.woken == list(range(20))


STEPS = st.one_of(
    st.tuples(st.just("sleep"), st.integers(0, 250)),
    st.tuples(st.just("leave"), st.integers(0, 250)),
    st.tuples(st.just("event"), st.booleans()),
    st.tuples(st.just("turn"), st.integers(1, 3)),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(STEPS, max_size=20))
def test_wakes_once_and_in_the_end_whom_an_event_finds_asleep(
    steps: list[tuple[str, int]],
) -> None:
    async def main() -> None:
        sleepers = Sleepers()
        asleep: set[int] = set()
        missing: set[int] = set()  # asleep, and an event has come

        def note(seen: list[int]) -> None:
            assert len(seen) == len(set(seen)) <= SLICE
            assert asleep.issuperset(seen)
            asleep.difference_update(seen)
            missing.difference_update(seen)

        def event(urgent: bool) -> None:
            missing.update(asleep)
            before = len(sleepers.woken)
            sleepers.wakeups.wake(urgent)
            note(sleepers.woken[before:])

        for step, number in steps:
            if step == "sleep":
                awake = [each for each in range(number) if each not in asleep]
                asleep.update(awake)
                sleepers.sleep(awake)
            elif step == "leave":
                sleepers.wakeups.discard(number)
                asleep.discard(number)
                missing.discard(number)
            elif step == "event":
                event(bool(number))
            else:
                for _ in range(number):
                    note(await sleepers.turns(1))
        event(True)
        for _ in range(10):
            note(await sleepers.turns(1))
        assert not missing

    asyncio.run(main())
