"""What is special in the store of Redis and Valkey; test_stores.py is the contract."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from shutil import which
from typing import Self, TypeVar

import pytest
import redis
from pydantic import BaseModel

from asgi_events import Executions, current_state, tool
from asgi_events.exceptions import (
    Busy,
    Ended,
    Fenced,
    Gap,
    Missing,
    StoreError,
    Unavailable,
)
from asgi_events.executions import Execution
from asgi_events.stores import Ack, Grant, Page
from asgi_events.stores import redis as module
from asgi_events.stores.redis import RedisStore
from asgi_events.stores.redis import server as redis_server
from asgi_events.stores.redis import subscriber as redis_hints
from asgi_events.stores.redis.subscriber import RedisWatch
from tests.servers import TIMEOUT, require
from tests.valkey import Valkey, free_port

pytestmark = pytest.mark.server

T = TypeVar("T")

ALL = 1 << 30  # bytes: no limit


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Valkey]:
    with Valkey(getattr(request, "param", "valkey")) as server:
        yield server


on_both = pytest.mark.parametrize("server", ["valkey", "redis"], indirect=True)


@pytest.fixture
async def store(server: Valkey) -> AsyncIterator[RedisStore]:
    async with opened(server.url) as store:
        yield store


@asynccontextmanager
async def opened(
    url: str, *, timeout: float | None = None
) -> AsyncIterator[RedisStore]:
    store = RedisStore(url, timeout=timeout)
    try:
        yield store
    finally:
        await store.aclose()


async def begin(
    store: RedisStore, key: str = "log", *, writer: str = "w", lease: float = 15.0
) -> Grant:
    return await store.open(key, writer=writer, lease=lease, ttl=60.0, meta={"a": "ü"})


async def insist(call: Callable[[], Awaitable[T]]) -> T:
    """What a recorder does: ask again until there is an answer."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            try:
                return await call()
            except Unavailable:
                await asyncio.sleep(0.01)


def numbered(first: int, last: int) -> list[bytes]:
    return [b"frame %d" % number for number in range(first, last + 1)]


async def held(store: RedisStore, key: str = "log") -> Page:
    page = await store.read(key, 0, ALL)
    assert page is not None
    return page


class Noted(BaseModel):
    text: str


