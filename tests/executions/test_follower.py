"""What follows the logs of other processes, and what gives it hints."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from asgi_events import Executions
from asgi_events.executions.execution import Execution
from asgi_events.executions.facts import Facts
from asgi_events.executions.follower import SharedWatch
from asgi_events.stores.memory import MemoryStore
from asgi_events.stores.sqlite import SQLiteStore
from tests import TIMEOUT

FACTS = Facts(
    id="a", actor="work", owner=None, created=datetime.now(UTC), fingerprint=""
)
END = b'data: {"event_type":"complete","result":7}\nid: a:1\n\n'


def test_follows_on_another_event_loop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "events.db"
    executions = Executions(store=f"sqlite:///{path}")
    kept: list[Execution] = []  # so that it is the same one in both lives

    async def first() -> None:
        store = SQLiteStore(path)
        meta = FACTS.to_meta()
        await store.open("a", writer="w", lease=600, ttl=60, meta=meta)
        await store.aclose()
        async with executions:
            kept.append(await executions.get("a"))
            waiting = asyncio.ensure_future(kept[0].wait())
            async with asyncio.timeout(TIMEOUT):
                while not kept[0]._run._follower._changed._waiters:  # noqa: ASYNC110
                    await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])

    async def second() -> str:
        store = SQLiteStore(path)
        meta = FACTS.to_meta()
        async with executions:
            waiting = asyncio.ensure_future(kept[0].wait())
            grant = await store.open("a", writer="w", lease=600, ttl=60, meta=meta)
            await asyncio.sleep(0)
            await store.append("a", grant, 0, [END], end="completed")
            async with asyncio.timeout(TIMEOUT):
                ended = await waiting
        await store.aclose()
        return ended

    asyncio.run(first())
    assert asyncio.run(second()) == "completed"
    assert caplog.messages == []


def test_gives_hints_to_who_comes_as_the_last_one_leaves() -> None:
    async def hinted() -> None:
        eager = getattr(asyncio, "eager_task_factory", None)  # new in Python 3.12
        asyncio.get_running_loop().set_task_factory(eager)
        store, woken = MemoryStore(), asyncio.Event()
        watch = SharedWatch(store, lambda: "w")
        nobody = asyncio.Event()
        watch.add("a", nobody.set)
        watch.discard("a", nobody.set)
        watch.add("b", nobody.set)
        for _ in range(10):  # the first one's task ends
            await asyncio.sleep(0)
        watch.add("c", woken.set)
        grant = await store.open("c", writer="w", lease=60, ttl=60, meta={})
        await store.append("c", grant, 0, [b"x"])
        async with asyncio.timeout(TIMEOUT):
            await woken.wait()
        await watch.aclose()

    asyncio.run(hinted())
