"""Executions of one thread run one after another, in whichever process they start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from asgi_events import Executions
from asgi_events.exceptions import (
    Draining,
    Gone,
    IdempotencyConflict,
    ThreadBusy,
)
from asgi_events.executions import Execution
from asgi_events.stores import EventStore
from tests import TIMEOUT
from tests.executions.scenes import end_of, soon
from tests.executions.threads import Chat, Process, begun, ended, refused, shared


async def until_forgotten(executions: Executions, id: str) -> None:
    async with asyncio.timeout(TIMEOUT):
        while True:
            try:
                await executions.get(id)
            except Exception:
                return
            await asyncio.sleep(0.01)


# Turns


async def test_runs_the_executions_of_a_thread_one_after_another(
    process: Process, chat: Chat
) -> None:
    executions = process()
    ids, newest = [], []
    for number in range(5):
        execution = await executions.start(
            chat.actor, {"text": f"{number}"}, thread="t", owner="ada"
        )
        assert (execution.thread, execution.owner) == ("t", "ada")
        ids.append(execution.id)
        found = await executions.newest("t", owner="ada")
        assert found is execution
        newest.append(found.id)
        await ended(chat, execution)
        after = await executions.newest("t", owner="ada")
        assert after is not None
        assert (after.id, after.status) == (execution.id, "completed")

    assert newest == ids
    assert chat.asked == ["0", "1", "2", "3", "4"]


@shared
async def test_goes_on_with_a_thread_in_another_process(
    process: Process, chat: Chat
) -> None:
    here, there = process(), process()

    first = await here.start(chat.actor, thread="t")
    found = await there.newest("t")
    busy = await refused(there.start(chat.actor, thread="t"))
    await ended(chat, first)
    second = await there.start(chat.actor, thread="t")
    newest = await here.newest("t")

    assert found is not None
    assert newest is not None
    assert (found.id, found.thread, found.status) == (first.id, "t", "started")
    assert busy == ("t", first.id)
    assert (newest.id, newest.thread, newest.runs_here) == (second.id, "t", False)


async def test_knows_no_newest_execution_of_an_unknown_thread(
    process: Process, chat: Chat
) -> None:
    executions = process()
    await executions.start(chat.actor)

    assert await executions.newest("t") is None
    assert await executions.newest("") is None
    assert await executions.newest("\ud800") is None


async def test_has_no_thread_where_none_was_given(process: Process, chat: Chat) -> None:
    execution = await process().start(chat.actor)

    assert execution.thread is None


@pytest.mark.parametrize("thread", ["", "  ", "x" * 256, "a\nb", "\ud800", "\x7f"])
async def test_refuses_a_thread_that_is_no_name(
    process: Process, chat: Chat, thread: str
) -> None:
    with pytest.raises(ValueError, match="thread must be"):
        await process().start(chat.actor, thread=thread)

    assert chat.asked == []


async def test_takes_any_other_name(process: Process, chat: Chat) -> None:
    executions = process()
    for thread in ("x" * 255, "Tee für zwei", "茶", "a:b", "../c", " d"):
        execution = await executions.start(chat.actor, thread=thread)
        assert await executions.newest(thread) is execution


async def test_finds_the_newest_when_an_older_one_is_forgotten(
    process: Process, chat: Chat
) -> None:
    executions = process(retention=0.05, lease=0.1)
    first = await executions.start(chat.actor, thread="t")
    await ended(chat, first)
    second = await executions.start(chat.actor, thread="t")
    await until_forgotten(executions, first.id)

    assert await executions.newest("t") is second
    assert await refused(executions.start(chat.actor, thread="t")) == ("t", second.id)


@shared
async def test_finds_the_newest_that_has_a_log(
    process: Process, chat: Chat, share: Callable[[], EventStore]
) -> None:
    executions, store = process(), share()
    first = await executions.start(chat.actor, thread="t")
    await ended(chat, first)
    second = await executions.start(chat.actor, thread="t")
    await ended(chat, second)
    await store.delete(second.id)  # as if its start had failed after it took its turn

    found = await process().newest("t")

    assert found is not None
    assert found.id == first.id
    await store.aclose()


# Busy


async def test_refuses_a_start_while_the_newest_execution_runs(
    process: Process, chat: Chat
) -> None:
    executions = process()
    first = await executions.start(chat.actor, thread="t")
    await begun(chat, first)

    busy = await refused(executions.start(chat.actor, {"text": "2"}, thread="t"))

    assert busy == ("t", first.id)
    assert [each.id for each in executions] == [first.id]
    assert chat.asked == [""]
    assert await executions.newest("t") is first


@shared
async def test_leaves_nothing_in_the_store_where_it_refuses(
    process: Process, chat: Chat, share: Callable[[], EventStore]
) -> None:
    executions, there, store = process(), process(), share()
    await executions.start(chat.actor, thread="t")
    before = {key async for key in store.keys()}

    for each in (executions, there):
        for how in ({}, {"id": "one"}, {"idempotency_key": "k"}):
            await refused(each.start(chat.actor, thread="t", **how))

    assert {key async for key in store.keys()} == before
    await store.aclose()


async def test_frees_the_place_of_a_start_that_it_refuses(
    process: Process, chat: Chat
) -> None:
    executions = process(max_executions=2)
    await executions.start(chat.actor, thread="t")

    for _ in range(3):
        await refused(executions.start(chat.actor, thread="t"))
    other = await executions.start(chat.actor, thread="u")

    assert other.status == "started"


async def test_keeps_the_threads_of_owners_apart(process: Process, chat: Chat) -> None:
    executions = process()
    all = [
        await executions.start(chat.actor, thread="t", owner=owner)
        for owner in (None, "ada", "bob")
    ]
    found = [
        await executions.newest("t", owner=owner) for owner in (None, "ada", "bob")
    ]

    assert found == all
    assert await executions.newest("t", owner="eve") is None


async def test_is_free_when_a_viewer_has_seen_the_end(
    process: Process, chat: Chat
) -> None:
    executions = process()
    for _ in range(20):
        execution = await executions.start(chat.actor, thread="t")
        chat.open()
        async with asyncio.timeout(TIMEOUT):
            async for _ in execution.events():
                pass


async def test_is_free_after_a_cancel(process: Process, chat: Chat) -> None:
    executions = process()
    first = await executions.start(chat.actor, thread="t")
    await first.cancel()
    status = await end_of(first)
    second = await executions.start(chat.actor, thread="t")

    assert status == "cancelled"
    assert second.status == "started"


# Races


async def test_runs_one_of_many_starts_at_the_same_time(
    process: Process, chat: Chat, kind: str
) -> None:
    here = process()
    there = here if kind == "no store" else process()
    for _ in range(5):
        starts = [
            executions.start(chat.actor, {"text": f"{number}"}, thread="t")
            for number in range(10)
            for executions in (here, there)
        ]
        results = await soon(asyncio.gather(*starts, return_exceptions=True))
        started = [each for each in results if isinstance(each, Execution)]
        busy = [each for each in results if isinstance(each, ThreadBusy)]
        newest = [await each.newest("t") for each in (here, there)]

        assert (len(started), len(busy)) == (1, 19)
        assert {each.execution_id for each in busy} == {started[0].id}
        assert [each and each.id for each in newest] == [started[0].id] * 2
        await ended(chat, started[0])
    assert (chat.most, len(chat.asked)) == (1, 5)


# Keys and ids


async def test_finds_the_execution_of_an_id_in_its_thread(
    process: Process, chat: Chat, kind: str
) -> None:
    here = process()
    there = here if kind == "no store" else process()
    first = await here.start(chat.actor, id="one", thread="t")
    running = [
        await each.start(chat.actor, id="one", thread="t") for each in (here, there)
    ]
    await ended(chat, first)
    over = [
        await each.start(chat.actor, id="one", thread="t") for each in (here, there)
    ]
    second = await there.start(chat.actor, id="two", thread="t")
    older = [
        await each.start(chat.actor, id="one", thread="t") for each in (here, there)
    ]

    assert {each.id for each in running + over + older} == {"one"}
    assert (second.id, second.status) == ("two", "started")
    assert await refused(here.start(chat.actor, id="three", thread="t")) == ("t", "two")
    assert len(chat.asked) == 1 or chat.asked == ["", ""]


async def test_starts_one_id_once_when_many_ask_at_the_same_time(
    process: Process, chat: Chat, kind: str
) -> None:
    here = process()
    there = here if kind == "no store" else process()
    for number in range(5):
        starts = [
            executions.start(chat.actor, id=f"{number}", thread="t")
            for _ in range(10)
            for executions in (here, there)
        ]
        found = await soon(asyncio.gather(*starts))
        assert {each.id for each in found} == {f"{number}"}
        await ended(chat, next(each for each in found if each.runs_here))
    assert (chat.most, len(chat.asked)) == (1, 5)


async def test_says_that_an_id_is_gone(process: Process, chat: Chat) -> None:
    executions = process(retention=0.05, lease=0.1)
    for id in ("one", "two"):
        await ended(chat, await executions.start(chat.actor, id=id, thread="t"))
    await until_forgotten(executions, "two")

    for id in ("one", "two"):
        with pytest.raises(Gone, match="needs a new id") as raised:
            await executions.start(chat.actor, id=id, thread="t")
        assert (raised.value.key, raised.value.id) == (None, id)
    assert await executions.newest("t") is None
    third = await executions.start(chat.actor, id="three", thread="t")
    assert await executions.newest("t") is third
    assert len(chat.asked) <= 3


async def test_refuses_an_id_in_another_thread(process: Process, chat: Chat) -> None:
    executions = process()
    await executions.start(chat.actor, id="one", thread="t")

    for thread in ("u", None):
        with pytest.raises(IdempotencyConflict):
            await executions.start(chat.actor, id="one", thread=thread)


async def test_finds_the_execution_of_a_key_in_its_thread(
    process: Process, chat: Chat, kind: str
) -> None:
    here = process()
    there = here if kind == "no store" else process()
    first = await here.start(chat.actor, idempotency_key="k", thread="t")
    found = await there.start(chat.actor, idempotency_key="k", thread="t")
    await ended(chat, first)
    second = await there.start(chat.actor, idempotency_key="l", thread="t")
    again = await here.start(chat.actor, idempotency_key="k", thread="t")

    assert (found.id, again.id) == (first.id, first.id)
    assert second.id != first.id


async def test_does_not_use_up_the_key_of_a_start_that_it_refuses(
    process: Process, chat: Chat, kind: str
) -> None:
    here = process()
    there = here if kind == "no store" else process()
    first = await here.start(chat.actor, thread="t")
    for executions in (here, there):
        busy = await refused(
            executions.start(chat.actor, idempotency_key="k", thread="t")
        )
        assert busy == ("t", first.id)
    await ended(chat, first)
    second = await there.start(chat.actor, idempotency_key="k", thread="t")
    again = await here.start(chat.actor, idempotency_key="k", thread="t")

    assert second.id not in (first.id,)
    assert again.id == second.id


# The end of a process


async def test_refuses_starts_and_ends_its_turn_while_it_drains(
    process: Process, chat: Chat, kind: str
) -> None:
    here = process()
    first = await here.start(chat.actor, thread="t")
    await begun(chat, first)
    draining = asyncio.ensure_future(here.drain(0))
    await asyncio.sleep(0)

    with pytest.raises(Draining):
        await here.start(chat.actor, thread="t")
    await soon(draining)

    if kind in ("sqlite", "valkey"):
        there = process()
        found = await there.newest("t")
        assert found is not None
        assert (found.id, found.status) == (first.id, "cancelled")
        await there.start(chat.actor, thread="t")
