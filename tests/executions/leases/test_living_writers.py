"""Leases that fail safe: a writer that lives stays the writer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from asgi_events.exceptions import Draining, StoreError, Unavailable
from asgi_events.executions import Execution
from asgi_events.stores import memory
from asgi_events.stores.rules import Suspicion, is_alive, suspect
from tests import TIMEOUT
from tests.executions.leases.processes import (
    Dictation,
    Lossy,
    Process,
    last_of,
    lost,
    rest,
    seen,
    until,
    viewer,
    watched,
)

# Writers that live


async def test_shows_the_same_when_the_store_is_emptied_under_a_living_writer(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, _), (there, _) = process(store), process(store)
    execution = await here.start(dictation.actor)
    async with viewer(here, execution.id) as near, viewer(there, execution.id) as far:
        dictation.say(1, 2, 3)
        early = await seen(near, 4)
        assert await seen(far, 4) == early
        store.empty()
        await until(lambda: store.has(execution.id, 4))
        dictation.say(4, None)
        late = await rest(near)
        assert await rest(far) == late
    assert last_of(late) == "complete"
    assert [e.id for e in early + late[:-1]] == [
        f"{execution.id}:{n}" for n in range(1, len(early + late))
    ]
    assert await watched(there, execution.id) == early + late


async def test_shows_the_same_when_the_store_goes_back_under_a_living_writer(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, _), (there, _) = process(store), process(store)
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as far:
        dictation.say(1, 2, 3)
        early = await seen(far, 4)
        store.roll_back(execution.id, 2)
        await until(lambda: store.has(execution.id, 4))
        dictation.say(4, None)
        late = await rest(far)
    assert last_of(late) == "complete"
    assert await watched(there, execution.id) == early + late


async def test_loses_nobody_who_lives_though_appends_are_refused_beyond_the_lease(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, link), (there, _) = process(store), process(store)
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as far:
        await seen(far, 1)
        link.faults["append", None] = Unavailable("The store is full.")
        dictation.say(1)
        begun = link.called.count("renew")
        await until(lambda: link.called.count("renew") > begun + 8)  # 2 leases and more
        del link.faults["append", None]
        dictation.say(None)
        events = await rest(far)
    assert last_of(events) == "complete"


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
async def test_loses_nobody_who_lives_when_the_clock_of_the_store_steps(
    process: Process,
    dictation: Dictation,
    store: Lossy,
    monkeypatch: pytest.MonkeyPatch,
    step: float,
) -> None:
    (here, link), (there, _) = process(store), process(store, retention=7200)
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as far:
        await seen(far, 1)
        real = memory.monotonic
        monkeypatch.setattr(memory, "monotonic", lambda: real() + step)
        begun = link.called.count("renew")
        await until(lambda: link.called.count("renew") > begun + 4)
        dictation.say(1, None)
        events = await rest(far)
    assert last_of(events) == "complete"


async def test_answers_a_suspicion_before_it_is_confirmed(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    # This writer says so rarely that it lives that only the hint can save it.
    (here, link), (there, spy) = process(store), process(store)
    execution = await here.start(dictation.actor)
    log = store._logs[execution.id]
    async with viewer(there, execution.id) as far:
        await seen(far, 1)
        execution._run._recording._recorder._interval = 3600  # type: ignore[attr-defined]
        await until(lambda: link.called.count("renew") >= 1)
        begun = link.called.count("renew")
        await until(lambda: link.called.count("renew") > begun + 2)
        assert spy.called.count("reap") >= 3
        assert log.end is None
        dictation.say(None)
        assert last_of(await rest(far)) == "complete"


async def test_survives_a_password_that_is_wrong_for_a_while(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    here, link = process(store)
    execution = await here.start(dictation.actor)
    async with viewer(here, execution.id) as near:
        await seen(near, 1)
        link.faults["append", None] = StoreError("The store does not let us in.")
        dictation.say(1, None)
        begun = len(link.called)
        await until(lambda: len(link.called) > begun + 1)
        link.faults.clear()
        events = await rest(near)
    assert last_of(events) == "complete"
    assert dictation.ended == "returned"


async def test_tells_viewers_when_the_store_refuses_its_writer_for_good(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    here, link = process(store)
    execution = await here.start(dictation.actor)
    async with viewer(here, execution.id) as near:
        await seen(near, 1)
        for method in ("append", "renew"):
            link.faults[method, None] = StoreError("The store does not let us in.")
        dictation.say(1)
        events = await rest(near)
    assert events == lost(execution.id, 2)
    assert dictation.ended == "cancelled"


# Cancel elsewhere


async def test_cancels_elsewhere_without_waiting_for_the_lease_to_be_renewed(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, _), (there, _) = process(store, lease=3600), process(store, lease=3600)
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as far:
        await seen(far, 1)
        found = await there.get(execution.id)
        assert await found.cancel() is True
        assert last_of(await rest(far)) == "cancelled"
    assert dictation.ended == "cancelled"


async def test_hears_of_cancels_whatever_else_it_runs_and_watches(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, _), (there, _) = process(store, lease=3600), process(store, lease=3600)
    first = await there.start(dictation.actor)
    async with viewer(here, first.id) as watching:  # so it had a watch before
        await seen(watching, 1)
        executions = [await here.start(dictation.actor) for _ in range(3)]
        for execution in executions:
            found = await there.get(execution.id)
            assert await found.cancel() is True
            assert await asyncio.wait_for(execution.wait(), TIMEOUT) == "cancelled"


# The rule


class Writers(RuleBasedStateMachine):
    """Leases on a clock that steps, in a store that pauses, with writers that do too.

    One writer answers each hint within a quarter of a lease of the time that the store
    answers in; another is dead. Time passes as ``run``; ``step`` is no time at all.
    """

    LEASE = 16.0

    def __init__(self) -> None:
        super().__init__()
        self.now = 1e6  # the store's clock
        self.sign = self.now
        self.suspicion: Suspicion | None = None
        self.hinted: float | None = None  # seconds that the store has answered since
        self.dead = False
        self.reaped = False

    def ask(self) -> None:
        if is_alive(self.now, self.sign, self.LEASE):
            return
        self.suspicion, confirmed = suspect(self.now, self.LEASE, self.suspicion)
        if self.suspicion.since == self.now and self.hinted is None:
            self.hinted = 0.0
        self.reaped = self.reaped or confirmed

    def live(self) -> None:
        self.sign, self.suspicion, self.hinted = self.now, None, None

    @precondition(lambda self: not self.reaped)
    @rule(count=st.integers(1, 40), pause=st.floats(0.1, 4.0))
    def run(self, count: int, pause: float) -> None:
        """Somebody asks, ``count`` times, while the store answers."""
        for _ in range(count):
            self.now += pause
            if self.hinted is not None:
                self.hinted += pause
                if self.hinted + pause > self.LEASE / 4 and not self.dead:
                    self.live()
            self.ask()

    @precondition(lambda self: not self.reaped)
    @rule(seconds=st.floats(-100, 100))
    def step(self, seconds: float) -> None:
        self.now += seconds

    @rule(seconds=st.floats(0, 100))
    def pause(self, seconds: float) -> None:
        """The store, or all that ask, or the machine: nobody's time passes."""
        self.now += seconds

    @precondition(lambda self: not self.dead and not self.reaped)
    @rule()
    def renew(self) -> None:
        self.live()

    @rule()
    def die(self) -> None:
        self.dead = True

    @precondition(lambda self: self.dead)
    @rule(pause=st.floats(0.1, 4.0))
    def keep_asking(self, pause: float) -> None:
        """Asking for a little more than a lease ends the log of a dead writer."""
        asked = 0.0
        while asked < self.LEASE + 3 * pause and not self.reaped:
            self.now += pause
            asked += pause
            self.ask()
        assert self.reaped

    @invariant()
    def lives(self) -> None:
        assert self.dead or not self.reaped


