"""The SQLite store: what is expired is deleted."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Semaphore
from typing import Any

import pytest

from asgi_events.stores.sqlite import file as sqlite_file
from asgi_events.stores.sqlite import housekeeping as sqlite_housekeeping
from asgi_events.stores.sqlite import logs as sqlite_logs
from asgi_events.stores.sqlite.file import File
from asgi_events.stores.sqlite.housekeeping import Housekeeper
from tests import TIMEOUT
from tests.stores.sqlite.files import Make, change, frames, opened, until, whole


async def test_deletes_what_is_expired_and_what_was_deleted(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_housekeeping, "_LOOK", 0.01)
    monkeypatch.setattr(sqlite_housekeeping, "_FRAMES", 10)
    store = make()
    for key, ttl in (("expired", 0.001), ("deleted", 60.0), ("kept", 60.0)):
        grant = await opened(store, key, lease=0.001 if ttl < 1 else 10.0, ttl=ttl)
        await store.append(key, grant, 0, frames(1, 35), end="completed")

    await store.delete("deleted")

    with closing(sqlite3.connect(path)) as db:

        async def swept() -> bool:
            (logs,) = db.execute("SELECT count(*) FROM log").fetchone()
            return bool(logs == 1)

        await until(swept)
        assert db.execute("SELECT count(*) FROM frame").fetchone() == (35,)
    assert [key async for key in store.keys()] == ["kept"]


async def test_lists_more_logs_than_fit_in_one_read(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_logs, "_KEYS", 3)
    store = make()
    keys = [f"k{n}" for n in range(10)]
    await asyncio.gather(*(opened(store, key) for key in keys))

    assert [key async for key in store.keys()] == keys


class Kept:
    """A file with a housekeeper, and the two clocks that it looks at."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall, self.monotonic = time.time(), 0.0
        self.db = File(str(path), "NORMAL", 5.0).connect(patient=True)
        self.housekeeper = Housekeeper(str(path), lambda: self.wall)
        monkeypatch.setattr(sqlite_logs, "clock", lambda: self.wall)
        monkeypatch.setattr(sqlite_housekeeping, "monotonic", lambda: self.monotonic)

    def work(self) -> float:
        return self.housekeeper.work(self.db)

    def count(self) -> int:
        (logs,) = self.db.execute("SELECT count(*) FROM log").fetchone()
        return int(logs)

    def add_expired(self, logs: int) -> None:
        """Logs of three frames, ended and expired."""
        first = self.count() + 1
        self.db.execute("BEGIN")
        self.db.executemany(
            'INSERT INTO log (id, key, writer, lease, ttl, sign, "end", due, meta) '
            "VALUES (?, ?, 'w', 1, 1, 1, 'completed', ?, '{}')",
            ((id, f"expired-{id}", id) for id in range(first, first + logs)),
        )
        self.db.executemany(
            "INSERT INTO frame VALUES (?, ?, 'x')",
            ((id, seq) for id in range(first, first + logs) for seq in (1, 2, 3)),
        )
        self.db.execute("COMMIT")


@pytest.fixture
def kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    kept = Kept(path, monkeypatch)
    yield kept
    kept.db.close()


def test_deletes_what_is_expired_in_parts_and_rests_between(kept: Kept) -> None:
    kept.add_expired(500)

    def elapse(statement: str) -> None:
        if statement == "COMMIT":
            kept.monotonic += 0.01

    kept.db.set_trace_callback(elapse)
    seen = []
    for _ in range(3):
        pause = kept.work()
        seen.append((kept.count(), round(pause, 6)))

    assert seen == [(300, 0.04), (100, 0.04), (0, sqlite_housekeeping._LOOK)]
    assert kept.db.execute("SELECT count(*) FROM frame").fetchone() == (0,)


