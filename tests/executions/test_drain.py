"""``Executions``: shutting down."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from asgi_events import Executions
from asgi_events.aio import signals
from asgi_events.exceptions import (
    Draining,
)
from asgi_events.executions import Execution
from asgi_events.http.viewing import ExecutionResponse
from asgi_events.stores import EventStore
from asgi_events.stores.memory import MemoryStore
from asgi_events.testing import Connection
from asgi_events.wire.formats import NativeFormat
from tests import TIMEOUT
from tests.executions.scenes import (
    Cleaner,
    Gate,
    Make,
    SpyStore,
    count,
    end_of,
    idle,
    kinds_of,
    seen,
    soon,
    viewer,
)
from tests.payloads import kinds


class LastingStore(SpyStore):
    """Says that its logs outlive this process."""

    durable = True


async def frames_of(store: EventStore, execution: Execution) -> list[bytes]:
    page = await store.read(execution.id, 0, 1 << 30)
    assert page is not None
    return list(page.frames)


async def test_refuses_starts_and_sends_viewers_away_while_it_drains(
    make: Make,
) -> None:
    gate = Gate()
    store = LastingStore()
    executions = make(gate.actor, idle, store=store)
    execution = await executions.start("work")
    over = await executions.start(idle)
    await end_of(over)
    async with viewer(executions, execution) as watching:
        await watching.until(b"started")
        draining = asyncio.create_task(executions.drain(TIMEOUT))
        *_, goodbye = await watching.events()
        with pytest.raises(Draining) as raised:
            await executions.start(idle)
        async with viewer(executions, execution) as late:
            late_events = await late.events()
        status = execution.status
        gate.open.set()
        await soon(draining)
    assert raised.value.status == 503
    assert store.calls == ["open", "open"]  # the refused start asked for nothing
    assert (goodbye.event, goodbye.data) == ("goodbye", '{"reason":"draining"}')
    assert goodbye.id is None
    assert goodbye.retry is not None and 1000 <= goodbye.retry <= 4000
    assert [(e.event, e.data) for e in late_events] == [
        ("goodbye", '{"reason":"draining"}')
    ]
    assert watching.ended and late.ended
    assert status == "started"
    assert (execution.status, gate.ended) == ("completed", ["returned"])


async def test_stores_what_ends_within_the_grace_and_what_does_not(make: Make) -> None:
    class KeepingStore(MemoryStore):
        """Still has, after it was closed, what it was given before."""

        ends: dict[str, str | None] = {}

        async def append(self, key: str, *args: Any, end: str | None = None) -> Any:
            ack = await super().append(key, *args, end=end)
            self.ends[key] = end
            return ack

    store = KeepingStore()
    quick, slow = Gate("quick"), Gate("slow")
    executions = make(quick.actor, slow.actor, store=store)
    both = [await executions.start(name) for name in ("quick", "slow")]
    await soon(slow.begun.wait())
    draining = asyncio.create_task(executions.drain(0.1))
    quick.open.set()
    await soon(draining)
    assert [execution.status for execution in both] == ["completed", "cancelled"]
    assert [store.ends[execution.id] for execution in both] == [
        "completed",
        "cancelled",
    ]
    assert (quick.ended, slow.ended) == (["returned"], ["cancelled"])


async def test_says_in_the_terminal_event_that_the_server_shuts_down(
    make: Make,
) -> None:
    gate = Gate()
    store = MemoryStore()
    executions = make(gate.actor, store=store)
    execution = await executions.start("work")
    await soon(gate.begun.wait())
    await executions.drain(0)
    assert (
        b'"message":"Execution cancelled: the server is shutting down"'
        in (await frames_of(store, execution))[-1]
    )


@pytest.mark.parametrize("cancel_after", [0, 0.03], ids=["at once", "after a while"])
async def test_does_not_hold_it_against_an_execution_that_a_drain_took_its_viewers(
    make: Make, cancel_after: float
) -> None:
    gate = Gate()
    executions = make(gate.actor, store=LastingStore(), cancel_after=cancel_after)
    execution = await executions.start("work")
    async with viewer(executions, execution) as watching:
        await watching.until(b"started")
        draining = asyncio.create_task(executions.drain(TIMEOUT))
        await watching.events()
    await asyncio.sleep(0.06)
    gate.open.set()
    await soon(draining)
    assert execution.status == "completed"


async def test_keeps_viewers_to_the_end_where_there_is_nothing_to_come_back_to(
    make: Make,
) -> None:
    quick, slow = Gate("quick"), Gate("slow")
    executions = make(quick.actor, slow.actor, cancel_after=None)
    both = [await executions.start(name) for name in ("quick", "slow")]
    async with viewer(executions, both[0]) as first, viewer(executions, both[1]) as c:
        for watching in (first, c):
            await watching.until(b"started")
        draining = asyncio.create_task(executions.drain(0.1))
        await asyncio.sleep(0)
        async with viewer(executions, both[0]) as late:
            quick.open.set()
            *_, complete, end = await first.events()
            *_, cancelled, last = await c.events()
            late_events = await late.events()
        await soon(draining)

    assert json.loads(complete.data)["event_type"] == "complete"
    assert (
        json.loads(cancelled.data)["message"]
        == "Execution cancelled: the server is shutting down"
    )
    assert (end.data, last.data) == ('{"status":"completed"}', '{"status":"cancelled"}')
    assert late_events[-1].data == '{"status":"completed"}'


async def test_drains_in_the_seconds_that_a_signal_leaves_it(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor, drain_grace=3600)
    executions.open()
    execution = await executions.start("work")
    await soon(gate.begun.wait())
    first = signals.tell()
    await asyncio.sleep(0)
    status = execution.status
    second = signals.tell(0.0)
    await soon(asyncio.wait({*first, *second}))

    assert (status, execution.status) == ("started", "cancelled")
    assert len(first) == len(second) == 1


@pytest.mark.parametrize(
    "headers",
    [{"x-title": "日本"}, {"x": "a\r\nb: c"}, {"connection": "x"}, {"a b": "c"}],
    ids=str,
)
async def test_refuses_a_header_before_anybody_has_a_seat(
    make: Make, headers: dict[str, str]
) -> None:
    gate = Gate()
    executions = make(gate.actor, max_viewers=1)
    execution = await executions.start("work")
    for _ in range(2):
        with pytest.raises(ValueError, match="header"):
            ExecutionResponse(execution, headers=headers)
    viewers = execution.viewers
    async with viewer(executions, execution) as watching:
        await watching.until(b"started")

    assert viewers == 0


async def test_lets_a_second_drain_wait_for_the_first(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor)
    await executions.start("work")
    first = asyncio.create_task(executions.drain(TIMEOUT))
    second = asyncio.create_task(executions.drain(0))
    for _ in range(5):
        await asyncio.sleep(0)
    waiting = (first.done(), second.done(), list(gate.ended))
    gate.open.set()
    await soon(asyncio.gather(first, second))
    assert waiting == (False, False, [])
    assert gate.ended == ["returned"]


async def test_drains_to_the_end_when_who_asked_for_it_is_cancelled(
    make: Make,
) -> None:
    gate = Gate()
    executions = make(gate.actor)
    execution = await executions.start("work")
    first = asyncio.create_task(executions.drain(TIMEOUT))
    await soon(gate.begun.wait())
    first.cancel()
    await asyncio.wait({first})
    gate.open.set()
    await soon(executions.drain(0))
    assert execution.status == "completed"


async def test_drains_what_is_being_started(make: Make) -> None:
    store = SpyStore()
    store.openable.clear()
    gate = Gate()
    executions = make(gate.actor, store=store)
    starting = asyncio.create_task(executions.start("work"))
    await soon(store.opening.wait())
    draining = asyncio.create_task(executions.drain(0))
    await asyncio.sleep(0)
    store.openable.set()
    (outcome,) = await soon(asyncio.gather(starting, return_exceptions=True))
    await soon(draining)
    if isinstance(outcome, Execution):
        left = outcome.status
        await outcome.cancel()
        await end_of(outcome)
        assert left == "cancelled"
    else:
        assert isinstance(outcome, Draining)


async def test_closes_its_store_after_what_is_being_started(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SpyStore()
    store.openable.clear()
    monkeypatch.setattr(
        "asgi_events.executions.executions.open_store", lambda url: store
    )
    executions = make(idle, store="memory://")
    starting = asyncio.create_task(executions.start(idle))
    await soon(store.opening.wait())
    draining = asyncio.create_task(executions.drain(0))
    for _ in range(50):  # more turns of the loop than a drain takes that waits for none
        await asyncio.sleep(0)
    store.openable.set()
    with pytest.raises(Draining):
        await soon(starting)
    await soon(draining)

    assert store.calls == ["open", "delete", "aclose"]


async def test_leaves_nothing_of_a_start_that_is_cancelled(make: Make) -> None:
    store = SpyStore()
    store.openable.clear()
    executions = make(idle, store=store)
    starting = asyncio.create_task(executions.start(idle))
    await soon(store.opening.wait())
    starting.cancel()
    await asyncio.wait([starting])
    await soon(store.deleted.wait())
    store.openable.set()
    again = await soon(executions.start(idle))

    listed = await executions.list(owner=None)
    assert [each.id for each in listed.items] == [again.id]
    assert store.calls == ["open", "delete", "open"]


class Speechless(NativeFormat):
    """A format of the application's, with a fault in it."""

    def goodbye(self, reason: str) -> bytes:
        raise KeyError(reason)


