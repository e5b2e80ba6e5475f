"""The store of Redis and Valkey: scripts, connections, hints, keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from asgi_events.exceptions import (
    Busy,
    Ended,
    Fenced,
    Gap,
    Unavailable,
)
from asgi_events.stores import Ack, Grant, Page
from asgi_events.stores.redis import RedisStore
from asgi_events.stores.redis import subscriber as redis_subscriber
from asgi_events.stores.watching import KeyWatch
from tests.servers import TIMEOUT
from tests.stores.redis.links import (
    ALL,
    begin,
    held,
    kept_reaping,
    numbered,
    on_both,
    opened,
    until_subscribed,
)
from tests.valkey import Valkey

pytestmark = pytest.mark.server


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

    async def test_hold_up_no_close_when_all_were_given_up(
        self, server: Valkey
    ) -> None:
        store = RedisStore(server.url)
        await store.read("log", 0, 0)
        given_up = asyncio.ensure_future(store.read("log", 0, 0))
        await asyncio.sleep(0)  # it waits for its turn
        given_up.cancel()
        await asyncio.sleep(0.01)
        async with asyncio.timeout(2):
            await store.aclose()

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
        await other.mark_watched("log", 5.0)
        assert await store.renew("log", grant) == Ack(2, cancel=True, watched=True)

    async def test_hint_what_the_other_does(
        self,
        server: Valkey,
        store: RedisStore,
        other: RedisStore,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(redis_subscriber, "_POLL", 3600.0)
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
        monkeypatch.setattr(redis_subscriber, "_POLL", 0.02)
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
        monkeypatch.setattr(redis_subscriber, "_POLL", 0.05)
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
        monkeypatch.setattr(redis_subscriber, "_POLL", 3600.0)
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


@on_both
class TestAnInbox:
    @pytest.fixture
    async def inbox(
        self, server: Valkey, store: RedisStore, monkeypatch: pytest.MonkeyPatch
    ) -> KeyWatch:
        monkeypatch.setattr(redis_subscriber, "_POLL", 3600.0)
        inbox = await store.watch()
        inbox.add_writer("w")
        await until_subscribed(server, 1)
        return inbox

    async def test_hears_of_what_other_processes_ask(
        self, server: Valkey, store: RedisStore, inbox: KeyWatch
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
        self, server: Valkey, store: RedisStore, inbox: KeyWatch
    ) -> None:
        await inbox.aclose()
        await until_subscribed(server, 0)


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
                    client.pexpire(name, 30_000)
                await touch()
                assert all(70_000 < client.pttl(name) <= 75_000 for name in names)

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
                await store.mark_watched(key, 1.0)
            assert {key async for key in store.keys()} == keys
            reaped = await kept_reaping(server, store, *keys, after=1)
            assert reaped == [True] * 10
            assert [(await held(store, key)).frames for key in keys] == [
                [b"1", b"lost"]
            ] * 10
            for key in keys:
                await store.delete(key)
            assert await store.read("1", 0, ALL) is None


async def turns() -> None:
    """Let the event loop send what is to be sent."""
    for _ in range(5):
        await asyncio.sleep(0)