def test_takes_no_more_logs_when_a_part_has_taken_long(kept: Kept) -> None:
    kept.add_expired(10)

    def elapse(statement: str) -> None:
        if statement.startswith("DELETE FROM log"):
            kept.monotonic += 0.015

    kept.db.set_trace_callback(elapse)
    kept.work()

    assert kept.count() == 8


def test_deletes_a_long_log_in_parts(kept: Kept) -> None:
    kept.add_expired(1)
    kept.db.executemany(
        "INSERT INTO frame VALUES (1, ?, 'x')", ((seq,) for seq in range(4, 1000))
    )

    def elapse(statement: str) -> None:
        if statement.startswith("DELETE FROM frame"):
            kept.monotonic += 0.006

    kept.db.set_trace_callback(elapse)
    left = []
    while kept.count():
        kept.work()
        left += kept.db.execute("SELECT count(*) FROM frame").fetchone()

    assert left == [759, 519, 279, 39, 0]


def test_looks_up_by_an_index_what_is_due(kept: Kept) -> None:
    for find in (sqlite_housekeeping._FIND_DUE, "SELECT 1 FROM log WHERE due <= ?"):
        plan = kept.db.execute(f"EXPLAIN QUERY PLAN {find}", (1, 1)[: find.count("?")])
        assert [row[3].split("USING ")[1] for row in plan] in (
            ["INDEX log_due (due<?)"],
            ["COVERING INDEX log_due (due<?)"],
        )


async def test_keeps_a_log_that_runs_when_its_clock_is_set_forward(
    make: Make, kept: Kept
) -> None:
    store = make()
    grant = await opened(store, lease=10.0, ttl=60.0)
    await store.aclose()  # no housekeeper but that of the test

    for _ in range(5):
        kept.wall += 86_400
        assert (await whole(store)).last == 0
        await store.aclose()
        kept.work()
        kept.monotonic += 9.0
        kept.work()
        assert (await whole(store)).last == 0
        await store.renew("k", grant)
        await store.aclose()

    assert kept.count() == 1


async def test_deletes_a_log_that_has_not_ended_when_nobody_was_heard_for_a_lease(
    make: Make, kept: Kept
) -> None:
    store = make()
    await opened(store, lease=10.0, ttl=60.0)
    await store.cancel("k")
    await store.aclose()
    counts = []

    for monotonic, wall in ((0, 71), (9, 11), (11, 11), (12, 11)):
        kept.wall += wall
        kept.monotonic = monotonic
        kept.work()
        counts.append(kept.count())

    assert counts == [1, 1, 0, 0]
    assert kept.db.execute("SELECT * FROM inbox").fetchall() == []
    assert await store.read("k", 0, 100) is None


def housekeepers(db: sqlite3.Connection) -> list[str]:
    return [name for (name,) in db.execute("SELECT name FROM housekeeper")]


def test_has_one_housekeeper(kept: Kept) -> None:
    other = Housekeeper("other", lambda: kept.wall)
    assert kept.work() == sqlite_housekeeping._LOOK
    elected = housekeepers(kept.db)

    kept.add_expired(10)
    assert other.work(kept.db) == sqlite_housekeeping._STAND_BY
    assert (kept.count(), housekeepers(kept.db)) == (10, elected)

    kept.work()
    assert (kept.count(), housekeepers(kept.db)) == (0, elected)


@pytest.mark.parametrize("step", [31.0, -3600.0])
def test_replaces_a_housekeeper_that_is_not_heard_of(kept: Kept, step: float) -> None:
    other = Housekeeper("other", lambda: kept.wall)
    kept.work()
    elected = housekeepers(kept.db)

    kept.wall += step
    other.work(kept.db)

    assert housekeepers(kept.db) != elected
    kept.add_expired(1)
    assert kept.work() == sqlite_housekeeping._STAND_BY
    assert kept.count() == 1
    pages = kept.db.execute("PRAGMA wal_autocheckpoint").fetchone()
    assert pages == (sqlite_file.AUTOCHECKPOINT,)