async def test_drains_though_a_format_has_no_goodbye(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    executions = make(gate.actor, store=LastingStore())
    execution = await executions.start("work")
    response = ExecutionResponse(execution, format=Speechless)
    async with Connection(response) as broken, viewer(executions, execution) as other:
        await broken.until(b"started")
        await other.until(b"started")
        await soon(executions.drain(0))
        *_, goodbye = await other.events()

    assert (goodbye.event, execution.status) == ("goodbye", "cancelled")
    assert caplog.messages[0].startswith("A stream is broken off")


async def test_hears_other_processes_again_when_it_serves_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/events.db"
    gate = Gate()
    async with Executions(gate.actor, store=url, lease=300.0) as there:
        here = Executions(gate.actor, store=url, lease=300.0)
        async with here:
            known = await here.get((await there.start("work")).id)
            waiting = asyncio.ensure_future(known.wait())
            await soon(gate.begun.wait())
        async with here:
            execution = await here.start("work")
            await (await there.get(execution.id)).cancel()
            assert await soon(execution.wait()) == "cancelled"
            gate.open.set()
            assert await soon(waiting) == "completed"


async def test_tells_at_once_of_what_a_drain_lets_run_on(make: Make) -> None:
    store = SpyStore()
    store.openable.clear()
    gate = Gate()
    executions = make(gate.actor, store=store)
    starting = asyncio.create_task(executions.start("work", idempotency_key="k"))
    await soon(store.opening.wait())
    draining = asyncio.create_task(executions.drain(TIMEOUT))
    await asyncio.sleep(0)
    store.openable.set()
    execution = await soon(starting)
    await soon(gate.begun.wait())
    told = (execution.status, draining.done())
    gate.open.set()
    await soon(draining)

    assert told == ("started", False)
    assert execution.status == "completed"


async def test_leaves_a_store_that_it_was_given_to_who_made_it(make: Make) -> None:
    store = SpyStore()
    executions = make(idle, store=store)
    execution = await executions.start(idle)
    await end_of(execution)
    await executions.drain(0)
    page = await store.read(execution.id, 0, 10_000)
    assert store.calls == ["open"]
    assert page is not None
    assert (page.end, len(page.frames)) == ("completed", 3)


async def test_closes_the_store_that_it_has_made(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SpyStore()
    monkeypatch.setattr(
        "asgi_events.executions.executions.open_store", lambda url: store
    )
    executions = make(idle, store="memory://")
    for _ in range(2):
        await end_of(await executions.start(idle))
    await executions.drain(0)
    for _ in range(3):
        await asyncio.sleep(0)
    assert store.calls[-1] == "aclose"
    assert store.calls.count("aclose") == 1


async def test_is_done_with_a_drain_that_the_cleanup_of_an_actor_outlives(
    make: Make,
) -> None:
    cleaner = Cleaner()
    executions = make(cleaner.actor, cancel_timeout=0.03)
    execution = await executions.start("clean")
    await soon(cleaner.begun.wait())
    await soon(executions.drain(0))
    status = execution.status
    cleaner.open.set()
    await soon(cleaner.over.wait())
    assert status == "cancelled"


async def test_serves_again_after_it_is_opened_again(make: Make) -> None:
    executions = make(idle)
    first = await executions.start(idle)
    await end_of(first)
    await executions.drain(0)
    executions.open()
    second = await executions.start(idle)
    assert await end_of(second) == "completed"
    assert list(executions) == [second]
    assert kinds_of(await seen(executions, second))[-1] == "complete"


async def test_stays_shut_when_it_is_opened_during_a_drain(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor)
    await executions.start("work")
    draining = asyncio.create_task(executions.drain(TIMEOUT))
    await soon(gate.begun.wait())
    executions.open()
    with pytest.raises(Draining):
        await executions.start("work")
    gate.open.set()
    await soon(draining)


async def test_drains_at_the_end_of_its_context() -> None:
    gate = Gate()
    async with Executions(gate.actor) as executions:
        execution = await executions.start("work")
        gate.open.set()
    with pytest.raises(Draining):
        await executions.start("work")
    assert execution.status == "completed"
    async with executions:
        again = await executions.start("work")
    assert again.status == "completed"


async def test_serves_on_another_event_loop_after_a_drain() -> None:
    executions = Executions(count)

    async def life() -> list[str]:
        async with executions:
            execution = await executions.start(
                count, {"to": 3}, idempotency_key="the same in both lives"
            )
            async with viewer(executions, execution) as connection:
                return kinds(await connection.events())

    def run() -> list[str]:
        return asyncio.run(life())

    lives = [await asyncio.to_thread(run) for _ in range(2)]
    assert lives[0] == lives[1]
    assert lives[0] == ["tool_call"] + ["progress"] * 3 + ["tool_call", "complete"]
