"""The SQLite store: files that are broken, locked, full or forbidden."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from asgi_events.exceptions import StoreError, Unavailable
from asgi_events.stores import Ack, Page, open_store
from asgi_events.stores.sqlite import SQLiteStore
from asgi_events.stores.sqlite import housekeeping as sqlite_housekeeping
from tests import TIMEOUT
from tests.stores.sqlite.files import (
    Make,
    change,
    content,
    fails,
    frames,
    locked,
    opened,
    put,
    until,
    whole,
)


async def test_ends_its_threads_though_closing_it_is_cancelled(
    make: Make, path: Path
) -> None:
    others = set(threading.enumerate())
    store = make(busy_timeout=60)
    await opened(store)
    with locked(path):
        late = asyncio.ensure_future(opened(store, "late"))
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(store.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])
    await late
    for thread in set(threading.enumerate()) - others:
        await asyncio.to_thread(thread.join, TIMEOUT)
        assert not thread.is_alive()


async def test_says_that_its_schema_is_newer(make: Make, path: Path) -> None:
    store = make()
    await opened(store)
    await store.aclose()
    change(path, "PRAGMA user_version = 4")

    assert await fails(store) == 2 * [
        f"{path} has schema version 4, and this asgi_events knows version 3: "
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
