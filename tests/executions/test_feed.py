"""The feed: what happens to the executions of an owner."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from asgi_events import Executions, tool
from asgi_events.events import ExecutionStatus, InputRequestEvent
from asgi_events.exceptions import Unavailable
from asgi_events.executions import feed_log, feed_writer, outbox
from asgi_events.executions.facts import Facts
from asgi_events.executions.feed_log import FeedLog
from asgi_events.executions.feeds import feed_of
from asgi_events.executions.outbox import Outbox
from asgi_events.feed_events import (
    ExecutionAnswered,
    ExecutionEnded,
    ExecutionStarted,
    ExecutionWaiting,
)
from asgi_events.stores.contract import Page
from asgi_events.stores.memory import MemoryStore
from asgi_events.testing import virtual_time
from tests import TIMEOUT
from tests.executions.asking import asked, book
from tests.executions.feeds import Watcher, by_execution, watching
from tests.executions.leases.processes import Link, until
from tests.executions.scenes import end_of

WINDOW = {"seat": "1A"}

WHOLE = ["started", "ended"]


@tool
async def quick() -> int:
    return 1


@tool
async def failing() -> None:
    raise RuntimeError


@tool
async def slow() -> None:
    await asyncio.Event().wait()


async def feed_keys(store: MemoryStore) -> list[str]:
    return [key async for key in store.keys() if key.startswith("feed:")]


async def run(executions: Executions, count: int = 1, owner: str = "ann") -> list[str]:
    """Run some to their ends; their ids."""
    started = [await executions.start(quick, owner=owner) for _ in range(count)]
    for each in started:
        await each.wait()
    return [each.id for each in started]


async def test_says_what_happens_to_an_execution() -> None:
    async with Executions(book) as executions, watching(executions) as ann:
        execution = await executions.start(book, owner="ann", thread="t")
        (request,) = await asked(execution)
        await execution.answer(1, WINDOW, by="bob")
        await ann.until_ended(execution.id)

    id, facts = execution.id, {"actor": "book", "thread": "t"}
    created, ended = execution.created, execution.ended
    assert ended is not None
    answer = ann.events[2]
    assert ann.resets == ["new"]
    assert ann.events == [
        ExecutionStarted(execution=id, timestamp=created, **facts),
        ExecutionWaiting(
            execution=id,
            timestamp=request.timestamp,
            n=1,
            address="book",
            message="Book?",
            response_schema=request.response_schema,
        ),
        ExecutionAnswered(
            execution=id, timestamp=answer.timestamp, n=1, action="accept", by="bob"
        ),
        ExecutionEnded(
            execution=id, timestamp=ended, created=created, status="completed", **facts
        ),
    ]


@pytest.mark.parametrize("shown", ["Pay?", None], ids=["changed", "hidden"])
async def test_says_of_a_question_what_viewers_may_see(shown: str | None) -> None:
    def redact(event: Any) -> Any:
        if not isinstance(event, InputRequestEvent):
            return event
        return shown and event.model_copy(update={"message": shown})

    async with Executions(book, redact=redact) as executions:
        async with watching(executions) as ann:
            execution = await executions.start(book, owner="ann")
            async with asyncio.timeout(TIMEOUT):
                while not await execution.questions():  # noqa: ASYNC110
                    await asyncio.sleep(0)
            await execution.answer(1, WINDOW)
            await ann.until_ended(execution.id)

    told = [e.message for e in ann.events if isinstance(e, ExecutionWaiting)]
    closed = [e for e in ann.events if isinstance(e, ExecutionAnswered)]
    assert (told, len(closed)) == (([shown], 1) if shown else ([], 0))


async def test_shows_an_approver_the_question_and_nothing_else() -> None:
    async with (
        Executions(book) as executions,
        watching(executions, "ann") as ann,
        watching(executions, "boss") as boss,
        watching(executions, "eve") as eve,
    ):
        execution = await executions.start(book, {"to": "boss"}, owner="ann")
        await asked(execution)
        await execution.decline(1, by="boss")
        await ann.until_ended(execution.id)
        await boss.until(lambda w: len(w.events) == 2)

    assert ann.of(execution.id) == ["started", "waiting", "answered", "ended"]
    assert boss.of(execution.id) == ["waiting", "answered"]
    assert (boss.events[0].to, boss.events[1].action) == ("boss", "decline")
    assert eve.events == []


async def test_closes_the_question_of_what_is_cancelled_before_it_ends() -> None:
    async with Executions(book) as executions, watching(executions) as ann:
        execution = await executions.start(book, owner="ann")
        await asked(execution)
        await execution.cancel()
        await ann.until_ended(execution.id)

    assert ann.of(execution.id) == ["started", "waiting", "answered", "ended"]
    assert (ann.events[2].action, ann.events[3].status) == ("cancelled", "cancelled")


@pytest.mark.parametrize(
    ("actor", "status"), [(quick, "completed"), (failing, "failed")]
)
async def test_says_how_it_has_ended(actor: Any, status: str) -> None:
    async with Executions(actor, error_message=str) as executions:
        async with watching(executions, None) as watcher:
            execution = await executions.start(actor)
            await watcher.until_ended(execution.id)
    assert [end.status for end in watcher.ends] == [status]


async def test_begins_with_what_happens_from_now_on() -> None:
    store = MemoryStore()
    async with Executions(quick, store=store) as executions:
        async with watching(executions) as first:
            (before,) = await run(executions)
            await first.until_ended(before)
            async with watching(executions) as second:
                (after,) = await run(executions)
                await second.until_ended(after)
    assert by_execution(first.events) == {before: WHOLE, after: WHOLE}
    assert by_execution(second.events) == {after: WHOLE}


@pytest.mark.parametrize("owner", ["", " "])
async def test_has_no_feed_of_a_blank_owner(owner: str) -> None:
    async with Executions() as executions:
        with pytest.raises(ValueError, match="owner"):
            executions.feed(owner=owner)


async def test_ends_when_the_process_stops() -> None:
    for store in ({}, {"store": MemoryStore()}):
        executions = Executions(quick, **store)

        async def watch(executions: Executions = executions) -> None:
            async for _ in executions.feed(owner="ann"):
                pass

        task = asyncio.ensure_future(watch())
        await run(executions)
        await executions.drain(0)
        await asyncio.wait_for(task, TIMEOUT)


# What it costs


async def test_writes_nothing_where_nobody_watches() -> None:
    store = MemoryStore()
    link = Link(store)
    with virtual_time():
        async with Executions(quick, store=link) as executions:
            await run(executions, 50)
            await asyncio.sleep(1)
            reads = link.called.count("read")
            await run(executions, 50)
            await asyncio.sleep(1)
            assert link.called.count("read") - reads == 1
            assert await feed_keys(store) == []


async def test_is_not_told_anything_without_a_store_and_a_watcher() -> None:
    async with Executions(quick) as executions:
        await run(executions)
        assert not executions.feeds._writer._outboxes


async def test_is_kept_for_the_retention_after_its_last_watcher_has_left() -> None:
    store = MemoryStore()
    with virtual_time():
        options = {"store": store, "retention": 100.0, "lease": 4.0}
        async with Executions(quick, **options) as executions:
            async with watching(executions) as ann:
                await asyncio.sleep(1000)
                (id,) = await run(executions)
                await ann.until_ended(id)
            await asyncio.sleep(95)
            assert await feed_keys(store) != []
            await run(executions)  # what is written does not keep it
            await asyncio.sleep(100)
            await run(executions)
            await asyncio.sleep(150)
            assert await feed_keys(store) == []


# Parts


async def test_goes_on_in_the_next_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_log, "PART", 5)
    store = MemoryStore()
    async with Executions(quick, store=store) as a, Executions(quick, store=store) as b:
        async with watching(a) as here, watching(b) as there:
            ids = [id for pair in range(5) for one in (a, b) for id in await run(one)]
            await here.until_ended(*ids)
            await there.until_ended(*ids)
        assert len(await feed_keys(store)) > 3
    expected = dict.fromkeys(ids, WHOLE)
    assert by_execution(here.events) == by_execution(there.events) == expected
    assert here.resets == there.resets == ["new"]


async def test_resumes_after_any_event_that_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed_log, "PART", 4)
    monkeypatch.setattr("asgi_events.executions.feed._HELD.max_events", 2)
    store = MemoryStore()
    async with Executions(quick, store=store) as a, Executions(quick, store=store) as b:
        async with watching(a) as ann:
            for _ in range(8):
                await run(a)
            await ann.until(lambda w: len(w.events) == 16)
            name = (await a.feeds.get("ann")).attach(None).id.partition(":")[0]
            for executions in (a, b):
                for number in range(1, 16):
                    id = f"{name}:{number}"
                    assert await read(executions, id, 16) == ann.told[number:]


async def read(
    executions: Executions, last: str, count: int, owner: str = "ann"
) -> list[tuple[str, str]]:
    """What a watcher with that id gets, up to event ``count``."""
    watcher = Watcher()
    number = int(last.partition(":")[2])

    async def watch() -> None:
        async for event in feed_of(executions.feeds, owner, last):
            watcher.see(event)
            if len(watcher.events) + number >= count:
                return

    await asyncio.wait_for(watch(), TIMEOUT)
    assert watcher.resets == []
    return watcher.told


class Behind(Link):
    """The way to a store of a process that reads no feed for a moment.

    Attributes:
        reads: Whether it does.
    """

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.reads = asyncio.Event()
        self.reads.set()

    async def read(self, key: str, after: int, limit: int) -> Page | None:
        if key.startswith("feed:") and limit > 1:
            await self.reads.wait()
        return await super().read(key, after, limit)


@pytest.mark.parametrize("part", [100, 5, 2], ids=["same", "next", "third"])
async def test_resumes_at_a_process_that_is_behind(
    monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    monkeypatch.setattr(feed_log, "PART", part)
    store = MemoryStore()
    link = Behind(store)
    async with Executions(quick, store=store) as a, Executions(store=link) as b:
        async with watching(a) as ann, watching(b):
            feed = await b.feeds.get("ann")
            name, _, _ = feed.attach(None).id.partition(":")
            link.reads.clear()
            for _ in range(3):
                await run(a)
            await ann.until(lambda w: len(w.events) == 6)
            watchers = len(feed.watchers)
            resuming = asyncio.ensure_future(read(b, f"{name}:6", 8))
            await until(lambda: len(feed.watchers) > watchers)
            link.reads.set()
            await run(a)
            await ann.until(lambda w: len(w.events) == 8)
            assert await resuming == ann.told[6:]


async def test_asks_the_store_of_no_event_that_it_knows() -> None:
    link = Link(MemoryStore())
    async with Executions(quick, store=link) as executions:
        async with watching(executions) as ann:
            (id,) = await run(executions)
            await ann.until_ended(id)
            feed = await executions.feeds.get("ann")
            last = feed.attach(None).id
            called = len(link.called)
            assert await executions.feeds.get("ann", last) is feed
            assert len(link.called) == called


# Faults


async def test_sends_its_watchers_away_when_the_store_has_lost_it() -> None:
    store = MemoryStore()
    with virtual_time():
        async with Executions(quick, store=store) as executions:
            async with watching(executions) as ann:
                (before,) = await run(executions)
                await ann.until_ended(before)
                for key in await feed_keys(store):
                    await store.delete(key)
                await ann.until(lambda w: len(w.resets) == 2)
                (after,) = await run(executions)
                await ann.until_ended(after)
    assert ann.resets == ["new", "foreign"]
    assert by_execution(ann.events) == {before: WHOLE, after: WHOLE}


@pytest.mark.parametrize("lost", ["head", "part"])
async def test_begins_anew_when_the_store_has_lost_half_of_it(lost: str) -> None:
    store = MemoryStore()
    with virtual_time():
        async with Executions(quick, store=store) as executions:
            async with watching(executions) as ann:
                (before,) = await run(executions)
                await ann.until_ended(before)
                head, part = sorted(await feed_keys(store), key=len)
                await store.delete(head if lost == "head" else part)
                await ann.until(lambda w: len(w.resets) == 2)
                (after,) = await run(executions)
                await ann.until_ended(after)
    assert by_execution(ann.events) == {before: WHOLE, after: WHOLE}


async def test_says_all_when_the_store_answers_again() -> None:
    store = MemoryStore()
    link = Link(store)
    with virtual_time():
        async with Executions(quick, store=store) as there:
            async with Executions(quick, store=link) as here, watching(there) as ann:
                started = [await here.start(quick, owner="ann") for _ in range(3)]
                link.cut = True
                await asyncio.sleep(5)
                assert ann.events == []
                link.cut = False
                ids = [each.id for each in started]
                await ann.until_ended(*ids)
    assert by_execution(ann.events) == dict.fromkeys(ids, WHOLE)


async def test_begins_anew_when_more_happens_than_can_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "_MOST", 5)
    store = MemoryStore()
    link = Link(store)
    with virtual_time():
        async with Executions(quick, store=store) as there:
            async with Executions(quick, store=link) as here, watching(there) as ann:
                started = [await here.start(quick, owner="ann") for _ in range(10)]
                link.cut = True
                await asyncio.sleep(5)
                link.cut = False
                for each in started:
                    await end_of(each)
                await ann.until(lambda w: len(w.resets) == 2)
                (after,) = await run(here)
                await ann.until_ended(after)
    assert ann.of(after) == WHOLE


async def test_begins_anew_though_the_store_has_as_much_of_it_again() -> None:
    store = MemoryStore()
    with virtual_time():
        async with Executions(quick, store=store) as executions:
            async with watching(executions) as ann:
                (before,) = await run(executions)
                await ann.until_ended(before)
                log = FeedLog(store, "ann", lease=15, ttl=600)
                part = await log.find()
                assert part is not None
                await store.delete(part.key)
                part, grant = await log.begin(part)
                await log.append(part, grant, 0, [b"{}", b"{}"])
                await ann.until(lambda w: len(w.resets) == 2)
                (after,) = await run(executions)
                await ann.until_ended(after)
    assert by_execution(ann.events) == {before: WHOLE, after: WHOLE}


def test_has_one_event_of_each_execution_in_a_batch() -> None:
    def make(kind: Any, id: str, **more: Any) -> None:
        now = datetime(2026, 1, 2, tzinfo=UTC)
        facts = {"execution": id, "timestamp": now, "actor": "x"}
        waiting.add(id, partial(kind, **facts, **more))

    waiting = Outbox(since=0.0)
    for id in "ab":
        make(ExecutionStarted, id)
        make(ExecutionEnded, id, created=datetime.now(UTC), status="completed")
    make(ExecutionStarted, "c")
    first = waiting.batch()
    waiting.discard(first, [first["b"]])  # another process was faster with one event
    second = waiting.batch()
    theirs = second["b"].replace(b"completed", b"lost")
    waiting.discard(second, [second["a"], theirs])  # somebody has said b's end

    assert list(first) == ["a", "b", "c"]
    assert (second["a"], second["c"]) == (first["a"], first["c"])
    assert [b'"ended"' in data for data in second.values()] == [False, False, True]
    assert [*waiting.batch()] == ["c", "a"]


# Processes that are late


class Slow(Link):
    """The way to a store that takes its time to say what is in a feed."""

    async def read(self, key: str, after: int, limit: int) -> Page | None:
        if key.startswith("feed:"):
            await asyncio.sleep(0.5)
        return await super().read(key, after, limit)


async def be_busy(executions: Executions) -> None:
    while True:
        await run(executions, owner="bob")
        await asyncio.sleep(0.1)


async def test_lets_a_busy_process_say_the_end_itself() -> None:
    store = MemoryStore()
    with virtual_time():
        async with (
            Executions(store=store, lease=4.0) as there,
            Executions(slow, quick, store=Slow(store)) as here,
            watching(there) as ann,
        ):
            busy = asyncio.ensure_future(be_busy(here))
            await asyncio.sleep(3)
            execution = await here.start(slow, owner="ann")
            await asyncio.sleep(1)
            await execution.cancel()
            await ann.until_ended(execution.id)
            await asyncio.sleep(10)
            busy.cancel()
    assert ann.of(execution.id) == WHOLE


async def test_says_no_start_after_an_end_that_others_have_said() -> None:
    store = MemoryStore()
    link = Link(store)
    key = "read", FeedLog(store, "ann", lease=4.0, ttl=60.0).key
    with virtual_time():
        async with (
            Executions(store=store, lease=4.0) as there,
            Executions(slow, quick, store=link) as here,
            watching(there) as ann,
        ):
            link.faults[key] = Unavailable("It does not answer.")
            execution = await here.start(slow, owner="ann")
            await asyncio.sleep(2)
            await execution.cancel()
            await ann.until_ended(execution.id)
            del link.faults[key]
            await run(here)
            await ann.until(lambda w: len(w.ends) > 1)
            await asyncio.sleep(10)
    assert ann.of(execution.id) == ["ended"]


async def test_says_no_start_of_what_was_lost_meanwhile() -> None:
    store = MemoryStore()
    link = Link(store)
    with virtual_time():
        async with (
            Executions(store=store, lease=4.0) as there,
            Executions(slow, quick, store=link, lease=4.0) as here,
            watching(there) as ann,
        ):
            execution = await here.start(slow, owner="ann")
            link.cut = True
            await asyncio.sleep(2)
            await there.get(execution.id)
            await ann.until_ended(execution.id)
            link.cut = False
            await run(here)
            await asyncio.sleep(10)
    assert ann.of(execution.id) == ["ended"]


async def test_says_no_question_after_what_has_closed_it() -> None:
    store = MemoryStore()
    link = Link(store)
    key = "read", FeedLog(store, "boss", lease=4.0, ttl=60.0).key
    with virtual_time():
        async with (
            Executions(quick, store=store, lease=4.0) as there,
            Executions(book, quick, store=link, lease=4.0) as here,
            watching(there, "boss") as boss,
        ):
            link.faults[key] = Unavailable("It does not answer.")
            asks = await here.start(book, {"to": "boss"}, owner="ann")
            await asked(asks)
            link.cut = True
            await asyncio.sleep(2)
            await there.get(asks.id)
            await boss.until(lambda w: w.events)
            link.cut = False
            link.faults.clear()
            await run(here, owner="boss")
            await asyncio.sleep(10)
    assert boss.of(asks.id) == ["answered"]


# Processes that die


async def test_says_that_a_process_has_died() -> None:
    store = MemoryStore()
    link = Link(store)
    with virtual_time():
        loop = asyncio.get_running_loop()
        async with Executions(slow, book, store=store, lease=4.0) as there:
            here = Executions(slow, book, store=link, lease=4.0)
            async with watching(there) as ann, watching(there, "boss") as boss:
                execution = await here.start(slow, owner="ann")
                asks = await here.start(book, {"to": "boss"}, owner="ann")
                await boss.until(lambda w: w.events)
                await ann.until(lambda w: len(w.events) == 3)
                link.cut, died = True, loop.time()
                await ann.until_ended(execution.id, asks.id)
                took = loop.time() - died
                await boss.until(lambda w: len(w.events) == 2)
            await dead(here, link)
    assert [end.status for end in ann.ends] == ["lost", "lost"]
    assert ann.of(asks.id) == ["started", "waiting", "answered", "ended"]
    assert (boss.events[1].event_type, boss.events[1].action) == (
        "answered",
        "cancelled",
    )
    assert took < 1.25 * 4


async def test_says_what_had_died_before_anybody_watched() -> None:
    store = MemoryStore()
    link = Link(store)
    with virtual_time():
        async with Executions(slow, store=store, lease=4.0) as there:
            here = Executions(slow, store=link, lease=4.0)
            execution = await here.start(slow, owner="ann")
            link.cut = True
            await asyncio.sleep(3)
            async with watching(there) as ann:
                await ann.until_ended(execution.id)
            await dead(here, link)
    assert [end.status for end in ann.ends] == ["lost"]


async def test_says_an_end_that_its_process_could_not_say() -> None:
    store = MemoryStore()
    with virtual_time():
        async with (
            Executions(store=store, lease=4.0) as there,
            Executions(store=store, lease=4.0) as elsewhere,
            Executions(slow, store=store) as here,
            watching(there) as ann,
            watching(elsewhere) as also,
        ):
            here.feeds._may_be_watched = False  # as if it died before it could
            execution = await here.start(slow, owner="ann")
            await asyncio.sleep(2)
            await execution.cancel()
            await execution.wait()
            await ann.until_ended(execution.id)
            await asyncio.sleep(10)
    assert ann.events == also.events
    assert [each.status for each in ann.ends] == [ExecutionStatus.CANCELLED]
    assert ann.ends[0].created == execution.created
    assert ann.ends[0].timestamp <= datetime.now(UTC)


async def test_says_that_what_is_not_kept_any_more_has_ended() -> None:
    store = MemoryStore()
    with virtual_time():
        async with Executions(slow, store=store, lease=4.0) as there:
            async with Executions(slow, store=store) as here, watching(there) as ann:
                execution = await here.start(slow, owner="ann")
                await asyncio.sleep(2)
                here.feeds._may_be_watched = False
                await execution.cancel()
                await execution.wait()
                await store.delete(execution.id)
                await ann.until_ended(execution.id)
    assert ann.of(execution.id) == WHOLE


async def test_says_to_whom_a_question_was_that_its_process_has_died() -> None:
    store = MemoryStore()
    link = Link(store)
    with virtual_time():
        async with (
            Executions(store=store, lease=4.0) as there,
            Executions(store=store, lease=4.0) as elsewhere,
            watching(there, "boss") as boss,
            watching(elsewhere, "boss") as also,
        ):
            here = Executions(book, store=link, lease=4.0)
            asks = await here.start(book, {"to": "boss"}, owner="ann")
            await boss.until(lambda w: w.events)
            link.cut = True
            await boss.until(lambda w: len(w.events) == 2)
            await asyncio.sleep(20)
            await dead(here, link)
    assert boss.of(asks.id) == also.of(asks.id) == ["waiting", "answered"]
    assert boss.events[1].action == "cancelled"


async def test_says_it_also_if_the_feed_was_watched_in_the_process_that_died() -> None:
    store = MemoryStore()
    link = Link(store)
    with virtual_time():
        here = Executions(book, store=link, lease=4.0)
        async with watching(here, "boss") as boss:
            asks = await here.start(book, {"to": "boss"}, owner="ann")
            await boss.until(lambda w: w.events)
            last = (await here.feeds.get("boss")).attach(None).id
            link.cut = True
        async with Executions(store=store, lease=4.0) as there:
            told = await read(there, last, 2, owner="boss")
        await dead(here, link)
    assert told == [("answered", asks.id)]


@pytest.mark.parametrize("is_kept", [True, False])
async def test_says_an_answer_that_its_process_could_not_say(is_kept: bool) -> None:
    store = MemoryStore()
    with virtual_time():
        async with (
            Executions(store=store, lease=4.0) as there,
            Executions(store=store, lease=4.0) as elsewhere,
            Executions(book, store=store) as here,
            watching(there, "boss") as boss,
            watching(elsewhere, "boss") as also,
        ):
            asks = await here.start(book, {"to": "boss"}, owner="ann")
            await boss.until(lambda w: w.events)
            here.feeds._may_be_watched = False  # as if it died before it could
            await asks.decline(1, by="boss")
            await asks.wait()
            if not is_kept:
                await store.delete(asks.id)
                await store.delete(f"questions:{asks.id}")
            await boss.until(lambda w: len(w.events) == 2)
            await asyncio.sleep(10)
    assert boss.of(asks.id) == also.of(asks.id) == ["waiting", "answered"]
    assert (boss.events[1].action, boss.events[1].by) == (
        ("decline", "boss") if is_kept else ("cancelled", None)
    )


async def test_reads_what_asks_for_somebody_else_and_not_too_much_of_it() -> None:
    store = MemoryStore()
    link = Link(store)
    with virtual_time():
        async with (
            Executions(store=link, lease=4.0) as there,
            Executions(book, store=store) as here,
            watching(there, "boss") as boss,
        ):
            for owner, count in [("boss", 10), ("ann", 100)]:
                for _ in range(count):
                    await here.start(book, {"to": "boss"}, owner=owner)
            await boss.until(lambda w: len(w.events) == 120)
            await asyncio.sleep(1)
            before = link.called.count("read"), link.called.count("list")
            await asyncio.sleep(10)
            reads = link.called.count("read") - before[0]
            looks = link.called.count("list") - before[1]
            await here.drain(0)
    assert 6 <= looks <= 10
    assert 50 * looks <= reads <= 55 * looks + 10


class Stuck(Link):
    """The way to a store that does not say what an execution has asked.

    Attributes:
        asked: Set when it was to say that.
    """

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.asked = asyncio.Event()

    async def read(self, key: str, after: int, limit: int) -> Page | None:
        if key.startswith("questions:"):
            self.asked.set()
            await asyncio.Event().wait()
        return await super().read(key, after, limit)


async def test_says_what_it_has_found_dead_though_it_stops() -> None:
    store = MemoryStore()
    link, stuck = Link(store), Stuck(store)
    with virtual_time():
        async with Executions(store=store) as executions, watching(executions):
            pass  # so that there is a feed
        here = Executions(slow, store=link, lease=4.0)
        execution = await here.start(slow, owner="ann")
        await asyncio.sleep(1)
        link.cut = True
        await asyncio.sleep(4)
        async with Executions(store=stuck, lease=4.0) as there:
            await there.get(execution.id)
            await stuck.asked.wait()
        told = await kinds_in_feed(store)
        await dead(here, link)
    assert told == ["started", "ended"]


async def test_says_nothing_after_it_has_stopped_until_it_serves_again() -> None:
    executions = Executions(quick)
    async with executions, watching(executions):
        await run(executions)
    before = asyncio.all_tasks()
    now = datetime.now(UTC)
    late = Facts(id="late", actor="quick", owner="ann", created=now, fingerprint="")
    executions.feeds.ended(late, ExecutionStatus.LOST, now)
    after = asyncio.all_tasks()
    async with executions, watching(executions) as ann:
        (second,) = await run(executions)
        await ann.until_ended(second)
    assert after == before
    assert [each.execution for each in ann.ends] == [second]


async def test_sends_away_who_comes_when_it_has_stopped() -> None:
    executions = Executions(quick)
    async with executions, watching(executions):
        pass
    feed = await executions.feeds.get("ann")  # as of a request whose check took long
    cursor = feed.attach(None).cursor
    assert (cursor.take(), cursor.take()) == (None, None)
    cursor.close()


async def test_sends_away_who_comes_just_before_it_has_stopped() -> None:
    store = MemoryStore()
    executions = Executions(slow, store=store)
    async with executions, watching(executions):
        closing = asyncio.Event()
        executions.feeds._writer.aclose = closing.wait  # type: ignore[method-assign]
        draining = asyncio.ensure_future(executions.drain(0))
        async with asyncio.timeout(TIMEOUT):
            while not closing._waiters:  # noqa: ASYNC110
                await asyncio.sleep(0)
        cursor = (await executions.feeds.get("bob")).attach(None).cursor
        closing.set()
        await draining
        assert cursor.take() is None
        cursor.close()


async def test_says_in_another_event_loop_what_happens_after_one_that_was_not_closed(
    tmp_path: Path,
) -> None:
    executions = Executions(quick, store=f"sqlite:///{tmp_path}/events.db")

    async def life() -> list[str]:
        async with watching(executions) as ann:
            (id,) = await run(executions)
            await ann.until_ended(id)
        await run(executions)  # what is said of it waits when the loop ends
        return ann.of(id)

    lives = [await asyncio.to_thread(lambda: asyncio.run(life())) for _ in range(2)]
    await executions.drain(0)
    assert lives == [WHOLE, WHOLE]


async def test_knows_its_place_in_some_feeds_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed_writer, "_MOST_PENS", 3)
    async with Executions(quick) as executions:
        for number in range(2 * 3):
            async with watching(executions, f"{number % 5}") as watcher:
                (id,) = await run(executions, owner=f"{number % 5}")
                await watcher.until_ended(id)
            assert watcher.of(id) == WHOLE
        assert len(executions.feeds._writer._pens) == 3


async def test_says_to_its_owner_that_what_nobody_has_any_more_has_ended() -> None:
    store = MemoryStore()
    with virtual_time():
        async with Executions(slow, store=store, lease=4.0) as there:
            here = Executions(slow, store=store, lease=4.0)
            async with watching(there) as ann, watching(there, None) as nobody:
                execution = await here.start(slow, owner="ann")
                await ann.until(lambda w: w.events)
                here.feeds._may_be_watched = False  # it dies
                await execution.cancel()
                await execution.wait()
                await store.delete(execution.id)  # before anybody has listed it
                await ann.until_ended(execution.id)
            await here.drain(0)
    assert (ann.of(execution.id), nobody.events) == (WHOLE, [])


async def kinds_in_feed(store: MemoryStore) -> list[str]:
    """What is said in the feed of "ann", in order."""
    log = FeedLog(store, "ann", lease=4.0, ttl=60.0)
    part = await log.find()
    assert part is not None
    stored = await log.read(part, part.after)
    return [json.loads(each)["event_type"] for each in stored.data]


async def dead(executions: Executions, link: Link) -> None:
    """Stop what counts as dead, so that no task is left."""
    link.cut = False
    await executions.drain(0)
