"""The recorder, against a store that fails in every way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Generic, TypeVar

import pytest

from asgi_events.aio import backoff
from asgi_events.exceptions import Ended, Fenced, Gap, Missing, StoreError, Unavailable
from asgi_events.executions.recorder import Opening, Recorder
from asgi_events.log.log import Log
from asgi_events.log.stored import StoredLog
from asgi_events.stores.memory import MemoryStore
from asgi_events.testing import virtual_time
from tests import TIMEOUT
from tests.executions.faulty_store import FaultyStore

KEY = "a" * 32

WRITER = "writer"


S = TypeVar("S", bound=MemoryStore)


class Recording(Generic[S]):
    """A log, its recorder, and their store."""

    def __init__(self, store: S, log: Log) -> None:
        self.store = store
        self.log = log
        self.cancels = 0
        self.recorder: Recorder
        self.task: asyncio.Task[None]

    def append(self, *texts: str, end: str | None = None) -> None:
        for text in texts:
            self.log.append(text.encode(), end=end)

    def cancel(self) -> None:
        self.cancels += 1

    async def recorded(self) -> None:
        await asyncio.wait_for(asyncio.shield(self.task), TIMEOUT)

    async def stored(self) -> list[str]:
        page = await MemoryStore.read(self.store, KEY, 0, 1 << 20)
        assert page is not None
        return [frame.decode() for frame in page.frames]


async def turn() -> None:
    """One turn of the loop, and what follows from it."""
    for _ in range(4):
        await asyncio.sleep(0)


def frames(*texts: str) -> list[str]:
    return [f"data: {text}\nid: {KEY}:{n}\n\n" for n, text in enumerate(texts, 1)]


def recording(
    *, lease: float = TIMEOUT * 3, **bounds: int
) -> AbstractAsyncContextManager[Recording[FaultyStore]]:
    return recording_in(FaultyStore(), lease=lease, **bounds)


@asynccontextmanager
async def recording_in(
    store: S, *, lease: float = TIMEOUT * 3, **bounds: int
) -> AsyncIterator[Recording[S]]:
    opening = Opening(
        store=store,
        key=KEY,
        writer=WRITER,
        lease=lease,
        ttl=TIMEOUT,
        meta={"actor": "x"},
    )
    log = StoredLog(KEY, **bounds)
    this = Recording(store, log)
    this.recorder = recorder = Recorder(log, opening, await opening.open())
    recorder.on_cancel = this.cancel
    this.task = asyncio.create_task(recorder.run())
    try:
        yield this
    finally:
        this.task.cancel()
        await asyncio.wait({this.task})


async def test_stores_all_that_waits_in_one_call() -> None:
    async with recording() as this:
        this.append("a", "b", "c")
        this.append("d", end="completed")
        await this.recorded()
        assert this.store.appended == [4]
        assert await this.stored() == frames("a", "b", "c", "d")
        assert this.log.committed == 4


async def test_takes_what_was_appended_meanwhile_with_the_next_call() -> None:
    async with recording() as this:
        this.store.fast.clear()
        this.append("a")
        await this.store.calls("append", 1)
        this.append("b", "c")
        this.append("d", end="completed")
        this.store.fast.set()
        await this.recorded()
        assert this.store.appended == [1, 3]
        assert await this.stored() == frames("a", "b", "c", "d")


async def test_ends_when_the_terminal_frame_is_stored_and_not_before() -> None:
    async with recording() as this:
        this.store.fast.clear()
        this.append("a", end="completed")
        await this.store.calls("append", 1)
        before = (this.task.done(), this.log.committed)
        this.store.fast.set()
        await this.recorded()
        page = await this.store.read(KEY, 0, 100)
        assert before == (False, 0)
        assert page is not None and page.end == "completed"


async def test_commits_nothing_that_the_store_has_not_taken() -> None:
    async with recording() as this:
        this.store.up.clear()
        this.append("a", "b")
        await this.store.calls("append", 2)
        assert this.log.committed == 0
        this.store.up.set()
        this.append("c", end="completed")
        await this.recorded()
        assert this.log.committed == 3
        assert await this.stored() == frames("a", "b", "c")


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_asks_again_whether_the_store_did_it_or_not(moment: str) -> None:
    async with recording() as this:
        faults = getattr(this.store, moment)["append"]
        faults += [Unavailable("What now?"), Unavailable("And now?")]
        this.append("a")
        this.append("b", end="completed")
        await this.recorded()
        assert this.store.called["append"] == 3
        assert await this.stored() == frames("a", "b")


async def test_sends_again_what_the_store_has_lost() -> None:
    async with recording() as this:
        this.append("a", "b", "c")
        await this.store.calls("append", 1)
        await asyncio.sleep(0)
        this.store.lose(KEY, 2)
        this.append("d", "e")
        this.append("f", end="completed")
        await this.recorded()
        assert await this.stored() == frames("a", "b", "c", "d", "e", "f")
        assert this.log.committed == 6


async def test_begins_the_log_later_rather_than_with_wrong_numbers() -> None:
    async with recording(max_events=4) as this:
        for number in range(1, 13):
            this.append(str(number))
            await this.store.calls("append", 1)
            await asyncio.sleep(0)
        this.store.lose(KEY, 11)
        this.append("13", end="completed")
        await this.recorded()
        held = this.log.first
        page = await MemoryStore.read(this.store, KEY, 0, 1 << 20)
        assert page is not None and (page.first, page.last) == (held, 13)
        assert held > 2  # so frame 2 cannot be sent again
        assert await this.stored() == frames(*map(str, range(1, 14)))[held - 1 :]
        assert page.end == "completed"


async def test_sends_all_again_when_the_store_has_lost_the_log() -> None:
    async with recording() as this:
        this.append("a", "b", "c")
        await this.store.calls("append", 1)
        await asyncio.sleep(0)
        await this.store.delete(KEY)
        this.append("d", end="completed")
        await this.recorded()
        assert await this.stored() == frames("a", "b", "c", "d")
        page = await MemoryStore.read(this.store, KEY, 0, 0)
        assert page is not None
        assert (page.end, page.meta) == ("completed", {"actor": "x"})


async def test_sends_again_what_it_holds_when_the_store_has_lost_the_log() -> None:
    async with recording(max_events=4) as this:
        for number in range(1, 13):
            this.append(str(number))
            await this.store.calls("append", 1)
            await asyncio.sleep(0)
        await this.store.delete(KEY)
        this.append("13", end="completed")
        await this.recorded()
        held = this.log.first
        page = await MemoryStore.read(this.store, KEY, 0, 1 << 20)
        assert page is not None and (page.first, page.last) == (held, 13)
        assert await this.stored() == frames(*map(str, range(1, 14)))[held - 1 :]


@pytest.mark.parametrize("lost", [2, None], ids=["frames", "all"])
async def test_finds_out_by_a_renewal_that_the_store_went_back(
    lost: int | None,
) -> None:
    async with recording() as this:
        this.append("a", "b", "c")
        await this.store.calls("append", 1)
        await asyncio.sleep(0)
        if lost is None:
            await this.store.delete(KEY)
        else:
            this.store.lose(KEY, lost)
        this.recorder.renew()
        await this.store.calls("append", 1)
        await turn()
        assert await this.stored() == frames("a", "b", "c")
        this.append("d", end="completed")
        await this.recorded()
        assert await this.stored() == frames("a", "b", "c", "d")


async def test_sends_again_what_was_lost_while_it_sends_again() -> None:
    async with recording() as this:
        this.append("a", "b", "c")
        await this.store.calls("append", 1)
        await asyncio.sleep(0)
        this.store.lose(KEY, 2)
        this.store.before["append"] += [Gap(1), Missing("Gone."), Gap(0)]
        this.append("d", end="completed")
        await this.recorded()
        assert await this.stored() == frames("a", "b", "c", "d")


async def test_gives_way_when_its_log_may_have_been_ended_and_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with recording(lease=60) as this:
        await turn()
        loop = asyncio.get_running_loop()
        now = loop.time() + 60 + TIMEOUT + 1  # as after a pause of the process
        monkeypatch.setattr(loop, "time", lambda: now)
        await this.store.delete(KEY)
        this.append("a")
        with pytest.raises(Missing):
            await this.task


async def test_does_not_write_the_log_of_somebody_who_began_it_anew() -> None:
    async with recording() as this:
        await turn()
        await this.store.delete(KEY)
        await this.store.open(KEY, writer="other", lease=60, ttl=60, meta={})
        this.store.before["append"] += [Missing("Gone.")]
        this.append("a")
        with pytest.raises(Fenced):
            await this.recorded()
        assert await this.stored() == []


@pytest.mark.parametrize("error", [Fenced("Not yours."), Ended("Over.")], ids=str)
async def test_stops_at_once_when_the_log_is_not_ours(error: Exception) -> None:
    async with recording() as this:
        this.store.before["append"] += [error]
        this.append("a")
        with pytest.raises(type(error)):
            await this.recorded()
        assert this.store.called["append"] == 1
        assert this.log.committed == 0


async def test_renews_the_lease_when_it_is_quiet() -> None:
    with virtual_time():
        async with recording(lease=3.0) as this:
            await this.store.calls("renew", 3)
            await asyncio.sleep(0)
            page = await this.store.read(KEY, 0, 100)
            assert page is not None and page.alive
            assert this.store.called["append"] == 0


async def test_renews_while_the_store_comes_and_goes() -> None:
    async with recording(lease=0.1) as this:
        this.store.before["renew"] += [Unavailable("Gone."), Unavailable("Still.")]
        await this.store.calls("renew", 4)
        this.append("a", end="completed")
        await this.recorded()
        assert await this.stored() == frames("a")


async def test_renews_while_the_store_refuses_appends() -> None:
    with virtual_time():
        async with recording(lease=3.0) as this:
            this.store.before["append"] += [Unavailable("Full.") for _ in range(1000)]
            this.append("a")
            await this.store.calls("renew", 4)
            page = await this.store.read(KEY, 0, 100)
            assert page is not None and page.alive
            assert this.log.committed == 0
            this.store.before["append"].clear()
            this.append("b", end="completed")
            await this.recorded()
            assert await this.stored() == frames("a", "b")


async def test_renews_while_the_store_refuses_what_has_ended() -> None:
    with virtual_time():
        async with recording(lease=3.0) as this:
            this.store.before["append"] += [Unavailable("Full.") for _ in range(1000)]
            this.append("a", end="completed")
            await this.store.calls("renew", 4)
            page = await this.store.read(KEY, 0, 100)
            assert page is not None and page.alive
            this.store.before["append"].clear()
            await this.recorded()
            assert await this.stored() == frames("a")


async def test_renews_at_once_when_it_is_asked_to() -> None:
    async with recording() as this:
        await turn()
        this.recorder.renew()
        await this.store.calls("renew", 1)


async def test_answers_a_suspicion_between_two_tries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await turn()

    monkeypatch.setattr(backoff, "sleep", sleep)
    with virtual_time():
        async with recording(lease=6.0) as this:
            this.store.up.clear()
            this.append("a")
            await this.store.calls("append", 20)
    assert max(slept) == pytest.approx(1.0)


@pytest.mark.parametrize("call", ["append", "renew"])
async def test_tries_again_after_any_error_of_the_store_until_its_lease_is_over(
    call: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with recording() as this:
        await turn()
        advice = StoreError("The store does not let us in. Look at the password.")
        this.store.before[call] += [advice] * 3
        if call == "renew":
            this.recorder.renew()
        else:
            this.append("a")
        await this.store.calls(call, 4)
        this.append("b", end="completed")
        await this.recorded()
    assert "Look at the password" in caplog.text


async def test_gives_up_an_error_that_stays_once_its_lease_is_over() -> None:
    async with recording(lease=0.2) as this:
        began = asyncio.get_running_loop().time()
        this.store.before["append"] += [StoreError("No.") for _ in range(1000)]
        this.store.before["renew"] += [StoreError("No.") for _ in range(1000)]
        this.append("a")
        with pytest.raises(StoreError, match="No"):
            await this.recorded()
        assert asyncio.get_running_loop().time() - began >= 0.2


async def test_shows_what_is_stored_chunk_by_chunk() -> None:
    async with recording() as this:
        this.store.fast.clear()
        this.append(*(["x" * 1000] * 2000))
        await this.store.calls("append", 1)
        seen = []
        for _ in range(3):
            this.store.fast.set()
            this.store.fast.clear()
            await this.store.calls("append", 1)
            seen.append(this.log.committed)
        this.store.fast.set()
        this.append("y", end="completed")
        await this.recorded()
        assert seen == sorted(set(seen)) and 0 < seen[0] < seen[2] < 2000
        assert sum(this.store.appended) == 2001
        assert max(this.store.appended) * 1000 <= 256 * 1024


async def test_stores_a_frame_that_is_larger_than_a_chunk() -> None:
    async with recording() as this:
        this.append("x" * 1_000_000, "y")
        this.append("z", end="completed")
        await this.recorded()
        assert this.store.appended == [1, 2]


async def test_is_told_of_a_lost_lease_by_the_renewal() -> None:
    async with recording(lease=0.1) as this:
        this.store.before["renew"] += [Fenced("Reaped.")]
        with pytest.raises(Fenced):
            await this.recorded()


async def test_passes_on_a_cancel_with_the_next_append() -> None:
    async with recording() as this:
        await this.store.cancel(KEY)
        assert this.cancels == 0
        this.append("a")
        await this.store.calls("append", 1)
        await asyncio.sleep(0)
        assert this.cancels == 1


async def test_passes_on_a_cancel_with_the_next_renewal() -> None:
    async with recording(lease=0.1) as this:
        await this.store.cancel(KEY)
        await this.store.calls("renew", 1)
        await asyncio.sleep(0)
        assert this.cancels == 1
