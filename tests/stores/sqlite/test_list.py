"""The list in a SQLite file: of an earlier version, beside one, and its size."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from asgi_events.stores import Ack, Grant, Page, Position
from asgi_events.stores.sqlite import SQLiteStore
from asgi_events.stores.sqlite import housekeeping as sqlite_housekeeping
from asgi_events.stores.sqlite import logs as sqlite_logs
from tests.stores.sqlite.files import Make, until
from tests.stores.sqlite.test_processes import ROOT, python

WRITTEN = 1_790_000_000.0  # when version 2 wrote the file
VERSION_2 = (Path(__file__).parent / "version_2.sql").read_text()

# What version 2 executes to start, write and end an execution, and to delete its log.
START = """
INSERT INTO log (key, writer, epoch, lease, ttl, sign, due, first, last, meta)
VALUES (?, 'w', 1, 15, 600, ?, ?, 1, 0, ?)
"""
APPEND = "UPDATE log SET last = ?, sign = ? WHERE id = ?"
END = """
UPDATE log SET last = ?, sign = ?, "end" = ?, ended = ?, due = ? + lease + ttl
WHERE id = ?
"""
DELETE = "UPDATE log SET key = NULL, due = 0 WHERE id = ?"


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Iterator[float]:
    monkeypatch.setattr(sqlite_logs, "clock", lambda: WRITTEN + 1)
    yield WRITTEN + 1


def make_version_2(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(VERSION_2)


async def keys(
    store: SQLiteStore, status: str | None = None, **match: str
) -> list[str]:
    return [key for key, _ in await store.list(match, status=status, limit=50)]


async def test_lists_what_version_2_has_written(
    make: Make, path: Path, now: float
) -> None:
    await asyncio.to_thread(make_version_2, path)
    store = make()

    assert await keys(store) == ["running", "failed", "completed", "unicode"]
    assert await keys(store, owner="ann") == ["running", "completed"]
    assert await keys(store, owner="jürgen \U0001f600") == ["unicode"]
    assert await keys(store, thread="t") == ["running"]
    assert await keys(store, actor="chat") == ["unicode"]
    assert await keys(store, "started") == ["running"]
    assert await keys(store, "failed") == ["failed"]
    assert {key async for key in store.keys()} == {
        *("running", "failed", "completed", "unicode", "no-facts"),
        *("idempotency:1", "thread:1"),
    }


async def test_writes_on_what_version_2_has_begun(
    make: Make, path: Path, now: float
) -> None:
    await asyncio.to_thread(make_version_2, path)
    store = make()
    page = await store.read("running", 0, 100)
    assert page == Page(
        first=1,
        last=2,
        end=None,
        alive=True,
        cancel=False,
        frames=[b"data: 0\n\n", b"data: 1\n\n"],
        meta=page.meta if page is not None else {},
    )

    grant = await store.open("running", writer="w", lease=15.0, ttl=600.0, meta={})
    ack = await store.append("running", grant, 2, [b"3"], end="completed")

    assert (grant.last, ack) == (2, Ack(3))
    assert await keys(store, "completed", owner="ann") == ["running", "completed"]


async def test_lists_what_a_process_of_version_2_starts_and_ends_meanwhile(
    make: Make, path: Path, now: float
) -> None:
    await asyncio.to_thread(make_version_2, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.execute("SELECT count(*) FROM log").fetchone()  # it has the file open
        store = make()
        before = await keys(store, owner="ann")

        ids = []
        for key, second in (
            ("new", 7),
            ("gone", 8),
            ("idempotency:2", 9),
            ("over", 10),
        ):
            created = f"2026-09-21T13:06:{second:02}.5+00:00"
            meta = {"actor": "research", "owner": "ann", "created": created}
            row = (key, now, now + 615, json.dumps(meta))
            ids.append(old.execute(START, row).lastrowid)
        old.execute(APPEND, (1, now, ids[0]))
        during = await keys(store, owner="ann")
        old.execute(END, (1, now, "failed", now, now, ids[3]))
        old.execute(DELETE, (ids[1],))
        after = await keys(store, owner="ann")

        assert before == ["running", "completed"]
        assert during == ["over", "gone", "new", *before]
        assert after == ["over", "new", *before]
        assert await keys(store, "failed", owner="ann") == ["over"]
        grant = Grant(1, 1)
        assert await store.append("new", grant, 1, [b"2"], end="completed") == Ack(2)
        assert await keys(store, "completed", owner="ann") == ["new", "completed"]


async def test_tells_version_2_that_the_file_is_newer(
    make: Make, path: Path, now: float
) -> None:
    await asyncio.to_thread(make_version_2, path)
    await keys(make())

    with closing(sqlite3.connect(path)) as db:
        # Version 2 refuses what has a greater number than its own.
        assert db.execute("PRAGMA user_version").fetchone() == (3,)


async def test_upgrades_once_when_several_processes_begin_at_once(path: Path) -> None:
    await asyncio.to_thread(make_version_2, path)
    code = """
