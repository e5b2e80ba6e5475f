"""Questions that one process asks, and another one answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest

from asgi_events import Executions
from asgi_events.actors import Actor
from asgi_events.exceptions import (
    AlreadyAnswered,
    QuestionClosed,
    Unavailable,
    UnknownQuestion,
)
from asgi_events.stores.memory import MemoryStore
from asgi_events.stores.redis import RedisStore
from asgi_events.testing import virtual_time
from tests import TIMEOUT
from tests.executions.asking import (
    Choice,
    answer,
    answers,
    asked,
    book,
    book_sync,
    confirm,
)
from tests.executions.leases.processes import Link
from tests.executions.scenes import end_of, soon
from tests.processes.answers import Answerers, choose, race
from tests.processes.sharing import Process, Share
from tests.valkey import Valkey

WINDOW = {"seat": "1A"}
BOOKED = repr(Choice(seat="1A"))


@pytest.fixture
async def process(share: Share) -> AsyncIterator[Process]:
    """Makes the executions of one more process."""
    async with AsyncExitStack() as stack:

        def make(*actors: Actor[..., Any], **options: Any) -> Executions:
            store = share()
            stack.push_async_callback(store.aclose)
            made = Executions(*actors, store=store, **options)
            stack.push_async_callback(made.drain, 0)
            return made

        yield make


@pytest.mark.parametrize("actor", [book, book_sync], ids=["async", "sync"])
async def test_is_answered_from_another_process(process: Any, actor: Any) -> None:
    execution = await process(actor).start(actor, owner="ann")
    elsewhere = await process().get(execution.id)
    requests = await asked(elsewhere)
    waiting = await elsewhere.waiting()
    is_first = await elsewhere.answer(1, WINDOW, by="bob")
    is_again = await execution.answer(1, WINDOW, by="ann")
    with pytest.raises(AlreadyAnswered, match="by 'bob'"):
        await execution.decline(1)

    assert (is_first, is_again, waiting) == (True, False, requests)
    assert await soon(elsewhere.result()) == BOOKED
    assert await answers(execution) == [(1, "accept", "bob", None)]
    assert await answers(elsewhere) == [(1, "accept", "bob", None)]


async def test_says_elsewhere_how_each_question_stands(process: Any) -> None:
    execution = await process(confirm).start(confirm, {"count": 3})
    others = process()
    elsewhere = await others.get(execution.id)
    await asked(elsewhere, 3)
    await elsewhere.answer(2, True)
    with pytest.raises(UnknownQuestion):
        await elsewhere.answer(4, True)
    waiting = [each.n for each in await elsewhere.waiting()]
    await execution.cancel()
    await end_of(elsewhere)

    assert waiting == [1, 3]
    assert await (await others.get(execution.id)).waiting() == []
    for n in (1, 3):
        with pytest.raises(QuestionClosed):
            await elsewhere.answer(n, True)


async def test_hears_an_answer_without_waiting() -> None:
    store = MemoryStore()
    with virtual_time():
        async with Executions(book, store=store) as here, Executions(store=store) as b:
            loop = asyncio.get_running_loop()
            execution = await here.start(book)
            await asked(execution)
            await asyncio.sleep(10.5)  # between two looks
            answered = loop.time()
            await (await b.get(execution.id)).answer(1, WINDOW)
            assert await execution.result() == BOOKED
            assert loop.time() - answered < 0.1


async def test_hears_an_answer_of_its_own_process_without_waiting() -> None:
    with virtual_time():
        async with Executions(book) as executions:
            loop = asyncio.get_running_loop()
            execution = await executions.start(book)
            await asked(execution)
            await asyncio.sleep(10.5)
            answered = loop.time()
            await execution.answer(1, WINDOW)
            assert await execution.result() == BOOKED
            assert loop.time() - answered < 0.1


async def test_takes_one_answer_while_one_of_those_who_answer_is_killed(
    url: str,
) -> None:
    async with Executions(choose, store=url) as executions:
        processes = await asyncio.gather(*(Answerers.begin(url) for _ in range(2)))
        try:
            await race(executions, processes, 8, 0.005)
        finally:
            for each in processes:
                await each.kill()


async def test_keeps_an_answer_when_the_server_of_the_store_is_killed() -> None:
    with Valkey() as server:  # which writes nothing to its disk
        async with AsyncExitStack() as stack:
            stores = [RedisStore(server.url) for _ in range(2)]
            link = Link(stores[0])
            here = Executions(confirm, store=link, lease=2.0)
            there = Executions(store=stores[1], lease=2.0)
            for end in (*(store.aclose for store in stores), here.drain, there.drain):
                stack.push_async_callback(end)
            execution = await here.start(confirm)
            await asked(execution)
            link.faults["read", f"questions:{execution.id}"] = Unavailable("Not now.")
            is_first = await answer(await there.get(execution.id), True, "ann")
            await asyncio.to_thread(server.restart)
            async with asyncio.timeout(TIMEOUT):
                while not await stored(stores[1], execution.id):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            link.faults.clear()

            assert (is_first, await soon(execution.result())) == (True, [True])
            assert await answers(execution) == [(1, "accept", "ann", None)]


async def stored(store: RedisStore, id: str) -> bool:
    """Whether the store has a question of an execution, and its answer."""
    with suppress(Unavailable):  # it has just been killed
        page = await store.read(f"questions:{id}", 0, 0)
        return page is not None and page.last == 2
    return False