class Link:
    """A TCP proxy before a server, which loses a reply where a test says so.

    Attributes:
        upstream: The port of the server; new connections go to it.
        losing: How many more replies pass before one is lost; None loses nothing.
        lost: How many replies were lost; their connections are cut.

    Args:
        upstream: As above.
        pause: Seconds after each chunk of some KiB; the system then buffers little.
    """

    def __init__(self, upstream: int, *, pause: float = 0.0) -> None:
        self.upstream = upstream
        self._pause = pause
        self._chunk = 16384 if pause else 65536
        self.losing: int | None = None
        self.lost = 0
        self._links: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}

    async def __aenter__(self) -> Link:
        listener = socket.create_server(("127.0.0.1", 0))
        if self._pause:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._chunk)
        self._server = await asyncio.start_server(
            self._accept, sock=listener, limit=self._chunk
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        if self._links:
            await asyncio.wait(self._links)

    def cut(self) -> None:
        """Cut all connections, and accept no more."""
        self._server.close()
        self.drop()

    def drop(self) -> None:
        """Cut all connections."""
        for writers in self._links.values():
            for writer in writers:
                writer.transport.abort()

    async def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        writers = self._links[task] = [writer]
        with suppress(OSError):
            there, back = await asyncio.open_connection("127.0.0.1", self.upstream)
            writers.append(back)
            forth = asyncio.create_task(self._forward(reader, back))
            with suppress(OSError):
                await self._answer(there, writer)
            forth.cancel()
            await asyncio.wait([forth])
        for each in writers:
            each.transport.abort()
        del self._links[task]

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while chunk := await reader.read(self._chunk):
            writer.write(chunk)
            await asyncio.sleep(self._pause)

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while chunk := await reader.read(self._chunk):
            if self.losing == 0:
                self.losing = None
                self.lost += 1
                return
            if self.losing is not None:
                self.losing -= 1
            writer.write(chunk)
            await asyncio.sleep(self._pause)


class TestAServerThatDies:
    @pytest.mark.parametrize("program", ["valkey", "redis"])
    @pytest.mark.parametrize("appendfsync", ["always", "everysec"])
    async def test_keeps_each_frame_once(self, program: str, appendfsync: str) -> None:
        async def write(key: str) -> int:
            last = 0
            while not over:
                try:
                    frames = numbered(last + 1, last + 7)
                    ack = await insist(partial(send, key, last, frames))
                    assert ack == Ack(last + 7)
                    last = ack.last
                except Gap as gap:
                    # It answers before it writes, if its disk is too slow.
                    assert appendfsync == "everysec"
                    last = gap.last
            await insist(lambda: send(key, last, [b"!"], end="complete"))
            return last

        async def send(
            key: str, after: int, frames: list[bytes], *, end: str | None = None
        ) -> Ack:
            return await store.append(key, grants[key], after, frames, end=end)

        over = False
        keys = ["a", "b", "c"]
        with Valkey(program, appendfsync=appendfsync) as server:
            async with opened(server.url) as store:
                grants = {key: await begin(store, key) for key in keys}
                with server.client() as client:
                    await until(lambda: has_written(client))
                writers = [asyncio.create_task(write(key)) for key in keys]
                for _ in range(3):
                    await until_grown(store, "a", by=100)
                    await asyncio.to_thread(server.restart)
                await until_grown(store, "a", by=100)
                over = True
                lasts = await asyncio.gather(*writers)
                pages = [await held(store, key) for key in keys]
        assert [page.frames for page in pages] == [
            [*numbered(1, last), b"!"] for last in lasts
        ]
        assert [page.end for page in pages] == ["complete"] * 3

    @pytest.mark.parametrize("program", ["valkey", "redis"])
    async def test_knows_the_log_and_its_writer_when_it_is_back(
        self, program: str
    ) -> None:
        with Valkey(program, appendfsync="always") as server:
            async with opened(server.url) as store:
                grant = await begin(store)
                await store.append("log", grant, 0, numbered(1, 3))
                assert await store.cancel("log")
                server.restart()
                again = await insist(lambda: begin(store))
                ack = await store.renew("log", grant)
                page = await held(store)
        assert again == Grant(grant.epoch, 3)
        assert ack == Ack(3, cancel=True)
        assert page == Page(
            first=1,
            last=3,
            end=None,
            alive=True,
            cancel=True,
            frames=numbered(1, 3),
            meta={"a": "ü"},
        )

    async def test_is_unavailable_and_then_goes_on(self) -> None:
        with Valkey(appendfsync="always") as server:
            async with opened(server.url) as store:
                grant = await begin(store)
                server.kill()
                with pytest.raises(Unavailable):
                    await store.append("log", grant, 0, [b"1"])
                with pytest.raises(Unavailable):
                    await store.read("log", 0, ALL)
                server.start()
                assert await store.append("log", grant, 0, [b"1"]) == Ack(1)


class TestAServerThatStandsStill:
    async def test_is_unavailable_and_then_stores_nothing_twice(
        self, server: Valkey
    ) -> None:
        async with opened(server.url, timeout=0.1) as store:
            grant = await begin(store)
            server.pause()
            for _ in range(2):  # the second time it does not get a connection
                with pytest.raises(Unavailable, match="in time"):
                    async with asyncio.timeout(TIMEOUT):
                        await store.append("log", grant, 0, numbered(1, 2))
            server.resume()
            await insist(lambda: store.append("log", grant, 0, numbered(1, 2)))
            assert (await held(store)).frames == numbered(1, 2)

    async def test_gives_hints_again(
        self, server: Valkey, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(redis_hints, "_POLL", 0.05)
        async with opened(server.url, timeout=0.1) as store:
            watch = await store.watch()
            watch.add("log")
            await until_subscribed(server, 1)
            with server.client() as client:
                before = client.client_list(_type="pubsub")
            server.pause()
            await asyncio.sleep(0.4)  # longer than a ping may take
            server.resume()
            await until_subscribed(server, 1)
            with server.client() as client:
                after = client.client_list(_type="pubsub")
        assert [c["id"] for c in before] != [c["id"] for c in after]


class TestALostReply:
    @pytest.mark.parametrize(
        ("count", "losing", "end"),
        [
            (1, 0, None),
            (1, 0, "complete"),
            (2500, 0, "complete"),
            (2500, 1, None),
            (2500, 2, "complete"),
        ],
    )
    async def test_stores_nothing_twice(
        self, server: Valkey, count: int, losing: int, end: str | None
    ) -> None:
        frames = numbered(1, count)
        async with Link(server.port) as link, opened(link.url) as store:
            grant = await begin(store)
            await store.append("log", grant, 0, [])  # loads the script
            link.losing = losing
            with pytest.raises(Unavailable):
                await store.append("log", grant, 0, frames, end=end)
            assert link.lost == 1
            assert await store.append("log", grant, 0, frames, end=end) == Ack(count)
            page = await held(store)
        assert (page.frames, page.end) == (frames, end)

    async def test_opens_once(self, server: Valkey) -> None:
        async with Link(server.port) as link, opened(link.url) as store:
            await begin(store, "another")
            link.losing = 0
            with pytest.raises(Unavailable):
                await begin(store)
            grant = await begin(store)
            assert await begin(store) == grant

    async def test_harms_nobody_who_asks_later(self, server: Valkey) -> None:
        async with Link(server.port) as link, opened(link.url) as store:
            grants = [await begin(store, str(number)) for number in range(20)]
            await store.append("0", grants[0], 0, [])  # loads the script
            link.losing = 0
            with pytest.raises(Unavailable):
                await store.append("0", grants[0], 0, [b"1"])
            acks = await asyncio.gather(
                *(store.renew(str(number), grants[number]) for number in range(20))
            )
        assert acks == [Ack(1)] + [Ack(0)] * 19


class TestAFailover:
    @on_both
    async def test_says_where_to_go_on(self, server: Valkey) -> None:
        with server.client() as client:
            client.config_set("repl-diskless-sync-delay", 0)
        async with (
            Link(server.port) as link,
            Link(server.port) as replication,
            opened(link.url) as store,
        ):
            replica_of = f"127.0.0.1 {replication.port}"
            replica = Valkey(server.program, replicaof=replica_of)
            async with in_thread(replica):
                grant = await begin(store)
                await store.append("log", grant, 0, numbered(1, 3))
                with replica.client() as client:
                    await until(lambda: client.xlen("asgi_events:{log}:frames") == 3)
                replication.cut()
                await store.append("log", grant, 3, numbered(4, 6))

                server.kill()
                link.upstream = replica.port
                with pytest.raises(Unavailable):  # the connection is cut
                    await store.append("log", grant, 6, numbered(7, 9))
                for call in (
                    lambda: store.append("log", grant, 6, numbered(7, 9)),
                    lambda: store.append("later", grant, 0, [b"1"]),
                    lambda: store.read("log", 6, ALL),
                ):
                    with pytest.raises(Unavailable, match="read only"):
                        await call()
                with replica.client() as client:
                    client.replicaof("NO", "ONE")
                with pytest.raises(Gap) as caught:
                    await store.append("log", grant, 6, numbered(7, 9))
                assert caught.value.last == 3
                assert await store.append("log", grant, 3, numbered(4, 9)) == Ack(9)
                assert (await held(store)).frames == numbered(1, 9)

    async def test_leads_to_the_new_primary(self, server: Valkey) -> None:
        with Valkey() as other:
            async with Link(server.port) as link, opened(link.url) as store:
                grant = await begin(store)
                with server.client() as client:
                    client.replicaof("127.0.0.1", "1")
                with pytest.raises(Unavailable, match="read only"):
                    await store.append("log", grant, 0, [b"1"])
                link.upstream = other.port
                with pytest.raises(Missing):
                    await store.append("log", grant, 0, [b"1"])


class TestScripts:
    async def test_are_loaded_once_for_all_who_wait(
        self, server: Valkey, store: RedisStore
    ) -> None:
        grants = [await begin(store, str(number)) for number in range(50)]
        with server.client() as client:
            client.script_flush()
            client.config_resetstat()
        acks = await asyncio.gather(
            *(
                store.append(str(number), grants[number], 0, [b"1"])
                for number in range(50)
            )
        )
        with server.client() as client:
            stats = client.info("commandstats")
        assert acks == [Ack(1)] * 50
        assert stats["cmdstat_script|load"]["calls"] == 1

    async def test_go_out_together(self, server: Valkey, store: RedisStore) -> None:
        grants = [await begin(store, str(number)) for number in range(100)]
        await store.append("0", grants[0], 0, [])
        with server.client() as client:
            before = client.info("stats")["total_reads_processed"]
            await asyncio.gather(
                *(
                    store.append(str(number), grants[number], 0, [b"1"])
                    for number in range(100)
                )
            )
            after = client.info("stats")["total_reads_processed"]
        assert after - before < 10

    async def test_answer_each_who_asks_for_themselves(self, store: RedisStore) -> None:
        grant = await begin(store)
        answers = await asyncio.gather(
            store.append("log", grant, 0, [b"1"]),
            store.append("log", grant, 5, [b"6"]),
            store.append("log", Grant(grant.epoch + 1, 0), 0, [b"1"]),
            store.append("log", grant, 1, [b"!"], end="complete"),
            store.append("log", grant, 2, [b"3"]),
            store.read("log", 1, ALL),
            return_exceptions=True,
        )
        ended = (await held(store)).ended
        assert [a if isinstance(a, Ack | Page) else type(a) for a in answers] == [
            Ack(1),
            Gap,
            Fenced,
            Ack(2),
            Ended,
            Page(2, 2, "complete", True, False, [b"!"], {"a": "ü"}, ended),
        ]


class TestALongAppend:
    @pytest.mark.parametrize(
        "frames",
        [
            numbered(1, 10_000),
            [bytes([n]) * 700_000 for n in range(5)],
            [b"x" * 3_000_000, b"y"],
        ],
        ids=["many", "large", "larger-than-a-call"],
    )
    async def test_is_stored_whole(
        self, store: RedisStore, frames: list[bytes]
    ) -> None:
        grant = await begin(store)
        ack = await store.append("log", grant, 0, frames, end="complete")
        page = await held(store)
        assert ack == Ack(len(frames))
        assert (page.frames, page.end) == (frames, "complete")

    async def test_does_not_keep_others_waiting(
        self, server: Valkey, store: RedisStore
    ) -> None:
        grant = await begin(store)
        with server.client() as client:
            await store.append("log", grant, 0, [])
            client.config_resetstat()
            await store.append("log", grant, 0, [b"x" * 1000] * 9_000)
            stats = client.info("commandstats")
        assert stats["cmdstat_evalsha"]["calls"] == 9


@on_both
class TestTwoProcesses:
    @pytest.fixture
    async def other(self, server: Valkey) -> AsyncIterator[RedisStore]:
        async with opened(server.url) as other:
            yield other

    async def test_see_what_the_other_writes(
        self, store: RedisStore, other: RedisStore
    ) -> None:
        grant = await begin(store)
        await store.append("log", grant, 0, numbered(1, 2))
        assert (await held(other)).frames == numbered(1, 2)
        assert await other.cancel("log")
        await other.attend("log", 5.0)
        assert await store.renew("log", grant) == Ack(2, cancel=True, watched=True)

    async def test_hint_what_the_other_does(
        self,
        server: Valkey,
        store: RedisStore,
        other: RedisStore,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(redis_hints, "_POLL", 3600.0)
        watch = await other.watch()

        async def hints() -> set[str]:
            async with asyncio.timeout(TIMEOUT):
                return await watch.get()

        watch.add("log")
        watch.add("ended")
        seen: set[str] = set()
        while seen < {"log", "ended"}:  # each begins with a hint
            seen |= await hints()
        grant = await begin(store)
        ended = await begin(store, "ended")
        for change in (
            lambda: store.append("log", grant, 0, [b"1"]),
            lambda: store.cancel("log"),
            lambda: store.append("log", grant, 1, [b"!"], end="complete"),
            lambda: store.delete("log"),
        ):
            await change()
            assert await hints() == {"log"}
        await store.append("ended", ended, 0, [b"1"])
        assert await hints() == {"ended"}
        assert await kept_reaping(server, store, "ended", after=1) == [True]
        assert await hints() == {"ended"}

        watch.discard("ended")
        await until_subscribed(server, 1)
        await begin(store)
        await store.delete("ended")
        await store.delete("log")
        assert await hints() == {"log"}

    async def test_keep_out_of_each_others_logs(
        self, store: RedisStore, other: RedisStore
    ) -> None:
        await begin(store, writer="one")
        with pytest.raises(Busy, match="'one'"):
            await begin(other, writer="two")

    async def test_fence_who_outlived_its_lease(
        self, server: Valkey, store: RedisStore, other: RedisStore
    ) -> None:
        async def reap() -> list[bool]:
            calls = (each.reap("log", 1, b"lost", end="lost") for each in both * 10)
            return sorted(await asyncio.gather(*calls))

        both = [store, other]
        grant = await begin(store, lease=40.0)
        await store.append("log", grant, 0, [b"1"])
        server.pass_time(20.0)
        for _ in range(3):
            assert await reap() == [False] * 20
            server.pass_time(9.0)
        assert await reap() == [False] * 19 + [True]
        with pytest.raises(Fenced):
            await store.append("log", grant, 1, [b"2"])
        with pytest.raises(Fenced):
            await store.renew("log", grant)
        page = await held(other)
        assert (page.frames, page.end) == ([b"1", b"lost"], "lost")

    async def test_do_not_take_a_new_log_for_the_old_one(
        self, store: RedisStore, other: RedisStore
    ) -> None:
        grant = await begin(store)
        await other.delete("log")
        with pytest.raises(Fenced):
            await store.append("log", grant, 0, [b"1"])
        await begin(other)
        with pytest.raises(Fenced):
            await store.append("log", grant, 0, [b"1"])


class TestConnections:
    async def test_are_two_whatever_is_watched_and_written(
        self, server: Valkey, store: RedisStore
    ) -> None:
        watches = [await store.watch() for _ in range(10)]
        for number in range(1000):
            watches[number % 10].add(str(number))
        await asyncio.gather(*(begin(store, str(number)) for number in range(1000)))
        await until_subscribed(server, 1000)
        with server.client() as client:
            links = [c for c in client.client_list() if c["cmd"] != "client|list"]
        assert len(links) == 2

    async def test_are_closed(self, server: Valkey) -> None:
        store = RedisStore(server.url)
        await begin(store)
        (await store.watch()).add("log")
        await until_subscribed(server, 1)
        await store.aclose()
        await store.aclose()
        with server.client() as client:
            assert len(client.client_list()) == 1

    async def test_are_closed_under_who_waits(self, server: Valkey) -> None:
        store = RedisStore(server.url)
        await begin(store)
        server.pause()
        sent = asyncio.create_task(store.read("log", 0, ALL))
        await turns()
        waiting = asyncio.create_task(store.read("log", 0, ALL))
        await turns()
        await store.aclose()
        async with asyncio.timeout(TIMEOUT):
            for task in (sent, waiting):
                with pytest.raises(Unavailable, match="closed"):
                    await task
        server.resume()
        assert (await held(store)).last == 0
        await store.aclose()

    def test_belong_to_one_event_loop_after_the_other(self, server: Valkey) -> None:
        store = RedisStore(server.url)

        async def use(after: int) -> Ack:
            watch = await store.watch()
            watch.add("log")
            async with asyncio.timeout(TIMEOUT):
                assert await watch.get() == {"log"}
            grant = await begin(store)
            try:
                return await store.append("log", grant, after, [b"1"])
            finally:
                await store.aclose()

        assert asyncio.run(use(0)) == Ack(1)
        assert asyncio.run(use(1)) == Ack(2)

    async def test_outlive_who_does_not_wait_for_an_answer(
        self, server: Valkey, store: RedisStore
    ) -> None:
        grant = await begin(store)
        server.pause()
        impatient = asyncio.create_task(store.append("log", grant, 0, [b"1"]))
        patient = asyncio.create_task(store.append("log", grant, 0, [b"1"]))
        await turns()
        impatient.cancel()
        server.resume()
        async with asyncio.timeout(TIMEOUT):
            assert await patient == Ack(1)
        assert (await held(store)).frames == [b"1"]


class TestHints:
    async def test_come_also_when_they_got_lost(
        self, store: RedisStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(redis_hints, "_POLL", 0.02)
        watch = await store.watch()
        watch.add("log")
        async with asyncio.timeout(TIMEOUT):
            for _ in range(5):
                assert await watch.get() == {"log"}

    async def test_come_again_after_a_restart(
        self,
        server: Valkey,
        store: RedisStore,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(redis_hints, "_POLL", 0.05)
        one, two = await store.watch(), await store.watch()
        one.add("a")
        two.add("b")
        await until_subscribed(server, 2)
        server.kill()
        async with asyncio.timeout(TIMEOUT):
            for _ in range(2):  # reading says that there is no server
                assert await one.get() == {"a"}
        two.add("c")
        server.start()
        await until_subscribed(server, 3)

    async def test_are_given_to_every_watch(
        self,
        server: Valkey,
        store: RedisStore,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(redis_hints, "_POLL", 3600.0)
        one, two = await store.watch(), await store.watch()
        one.add("log")
        async with asyncio.timeout(TIMEOUT):
            assert await one.get() == {"log"}
            two.add("log")
            await begin(store)
            await store.cancel("log")
            assert await one.get() == {"log"}
            assert await two.get() == {"log"}
            await one.aclose()
            await store.cancel("log")
            assert await two.get() == {"log"}
        await two.aclose()
        await until_subscribed(server, 0)


class TestAFullServer:
    @on_both
    async def test_hears_that_writers_live(
        self, server: Valkey, store: RedisStore
    ) -> None:
        grant = await begin(store)
        server.pass_time(7.5)
        with full(server):
            assert not (await held(store)).alive
            assert not await store.reap("log", 0, b"lost", end="lost")
            assert await store.renew("log", grant) == Ack(0)
            assert (await held(store)).alive
            await store.attend("log", 60.0)
            assert await store.cancel("log")
            assert await store.renew("log", grant) == Ack(0, cancel=True, watched=True)
            with pytest.raises(Unavailable, match="maxmemory"):
                await store.append("log", grant, 0, [b"1"])

    @on_both
    async def test_loses_no_execution_that_is_idle_and_watched_elsewhere(
        self, server: Valkey
    ) -> None:
        @tool
        async def idle() -> str:
            await go_on.wait()
            return "done"

        lease, go_on = 0.6, asyncio.Event()
        url = server.url
        async with (
            Executions(idle, store=url, lease=lease) as here,
            Executions(idle, store=url, lease=lease) as elsewhere,
        ):
            execution = await here.start(idle)
            viewer = asyncio.create_task(seen(await elsewhere.get(execution.id)))
            with full(server):
                await asyncio.sleep(3 * lease)
                assert execution.status == "started"
            go_on.set()
            async with asyncio.timeout(TIMEOUT):
                assert b"event: end" in await viewer
                # Its viewer elsewhere may see the end before the writer hears of it.
                assert await execution.wait() == "completed"


class TestTheGenerationOfTheServer:
    async def test_grows_when_it_was_restarted(self, server: Valkey) -> None:
        async with opened(server.url) as store:
            await begin(store)
            assert store.generation == 0
            for generation in (1, 2):
                server.restart()
                await insist(lambda: begin(store))
                assert store.generation == generation

    async def test_stays_when_only_the_connection_was_lost(
        self, server: Valkey, store: RedisStore
    ) -> None:
        await begin(store)
        with server.client() as client:
            client.client_kill_filter(_type="normal", skipme=True)
        await insist(lambda: begin(store))
        assert store.generation == 0

    async def test_grows_when_it_follows_another_history(self, server: Valkey) -> None:
        with Valkey() as other:
            async with Link(server.port) as link, opened(link.url) as store:
                await begin(store)
                link.upstream = other.port
                link.drop()
                await insist(lambda: begin(store))
                assert store.generation == 1

    async def test_is_heard_of_by_who_asks_nothing(
        self, server: Valkey, store: RedisStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(redis_hints, "_POLL", 0.02)
        await begin(store)
        watch = await store.watch()
        watch.add_writer("w")
        await until_subscribed(server, 1)
        server.restart()
        await until(lambda: store.generation == 1)

    async def test_grows_with_each_connection_where_it_may_not_be_asked(
        self, server: Valkey
    ) -> None:
        async with opened(limited(server, "-info")) as store:
            await begin(store)
            assert store.generation == 0
            with server.client() as client:
                client.client_kill_filter(_type="normal", skipme=True)
            await insist(lambda: begin(store))
            assert store.generation == 1


@on_both
class TestAnInbox:
    @pytest.fixture
    async def inbox(
        self, server: Valkey, store: RedisStore, monkeypatch: pytest.MonkeyPatch
    ) -> RedisWatch:
        monkeypatch.setattr(redis_hints, "_POLL", 3600.0)
        inbox = await store.watch()
        inbox.add_writer("w")
        await until_subscribed(server, 1)
        return inbox

    async def test_hears_of_what_other_processes_ask(
        self, server: Valkey, store: RedisStore, inbox: RedisWatch
    ) -> None:
        async with opened(server.url) as other, asyncio.timeout(TIMEOUT):
            for key in ("log", "lög}"):
                await begin(store, key)
                assert await other.cancel(key)
                assert await inbox.get() == {key}
            server.pass_time(7.5)
            assert not await other.reap("log", 0, b"lost", end="lost")
            assert await inbox.get() == {"log"}

    async def test_is_closed(
        self, server: Valkey, store: RedisStore, inbox: RedisWatch
    ) -> None:
        await inbox.aclose()
        await until_subscribed(server, 0)


class TestASlowLink:
    """It takes far longer for the event than the timeout is."""

    async def test_brings_a_large_event_and_what_else_was_asked(
        self, server: Valkey
    ) -> None:
        large = b"x" * 4_000_000
        async with (
            opened(server.url) as writer,
            Link(server.port, pause=0.005) as link,
            opened(f"{link.url}?timeout=0.3") as store,
        ):
            grant = await begin(writer)
            other = await begin(writer, "other")
            await writer.append("log", grant, 0, [large])
            async with asyncio.timeout(TIMEOUT):
                await store.read("log", 1, ALL)  # loads the scripts
                await store.renew("other", other)
                page, ack = await asyncio.gather(
                    held(store), store.renew("other", other)
                )
        assert page.frames == [large]
        assert ack == Ack(0)

    async def test_takes_a_large_event_and_what_else_was_asked(
        self, server: Valkey
    ) -> None:
        large = b"x" * 4_000_000
        async with (
            Link(server.port, pause=0.005) as link,
            opened(f"{link.url}?timeout=0.3") as store,
        ):
            grant, other = await begin(store), await begin(store, "other")
            async with asyncio.timeout(TIMEOUT):
                acks = await asyncio.gather(
                    store.append("log", grant, 0, [large]),
                    store.append("other", other, 0, [b"1"]),
                )
        assert acks == [Ack(1), Ack(1)]

    async def test_that_stands_still_is_given_up(self, server: Valkey) -> None:
        async with opened(f"{server.url}?timeout=0.1") as store:
            grant = await begin(store)
            server.pause()
            with pytest.raises(Unavailable, match="in time"):
                async with asyncio.timeout(TIMEOUT):
                    await store.append("log", grant, 0, [b"x" * 30_000_000])
            server.resume()


class TestARead:
    @pytest.mark.parametrize(
        ("sizes", "limit", "page", "copied"),
        [
            pytest.param([5_000_000] * 3, 65536, 1, 1, id="large"),
            pytest.param([5_000_000] * 3, 5_000_001, 1, 2, id="large-and-no-second"),
            pytest.param([100] * 20 + [5_000_000] * 20, 65536, 20, 21, id="then-large"),
            pytest.param([300_000] * 40, 65536, 1, 3, id="medium"),
            pytest.param([100] * 500, 10_000, 100, 336, id="small"),
            pytest.param([100] * 500, 1, 1, 16, id="little"),
        ],
    )
    async def test_copies_not_much_more_than_it_gives(
        self,
        server: Valkey,
        store: RedisStore,
        sizes: list[int],
        limit: int,
        page: int,
        copied: int,
    ) -> None:
        grant = await begin(store)
        frames = [b"x" * size for size in sizes]
        await store.append("log", grant, 0, frames)
        with server.client() as client, client.monitor() as monitor:
            found = await store.read("log", 0, limit)
            assert found is not None
            assert found.frames == frames[:page]
            client.echo("over")
            asked = 0
            while "ECHO" not in (command := monitor.next_command()["command"]):
                if command.startswith("XRANGE"):
                    asked += int(command.rpartition(" ")[2])
        assert asked == copied


class Refusing:
    """A server that refuses every command but INFO, and with what it is told."""

    def __init__(self, error: str) -> None:
        self._error = error
        self._connections: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"redis://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._connections:
            writer.close()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._connections.add(writer)
        info = b"redis_version:7.4.0\r\n"
        while head := await reader.readline():
            parts = []
            for _ in range(int(head[1:])):
                size = int((await reader.readline())[1:])
                parts.append((await reader.readexactly(size + 2))[:-2])
            if parts[0] == b"INFO":
                writer.write(b"$%d\r\n%b\r\n" % (len(info), info))
            elif parts[0] == b"CLIENT":
                writer.write(b"+OK\r\n")
            else:
                writer.write(f"-{self._error}\r\n".encode())


class TestWhatMayPass:
    @pytest.mark.parametrize(
        "error",
        [
            "LOADING Redis is loading the dataset in memory",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is no",
            "READONLY You can't write against a read only replica.",
            "CLUSTERDOWN The cluster is down",
            "TRYAGAIN Multiple keys request during rehashing of slot",
            "OOM command not allowed when used memory > 'maxmemory'.",
            "MISCONF Redis is configured to save RDB snapshots",
            "NOREPLICAS Not enough good replicas to write.",
            "BUSY Redis is busy running a script.",
            "UNKILLABLE Sorry the script already executed write commands",
            "NOAUTH Authentication required.",
            "WRONGPASS invalid username-password pair or user is disabled.",
            "NOPERM User asgi_events has no permissions to run the 'evalsha' command",
        ],
    )
    async def test_is_not_there_for_now(self, error: str) -> None:
        async with Refusing(error) as server:
            await refuses(server.url, error.partition(" ")[2], for_now=True)

    async def test_is_all_connections_taken(self, server: Valkey) -> None:
        async with opened(server.url) as store:
            with server.client() as client:
                client.config_set("maxclients", 1)
                with pytest.raises(Unavailable):
                    await begin(store)
                client.config_set("maxclients", 100)
            await begin(store)

    async def test_is_a_password_that_is_changed(self, server: Valkey) -> None:
        def change(password: str) -> None:
            with server.client() as client:
                client.execute_command(f"ACL SETUSER u resetpass >{password}")
                client.client_kill_filter(user="u")

        with server.client() as client:
            client.execute_command("ACL SETUSER u on >old allcommands ~* &*")
        async with opened(server.url.replace("//", "//u:old@")) as store:
            grant = await begin(store)
            change("new")
            with pytest.raises(Unavailable):  # the connection is cut
                await store.renew("log", grant)
            with pytest.raises(Unavailable, match="the password in its URL"):
                await store.renew("log", grant)
            change("old")
            assert await store.renew("log", grant) == Ack(0)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Valkey]:
    with (
        Valkey(cluster_enabled="yes", slots=(0, 8000)) as one,
        Valkey(cluster_enabled="yes", slots=(8001, 16383)) as other,
    ):
        one.meet(other)
        yield one


class TestARunningExecution:
    @pytest.mark.parametrize(
        ("refuse", "admit", "complaint"),
        [
            ("resetpass >other", "resetpass >password", "Look at the user and the"),
            ("-evalsha", "+evalsha", "The store's user lacks a permission"),
            ("-xadd", "+xadd", "The store's user lacks a permission"),
            ("-hmget", "+hmget", "The store's user lacks a permission"),
        ],
    )
    async def test_outlives_what_is_refused_for_a_while(
        self,
        server: Valkey,
        caplog: pytest.LogCaptureFixture,
        refuse: str,
        admit: str,
        complaint: str,
    ) -> None:
        @tool
        async def work() -> str:
            await go_on.wait()
            await current_state().publish(Noted(text="meanwhile"))
            await finish.wait()
            return "done"

        def change(words: str) -> None:
            with server.client() as client:
                client.execute_command(f"ACL SETUSER asgi_events {words}")
                client.client_kill_filter(user="asgi_events")

        go_on, finish = asyncio.Event(), asyncio.Event()
        async with Executions(work, store=limited(server)) as executions:
            execution = await executions.start(work)
            viewer = asyncio.create_task(seen(execution))
            change(refuse)
            go_on.set()
            await until(lambda: complaint in caplog.text)
            change(admit)
            finish.set()
            async with asyncio.timeout(TIMEOUT):
                given = await viewer
        assert given.count(b'"text":"meanwhile"') == 1
        assert given.endswith(b'event: end\ndata: {"status":"completed"}\n\n')


class TestAClusterOfSeveralNodes:
    async def test_is_refused(self, cluster: Valkey) -> None:
        await refuses(cluster.url, "over 2 nodes; use a server without cluster mode")

    async def test_is_refused_to_who_may_ask_just_that(self, cluster: Valkey) -> None:
        await refuses(limited(cluster, "+cluster|info"), "over 2 nodes")

    async def test_is_warned_of_where_it_may_not_be_asked(
        self, cluster: Valkey, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with opened(limited(cluster, "-cluster|info")) as store:
            with suppress(StoreError):  # the log may be on the other node
                await begin(store)
        assert "The store's cluster was not checked for its size" in caplog.text


class TestDurability:
    async def test_waits_for_a_replica(self, server: Valkey) -> None:
        url = f"{server.url}?durability=replica&timeout=0.2"
        async with opened(url) as store:
            for _ in range(2):
                with pytest.raises(Unavailable, match="in vain for a replica|in time"):
                    await begin(store)
            assert (await held(store)).last == 0
            replica = Valkey(replicaof=f"127.0.0.1 {server.port}")
            with server.client() as client:
                client.config_set("repl-diskless-sync-delay", 0)
            async with in_thread(replica):
                grant = await insist(lambda: begin(store))
                ack = await insist(lambda: store.append("log", grant, 0, [b"1"]))
                with replica.client() as client:
                    assert client.xlen("asgi_events:{log}:frames") == 1
                assert ack == Ack(1)
                replica.pause()
                with pytest.raises(Unavailable, match="in vain for a replica|in time"):
                    await store.append("log", grant, 1, [b"2"])
                assert await store.renew("log", grant) == Ack(2)
                replica.resume()
                assert await insist(
                    lambda: store.append("log", grant, 1, [b"2"])
                ) == Ack(2)

    async def test_has_the_permissions_that_the_documentation_names(
        self, server: Valkey
    ) -> None:
        url = f"{limited(server, '+wait')}?durability=replica&timeout=0.2"
        await refuses(url, "in vain for a replica|in time", for_now=True)


@on_both
class TestPermissions:
    async def test_are_those_the_documentation_names(
        self, server: Valkey, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with opened(limited(server)) as store:
            watch = await store.watch()
            watch.add("log")
            await until_subscribed(server, 1)
            grant = await begin(store)
            await store.append("log", grant, 0, [b"1"])
            await store.attend("log", 5.0)
            await store.cancel("log")
            assert await store.renew("log", grant) == Ack(1, True, True)
            assert (await held(store)).frames == [b"1"]
            assert [key async for key in store.keys()] == ["log"]
            assert await kept_reaping(server, store, "log", after=1) == [True]
            with pytest.raises(Fenced):
                await store.renew("log", grant)
            await store.delete("log")
            watch.discard("log")
            await until_subscribed(server, 0)
        small = RedisStore(limited(server), max_events=4)
        grant = await begin(small, "trimmed")
        await small.append("trimmed", grant, 0, numbered(1, 5))
        await small.aclose()
        assert caplog.messages == []

    async def test_that_lack_are_named(self, server: Valkey) -> None:
        async with opened(limited(server, "-xadd")) as store:
            grant = await begin(store)
            with pytest.raises(Unavailable, match="lacks a permission"):
                await store.append("log", grant, 0, [b"1"])
            limited(server, "+xadd")
            assert await store.append("log", grant, 0, [b"1"]) == Ack(1)

    async def test_without_info_give_a_warning(
        self, server: Valkey, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with opened(limited(server, "-info")) as store:
            await begin(store)
            await begin(store)
        [message] = caplog.messages
        assert message.startswith("The store's server was not checked:")

    async def test_without_ssubscribe_give_one_warning_and_the_poll(
        self,
        server: Valkey,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(redis_hints, "_POLL", 0.02)
        async with opened(limited(server, "-ssubscribe")) as store:
            watch = await store.watch()
            watch.add("log")
            async with asyncio.timeout(TIMEOUT):
                for _ in range(5):
                    assert await watch.get() == {"log"}
        [message] = caplog.messages
        assert message.startswith("No hints, so logs are looked at each second:")


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("url", "reason"),
        [
            ("redis://127.0.0.1:port", "the port is a number"),
            ("redis://127.0.0.1:99999", "the port is a number"),
            ("redis://u:sec/ret@127.0.0.1", "the port is a number.*/ is %2F"),
            ("redis://127.0.0.1/events", "the database is a number"),
            ("http://127.0.0.1", "scheme"),
            ("redis://u:secret@127.0.0.1?colour=red", "colour"),
            ("redis://127.0.0.1?db=x", "db"),
            ("redis://127.0.0.1?timeout=soon", "timeout"),
            ("redis://127.0.0.1?timeout=0", "timeout is a number greater than 0"),
            ("redis://127.0.0.1?timeout=inf", "timeout is a number"),
            ("redis://u:secret@h?socket_connect_timeout=x", "socket_connect_timeout"),
            ("redis://u:secret@h?socket_connect_timeout=nan", "socket_connect_timeout"),
            ("redis://u:secret@h?socket_read_size=x", "socket_read_size"),
            ("redis://u:secret@h?retry_on_error=x&retry_on_timeout=1", "append"),
            ("rediss://u:secret@h?ssl_min_version=x", "ssl_min_version"),
            ("redis://u:secret@h?durability=maybe", "'replica', or not given"),
        ],
    )
    def test_is_a_wrong_url(self, url: str, reason: str) -> None:
        with pytest.raises(StoreError, match=reason) as caught:
            RedisStore(url)
        assert "redis://user:password@host:6379/0" in str(caught.value)
        told = "".join(traceback.format_exception(caught.value))
        assert "secret" not in told
        assert "sec/" not in told

    async def test_is_not_an_option_of_the_clients(self, server: Valkey) -> None:
        options = "socket_read_size=1024&socket_connect_timeout=1.5&client_name=me"
        async with opened(f"{server.url}?{options}") as store:
            await begin(store)

    @pytest.mark.parametrize("prefix", ["{a}:", "a*", "[a]"])
    def test_is_a_prefix_that_is_a_pattern(self, prefix: str) -> None:
        with pytest.raises(ValueError, match="prefix"):
            RedisStore("redis://127.0.0.1", prefix=prefix)

    async def test_is_a_wrong_password(self, server: Valkey) -> None:
        with server.client() as client:
            client.execute_command("ACL SETUSER somebody on >right allcommands")
        url = server.url.replace("//", "//somebody:wrong@")
        await refuses(url, "does not let us in.*the password in its URL", for_now=True)

    async def test_is_no_password(self, server: Valkey) -> None:
        with server.client() as client:
            client.config_set("requirepass", "right")
        await refuses(server.url, "does not let us in", for_now=True)

    async def test_is_a_database_that_is_not_there(self, server: Valkey) -> None:
        await refuses(f"{server.url}/99", "out of range")

    async def test_is_another_kind_of_server(self) -> None:
        async def answer(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            await reader.read(100)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        http = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with http:
            port = http.sockets[0].getsockname()[1]
            await refuses(f"redis://127.0.0.1:{port}", "refused")

    async def test_is_an_old_server(
        self, server: Valkey, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(redis_server, "_OLDEST", 9)
        await refuses(server.url, r"Redis 7\..*it has to be Redis 9.0 or newer")

    @pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-lru", "volatile-ttl"])
    async def test_is_an_eviction_policy_that_loses_logs(
        self, server: Valkey, policy: str
    ) -> None:
        with server.client() as client:
            client.config_set("maxmemory-policy", policy)
        async with opened(server.url) as store:  # nothing is evicted without a limit
            await begin(store)
        with server.client() as client:
            client.config_set("maxmemory", "100mb")
        await refuses(
            server.url, rf"{policy}; CONFIG SET maxmemory-policy noeviction\.$"
        )

    async def test_is_not_a_server_that_nobody_reaches(self, server: Valkey) -> None:
        server.kill()
        async with opened(server.url) as store:
            with pytest.raises(Unavailable, match=f"127.0.0.1:{server.port}"):
                await begin(store)

    async def test_is_not_a_server_without_memory(
        self, server: Valkey, store: RedisStore
    ) -> None:
        grant = await begin(store)
        with server.client() as client:
            client.config_set("maxmemory", "1")
            with pytest.raises(Unavailable, match="maxmemory"):
                await store.append("log", grant, 0, [b"1"])
            assert (await held(store)).last == 0
            assert await store.cancel("log")
            client.config_set("maxmemory", "0")
        assert await store.append("log", grant, 0, [b"1"]) == Ack(1, cancel=True)

    def test_is_python_without_redis(self) -> None:
        code = (
            "import sys; sys.modules['redis'] = None; import asgi_events.stores.redis"
        )
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True
        )
        assert 'pip install "asgi-events[redis]"' in run.stderr.splitlines()[-1]


class TestAnEncryptedConnection:
    @pytest.fixture
    def certificate(self, tmp_path: Path) -> Path:
        require(which("openssl"), "openssl is not installed")
        command = "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256"
        command += " -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
        command += f" -keyout {tmp_path}/key.pem -out {tmp_path}/certificate.pem"
        subprocess.run(command.split(), check=True, capture_output=True)
        return tmp_path / "certificate.pem"

    @pytest.fixture
    def url(self, certificate: Path) -> Iterator[str]:
        options = {
            "tls_cert_file": str(certificate),
            "tls_key_file": str(certificate.with_name("key.pem")),
            "tls_ca_cert_file": str(certificate),
            "tls_auth_clients": "no",
        }
        # The wheel's Valkey has no TLS.
        with Valkey("redis", tls_port=str(free_port()), **options) as server:
            with server.client() as client:
                port = client.config_get("tls-port")["tls-port"]
            yield f"rediss://127.0.0.1:{port}"

    async def test_works(self, url: str, certificate: Path) -> None:
        async with opened(f"{url}?ssl_ca_certs={certificate}") as store:
            grant = await begin(store)
            assert await store.append("log", grant, 0, [b"1"]) == Ack(1)

    async def test_is_refused_to_whom_nobody_vouches_for(self, url: str) -> None:
        await refuses(url, "does not trust.*certificate verify failed")

    async def test_is_refused_where_the_certificate_is_of_another_host(
        self, url: str, certificate: Path
    ) -> None:
        url = f"{url}?ssl_ca_certs={certificate}".replace("127.0.0.1", "localhost")
        await refuses(url, "not the one its URL names: .*localhost")
        async with opened(f"{url}&ssl_check_hostname=false") as store:
            await begin(store)

    async def test_may_be_without_any_check(self, url: str) -> None:
        async with opened(f"{url}?ssl_cert_reqs=none") as store:
            await begin(store)


class TestKeys:
    async def test_may_hold_any_character(self, store: RedisStore) -> None:
        keys = {"plain", "a}b", "}", "{", "a*", "a[b]c", "ü", "a b", "a:log", "%7D"}
        for key in keys:
            grant = await begin(store, key)
            await store.append(key, grant, 0, [key.encode()])
        assert {key async for key in store.keys()} == keys
        assert [(await held(store, key)).frames for key in keys] == [
            [key.encode()] for key in keys
        ]

    async def test_of_another_prefix_are_another_store(self, server: Valkey) -> None:
        async with (
            opened(f"{server.url}?prefix=one:") as one,
            opened(f"{server.url}/0?prefix=two:") as two,
        ):
            grant = await begin(one)
            await one.append("log", grant, 0, [b"1"])
            assert await two.read("log", 0, ALL) is None
            assert [key async for key in one.keys()] == ["log"]
            assert [key async for key in two.keys()] == []
        with server.client() as client:
            assert set(client.keys()) == {b"one:{log}:log", b"one:{log}:frames"}

    async def test_live_for_the_lease_and_the_time_to_live(
        self, server: Valkey, store: RedisStore
    ) -> None:
        grant = await begin(store, lease=15.0)
        with server.client() as client:
            names = ["asgi_events:{log}:log", "asgi_events:{log}:frames"]
            await store.append("log", grant, 0, [b"1"])
            for touch in (
                lambda: store.append("log", grant, 0, [b"1"]),
                lambda: store.renew("log", grant),
                lambda: begin(store),
            ):
                for name in names:
                    client.pexpire(name, 1000)
                await touch()
                assert [round(client.pttl(name) / 1000) for name in names] == [75, 75]

    async def test_that_lost_their_frames_say_so(
        self, server: Valkey, store: RedisStore
    ) -> None:
        grant = await begin(store)
        await store.append("log", grant, 0, numbered(1, 3))
        with server.client() as client:
            client.delete("asgi_events:{log}:frames")
        assert await held(store) == Page(4, 3, None, True, False, [], {"a": "ü"})
        await store.append("log", grant, 3, [b"frame 4"])
        assert (await held(store)).frames == [b"frame 4"]

    async def test_hold_so_many_frames(self, server: Valkey) -> None:
        store = RedisStore(server.url, max_events=100)
        grant = await begin(store)
        for last in range(0, 1010, 10):
            await store.append("log", grant, last, numbered(last + 1, last + 10))
        page = await held(store)
        with server.client() as client:
            length = client.xlen("asgi_events:{log}:frames")
        await store.aclose()
        assert page.frames == numbered(page.first, 1010)
        assert 75 <= len(page.frames) <= 100
        assert length == len(page.frames)


async def test_works_on_a_server_in_cluster_mode() -> None:
    with Valkey(cluster_enabled="yes") as server:
        async with opened(server.url) as store:
            watch = await store.watch()
            keys = {str(number) for number in range(10)}
            for key in keys:
                watch.add(key)
            await until_subscribed(server, 10)
            grants = {key: await begin(store, key) for key in keys}
            for key in keys:
                await store.append(key, grants[key], 0, [b"1"])
                assert await store.cancel(key)
                await store.attend(key, 1.0)
            assert {key async for key in store.keys()} == keys
            reaped = await kept_reaping(server, store, *keys, after=1)
            assert reaped == [True] * 10
            assert [(await held(store, key)).frames for key in keys] == [
                [b"1", b"lost"]
            ] * 10
            for key in keys:
                await store.delete(key)
            assert await store.read("1", 0, ALL) is None


@contextmanager
def full(server: Valkey) -> Iterator[None]:
    """A server that has no memory left."""
    with server.client() as client:
        client.config_set("maxmemory", "1")
        yield
        client.config_set("maxmemory", "0")


async def seen(execution: Execution) -> bytes:
    """What a viewer is given, to the end."""
    chunks = []
    with closing(execution.attach()) as cursor:
        while (chunk := cursor.take()) is not None:
            chunks.append(chunk)
            if not chunk:
                ready = asyncio.Event()
                cursor.on_ready(ready.set)
                await ready.wait()
    return b"".join(chunks)


async def turns() -> None:
    """Let the event loop send what is to be sent."""
    for _ in range(5):
        await asyncio.sleep(0)


@asynccontextmanager
async def in_thread(server: Valkey) -> AsyncIterator[None]:
    """A server that starts while this event loop goes on."""
    await asyncio.to_thread(server.__enter__)
    try:
        yield
    finally:
        server.__exit__(None, None, None)


async def until(look: Callable[[], bool]) -> None:
    """Wait until a server says so, which tells nobody by itself."""
    async with asyncio.timeout(TIMEOUT):
        while not look():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def has_written(client: redis.Redis) -> bool:
    """Whether what the server has done outlives its process."""
    return bool(client.info("persistence")["aof_buffer_length"] == 0)


async def until_subscribed(server: Valkey, count: int) -> None:
    """Wait until the server has so many subscriptions."""
    with server.client() as client:
        await until(lambda: len(client.pubsub_shardchannels()) == count)


async def kept_reaping(
    server: Valkey, store: RedisStore, *keys: str, after: int
) -> list[bool]:
    """Whether silent writers are dead to who asks often enough, and long enough."""

    async def reap() -> list[bool]:
        calls = (store.reap(key, after, b"lost", end="lost") for key in keys)
        return await asyncio.gather(*calls)

    server.pass_time(7.5)  # of a lease of 15 seconds
    for _ in range(3):
        assert not any(await reap())
        server.pass_time(3.0)
    return await reap()


async def until_grown(store: RedisStore, key: str, *, by: int) -> None:
    """Wait until a log has so many frames more."""
    goal = await last_of(store, key) + by
    async with asyncio.timeout(TIMEOUT):
        while await last_of(store, key) < goal:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def last_of(store: RedisStore, key: str) -> int:
    page = await insist(lambda: store.read(key, 0, 0))
    return page.last if page is not None else 0


def limited(server: Valkey, *changes: str) -> str:
    """The URL of a user that may do what the module's documentation says."""
    assert module.__doc__ is not None
    words = module.__doc__.partition("ACL SETUSER asgi_events ")[2].partition("\n\n")[0]
    with server.client() as client:
        client.execute_command("ACL SETUSER asgi_events", *words.split(), *changes)
    return server.url.replace("//", "//asgi_events:password@")


async def refuses(url: str, message: str, *, for_now: bool = False) -> None:
    async with opened(url) as store:
        with pytest.raises(StoreError, match=message) as caught:
            await begin(store)
    assert isinstance(caught.value, Unavailable) == for_now
