"""The SQLite store: its file, its versions, its options."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from asgi_events.exceptions import Missing
from asgi_events.stores import Ack, Grant, Page, open_store
from asgi_events.stores.sqlite import SQLiteStore
from asgi_events.stores.sqlite import file as sqlite_file
from asgi_events.stores.sqlite import housekeeping as sqlite_housekeeping
from asgi_events.stores.sqlite import logs as sqlite_logs
from asgi_events.stores.sqlite.file import File, has_wal_reset_bug
from tests.stores.sqlite.files import (
    META,
    Make,
    content,
    fails,
    frames,
    hinted,
    modes,
    opened,
    put,
    until,
    whole,
)

# Files


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
    monkeypatch.setattr(sqlite_logs, "clock", lambda: now)
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
    with pytest.raises(ValueError, match="name a file, or no store"):
        SQLiteStore(":memory:")
