"""The SQLite store: processes, files, threads; its contract is in test_stores.py."""

import asyncio
import gc
import os
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from asgi_events.exceptions import Busy, Ended, Fenced, StoreError, Unavailable
from asgi_events.stores import Ack, EventStore, Grant, Page, sqlite, sqlite_watches
from asgi_events.stores.sqlite import SQLiteStore
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

        async def dead(key: str = key) -> bool:
            return not (await whole(stores[0], key)).alive

        await until(dead)
        reaped = await asyncio.gather(
            *(
                store.reap(key, page.last, b"data: lost\n\n", end="lost")
                for store in stores * 3
            )
        )

        assert sorted(reaped) == [False] * 5 + [True]
        assert await whole(stores[1], key) == Page(
            first=1,
            last=page.last + 1,
            end="lost",
            alive=True,
            cancel=False,
            frames=[*frames(1, page.last), b"data: lost\n\n"],
            meta=META,
        )


def test_does_not_keep_a_process_alive(path: Path) -> None:
    code = """
import asyncio, sys
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


# Retention


async def test_deletes_what_is_expired_and_what_was_deleted(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_SWEEP", 0.01)
    monkeypatch.setattr(sqlite, "_SWEPT", 10)
    store = make()
    for key, ttl in (("expired", 0.001), ("deleted", 60.0), ("kept", 60.0)):
        grant = await opened(store, key, lease=0.001 if ttl < 1 else 10.0, ttl=ttl)
        if ttl < 1:
            await whole_is_gone(store, key)
            grant = await opened(store, key, lease=0.5, ttl=0.001)
        await store.append(key, grant, 0, frames(1, 35))

    await store.delete("deleted")

    with closing(sqlite3.connect(path)) as db:

        async def swept() -> bool:
            (logs,) = db.execute("SELECT count(*) FROM log").fetchone()
            return bool(logs == 1)

        await until(swept)
        assert db.execute("SELECT count(*) FROM frame").fetchone() == (35,)
    assert [key async for key in store.keys()] == ["kept"]


async def whole_is_gone(store: EventStore, key: str) -> None:
    async def gone() -> bool:
        return await store.read(key, 0, 1) is None

    await until(gone)


async def test_lists_more_logs_than_fit_in_one_read(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_KEYS", 3)
    store = make()
    keys = [f"k{n}" for n in range(10)]
    await asyncio.gather(*(opened(store, key) for key in keys))

    assert [key async for key in store.keys()] == keys


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
    change(path, "PRAGMA user_version = 2")

    assert await fails(store) == 2 * [
        f"{path} has schema version 2, and this asgi_events knows version 1: "
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


@pytest.mark.parametrize("name", ["missing/events.db", "."])
async def test_says_that_it_cannot_open_the_file(
    make: Make, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name

    assert await fails(make(path)) == 2 * [
        f"{path}: unable to open database file; its directory has to exist, and this "
        "user be allowed to write there."
    ]


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

    assert await opened(store) == Grant(1, 0)


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

    assert await opening == Grant(1, 0)


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


# Options


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///events.db", "events.db"),
        ("sqlite:///data/events.db", "data/events.db"),
        ("sqlite:////var/lib/events.db", "/var/lib/events.db"),
        ("sqlite:///a%20b%3F.db", "a b?.db"),
        ("sqlite:///events.db?synchronous=normal&busy_timeout=0.5", "events.db"),
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
    ["sqlite:", "sqlite://", "sqlite:///", "sqlite://events.db", "sqlite:///a#b.db"],
)
def test_refuses_a_url_that_names_no_file(url: str) -> None:
    with pytest.raises(ValueError, match="names no file: write") as caught:
        SQLiteStore.from_url(url)

    assert str(caught.value).startswith(f"{url!r} names no file")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("synchronous=off", 'synchronous must be "FULL" or "NORMAL", got \'OFF\''),
        ("busy_timeout=-1", "busy_timeout must be 0 to 3600, got -1.0"),
        ("busy_timeout=soon", "could not convert string to float: 'soon'"),
        ("mode=ro", "the options are synchronous and busy_timeout, not mode"),
    ],
)
def test_refuses_an_option_that_it_does_not_know(query: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        SQLiteStore.from_url(f"sqlite:///events.db?{query}")

    assert message in str(caught.value)


def test_refuses_to_be_in_memory() -> None:
    with pytest.raises(ValueError, match="use MemoryStore"):
        SQLiteStore(":memory:")
