"""What a start in a busy thread does: it waits for its turn, or replaces what runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from asgi_events import Executions, agent, current_state
from asgi_events.actors import actor_of
from asgi_events.events import SHUTTING_DOWN
from asgi_events.exceptions import Draining, LimitReached
from asgi_events.executions import Execution
from asgi_events.stores import EventStore
from asgi_events.stores.memory import MemoryStore
from asgi_events.testing import virtual_time
from tests import TIMEOUT
from tests.executions.scenes import end_of, soon
from tests.executions.threads import Chat, Process, begun, ended, refused, shared


async def message_of(execution: Execution) -> str:
    event = await execution.terminal_event()
    return str(getattr(event, "message", event))


async def until(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT):
        while not look():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


async def asked(chat: Chat, count: int) -> None:
    await until(lambda: len(chat.asked) >= count)


def two(process: Process, kind: str) -> tuple[Executions, Executions]:
    """Two processes, or the one that there is without a store."""
    here = process()
    return here, here if kind == "no store" else process()


# The option


@pytest.mark.parametrize("when_busy", ["wait", "", None, "Reject", ["queue"]])
def test_refuses_a_way_that_there_is_not(when_busy: Any) -> None:
    with pytest.raises(ValueError, match="one of 'reject', 'queue', 'replace', got"):
        agent(when_busy=when_busy)(lambda: None)


def test_rejects_unless_it_is_told_otherwise() -> None:
    @agent
    async def plain() -> None: ...

    @agent(when_busy="queue")
    async def patient() -> None: ...

    assert actor_of(plain).when_busy == "reject"
    assert actor_of(patient).when_busy == "queue"


@pytest.mark.parametrize("most", [0, 257, -1])
async def test_refuses_a_queue_of_an_absurd_length(chat: Chat, most: int) -> None:
    with pytest.raises(ValueError, match="max_queued must be at"):
        Executions(chat.queueing, max_queued=most)


# Queue


async def test_runs_what_waits_in_the_order_of_its_starts(
    process: Process, chat: Chat, kind: str
) -> None:
    here, there = two(process, kind)
    first = await here.start(chat.actor, {"text": "0"}, thread="t")
    await asked(chat, 1)
    waiting = [
        await executions.start(chat.queueing, {"text": f"{number}"}, thread="t")
        for number, executions in enumerate((there, here, there, here, there), 1)
    ]

    assert [each.status for each in waiting] == ["started"] * 5
    assert [each.log.last for each in waiting] == [0] * 5
    newest = await here.newest("t")
    assert newest is not None
    assert newest.id == waiting[-1].id
    listed = await here.list(owner=None, thread="t", status="started")
    assert {each.id for each in listed.items} == {first.id, *(w.id for w in waiting)}

    chat.open()
    assert [await end_of(each) for each in [first, *waiting]] == ["completed"] * 6
    assert chat.asked == ["0", "1", "2", "3", "4", "5"]
    assert chat.most == 1
    assert [await each.result() for each in waiting] == ["1", "2", "3", "4", "5"]


async def test_begins_at_once_in_a_thread_that_is_free(
    process: Process, chat: Chat
) -> None:
    executions = process()
    for number in range(3):
        execution = await executions.start(chat.queueing, thread="t")
        await asked(chat, number + 1)
        await ended(chat, execution)


async def test_is_found_and_followed_while_it_waits(
    process: Process, chat: Chat, kind: str
) -> None:
    here, there = two(process, kind)
    first = await here.start(chat.actor, thread="t")
    waiting = await here.start(chat.queueing, {"text": "w"}, thread="t", id="w")
    found = await there.get("w")
    again = await there.start(chat.queueing, {"text": "w"}, thread="t", id="w")
    following = asyncio.ensure_future(begun(chat, found))
    await ended(chat, first)
    await soon(following)
    await ended(chat, waiting)

    assert (found.id, again.id) == ("w", "w")
    assert chat.asked == ["", "w"]
    assert await end_of(found) == "completed"


async def test_does_not_run_what_is_cancelled_while_it_waits(
    process: Process, chat: Chat, kind: str
) -> None:
    here, there = two(process, kind)
    first = await here.start(chat.actor, {"text": "1"}, thread="t")
    second = await here.start(chat.queueing, {"text": "2"}, thread="t")
    third = await here.start(chat.queueing, {"text": "3"}, thread="t")
    await (await there.get(second.id)).cancel()

    assert await end_of(second) == "cancelled"
    assert (first.status, third.status) == ("started", "started")
    assert await refused(there.start(chat.actor, thread="t")) == ("t", first.id)
    await ended(chat, first)
    await ended(chat, third)
    assert chat.asked == ["1", "3"]
    assert await end_of(third) == "completed"


async def test_names_the_one_that_runs_where_others_wait(
    process: Process, chat: Chat
) -> None:
    executions = process()
    first = await executions.start(chat.actor, thread="t")
    second = await executions.start(chat.queueing, thread="t")
    busy = await refused(executions.start(chat.actor, thread="t"))
    await ended(chat, first)
    later = await refused(executions.start(chat.actor, thread="t"))

    assert (busy, later) == (("t", first.id), ("t", second.id))


async def test_lets_only_so_many_wait(process: Process, chat: Chat, kind: str) -> None:
    here = process(max_queued=2)
    there = here if kind == "no store" else process(max_queued=2)
    first = await here.start(chat.actor, thread="t")
    waiting = [await here.start(chat.queueing, thread="t") for _ in range(2)]
    for each in (here, there):
        for how in ({}, {"id": "one"}, {"idempotency_key": "k"}):
            with pytest.raises(LimitReached) as raised:
                await each.start(chat.queueing, thread="t", **how)
            assert (raised.value.option, raised.value.limit) == ("max_queued", 2)
    other = await here.start(chat.queueing, thread="u")
    await waiting[0].cancel()
    await end_of(waiting[0])
    third = await there.start(chat.queueing, thread="t", idempotency_key="k")
    listed = await here.list(owner=None, thread="t")

    assert other.status == third.status == "started"
    assert {each.id for each in listed.items} == {
        first.id,
        third.id,
        *(each.id for each in waiting),
    }


async def test_keeps_the_order_of_many_starts_at_the_same_time(
    process: Process, chat: Chat, kind: str
) -> None:
    here, there = two(process, kind)
    starts = [
        executions.start(chat.queueing, {"text": f"{number}"}, thread="t")
        for number, executions in enumerate((here, there) * 8)
    ]
    started = await soon(asyncio.gather(*starts))
    chat.open()
    assert {await end_of(each) for each in started} == {"completed"}
    assert chat.most == 1
    assert sorted(chat.asked) == sorted(f"{number}" for number in range(16))
    if kind != "no store":
        recent = await here._held._turns.thread_of(None, "t").read()  # type: ignore[attr-defined]
        texts = {each.id: await each.result() for each in started}
        assert chat.asked == [texts[id] for id in recent.ids]


@shared
async def test_ends_what_waits_when_its_process_stops(
    process: Process, chat: Chat
) -> None:
    here, there = process(drain_grace=0.0), process()
    first = await there.start(chat.actor, {"text": "1"}, thread="t")
    second = await here.start(chat.queueing, {"text": "2"}, thread="t")
    third = await there.start(chat.queueing, {"text": "3"}, thread="t")
    await soon(here.drain())
    found = await there.get(second.id)

    assert (await end_of(found), await message_of(found)) == (
        "cancelled",
        SHUTTING_DOWN,
    )
    with pytest.raises(Draining):
        await here.start(chat.queueing, thread="t")
    await ended(chat, first)
    await ended(chat, third)
    assert chat.asked == ["1", "3"]


async def test_runs_what_waits_while_its_process_may_run_on(
    process: Process, chat: Chat
) -> None:
    executions = process(drain_grace=TIMEOUT)
    first = await executions.start(chat.actor, thread="t")
    second = await executions.start(chat.queueing, thread="t")
    draining = asyncio.ensure_future(executions.drain())
    await asyncio.sleep(0)
    chat.open()
    await soon(draining)

    assert [await end_of(each) for each in (first, second)] == ["completed"] * 2


async def test_counts_its_duration_from_its_turn_on(chat: Chat) -> None:
    with virtual_time():
        async with Executions(chat.actor, chat.queueing, max_duration=10.0) as here:
            first = await here.start(chat.actor, thread="t")
            second = await here.start(chat.queueing, thread="t")
            await asyncio.sleep(6.0)
            await ended(chat, first)
            await asyncio.sleep(6.0)
            after_12 = second.status
            await second.wait()
            now = asyncio.get_running_loop().time()
            message = await message_of(second)

    assert after_12 == "started"
    assert message == "Execution cancelled: it ran longer than 10.0 s"
    assert chat.asked == ["", ""]
    assert now > 16.0


async def test_is_cancelled_unwatched_while_it_waits(chat: Chat) -> None:
    with virtual_time():
        async with Executions(*chat.actors, cancel_after=5.0) as here:
            await here.start(chat.actor, thread="t")
            second = await here.start(chat.queueing, {"text": "2"}, thread="t")
            viewer = second.watchers.attach()
            viewer.close()
            await second.wait()
            message = await message_of(second)

    assert message == "Execution cancelled: nobody watched it for 5.0 s"
    assert chat.asked == [""]


async def test_takes_a_place_while_it_waits(process: Process, chat: Chat) -> None:
    executions = process(max_executions=2)
    first = await executions.start(chat.actor, thread="t")
    await executions.start(chat.queueing, thread="t")

    with pytest.raises(LimitReached, match="max_executions"):
        await executions.start(chat.queueing, thread="t")
    await ended(chat, first)
    third = await executions.start(chat.queueing, thread="t")
    assert third.status == "started"


async def test_knows_a_key_while_what_it_started_waits() -> None:
    """Even if that takes many times as long as one may run."""
    with virtual_time():

        @agent(when_busy="queue")
        async def nap() -> str:
            await asyncio.sleep(9.0)
            return current_state().execution_id or ""

        options: Any = {"max_duration": 10.0, "retention": 1.0, "max_queued": 8}
        async with Executions(nap, **options) as here:
            for _ in range(8):
                await here.start(nap, thread="t")
            last = await here.start(nap, thread="t", idempotency_key="k")
            await asyncio.sleep(70.0)
            again = await here.start(nap, thread="t", idempotency_key="k")

            assert again is last
            assert await last.result() == last.id


async def test_loses_all_of_a_dead_process_at_once() -> None:
    """Not one after another, however many of them wait."""
    lease, store = 8.0, MemoryStore()

    over, runs = asyncio.Event(), []

    @agent(when_busy="queue")
    async def forever(ends: bool = False) -> None:
        runs.append(current_state().execution_id)
        if not ends:
            await over.wait()

    with virtual_time():
        dead, here = (Executions(forever, store=store, lease=lease) for _ in range(2))
        lost = [await dead.start(forever, thread="t") for _ in range(10)]
        for each in lost:
            each.abandon()  # no sign of life from now on
        began = asyncio.get_running_loop().time()
        last = await here.start(forever, {"ends": True}, thread="t")
        ended = await last.wait()
        took = asyncio.get_running_loop().time() - began
        statuses = {await (await here.get(each.id)).wait() for each in lost}
        over.set()
        await asyncio.sleep(2 * lease)  # the others learn that they are lost
        await here.drain(0)
        await dead.drain(0)

    assert (ended, statuses) == ("completed", {"lost"})
    assert took < 2 * lease
    assert runs == [lost[0].id, last.id]


# Replace


async def test_cancels_what_runs_and_then_runs(
    process: Process, chat: Chat, kind: str
) -> None:
    here, there = two(process, kind)
    first = await here.start(chat.replacing, {"text": "1"}, thread="t")
    await asked(chat, 1)
    second = await there.start(chat.replacing, {"text": "2"}, thread="t")

    assert await end_of(first) == "cancelled"
    assert await message_of(first) == f"Execution cancelled: replaced by {second.id}"
    await asked(chat, 2)
    assert await ended(chat, second) == "completed"
    assert (chat.asked, chat.most) == (["1", "2"], 1)


async def test_says_the_same_wherever_the_replaced_one_is_looked_at(
    process: Process, chat: Chat, kind: str
) -> None:
    here, there = two(process, kind)
    first = await here.start(chat.actor, thread="t")
    await asked(chat, 1)
    second = await there.start(chat.replacing, thread="t")
    found = await there.get(first.id)

    assert await end_of(found) == "cancelled"
    assert await message_of(found) == f"Execution cancelled: replaced by {second.id}"


async def test_cancels_what_waits_too(process: Process, chat: Chat, kind: str) -> None:
    here, there = two(process, kind)
    first = await here.start(chat.queueing, {"text": "1"}, thread="t")
    await asked(chat, 1)
    waiting = [
        await each.start(chat.queueing, {"text": "w"}, thread="t")
        for each in (here, there, here)
    ]
    last = await there.start(chat.replacing, {"text": "last"}, thread="t")

    assert [await end_of(each) for each in [first, *waiting]] == ["cancelled"] * 4
    assert {await message_of(each) for each in [first, *waiting]} == {
        f"Execution cancelled: replaced by {last.id}"
    }
    await asked(chat, 2)
    assert await ended(chat, last) == "completed"
    assert (chat.asked, chat.most) == (["1", "last"], 1)


async def test_lets_the_later_of_many_replacers_win(
    process: Process, chat: Chat, kind: str
) -> None:
    here, there = two(process, kind)
    starts = [
        executions.start(chat.replacing, {"text": f"{number}"}, thread="t")
        for number, executions in enumerate((here, there) * 5)
    ]
    started = await soon(asyncio.gather(*starts))
    newest = await here.newest("t")
    assert newest is not None
    others = [each for each in started if each.id != newest.id]

    assert {await end_of(each) for each in others} == {"cancelled"}
    (winner,) = [each for each in started if each.id == newest.id]
    assert await ended(chat, winner) == "completed"
    assert chat.most == 1


async def test_queues_behind_one_that_replaces(process: Process, chat: Chat) -> None:
    executions = process()
    first = await executions.start(chat.actor, {"text": "1"}, thread="t")
    second = await executions.start(chat.replacing, {"text": "2"}, thread="t")
    third = await executions.start(chat.queueing, {"text": "3"}, thread="t")

    assert await end_of(first) == "cancelled"
    await until(lambda: "2" in chat.asked)
    await ended(chat, second)
    assert await ended(chat, third) == "completed"
    assert chat.asked[-2:] == ["2", "3"]
    assert chat.most == 1


async def test_runs_in_a_thread_that_is_free_and_replaces_nothing(
    process: Process, chat: Chat
) -> None:
    executions = process()
    first = await executions.start(chat.replacing, thread="t")
    await ended(chat, first)
    second = await executions.start(chat.replacing, thread="t")
    other = await executions.start(chat.replacing, thread="u")

    assert [each.status for each in (first, second, other)] == [
        "completed",
        "started",
        "started",
    ]


# What does not obey


class Blocking:
    """A sync actor that returns when the test says so, cancelled or not."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.running = self.most = self.runs = 0
        self._lock = threading.Lock()

        @agent(name="blocking", when_busy="replace")
        def blocking() -> None:
            with self._lock:
                self.runs += 1
                self.running += 1
                self.most = max(self.most, self.running)
            self.free.wait(TIMEOUT)
            with self._lock:
                self.running -= 1

        self.actor: Any = blocking


