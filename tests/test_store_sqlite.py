"""The SQLite store: processes, files, threads; its contract is in test_stores.py."""

import asyncio
import gc
import os
import random
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from asgi_events.exceptions import Busy, Ended, Fenced, Missing, StoreError, Unavailable
from asgi_events.stores import Ack, EventStore, Grant, Page, open_store
from asgi_events.stores.sqlite import SQLiteStore
from asgi_events.stores.sqlite import file as sqlite_file
from asgi_events.stores.sqlite import housekeeping as sqlite_housekeeping
from asgi_events.stores.sqlite import store as sqlite
from asgi_events.stores.sqlite import watches as sqlite_watches
from asgi_events.stores.sqlite.file import File, has_wal_reset_bug
from asgi_events.stores.sqlite.housekeeping import Housekeeper
from tests.asgi import TIMEOUT

ROOT = Path(__file__).parents[1]
META = {"actor": "research"}

Make = Callable[..., SQLiteStore]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


@pytest.fixture
async def make(path: Path) -> AsyncIterator[Make]:
    """Makes stores on one file, and closes them when the test is over."""
    made: list[SQLiteStore] = []

    def make(path: Path = path, **options: Any) -> SQLiteStore:
        made.append(SQLiteStore(path, **options))
        return made[-1]

    yield make
    for store in made:
        await store.aclose()


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What all connections execute from now on."""
    executed: list[str] = []
    connect = sqlite3.connect

    def traced(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        db: sqlite3.Connection = connect(*args, **kwargs)
        db.set_trace_callback(executed.append)
        return db

    monkeypatch.setattr(sqlite3, "connect", traced)
    return executed


def frames(first: int, last: int) -> list[bytes]:
    return [b"data: %d\nid: k:%d\n\n" % (n, n) for n in range(first, last + 1)]


async def opened(
    store: EventStore,
    key: str = "k",
    *,
    writer: str = "w",
    lease: float = 10.0,
    ttl: float = 60.0,
) -> Grant:
    return await store.open(key, writer=writer, lease=lease, ttl=ttl, meta=META)


async def whole(store: EventStore, key: str = "k") -> Page:
    page = await store.read(key, 0, 1 << 30)
    assert page is not None
    return page


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(TIMEOUT):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.01)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """As another process that is in the middle of writing."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield


def content(path: Path) -> bytes:
    return path.read_bytes()


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def change(path: Path, *sql: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        for statement in sql:
            db.execute(statement)
        db.commit()


# Processes


def write_until_killed(path: str, key: str) -> None:
    """What the writer processes do: append, and print what was acknowledged."""

    async def write() -> None:
        store = SQLiteStore(path)
        grant = await opened(store, key, writer=key, lease=0.3)
        ack = Ack(0)
        while True:
            batch = frames(ack.last + 1, ack.last + 1 + ack.last % 7)
            ack = await store.append(key, grant, ack.last, batch)
            print(ack.last, flush=True)

    asyncio.run(write())


def python(code: str, *args: str) -> list[str]:
    return [sys.executable, "-W", "error", "-c", code, *args]


async def write_and_be_killed(path: Path, key: str, after: int) -> int:
    """Have a process write; the last number acknowledged before its SIGKILL."""
    process = await asyncio.create_subprocess_exec(
        *python(
            "import sys; from tests.test_store_sqlite import write_until_killed as f; "
            "f(*sys.argv[1:])",
            str(path),
            key,
        ),
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    lines = [await process.stdout.readline() for _ in range(after)]
    process.kill()
    lines += (await process.stdout.read()).splitlines(keepends=True)
    assert await process.wait() == -9
    return max(int(line) for line in lines if line.endswith(b"\n"))


async def test_has_what_was_acknowledged_before_a_kill_and_loses_it_once(
    make: Make, path: Path
) -> None:
    chance = random.Random(4)
    keys = [f"writer-{n}" for n in range(6)]
    async with asyncio.timeout(60):
        acknowledged = await asyncio.gather(
            *(write_and_be_killed(path, key, chance.randint(1, 150)) for key in keys)
        )
    stores = [make(), make()]

    for key, seen in zip(keys, acknowledged, strict=True):
        page = await whole(stores[0], key)
        assert page.last >= seen
        assert list(page.frames) == frames(1, page.last)

        reaped: list[bool] = []

        async def dead(
            key: str = key, last: int = page.last, reaped: list[bool] = reaped
        ) -> bool:
            reaped += await asyncio.gather(
                *(
                    store.reap(key, last, b"data: lost\n\n", end="lost")
                    for store in stores * 3
                )
            )
            return True in reaped

        await until(dead)

        assert reaped.count(True) == 1
        ended = (await whole(stores[0], key)).ended
        assert ended is not None
        assert await whole(stores[1], key) == Page(
            first=1,
            last=page.last + 1,
            end="lost",
            alive=True,
            cancel=False,
            frames=[*frames(1, page.last), b"data: lost\n\n"],
            meta=META,
            ended=ended,
        )


def test_does_not_keep_a_process_alive(path: Path) -> None:
    code = """
import asyncio, logging, sys
logging.disable()  # an old SQLite is told of
from tests.test_store_sqlite import SQLiteStore, frames, opened

async def main():
    watch = await store.watch()
    watch.add("k")
    grant = await opened(store)
    print(await store.append("k", grant, 0, frames(1, 2)))

store = SQLiteStore(sys.argv[1])
asyncio.run(main())
"""
    ran = subprocess.run(
        python(code, str(path)), cwd=ROOT, capture_output=True, timeout=30, text=True
    )

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{Ack(2)}\n", "")


async def test_is_made_once_by_all_who_come_first(make: Make) -> None:
    stores = [make() for _ in range(8)]

    outcomes = await asyncio.gather(
        *(opened(store, writer=f"w{n}") for n, store in enumerate(stores)),
        return_exceptions=True,
    )

    assert sorted(type(outcome).__name__ for outcome in outcomes) == (
        ["Busy"] * 7 + ["Grant"]
    )


async def test_has_one_writer_in_all_processes(make: Make) -> None:
    here, there = make(), make()
    grant = await opened(here, lease=0.05)

    with pytest.raises(Busy):
        await opened(there, writer="other")

    async def reap() -> bool:
        return await there.reap("k", 0, b"data: lost\n\n", end="lost")

    await until(reap)
    with pytest.raises(Fenced):
        await here.append("k", grant, 0, frames(1, 1))
    with pytest.raises(Fenced):
        await here.renew("k", grant)
    with pytest.raises(Ended):
        await opened(here)


# Hints


async def hinted(watch: Any) -> set[str]:
    async with asyncio.timeout(TIMEOUT):
        keys: set[str] = await watch.get()
        return keys


async def test_hints_at_what_another_process_does(make: Make) -> None:
    here, there = make(), make()
    one, other = await opened(there, "one"), await opened(there, "other")
    watch = await here.watch()
    for key in ("one", "other"):
        watch.add(key)
        await here.read(key, 0, 100)

    await there.cancel("other")
    assert await hinted(watch) == {"other"}
    await there.append("one", one, 0, frames(1, 1))
    assert await hinted(watch) == {"one"}
    await there.append("one", one, 1, [], end="completed")
    assert await hinted(watch) == {"one"}
    watch.discard("one")
    await there.delete("one")
    await there.append("other", other, 0, frames(1, 1))
    assert await hinted(watch) == {"other"}


async def test_hints_at_a_log_that_does_not_exist_yet(make: Make) -> None:
    here, there = make(), make()
    watch = await here.watch()
    watch.add("k")
    assert await here.read("k", 0, 100) is None

    await opened(there)

    assert await hinted(watch) == {"k"}


async def test_misses_nothing_between_one_watch_and_the_next(make: Make) -> None:
    here, there = make(), make()
    grant = await opened(there)
    first, second = await here.watch(), await here.watch()

    first.add("k")
    await here.read("k", 0, 100)
    await there.append("k", grant, 0, frames(1, 1))
    second.add("k")

    assert await hinted(first) == {"k"}


async def test_hints_after_a_long_silence(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_watches, "_QUIET", 0.0)
    here, there = make(), make()
    grant = await opened(there)
    watch = await here.watch()
    watch.add("k")
    await here.read("k", 0, 100)

    for after in range(3):
        await there.append("k", grant, after, frames(after + 1, after + 1))
        assert await hinted(watch) == {"k"}


async def test_looks_at_nothing_when_nothing_is_watched(
    make: Make, statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_watches, "_POLL", 0.0)
    monkeypatch.setattr(sqlite_watches, "_POLL_QUIET", 0.0)
    store = make()
    await opened(store)
    watch = await store.watch()
    watch.add("k")

    async def looked() -> bool:
        return statements.count("PRAGMA data_version") > 3

    await until(looked)
    await watch.aclose()
    # Each read is answered before the look that follows it, so the second is after it.
    await whole(store)
    await whole(store)
    statements.clear()
    for _ in range(20):
        await whole(store)
    assert "PRAGMA data_version" not in statements


async def test_hints_at_what_another_process_asks_of_a_writer(make: Make) -> None:
    here, there = make(), make()
    grants = {key: await opened(here, key) for key in ("one", "other")}
    watch = await here.watch()
    watch.add_writer("w")

    await there.cancel("one")
    assert await hinted(watch) == {"one"}
    assert await here.renew("one", grants["one"]) == Ack(0, cancel=True)
    await there.cancel("other")
    keys = await hinted(watch)
    while "other" not in keys:  # it may have looked before "one" was renewed
        keys = await hinted(watch)


async def test_compares_no_log_that_is_written_here(
    make: Make, statements: list[str]
) -> None:
    here, there = make(), make()
    await opened(here)
    watch = await here.watch()
    watch.add_writer("w")
    statements.clear()

    await there.cancel("k")
    await hinted(watch)

    asked = [line for line in statements if line.startswith("SELECT writer, key")]
    assert len(asked) >= 1
    assert not any("FROM log WHERE key IN" in line for line in statements)


async def asked(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT * FROM inbox").fetchall()


async def _renew(store: SQLiteStore, grant: Grant) -> None:
    await store.renew("k", grant)


async def _append(store: SQLiteStore, grant: Grant) -> None:
    await store.append("k", grant, 0, frames(1, 1))


async def _end(store: SQLiteStore, grant: Grant) -> None:
    await store.append("k", grant, 0, frames(1, 1), end="cancelled")


async def _open_again(store: SQLiteStore, grant: Grant) -> None:
    await opened(store)


async def _delete(store: SQLiteStore, grant: Grant) -> None:
    await store.delete("k")


@pytest.mark.parametrize("answer", [_renew, _append, _end, _open_again, _delete])
async def test_asks_a_writer_until_it_has_answered(
    make: Make, path: Path, answer: Callable[[SQLiteStore, Grant], Awaitable[None]]
) -> None:
    store = make()
    grant = await opened(store)
    await store.cancel("k")
    await store.cancel("k")
    assert await asked(path) == [("w", "k")]

    await answer(store, grant)

    assert await asked(path) == []


async def test_asks_nothing_of_a_writer_whose_log_was_reaped(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make()
    await opened(store)
    now = time.time() + 60
    monkeypatch.setattr(sqlite, "time", lambda: now)
    assert not await store.reap("k", 0, b"data: lost\n\n", end="lost")
    assert await asked(path) == [("w", "k")]

    for _ in range(3):
        now += 2.0
        reaped = await store.reap("k", 0, b"data: lost\n\n", end="lost")

    assert reaped
    assert await asked(path) == []


# Transactions


async def test_commits_together_what_waits_together(
    make: Make, path: Path, statements: list[str]
) -> None:
    store = make()
    grants = {f"k{n}": await opened(store, f"k{n}") for n in range(50)}

    with locked(path):
        statements.clear()
        appending = [
            asyncio.create_task(store.append(key, grant, 0, frames(1, 2)))
            for key, grant in grants.items()
        ]
        await asyncio.sleep(0)  # now all have asked

    assert await asyncio.gather(*appending) == [Ack(2)] * 50
    # The first who asked may have been taken alone.
    assert statements.count("COMMIT") in (1, 2)


@pytest.mark.parametrize("synchronous", ["FULL", "NORMAL"])
async def test_syncs_as_it_is_told(
    make: Make, statements: list[str], synchronous: str
) -> None:
    store = make(synchronous=synchronous)

    await opened(store)

    assert [line for line in statements if "synchronous" in line] == [
        f"PRAGMA synchronous = {synchronous}"
    ]
    assert statements.index("PRAGMA journal_mode = WAL") > 0


async def test_fails_a_bad_request_and_not_its_neighbours(make: Make) -> None:
    store = make()
    keys = ["before", "bad", "after"]
    grants = {key: await opened(store, key) for key in keys}
    batches: dict[str, Any] = {key: frames(1, 2) for key in keys}
    batches["bad"] = [b"data: 1\n\n", None]

    outcomes = await asyncio.gather(
        *(store.append(key, grants[key], 0, batches[key]) for key in keys),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [Ack, StoreError, Ack]
    pages = [await whole(store, key) for key in keys]
    assert [page.frames for page in pages] == [frames(1, 2), [], frames(1, 2)]
    assert await store.append("bad", grants["bad"], 0, frames(1, 3)) == Ack(3)


async def test_does_what_was_asked_by_somebody_who_went_away(
    make: Make, path: Path
) -> None:
    store = make()
    grants = {key: await opened(store, key) for key in ("first", "goes", "stays")}

    with locked(path):
        first, goes, stays = (
            asyncio.create_task(store.append(key, grant, 0, frames(1, 1)))
            for key, grant in grants.items()
        )
        await asyncio.sleep(0)  # now all have asked
        goes.cancel()

    assert [await first, await stays] == [Ack(1)] * 2
    assert goes.cancelled()
    assert (await whole(store, "goes")).last == 1


async def test_reads_while_a_commit_has_to_wait(make: Make, path: Path) -> None:
    store = make()
    grant = await opened(store)

    with locked(path):
        appending = asyncio.create_task(store.append("k", grant, 0, frames(1, 2)))
        page = await whole(store)
        assert (page.last, appending.done()) == (0, False)

    assert await appending == Ack(2)


async def test_asks_for_the_lock_again_and_again_and_never_sleeps_long(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        time.sleep(seconds)

    monkeypatch.setattr(sqlite_file, "sleep", sleep)
    store = make()
    grant = await opened(store)
    slept.clear()

    with locked(path):
        appending = asyncio.create_task(store.append("k", grant, 0, frames(1, 2)))

        async def has_tried() -> bool:
            return len(slept) >= 20

        await until(has_tried)

    assert await appending == Ack(2)
    assert 0 < max(slept) < 0.01
    assert len(set(slept)) > 10  # two that wait do not wake at the same time


# Bounds


async def test_lets_the_oldest_quarter_go_and_says_so(make: Make) -> None:
    store = make(max_events=8)
    grant = await opened(store)

    for after in range(0, 100, 5):
        await store.append("k", grant, after, frames(after + 1, after + 5))
        page = await whole(store)
        assert list(page.frames) == frames(page.first, page.last)
        assert page.last == after + 5
        assert 4 <= len(page.frames) <= 8

    page_after = await store.read("k", 2, 1)
    assert page_after is not None
    assert page_after.first > 90
    assert list(page_after.frames) == frames(page_after.first, page_after.first)


async def test_deletes_the_oldest_frames_in_parts(
    make: Make, path: Path, statements: list[str]
) -> None:
    store = make(max_events=2000)
    grant = await opened(store)
    await store.append("k", grant, 0, frames(1, 2000))

    held = []
    for after in range(2000, 2020):
        await store.append("k", grant, after, frames(after + 1, after + 1))
        with closing(sqlite3.connect(path)) as db:
            held += db.execute("SELECT min(seq), max(seq) FROM frame").fetchone()

    first = (await whole(store)).first
    assert first == 501
    assert held[::2] == [103, 205, 307, 409] + [501] * 16
    assert held[1::2] == list(range(2001, 2021))


async def test_is_bounded_by_the_option_of_its_url(
    path: Path,
) -> None:
    store = open_store(f"sqlite:///{path}?max_events=4")
    grant = await opened(store)

    await store.append("k", grant, 0, frames(1, 10))

    page = await whole(store)
    assert (page.first, list(page.frames)) == (7, frames(7, 10))
    await store.aclose()


# Retention


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
    monkeypatch.setattr(sqlite, "_KEYS", 3)
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
        monkeypatch.setattr(sqlite, "time", lambda: self.wall)
        monkeypatch.setattr(sqlite_housekeeping, "monotonic", lambda: self.monotonic)

    def look(self) -> float:
        return self.housekeeper.look(self.db)

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
        pause = kept.look()
        seen.append((kept.count(), round(pause, 6)))

    assert seen == [(300, 0.04), (100, 0.04), (0, sqlite_housekeeping._LOOK)]
    assert kept.db.execute("SELECT count(*) FROM frame").fetchone() == (0,)


def test_takes_no_more_logs_when_a_part_has_taken_long(kept: Kept) -> None:
    kept.add_expired(10)

    def elapse(statement: str) -> None:
        if statement.startswith("DELETE FROM log"):
            kept.monotonic += 0.015

    kept.db.set_trace_callback(elapse)
    kept.look()

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
        kept.look()
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
        kept.look()
        kept.monotonic += 9.0
        kept.look()
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
        kept.look()
        counts.append(kept.count())

    assert counts == [1, 1, 0, 0]
    assert kept.db.execute("SELECT * FROM inbox").fetchall() == []
    assert await store.read("k", 0, 100) is None


def housekeepers(db: sqlite3.Connection) -> list[str]:
    return [name for (name,) in db.execute("SELECT name FROM housekeeper")]


def test_has_one_housekeeper(kept: Kept) -> None:
    other = Housekeeper("other", lambda: kept.wall)
    assert kept.look() == sqlite_housekeeping._LOOK
    elected = housekeepers(kept.db)

    kept.add_expired(10)
    assert other.look(kept.db) == sqlite_housekeeping._STAND_BY
    assert (kept.count(), housekeepers(kept.db)) == (10, elected)

    kept.look()
    assert (kept.count(), housekeepers(kept.db)) == (0, elected)


@pytest.mark.parametrize("step", [31.0, -3600.0])
def test_replaces_a_housekeeper_that_is_not_heard_of(kept: Kept, step: float) -> None:
    other = Housekeeper("other", lambda: kept.wall)
    kept.look()
    elected = housekeepers(kept.db)

    kept.wall += step
    other.look(kept.db)

    assert housekeepers(kept.db) != elected
    kept.add_expired(1)
    assert kept.look() == sqlite_housekeeping._STAND_BY
    assert kept.count() == 1
    pages = kept.db.execute("PRAGMA wal_autocheckpoint").fetchone()
    assert pages == (sqlite_file.AUTOCHECKPOINT,)


def test_keeps_a_housekeeper_that_is_heard_of(kept: Kept) -> None:
    other = Housekeeper("other", lambda: kept.wall)
    kept.look()
    elected = housekeepers(kept.db)

    for _ in range(10):
        kept.wall += 20
        kept.look()
        other.look(kept.db)

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
    kept.look()
    kept.db.execute("PRAGMA wal_autocheckpoint = 4")
    change(path, "CREATE TABLE big (x)", "INSERT INTO big VALUES (zeroblob(100000))")
    before = os.path.getsize(path)

    kept.wall += 1
    kept.look()

    assert os.path.getsize(path) > 100_000 > before


async def test_serves_who_asks_while_much_is_expired(
    make: Make, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(sqlite_housekeeping, "_BATCH", 10)
    kept.add_expired(2000)
    stores = [make() for _ in range(4)]

    for n, store in enumerate(stores):
        grant = await opened(store, f"k{n}")
        for after in range(20):
            before = kept.count()
            await store.append(f"k{n}", grant, after, frames(after, after))
            # At most one part was deleted before it was served, and one after it.
            assert before - kept.count() <= 20

    async def swept() -> bool:
        return kept.count() == 4

    await until(swept)


# Life


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "asgi_events.sqlite"]


def test_may_be_used_in_one_event_loop_after_another(path: Path) -> None:
    store = SQLiteStore(path)

    async def append(after: int, *, close: bool) -> Ack:
        grant = await opened(store)
        ack = await store.append("k", grant, after, frames(after + 1, after + 2))
        if close:
            await store.aclose()
        return ack

    assert asyncio.run(append(0, close=False)) == Ack(2)
    assert asyncio.run(append(2, close=True)) == Ack(4)
    assert asyncio.run(append(4, close=True)) == Ack(6)
    assert threads() == []


def test_outlives_an_event_loop_that_waits_for_it(path: Path) -> None:
    store = SQLiteStore(path)
    appending: list[asyncio.Task[Ack]] = []

    async def leave_without_the_answer() -> None:
        grant = await opened(store)
        lock.enter_context(locked(path))
        appending.append(asyncio.create_task(store.append("k", grant, 0, [b"x"])))
        await asyncio.sleep(0)  # now it has asked

    async def append_again() -> Ack:
        grant = await opened(store)
        ack = await store.append("k", grant, grant.last, frames(2, 3))
        await store.aclose()
        return ack

    with ExitStack() as lock:
        asyncio.run(leave_without_the_answer())

    assert appending[0].cancelled()
    assert asyncio.run(append_again()) == Ack(3)


async def test_does_what_waits_before_it_closes(make: Make) -> None:
    store = make()
    grants = {f"k{n}": await opened(store, f"k{n}") for n in range(20)}
    appending = [
        asyncio.create_task(store.append(key, grant, 0, frames(1, 1)))
        for key, grant in grants.items()
    ]
    await asyncio.sleep(0)

    await store.aclose()
    await store.aclose()

    assert threads() == []
    assert await asyncio.gather(*appending) == [Ack(1)] * 20
    assert (await whole(store, "k19")).last == 1


async def test_ends_its_threads_when_nobody_has_it_any_more(path: Path) -> None:
    store = SQLiteStore(path)
    await opened(store)
    await whole(store)
    running = threads()
    assert len(running) == 2

    del store
    gc.collect()

    for thread in running:
        await asyncio.to_thread(thread.join, TIMEOUT)
    assert threads() == []


# Trouble


async def fails(store: EventStore) -> list[str]:
    """The error of a write and of a read, which are to be the same."""
    errors = []
    for call in (opened(store), store.read("k", 0, 100)):
        with pytest.raises(StoreError) as caught:
            await call
        assert type(caught.value) is StoreError
        errors.append(str(caught.value))
    return errors


async def test_says_that_its_schema_is_newer(make: Make, path: Path) -> None:
    store = make()
    await opened(store)
    await store.aclose()
    change(path, "PRAGMA user_version = 3")

    assert await fails(store) == 2 * [
        f"{path} has schema version 3, and this asgi_events knows version 2: "
        "upgrade asgi_events, or name another file."
    ]


async def test_leaves_the_database_of_another_program_alone(
    make: Make, path: Path
) -> None:
    change(path, "CREATE TABLE auth_user (id INTEGER)")
    before = content(path)

    assert await fails(make()) == 2 * [
        f"{path} is the database of another program: name another file."
    ]
    assert content(path) == before


async def test_says_that_the_file_is_no_database(make: Make, path: Path) -> None:
    put(path, b"To whom it may concern\n" * 1000)

    assert await fails(make()) == 2 * [
        f"{path}: file is not a database; name another file."
    ]


async def test_says_that_the_file_is_corrupt(make: Make, path: Path) -> None:
    store = make()
    grant = await opened(store)
    await store.append("k", grant, 0, frames(1, 1000))
    await store.aclose()
    size = len(content(path))
    put(path, content(path)[:4096] + b"\xff" * (size - 4096))

    assert await fails(store) == 2 * [
        f"{path}: database disk image is malformed; move it away; "
        '"sqlite3 FILE .recover" saves what can be saved.'
    ]


async def test_says_that_it_cannot_open_the_file(make: Make, path: Path) -> None:
    store = make()
    await asyncio.to_thread(path.mkdir)

    assert await fails(store) == 2 * [
        f"{path}: unable to open database file; its directory has to exist, and this "
        "user be allowed to write there."
    ]


def test_says_at_once_that_there_is_no_directory(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "events.db"

    for make in (SQLiteStore, lambda path: open_store(f"sqlite:///{path}")):
        with pytest.raises(StoreError) as caught:
            make(path)
        assert str(caught.value) == (
            f"{path} cannot be created, there is no directory {path.parent}: "
            "create it, or name another file."
        )


def test_says_at_once_that_it_is_a_directory(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        SQLiteStore(tmp_path)

    assert str(caught.value) == f"{tmp_path} is a directory: name a file in it."


async def test_says_that_it_may_not_write(make: Make, path: Path) -> None:
    store = make()
    await opened(store)
    await store.aclose()
    change(path, "PRAGMA journal_mode = DELETE")

    with nobody(path):
        errors = await fails(store)
        await store.aclose()

    assert errors == 2 * [
        f"{path}: attempt to write a readonly database; this user has to be allowed to "
        "write the file and its directory."
    ]


@contextmanager
def nobody(path: Path) -> Iterator[None]:
    """As a user who may read the file and nothing more."""
    user = os.geteuid()
    modes = {parent: parent.stat().st_mode for parent in path.parents}
    modes = {parent: mode for parent, mode in modes.items() if mode & 0o011 != 0o011}
    for parent, mode in modes.items():
        parent.chmod(mode | 0o011)
    path.chmod(0o444)
    path.parent.chmod(0o555)
    if user == 0:
        os.seteuid(65534)  # root may write everything
    try:
        yield
    finally:
        os.seteuid(user)
        for parent, mode in modes.items():
            parent.chmod(mode)


async def test_is_unavailable_while_another_process_holds_the_lock(
    make: Make, path: Path
) -> None:
    store = make(busy_timeout=0.05)
    grant = await opened(store)

    with locked(path):
        with pytest.raises(Unavailable) as caught:
            await store.append("k", grant, 0, frames(1, 2))
        assert str(caught.value) == (
            f"{path}: database is locked; find who holds its lock for so long."
        )

    assert await store.append("k", grant, 0, frames(1, 2)) == Ack(2)


async def test_is_unavailable_when_it_cannot_be_opened_for_a_lock(
    make: Make, path: Path
) -> None:
    change(path)
    store = make(busy_timeout=0.05)

    with locked(path), pytest.raises(Unavailable, match="database is locked"):
        await opened(store)

    assert (await opened(store)).last == 0


async def test_waits_for_who_is_making_the_file(
    make: Make, path: Path, statements: list[str]
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        statements.clear()
        opening = asyncio.create_task(opened(make()))

        async def tried_twice() -> bool:
            return opening.done() or statements.count("PRAGMA journal_mode = WAL") > 1

        await until(tried_twice)
        assert not opening.done()

    assert (await opening).last == 0


async def test_is_unavailable_while_the_disk_is_full(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect

    def connect_to_a_small_disk(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        db: sqlite3.Connection = connect(*args, **kwargs)
        db.execute("PRAGMA max_page_count = 20")
        return db

    monkeypatch.setattr(sqlite3, "connect", connect_to_a_small_disk)
    store = make()
    small, large = await opened(store, "small"), await opened(store, "large")

    outcomes = await asyncio.gather(
        store.append("small", small, 0, frames(1, 1)),
        store.append("large", large, 0, [b"x" * 1_000_000]),
        store.append("small", small, 1, frames(2, 2)),
        return_exceptions=True,
    )

    full = f"{path}: database or disk is full; make room on the disk."
    assert [str(outcome) for outcome in outcomes] == [str(Ack(1)), full, str(Ack(2))]
    assert isinstance(outcomes[1], Unavailable)
    assert (await whole(store, "large")).last == 0

    await store.aclose()
    monkeypatch.undo()
    assert await store.append("large", large, 0, [b"x" * 1_000_000]) == Ack(1)


async def test_says_which_file_is_corrupt_and_goes_on_with_the_other_logs(
    make: Make, path: Path
) -> None:
    store = make()
    grants = {key: await opened(store, key) for key in ("before", "bad", "after")}
    for key, grant in grants.items():
        batch = [b"%b-%03d" % (key.encode(), n) * 100 for n in range(300)]
        await store.append(key, grant, 0, batch)
    await store.aclose()
    held = content(path)
    page = held.index(b"bad-150") // 4096 * 4096
    put(path, held[:page] + b"\xff" * 4096 + held[page + 4096 :])

    outcomes = await asyncio.gather(
        *(store.read(key, 0, 1 << 30) for key in grants), return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes] == [Page, StoreError, Page]
    assert str(outcomes[1]) == (
        f"{path}: database disk image is malformed; move it away; "
        '"sqlite3 FILE .recover" saves what can be saved.'
    )
    for key in ("before", "after"):
        assert await store.append(key, grants[key], 300, [b"x"]) == Ack(301)
        assert len((await whole(store, key)).frames) == 301
    with pytest.raises(StoreError, match="malformed"):
        await store.read("bad", 0, 1 << 30)
    assert (await store.read("bad", 0, 0)) is not None


async def test_deletes_the_other_logs_when_one_is_corrupt(
    make: Make,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(sqlite_housekeeping, "_LOOK", 0.01)
    store = make()
    for key in ("bad", "good"):
        grant = await opened(store, key)
        await store.append(key, grant, 0, [key.encode() * 200] * 300)
    await store.aclose()
    held = content(path)
    page = held.index(b"bad" * 200, len(held) // 4) // 4096 * 4096
    put(path, held[:page] + b"\xff" * 4096 + held[page + 4096 :])

    await store.delete("bad")
    await store.delete("good")

    with closing(sqlite3.connect(path)) as db:

        async def others_are_deleted() -> bool:
            return db.execute("SELECT count(*) FROM log").fetchone() == (1,)

        await until(others_are_deleted)
    told = [line for line in caplog.messages if "cannot be deleted" in line]
    assert len(told) == 1
    assert str(path) in told[0]


# Files


def modes(path: Path) -> dict[str, str]:
    return {
        file.name: oct(stat.S_IMODE(file.stat().st_mode))
        for file in sorted(path.parent.iterdir())
    }


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


async def test_makes_files_that_nobody_else_can_read(
    make: Make, path: Path, umask: None
) -> None:
    await opened(make())

    assert modes(path) == {
        "events.db": "0o600",
        "events.db-shm": "0o600",
        "events.db-wal": "0o600",
    }


async def test_leaves_the_mode_of_a_file_that_is_there(
    make: Make, path: Path, umask: None
) -> None:
    put(path, b"")

    await opened(make())

    assert modes(path) == {
        "events.db": "0o644",
        "events.db-shm": "0o644",
        "events.db-wal": "0o644",
    }


async def test_overwrites_what_it_deletes(
    make: Make,
    path: Path,
    statements: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sqlite_housekeeping, "_LOOK", 0.01)
    store = make()
    grant = await opened(store)
    await store.append("k", grant, 0, [b"secret %d" % n for n in range(500)])
    await store.aclose()
    assert b"secret" in content(path)

    await store.delete("k")

    with closing(sqlite3.connect(path)) as db:

        async def swept() -> bool:
            return db.execute("SELECT count(*) FROM log").fetchone() == (0,)

        await until(swept)
    await store.aclose()
    assert b"secret" not in content(path)
    assert "PRAGMA secure_delete = ON" in statements


def remove(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    """As from a backup: the file alone, and not what SQLite keeps beside it."""
    other = path.with_name("backup.db")
    store = SQLiteStore(other)

    async def fill() -> None:
        await opened(store, "restored")
        await store.aclose()

    asyncio.run(fill())
    other.replace(path)


@pytest.mark.parametrize("lose", [remove, replace])
async def test_notices_that_its_file_is_another_one(
    make: Make,
    path: Path,
    lose: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(sqlite_file, "_LOOK", 0.0)
    here, there = make(), make()
    grant = await opened(here)
    await here.append("k", grant, 0, frames(1, 3))
    assert await there.read("k", 0, 1) is not None
    assert (here.generation, there.generation) == (0, 0)

    await asyncio.to_thread(lose, path)

    with pytest.raises(Missing):
        await here.append("k", grant, 3, frames(4, 4))
    assert (here.generation, there.generation) == (1, 0)
    again = await here.open("k", writer="w", lease=10.0, ttl=60.0, meta=META, after=2)
    assert await here.append("k", again, 2, frames(3, 4)) == Ack(4)
    assert list((await whole(there)).frames) == frames(3, 4)
    assert (here.generation, there.generation) == (1, 1)
    found = [key async for key in make().keys()]
    assert sorted(found) == (["k"] if lose is remove else ["k", "restored"])

    # Whoever closes a file that has no name does not take along what is beside it.
    await there.aclose()
    assert list((await whole(here)).frames) == frames(3, 4)
    await here.aclose()
    assert list((await whole(make())).frames) == frames(3, 4)
    told = [line for line in caplog.messages if "deleted or replaced" in line]
    assert len(told) == 2  # each store, once
    assert str(path) in told[0]


async def test_does_not_look_whose_name_it_is_all_the_time(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    identity = sqlite_file._identity

    def look(path: str) -> Any:
        looked.append(path)
        return identity(path)

    monkeypatch.setattr(sqlite_file, "_LOOK", 3600.0)
    store = make()
    grant = await opened(store)
    await whole(store)
    monkeypatch.setattr(sqlite_file, "_identity", look)

    for after in range(50):
        await store.append("k", grant, after, frames(after + 1, after + 1))
        await whole(store)

    assert looked == []


async def test_hints_at_what_a_new_file_holds(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "_LOOK", 0.0)
    here, there = make(), make()
    grant = await opened(there)
    await there.append("k", grant, 0, frames(1, 3))
    watch = await here.watch()
    watch.add("k")
    await whole(here)

    await asyncio.to_thread(remove, path)
    assert await hinted(watch) == {"k"}  # it is gone
    assert await here.read("k", 0, 1) is None
    await opened(there)

    assert await hinted(watch) == {"k"}


async def test_waits_for_a_directory_that_is_gone_and_comes_back(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "_LOOK", 0.0)
    directory = tmp_path / "data"
    directory.mkdir()
    store = make(directory / "events.db")
    await opened(store)
    watch = await store.watch()
    watch.add("k")

    directory.rename(tmp_path / "elsewhere")
    for error in await fails(store):
        assert "its directory has to exist" in error
    directory.mkdir()

    assert await store.read("k", 0, 1) is None
    assert (await opened(store)).last == 0
    assert store.generation >= 1


# Versions

# The file of asgi_events 0.1, and what it had written.
VERSION_1 = """
CREATE TABLE log (
    id INTEGER PRIMARY KEY,
    key TEXT UNIQUE,
    writer TEXT NOT NULL,
    epoch INTEGER NOT NULL DEFAULT 1,
    lease REAL NOT NULL,
    ttl REAL NOT NULL,
    alive_until REAL NOT NULL,
    watched_until REAL NOT NULL DEFAULT 0,
    last INTEGER NOT NULL DEFAULT 0,
    "end" TEXT,
    cancel INTEGER NOT NULL DEFAULT 0,
    meta TEXT NOT NULL
);
CREATE TABLE frame (
    log INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    frame BLOB NOT NULL,
    PRIMARY KEY (log, seq)
) WITHOUT ROWID;
PRAGMA journal_mode = WAL;
PRAGMA application_id = 1634953061;
PRAGMA user_version = 1
"""


def make_version_1(path: Path, now: float) -> None:
    logs: list[tuple[str | None, float, str | None]] = [
        ("running", now + 8, None),
        ("ended", now + 8, "completed"),
        ("expired", now - 100, "completed"),
        (None, now + 8, None),  # deleted, and not swept yet
    ]
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in VERSION_1.split(";"):
            db.execute(statement)
        for id, (key, alive_until, end) in enumerate(logs, start=1):
            db.execute(
                "INSERT INTO log (id, key, writer, lease, ttl, alive_until, last, "
                "\"end\", meta) VALUES (?, ?, 'w', 10, 60, ?, 2, ?, ?)",
                (id, key, alive_until, end, '{"actor": "research"}'),
            )
            for seq, frame in enumerate(frames(1, 2), start=1):
                db.execute("INSERT INTO frame VALUES (?, ?, ?)", (id, seq, frame))


async def test_upgrades_a_file_of_version_1_and_keeps_its_logs(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = float(int(time.time()))
    monkeypatch.setattr(sqlite, "time", lambda: now)
    await asyncio.to_thread(make_version_1, path, now)
    store = make()

    assert await whole(store, "running") == Page(
        1, 2, None, alive=True, cancel=False, frames=frames(1, 2), meta=META
    )
    assert await whole(store, "ended") == Page(
        1,
        2,
        "completed",
        alive=True,
        cancel=False,
        frames=frames(1, 2),
        meta=META,
        ended=now - 2,
    )
    assert await store.read("expired", 0, 100) is None
    assert [key async for key in store.keys()] == ["running", "ended"]
    grant = Grant(1, 2)  # which its writer was given by version 1
    assert await store.append("running", grant, 2, frames(3, 3)) == Ack(3)
    assert await opened(store, "running") == Grant(1, 3)
    with closing(sqlite3.connect(path)) as db:

        async def swept() -> bool:
            logs = db.execute("SELECT id FROM log").fetchall()
            return bool(logs == [(1,), (2,)])

        await until(swept)
        assert db.execute("SELECT DISTINCT log FROM frame").fetchall() == [(1,), (2,)]


async def test_is_upgraded_once_by_all_who_come_first(make: Make, path: Path) -> None:
    await asyncio.to_thread(make_version_1, path, time.time())
    stores = [make() for _ in range(8)]

    pages = await asyncio.gather(
        *(whole(store, "running") for store in stores),
        *(opened(store, "running") for store in stores),
    )

    assert [page.last for page in pages] == [2] * 16


def test_has_the_same_tables_whether_it_was_made_or_upgraded(
    tmp_path: Path,
) -> None:
    made, upgraded = tmp_path / "made.db", tmp_path / "upgraded.db"
    make_version_1(upgraded, time.time())
    schemas = []
    for path in (made, upgraded):
        with closing(File(str(path), "FULL", 5.0).connect(patient=True)) as db:
            schemas.append(
                [
                    db.execute(f"PRAGMA {what}").fetchall()
                    for what in (
                        "table_info(log)",
                        "table_info(frame)",
                        "table_info(inbox)",
                        "index_list(log)",
                        "user_version",
                        "application_id",
                    )
                ]
            )

    assert schemas[0] == schemas[1]


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 53, 0), False),
    ],
)
def test_knows_which_versions_of_sqlite_may_corrupt_a_file(
    version: tuple[int, ...], affected: bool
) -> None:
    assert has_wal_reset_bug(version) is affected


@pytest.mark.parametrize(("version", "times"), [((3, 51, 2), 1), ((3, 51, 3), 0)])
async def test_warns_once_of_such_a_version(
    make: Make,
    version: tuple[int, ...],
    times: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(sqlite_file, "_warned", False)
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)

    for n in range(3):
        await opened(make(), f"k{n}")

    told = [line for line in caplog.messages if "walresetbug" in line]
    assert len(told) == times


# Options


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///events.db", "events.db"),
        ("sqlite:///data/events.db", "data/events.db"),
        ("sqlite:////var/lib/events.db", "/var/lib/events.db"),
        ("sqlite:///a%20b%3F.db", "a b?.db"),
        (
            "sqlite:///events.db?synchronous=normal&busy_timeout=0.5&max_events=9",
            "events.db",
        ),
    ],
)
async def test_finds_its_file_by_url(
    url: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    root = str(tmp_path) if path.startswith("/") else ""
    store = SQLiteStore.from_url(url.replace("/var/lib", root))

    monkeypatch.chdir("/")
    await opened(store)
    await store.aclose()

    assert (tmp_path / path.removeprefix("/var/lib/")).is_file()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:",
        "sqlite://",
        "sqlite:///",
        "sqlite:events.db",
        "sqlite:/events.db",
        "sqlite://events.db",
        "sqlite:///a#b.db",
    ],
)
def test_refuses_a_url_that_names_no_file(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        open_store(url)

    assert str(caught.value) == (
        f'{url!r} names no file: write "sqlite:///events.db" for one in the working '
        'directory, "sqlite:////var/lib/events.db" for an absolute path'
    )


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://user:secret@host/x",
        "sqlite://user:sec@secret@host",
        "sqlite:user:secret@host/x",
        "sqlite://host/x?password=secret",
        "sqlite:///events.db?password=secret",
        "sqlite:///events.db?password=secret#x",
    ],
)
def test_repeats_no_password(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        open_store(url)

    assert "secret" not in str(caught.value)
    assert "sqlite:" in str(caught.value)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("synchronous=off", 'synchronous must be "FULL" or "NORMAL", got \'OFF\''),
        ("busy_timeout=-1", "busy_timeout must be 0 to 3600 seconds, got -1.0"),
        ("busy_timeout=nan", "busy_timeout must be 0 to 3600 seconds, got nan"),
        ("busy_timeout=soon", "busy_timeout must be a number, got 'soon'"),
        ("max_events=3", "max_events must be at least 4, got 3"),
        ("max_events=1e6", "max_events must be a number, got '1e6'"),
        ("mode=ro", "options are synchronous, busy_timeout and max_events, not mode"),
    ],
)
def test_refuses_an_option_that_it_does_not_know(query: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        SQLiteStore.from_url(f"sqlite:///events.db?{query}")

    assert message in str(caught.value)


def test_refuses_to_be_in_memory() -> None:
    with pytest.raises(ValueError, match="use MemoryStore"):
        SQLiteStore(":memory:")