import asyncio, sys
from asgi_events.stores.sqlite import SQLiteStore, logs
logs.clock = lambda: float(sys.argv[2])
async def main():
    store = SQLiteStore(sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    for owner in ("ann", None):
        print(*[key for key, _ in await store.list({"owner": owner}, limit=50)])
    await store.aclose()
asyncio.run(main())
"""
    processes = [
        await asyncio.create_subprocess_exec(
            *python(code, str(path), str(WRITTEN + 1)),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"

    told = await asyncio.gather(
        *(process.communicate(b"go\n") for process in processes)
    )

    assert [out.decode().splitlines() for out, _ in told] == [
        ["running completed", "failed"]
    ] * 2
    assert [process.returncode for process in processes] == [0, 0]


async def test_fills_a_file_of_version_2_in_parts(
    make: Make, path: Path, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asgi_events.stores.sqlite import listing

    monkeypatch.setattr(listing, "_BATCH", 2)
    await asyncio.to_thread(make_version_2, path)

    assert await keys(make()) == ["running", "failed", "completed", "unicode"]


async def test_does_not_grow_for_ever(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead, real = 0.0, sqlite_logs.clock
    monkeypatch.setattr(sqlite_logs, "clock", lambda: real() + ahead)
    monkeypatch.setattr(sqlite_housekeeping, "_LOOK", 0.01)
    store = make(synchronous="NORMAL")
    sizes = []

    async def run(number: int) -> None:
        key = f"k{number}"
        meta = {"actor": "a", "created": f"2026-{number:05}", "owner": f"o{number % 7}"}
        grant = await store.open(key, writer="w", lease=10.0, ttl=60.0, meta=meta)
        await store.append(key, grant, 0, [b"1"], end="completed")

    with closing(sqlite3.connect(path)) as db:

        async def swept() -> bool:
            (count,) = db.execute("SELECT count(*) FROM log").fetchone()
            return bool(count == 0)

        for begin in range(0, 900, 300):
            await asyncio.gather(*(run(n) for n in range(begin, begin + 300)))
            assert len(await store.list({}, limit=1000)) == 300
            ahead += 71.0
            assert await keys(store) == []
            await until(swept)
            count = "SELECT count(*) FROM log INDEXED BY log_owner WHERE created > ''"
            assert db.execute(count).fetchone() == (0,)
            sizes.append(db.execute("PRAGMA page_count").fetchone()[0])

    assert sizes[2] <= sizes[0] * 1.1


async def test_passes_over_what_has_expired_and_is_not_swept_yet(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead, real = 0.0, sqlite_logs.clock
    monkeypatch.setattr(sqlite_logs, "clock", lambda: real() + ahead)
    monkeypatch.setattr(sqlite_housekeeping, "_LOOK", 3600.0)
    store = make(synchronous="NORMAL")

    async def run(number: int, end: str | None = "completed") -> None:
        key = f"k{number:04}"
        meta = {"actor": "a", "created": f"2026-{number:05}"}
        grant = await store.open(key, writer="w", lease=10.0, ttl=600.0, meta=meta)
        if end is not None:
            await store.append(key, grant, 0, [b"1"], end=end)

    await asyncio.gather(*(run(number) for number in range(100, 400)))
    ahead += 611.0
    await asyncio.gather(*(run(number) for number in range(5)))

    found = await store.list({}, limit=3)

    assert [key for key, _ in found] == ["k0004", "k0003", "k0002"]
    before = Position("2026-00002", "k0002")
    rest = await store.list({"owner": None}, before=before, limit=3)
    assert [key for key, _ in rest] == ["k0001", "k0000"]
