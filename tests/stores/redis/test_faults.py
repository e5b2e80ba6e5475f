"""The store of Redis and Valkey: servers and links that fail."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

import pytest
import redis

from asgi_events import Executions, tool
from asgi_events.exceptions import (
    Gap,
    Missing,
    Unavailable,
)
from asgi_events.stores import Ack, Grant, Page
from asgi_events.stores.redis import RedisStore
from asgi_events.stores.redis import subscriber as redis_subscriber
from tests.servers import TIMEOUT
from tests.stores.redis.links import (
    ALL,
    answered,
    begin,
    held,
    in_thread,
    limited,
    numbered,
    on_both,
    opened,
    seen,
    until,
    until_subscribed,
)
from tests.valkey import Valkey

pytestmark = pytest.mark.server


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
        try:
            while chunk := await reader.read(self._chunk):
                writer.write(chunk)
                await asyncio.sleep(self._pause)
        finally:  # the client has gone, maybe before there was a way to the server
            writer.transport.abort()

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
                    ack = await answered(partial(send, key, last, frames))
                    assert ack == Ack(last + 7)
                    last = ack.last
                except Gap as gap:
                    # It answers before it writes, if its disk is too slow.
                    assert appendfsync == "everysec"
                    last = gap.last
            await answered(lambda: send(key, last, [b"!"], end="complete"))
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
                again = await answered(lambda: begin(store))
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
            grant = await answered(lambda: begin(store))
            server.pause()
            for _ in range(2):  # the second time it does not get a connection
                with pytest.raises(Unavailable, match="in time"):
                    async with asyncio.timeout(TIMEOUT):
                        await store.append("log", grant, 0, numbered(1, 2))
            server.resume()
            await answered(lambda: store.append("log", grant, 0, numbered(1, 2)))
            page = await answered(lambda: held(store))
            assert page.frames == numbered(1, 2)

    async def test_gives_hints_again(
        self, server: Valkey, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(redis_subscriber, "_POLL", 0.05)
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
            await store.mark_watched("log", 60.0)
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
                await answered(lambda: begin(store))
                assert store.generation == generation

    async def test_stays_when_only_the_connection_was_lost(
        self, server: Valkey, store: RedisStore
    ) -> None:
        await begin(store)
        with server.client() as client:
            client.client_kill_filter(_type="normal", skipme=True)
        await answered(lambda: begin(store))
        assert store.generation == 0

    async def test_grows_when_it_follows_another_history(self, server: Valkey) -> None:
        with Valkey() as other:
            async with Link(server.port) as link, opened(link.url) as store:
                await begin(store)
                link.upstream = other.port
                link.drop()
                await answered(lambda: begin(store))
                assert store.generation == 1

    async def test_is_heard_of_by_who_asks_nothing(
        self, server: Valkey, store: RedisStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(redis_subscriber, "_POLL", 0.02)
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
            await answered(lambda: begin(store))
            assert store.generation == 1


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
            # Loads the scripts; a busy machine may take longer than the timeout.
            await answered(lambda: store.read("log", 1, ALL))
            await answered(lambda: store.renew("other", other))
            async with asyncio.timeout(TIMEOUT):
                page, ack = await asyncio.gather(
                    answered(lambda: held(store)),
                    answered(lambda: store.renew("other", other)),
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
            grant = await answered(lambda: begin(store))
            other = await answered(lambda: begin(store, "other"))
            async with asyncio.timeout(TIMEOUT):
                acks = await asyncio.gather(
                    answered(lambda: store.append("log", grant, 0, [large])),
                    answered(lambda: store.append("other", other, 0, [b"1"])),
                )
        assert acks == [Ack(1), Ack(1)]

    async def test_that_stands_still_is_given_up(self, server: Valkey) -> None:
        async with opened(f"{server.url}?timeout=0.1") as store:
            grant = await answered(lambda: begin(store))
            server.pause()
            with pytest.raises(Unavailable, match="in time"):
                async with asyncio.timeout(TIMEOUT):
                    await store.append("log", grant, 0, [b"x" * 30_000_000])
            server.resume()


@contextmanager
def full(server: Valkey) -> Iterator[None]:
    """A server that has no memory left."""
    with server.client() as client:
        client.config_set("maxmemory", "1")
        yield
        client.config_set("maxmemory", "0")


def has_written(client: redis.Redis) -> bool:
    """Whether what the server has done outlives its process."""
    return bool(client.info("persistence")["aof_buffer_length"] == 0)


async def until_grown(store: RedisStore, key: str, *, by: int) -> None:
    """Wait until a log has so many frames more."""
    goal = await last_of(store, key) + by
    async with asyncio.timeout(TIMEOUT):
        while await last_of(store, key) < goal:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def last_of(store: RedisStore, key: str) -> int:
    page = await answered(lambda: store.read(key, 0, 0))
    return page.last if page is not None else 0