Writers.TestCase.settings = settings(
    max_examples=100, stateful_step_count=30, deadline=None, derandomize=True
)

TestWriters = Writers.TestCase


# Where starts, ends and drains meet


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("how", [{"id": "one"}, {"idempotency_key": "k"}, {}])
async def test_cancels_what_a_drain_without_grace_finds_half_started(
    process: Process, dictation: Dictation, store: Lossy, how: Any, durable: bool
) -> None:
    store.durable = durable
    here, link = process(store, cancel_timeout=0.5)
    opening, may_open = asyncio.Event(), asyncio.Event()
    open_ = link.open

    async def slow(key: str, **kw: Any) -> Any:
        if not key.startswith("idempotency:"):
            opening.set()
            await may_open.wait()
        return await open_(key, **kw)

    link.open = slow  # type: ignore[method-assign]
    starting = asyncio.create_task(here.start(dictation.actor, **how))
    await opening.wait()
    draining = asyncio.create_task(here.drain(0))
    for _ in range(10):
        await asyncio.sleep(0)
    may_open.set()
    async with asyncio.timeout(TIMEOUT):
        await draining
    finished = asyncio.gather(starting, return_exceptions=True)
    (outcome,) = await asyncio.wait_for(finished, TIMEOUT)
    if isinstance(outcome, Execution):
        page = await store.read(outcome.id, 0, 10_000)
        assert page is not None and page.end == "cancelled", (page.end, outcome.status)
    else:
        assert isinstance(outcome, Draining)


