"""Leases: the log of a dead writer gets its end."""

from __future__ import annotations

import asyncio

import pytest

from asgi_events import EventsApp, Executions
from asgi_events.exceptions import Unavailable
from asgi_events.executions import Execution
from asgi_events.stores import memory
from asgi_events.testing import Client
from asgi_events.wire.sse import ServerSentEvent
from tests import TIMEOUT
from tests.executions.leases.processes import (
    LEASE,
    Dictation,
    Link,
    Lossy,
    Process,
    last_of,
    lost,
    rest,
    seen,
    unstored,
    viewer,
    watched,
)


def reset(first: int = 1) -> ServerSentEvent:
    reason = f'{{"reason":"future","first":{first}}}'
    return ServerSentEvent(event="reset", data=reason)


NOT_KEPT = "The events of this execution are not kept any more"

NOT_READ = "The events of this execution cannot be read any more"


# Writers that are dead


async def test_ends_the_log_of_a_dead_writer_whom_somebody_watches(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, link), (there, _) = process(store), process(store)
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as far:
        dictation.say(1)
        await seen(far, 2)
        link.cut = True
        assert await rest(far) == lost(execution.id, 3)


async def test_ends_the_log_of_a_dead_writer_whose_lease_was_another(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, link), (there, _) = process(store), process(store, lease=60)
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as far:
        await seen(far, 1)
        link.cut = True
        assert await rest(far) == lost(execution.id, 2)


async def test_suspects_nobody_when_it_has_been_drained(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, link), (there, spy) = process(store), process(store)
    execution = await here.start(dictation.actor)
    link.cut = True
    await there.drain(0)
    async with asyncio.timeout(TIMEOUT):
        while (page := await store.read(execution.id, 0, 0)) and page.alive:  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    await there.get(execution.id)
    await asyncio.sleep(0)

    assert "reap" not in spy.called
    there.open()
    async with viewer(there, execution.id) as far:
        assert await rest(far) == lost(execution.id, 1)


async def test_ends_the_log_of_a_dead_writer_when_somebody_asks_how_it_stands(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, link), (there, _) = process(store), process(store)
    execution = await here.start(dictation.actor)
    link.cut = True

    async def status() -> str:
        return str((await there.get(execution.id)).status)

    async with asyncio.timeout(TIMEOUT):
        while await status() == "started":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert await status() == "lost"


