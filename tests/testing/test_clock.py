"""``asgi_events.testing``: time that need not be waited for."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from asgi_events import (
    EventsApp,
    EventSourceResponse,
    Executions,
    ServerSentEvent,
    agent,
)
from asgi_events.exceptions import Missing
from asgi_events.stores.memory import MemoryStore
from asgi_events.testing import Client, virtual_time


@pytest.fixture
async def clock() -> AsyncIterator[None]:
    with virtual_time():
        yield


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.usefixtures("clock")
class TestVirtualTime:
    async def test_skips_what_nobody_uses(self) -> None:
        began = now()
        await asyncio.sleep(86_400 * 365)
        assert now() - began == pytest.approx(86_400 * 365)

    async def test_stands_still_while_anything_runs(self) -> None:
        began = now()
        for _ in range(100):
            await asyncio.sleep(0)
        assert now() == began

    async def test_keeps_the_order_of_timers(self) -> None:
        seen = []

        async def note(delay: float) -> None:
            await asyncio.sleep(delay)
            seen.append(delay)

        await asyncio.gather(*map(note, [30, 10, 20, 10.5]))
        assert seen == [10, 10.5, 20, 30]

    async def test_ends_a_timeout(self) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.Event().wait()

    async def test_waits_for_a_thread_rather_than_for_a_timer(self) -> None:
        release = threading.Event()
        in_thread = asyncio.create_task(asyncio.to_thread(release.wait, 60))
        for _ in range(3):
            await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.05, release.set)
        async with asyncio.timeout(3600):  # it would be over at once
            assert await in_thread

    async def test_waits_for_a_socket_rather_than_for_a_timer(self) -> None:
        async def answer(reader: Any, writer: Any) -> None:
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        async with server, asyncio.timeout(3600):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"hello\n")
            assert await reader.readline() == b"hello\n"
            writer.close()
            await writer.wait_closed()

    async def test_is_not_entered_twice(self) -> None:
        with pytest.raises(RuntimeError, match="in virtual time already"):
            with virtual_time():
                pass


async def test_goes_on_from_where_it_was_left() -> None:
    with virtual_time():
        await asyncio.sleep(3600)
        left = now()
    first = now()
    await asyncio.sleep(0.001)
    assert left <= first < now() < left + 600


async def test_refuses_a_loop_whose_clock_it_cannot_replace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: _Foreign())
    with pytest.raises(RuntimeError, match="needs a selector event loop"):
        with virtual_time():
            pass


class _Foreign:
    pass


@pytest.mark.usefixtures("clock")
class TestStreams:
    async def test_beats_as_often_as_it_was_told(self) -> None:
        async def silence() -> AsyncIterator[ServerSentEvent]:
            await asyncio.sleep(61)
            yield ServerSentEvent(data="1")

        app = EventSourceResponse(silence(), heartbeat_interval=15)
        async with Client(app).stream("/") as stream:
            assert (await stream.event()).data == "1"
        assert stream.body.count(b": keep-alive\n") == 4

    async def test_drops_a_client_that_reads_nothing(self) -> None:
        async def endless() -> AsyncIterator[ServerSentEvent]:
            while True:
                yield ServerSentEvent(data="1")

        began = now()
        app = EventSourceResponse(endless(), send_timeout=30)
        async with Client(app).stream("/", stall_after=1) as stream:
            await stream.event()
            await stream.end()
        assert 30 <= now() - began < 31

    async def test_cancels_an_execution_that_nobody_watches(self) -> None:
        cancelled = asyncio.Event()

        @agent
        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        async with Client(EventsApp(work, cancel_after=30)) as client:
            path = (await client.post("/work")).headers["location"]
            async with client.stream(f"{path}/events") as stream:
                await stream.event()
            await asyncio.sleep(29)
            assert not cancelled.is_set()
            await asyncio.sleep(2)
            assert cancelled.is_set()


@pytest.mark.usefixtures("clock")
async def test_forgets_a_log_of_the_memory_store_after_its_lease_and_its_time() -> None:
    store = MemoryStore()
    grant = await store.open("a", writer="w", lease=15, ttl=60, meta={})
    await asyncio.sleep(74)
    assert await store.read("a", 0, 1000) is not None
    await asyncio.sleep(2)
    assert await store.read("a", 0, 1000) is None
    with pytest.raises(Missing):
        await store.renew("a", grant)


@pytest.mark.usefixtures("clock")
async def test_renews_the_lease_of_what_runs() -> None:
    @agent
    async def work() -> str:
        await asyncio.sleep(3600)
        return "done"

    store = MemoryStore()
    async with Executions(work, store=store) as executions:
        execution = await executions.start(work)
        await asyncio.sleep(1800)
        page = await store.read(execution.id, 0, 1000)
        assert page is not None and page.alive
        assert await execution.wait() == "completed"
