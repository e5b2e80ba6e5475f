"""The list on a Redis server: of an earlier version, and its size."""

from __future__ import annotations

from copy import copy
from hashlib import sha1

import pytest

from asgi_events.stores import Ack, Grant
from asgi_events.stores.redis import RedisStore
from asgi_events.stores.redis import listing as redis_listing
from tests.stores.redis.links import answered, kept_reaping, limited, on_both, opened
from tests.valkey import Valkey

pytestmark = pytest.mark.server


async def start(
    store: RedisStore, number: int, *, ttl: float = 60.0, **facts: str
) -> Grant:
    created = f"2026-11-30T12:00:00.{number:06}+00:00"
    meta = {"actor": "research", "created": created, **facts}
    return await store.open(f"k{number}", writer="w", lease=15.0, ttl=ttl, meta=meta)


async def end(store: RedisStore, number: int, grant: Grant) -> Ack:
    return await store.append(f"k{number}", grant, 0, [b"1"], end="completed")


async def keys(store: RedisStore, status: str | None = None, **match: str) -> list[str]:
    return [key for key, _ in await store.list(match, status=status, limit=50)]


def forget_the_list(server: Valkey) -> None:
    """Leave what version 0.1 writes: logs that no list has."""
    with server.client() as client:
        for name in client.keys("*:list:*"):
            client.delete(name)
        for name in client.keys("*:log"):
            client.hdel(name, "listed")


def sizes(server: Valkey) -> dict[str, int]:
    with server.client() as client:
        return {
            name.decode().partition("list:")[2]: client.zcard(name)
            for name in client.keys("*:list:*")
            if not name.endswith(b":built")
        }


@on_both
async def test_lists_what_an_earlier_version_has_written(
    server: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_listing, "_AT_ONCE", 2)
    async with opened(server.url) as store:
        grants = [await start(store, n, owner="ann", thread="t") for n in range(5)]
        await end(store, 1, grants[1])
        await store.open("idempotency:1", writer="w", lease=15.0, ttl=60.0, meta={})
        forget_the_list(server)
        await end(store, 2, grants[2])
        await store.delete("k3")

    async with opened(server.url) as store:
        assert await keys(store, owner="ann") == ["k4", "k2", "k1", "k0"]
        assert await keys(store, "completed", thread="t") == ["k2", "k1"]
        assert await keys(store, "started", actor="research") == ["k4", "k0"]
        await end(store, 4, grants[4])
        await store.delete("k1")
        assert await keys(store, "completed") == ["k4", "k2"]


@on_both
async def test_needs_the_permissions_that_the_documentation_names(
    server: Valkey,
) -> None:
    async with opened(limited(server)) as store:
        grants = [await start(store, n, owner="ann", thread="t") for n in range(3)]
        await end(store, 0, grants[0])
        assert await keys(store, owner="ann") == ["k2", "k1", "k0"]
        assert await keys(store, "lost", thread="t") == []
        await store.delete("k1")
        assert await kept_reaping(server, store, "k2", after=0) == [True]
        assert await keys(store, "lost", owner="ann", actor="research") == ["k2"]
        server.pass_time(80.0)
        await start(store, 3)
        assert await keys(store) == ["k3"]
        forget_the_list(server)
    async with opened(limited(server)) as store:
        assert await keys(store) == ["k3"]


async def test_looks_for_them_once(server: Valkey) -> None:
    async with opened(server.url) as store:
        await start(store, 1)
        await keys(store)

    with server.client() as client:
        client.config_resetstat()
        async with opened(server.url) as store:
            for _ in range(3):
                assert await keys(store) == ["k1"]
        assert "cmdstat_scan" not in client.info("commandstats")


async def test_looks_for_them_again_on_another_server(server: Valkey) -> None:
    async with opened(server.url) as store:
        await start(store, 1)
        assert await keys(store) == ["k1"]
        server.restart()  # without appendonly all is lost

        await answered(lambda: start(store, 2))
        forget_the_list(server)

        assert await keys(store) == ["k2"]


async def test_does_not_grow_for_ever(server: Valkey, store: RedisStore) -> None:
    for round_ in range(3):
        for number in range(round_ * 100, round_ * 100 + 100):
            grant = await start(store, number, owner=f"o{number % 7}", thread="t")
            await end(store, number, grant)
        assert len(await store.list({}, limit=1000)) == 100
        assert sizes(server)["all"] == 100
        assert sizes(server)["end:completed"] == 100
        server.pass_time(76.0)
        # A start clears up after four others, and a list after 256.
        assert await keys(store) == []
        assert sizes(server) == {}


async def test_clears_up_when_nobody_lists(server: Valkey, store: RedisStore) -> None:
    for number in range(40):
        await end(store, number, await start(store, number))
    server.pass_time(76.0)

    for number in range(100, 110):
        await start(store, number)

    assert sizes(server) == {
        "all": 10,
        "actor:research": 10,
        "owner": 10,
        "end:": 10,
        "due": 10,
    }


async def test_lists_a_log_that_is_written_again_after_it_had_ended_and_expired(
    server: Valkey, store: RedisStore
) -> None:
    await end(store, 1, await start(store, 1, owner="ann"))
    with server.client() as client:  # as if it had expired, long before its time
        client.delete("asgi_events:{k1}:log")
    await start(store, 1, owner="ann")

    with server.client() as client:  # both of its entries are due
        for entry in client.zrange("asgi_events:list:due", 0, -1):
            client.zadd("asgi_events:list:due", {entry: 1})

    for _ in range(2):
        await keys(store)
        assert await keys(store, owner="ann") == ["k1"]
        assert await keys(store, "started") == ["k1"]
        assert await keys(store, "completed") == []
    assert sizes(server)["due"] == 1


async def test_goes_on_where_a_long_walk_has_ended(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        rare = number in (2, 3, 11)
        grant = await start(store, number, owner="ann" if number < 15 else "bob")
        await store.append(
            f"k{number}", grant, 0, [b"1"], end="failed" if rare else "completed"
        )
    # A walk looks at few at once, and through the larger of two sets.
    script = copy(redis_listing.LIST)
    script.source = script.source.replace(b"looked > 2000", b"looked > 2")
    script.source = script.source.replace(b"{}, 0, 64", b"{}, 0, 2")
    script.source = script.source.replace(b"count < fewest", b"count > fewest")
    script.source = script.source.replace(b"+ #members, 256", b"+ #members, 2")
    script.sha = sha1(script.source).hexdigest().encode()
    monkeypatch.setattr(redis_listing, "LIST", script)

    assert await keys(store, "failed", owner="ann") == ["k11", "k3", "k2"]
    assert await keys(store, "failed", owner="bob") == []
    found = await store.list({"owner": "ann"}, status="failed", limit=2)
    assert [key for key, _ in found] == ["k11", "k3"]


async def test_lists_a_log_that_took_the_place_of_one_that_was_lost_once(
    server: Valkey, store: RedisStore
) -> None:
    await start(store, 1, owner="ann")
    with server.client() as client:
        client.delete("asgi_events:{k1}:log")
    meta = {"actor": "research", "created": "2027-01-01T00:00:00+00:00"}
    await store.open("k1", writer="w", lease=15.0, ttl=60.0, meta=meta)

    assert await keys(store) == ["k1"]
    assert await keys(store, owner="ann") == []