async def test_waits_until_sync_code_has_returned(
    share: Callable[[], EventStore | None],
) -> None:
    blocking, options = Blocking(), {}
    if (store := share()) is not None:
        options["store"] = store
    async with Executions(blocking.actor, **options) as executions:  # type: ignore[arg-type]
        first = await executions.start(blocking.actor, thread="t")
        await until(lambda: blocking.runs == 1)
        second = await executions.start(blocking.actor, thread="t")
        await asyncio.sleep(0.1)  # a wrong one would begin
        during = first.status, second.status, blocking.runs
        blocking.free.set()
        ends = [await end_of(first), await end_of(second)]
    if store is not None:
        await store.aclose()

    assert during == ("started", "started", 1)
    assert ends == ["cancelled", "completed"]
    assert (blocking.runs, blocking.most) == (2, 1)


def running() -> set[str]:
    """The names of the tasks that are not done."""
    return {task.get_name() for task in asyncio.all_tasks()}


async def test_goes_on_when_code_does_not_return_in_time() -> None:
    blocking = Blocking()
    async with Executions(blocking.actor, cancel_timeout=0.1) as executions:
        first = await executions.start(blocking.actor, thread="t")
        await until(lambda: blocking.runs == 1)
        second = await executions.start(blocking.actor, thread="t")
        end, message = await end_of(first), await message_of(first)
        await until(lambda: blocking.runs == 2)
        blocking.free.set()
        last = await end_of(second)
        await until(lambda: f"execution {first.id}" not in running())

    assert (end, last) == ("cancelled", "completed")
    assert message == (
        f"Execution cancelled: replaced by {second.id}; its cleanup was not done "
        "after 0.1 s"
    )


async def test_does_not_wait_for_sync_code_when_the_process_stops() -> None:
    blocking = Blocking()
    executions = Executions(blocking.actor, drain_grace=0.0, cancel_timeout=TIMEOUT)
    first = await executions.start(blocking.actor, thread="t")
    await until(lambda: blocking.runs == 1)
    await asyncio.wait_for(executions.drain(), TIMEOUT / 2)

    assert first.status == "cancelled"
    blocking.free.set()


async def test_does_not_wait_for_sync_code_without_a_thread() -> None:
    blocking = Blocking()
    async with Executions(blocking.actor, cancel_timeout=TIMEOUT) as executions:
        first = await executions.start(blocking.actor)
        await until(lambda: blocking.runs == 1)
        await first.cancel()
        await asyncio.wait_for(first.wait(), TIMEOUT / 2)
        blocking.free.set()

    assert first.status == "cancelled"