@pytest.mark.parametrize("settle", [0.0, 60.0])
async def test_forgets_the_mark_of_what_another_process_has_ended(
    process: Process, dictation: Dictation, settle: float
) -> None:
    store = Lossy(settle_time=settle)
    store.durable = True
    here, _ = process(store)
    execution = await here.start(dictation.actor, idempotency_key="k")
    assert len(here._held._keeper._marks) == 1
    log = store._logs[execution.id]
    log.hold([b"data: x\n\n"])
    log.finish("lost")
    await asyncio.wait_for(execution.wait(), 5)
    await until(lambda: not list(here))
    assert here._held._keeper._marks == {}
    await until(
        lambda: here._held._keeper._task is None or here._held._keeper._task.done()
    )


async def test_forgets_the_mark_when_done(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    store.durable = True
    here, _ = process(store)
    execution = await here.start(dictation.actor, idempotency_key="k")
    dictation.say(None)
    await asyncio.wait_for(execution.wait(), 5)
    await asyncio.sleep(0)
    assert here._held._keeper._marks == {}
    await until(lambda: here._held._keeper._task.done())


async def test_looks_after_what_has_ended_whatever_the_store_raises(
    process: Process, dictation: Dictation
) -> None:
    store = Lossy(settle_time=60.0)
    here, link = process(store)
    execution = await here.start(dictation.actor)
    dictation.say(1, None)
    await asyncio.wait_for(execution.wait(), 5)
    last = execution.log.last
    link.faults["read", None] = OSError("A driver's own error.")
    begun = link.called.count("read")
    await until(lambda: link.called.count("read") > begun)
    link.faults.clear()
    store.empty()
    store.generation += 1
    await until(lambda: store.has(execution.id, last))


async def test_hears_of_cancels_after_the_store_could_not_be_watched(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, link), (there, _) = process(store, lease=3600), process(store, lease=3600)
    watch = link.watch
    calls = 0

    async def fails_once() -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError("A driver's own error.")
        return await watch()

    link.watch = fails_once  # type: ignore[method-assign]
    execution = await here.start(dictation.actor)
    await until(lambda: here._held._shared_watch._watch is not None)
    assert await (await there.get(execution.id)).cancel() is True
    assert await asyncio.wait_for(execution.wait(), 5) == "cancelled"