def test_keeps_a_housekeeper_that_is_heard_of(kept: Kept) -> None:
    other = Housekeeper("other", lambda: kept.wall)
    kept.work()
    elected = housekeepers(kept.db)

    for _ in range(10):
        kept.wall += 20
        kept.work()
        other.work(kept.db)

    assert housekeepers(kept.db) == elected


async def test_elects_another_housekeeper_when_one_leaves(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_housekeeping, "_STAND_BY", 0.01)
    first, second = make(), make()
    with closing(sqlite3.connect(path)) as db:
        await opened(first, "first")

        async def is_elected() -> bool:
            return housekeepers(db) != [""]

        await until(is_elected)
        elected = housekeepers(db)
        await opened(second, "second")
        assert housekeepers(db) == elected

        await first.aclose()

        async def is_another() -> bool:
            return housekeepers(db) != elected

        await until(is_another)


async def test_checkpoints_in_one_process(
    make: Make, path: Path, statements: list[str]
) -> None:
    first, second = make(), make()

    for store in (first, second):
        await opened(store, str(id(store)))
        await store.delete("")  # it has looked after the first call by now

    limits = [line for line in statements if "wal_autocheckpoint" in line]
    assert sorted(limits) == [
        "PRAGMA wal_autocheckpoint = 16000",
        "PRAGMA wal_autocheckpoint = 16000",
        "PRAGMA wal_autocheckpoint = 4000",
    ]


def test_checkpoints_for_those_who_do_not(kept: Kept, path: Path) -> None:
    kept.work()
    kept.db.execute("PRAGMA wal_autocheckpoint = 4")
    change(path, "CREATE TABLE big (x)", "INSERT INTO big VALUES (zeroblob(100000))")
    before = os.path.getsize(path)

    kept.wall += 1
    kept.work()

    assert os.path.getsize(path) > 100_000 > before


class Steps:
    """What the store's thread does; it waits in each part that is not the second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[str] = []
        self._waits = Semaphore(0)
        self._may_go_on = Semaphore(0)
        self._free = False
        self._connect = sqlite3.connect
        monkeypatch.setattr(sqlite3, "connect", self._connect_traced)

    async def part(self) -> None:
        """Return when it waits in the next part."""
        assert await asyncio.to_thread(self._waits.acquire, timeout=TIMEOUT)

    def go_on(self) -> None:
        self._may_go_on.release()

    def free(self) -> None:
        """Wait no more."""
        self._free = True
        self.go_on()

    def _connect_traced(self, *args: Any, **options: Any) -> sqlite3.Connection:
        db: sqlite3.Connection = self._connect(*args, **options)
        db.set_trace_callback(self._see)
        return db

    def _see(self, statement: str) -> None:
        if statement.startswith("INSERT INTO frame"):
            self.seen.append("append")
        elif statement.startswith("UPDATE housekeeper") and not self._free:
            is_second = self.seen[-1:] == ["part"]
            self.seen.append("part")
            if is_second:
                return
            self._waits.release()
            self._may_go_on.acquire(timeout=TIMEOUT)


async def test_serves_who_asks_while_much_is_expired(
    make: Make, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(sqlite_housekeeping, "_BATCH", 10)
    monkeypatch.setattr(sqlite_housekeeping, "_REST", 0)
    kept.add_expired(500)
    steps = Steps(monkeypatch)
    store = make()
    try:
        grant = await opened(store)
        for after in range(20):
            await steps.part()
            appending = asyncio.ensure_future(
                store.append("k", grant, after, frames(after + 1, after + 1))
            )
            await asyncio.sleep(0)  # it is asked for now
            steps.go_on()
            await appending
        await steps.part()
    finally:
        steps.free()

    # No second part comes before it is served.
    assert steps.seen == [*["part", "append"] * 20, "part"]

    async def swept() -> bool:
        return kept.count() == 1

    await until(swept)