async def test_tells_viewers_of_a_dead_writer_though_the_clock_was_set_back(
    process: Process,
    dictation: Dictation,
    store: Lossy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (here, link), (there, _) = process(store), process(store)
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as far:
        await seen(far, 1)
        link.cut = True
        real = memory.monotonic
        monkeypatch.setattr(memory, "monotonic", lambda: real() - 3600)
        assert await rest(far) == lost(execution.id, 2)


async def test_says_reset_and_lost_when_the_store_is_emptied_and_the_writer_dead(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, link), (there, _) = process(store), process(store)
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as far:
        dictation.say(1, 2)
        await seen(far, 3)
        link.cut = True
        store.empty()
        assert await rest(far) == [reset(), *unstored(NOT_KEPT)]
    answer = await Client(EventsApp(executions=there)).get(
        f"/executions/{execution.id}/events"
    )
    assert answer.status == 404


async def test_says_lost_alone_to_who_has_seen_nothing(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, link), (there, _) = process(store), process(store)
    link.faults["append", None] = Unavailable("The store is full.")
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as far:
        await far.until(b": stream-start")
        link.cut = True
        store.empty()
        assert await rest(far) == unstored(NOT_KEPT)


async def gone_back(
    process: Process, dictation: Dictation, store: Lossy
) -> tuple[Executions, Execution, Link, list[ServerSentEvent]]:
    """Another process, and what it showed of an execution before both came true.

    The store has lost all frames after the second, and the writer is dead.
    """
    (here, link), (there, _) = process(store), process(store)
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as far:
        dictation.say(1, 2, 3)
        events = await seen(far, 4)
    link.cut = True
    store.roll_back(execution.id, 2)
    return there, execution, link, events


async def test_begins_again_for_viewers_when_the_store_goes_back_and_the_writer_dies(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, link), (there, _) = process(store), process(store)
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as far:
        dictation.say(1, 2, 3)
        early = await seen(far, 4)
        link.cut = True
        store.roll_back(execution.id, 2)
        assert await rest(far) == [reset(), *early[:2], *lost(execution.id, 3)]


@pytest.mark.parametrize("ended", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("position", [1, 2, 3, 4, 5])
async def test_resumes_after_the_store_went_back_and_the_writer_died(
    process: Process, dictation: Dictation, store: Lossy, position: int, ended: bool
) -> None:
    there, execution, _, early = await gone_back(process, dictation, store)
    terminal = lost(execution.id, 3)
    if ended:
        assert await watched(there, execution.id) == [*early[:2], *terminal]

    events = await watched(there, execution.id, position)

    if position <= 2:
        assert events == [*early[position:2], *terminal]
    else:
        assert events == [reset(), *early[:2], *terminal]


async def test_answers_204_only_to_who_has_seen_the_stored_end(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    there, execution, _, _ = await gone_back(process, dictation, store)
    await watched(there, execution.id)
    app, path = EventsApp(executions=there), f"/executions/{execution.id}/events"

    statuses = {
        last: (await Client(app).get(path, headers={"last-event-id": last})).status
        for last in (f"{execution.id}:3", f"{execution.id}:3:lost")
    }

    assert statuses == {f"{execution.id}:3": 200, f"{execution.id}:3:lost": 204}


async def test_tells_viewers_of_the_writer_itself_that_it_was_taken_for_dead(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, link), (there, _) = process(store), process(store)
    execution = await here.start(dictation.actor)
    async with viewer(here, execution.id) as near, viewer(there, execution.id) as far:
        dictation.say(1, 2, 3)
        early = await seen(near, 4)
        await seen(far, 4)
        link.cut = True
        store.roll_back(execution.id, 2)
        ends = [reset(), *early[:2], *lost(execution.id, 3)]
        assert await rest(far) == ends
        link.cut = False
        assert await rest(near) == ends
    assert dictation.ended == "cancelled"


async def test_gives_way_after_a_pause_that_was_longer_than_its_log_was_kept(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    here, link = process(store, retention=0.1)
    execution = await here.start(dictation.actor)
    async with viewer(here, execution.id) as near:
        dictation.say(1)
        await seen(near, 2)
        link.cut = True
        await asyncio.sleep(LEASE + 0.1 + 0.05)
        link.cut = False
        assert await rest(near) == [reset(), *unstored(NOT_KEPT)]
    assert dictation.ended == "cancelled"
    assert [key async for key in store.keys()] == []


# Faults stay with their log


async def test_tells_others_of_a_dead_writer_while_one_log_cannot_be_read(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, link), (there, spy) = process(store), process(store)
    good, bad = [await here.start(dictation.actor) for _ in range(2)]
    async with viewer(there, good.id) as one, viewer(there, bad.id) as other:
        await seen(one, 1)
        early = await seen(other, 1)
        spy.faults["read", bad.id] = ValueError("this page is corrupt")
        link.cut = True
        assert await rest(one) == lost(good.id, 2)
        assert await rest(other) == [reset(), *unstored(NOT_READ)]
        del spy.faults["read", bad.id]
    # What can be read again is shown again; nobody was told more than is true.
    assert await watched(there, bad.id) == [*early, *lost(bad.id, 2)]


async def test_waits_for_a_log_while_the_store_does_not_answer(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, _), (there, spy) = process(store), process(store)
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as far:
        await seen(far, 1)
        spy.faults["read", execution.id] = Unavailable("Too slow.")
        await asyncio.sleep(LEASE * 2)
        spy.faults.clear()
        dictation.say(None)
        assert last_of(await rest(far)) == "complete"
