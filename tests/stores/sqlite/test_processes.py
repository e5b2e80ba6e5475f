"""The SQLite store: several processes on one file, and their hints."""

import asyncio
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from asgi_events.exceptions import Busy, Ended, Fenced
from asgi_events.stores import Ack, Grant, Page
from asgi_events.stores.sqlite import SQLiteStore
from asgi_events.stores.sqlite import logs as sqlite_logs
from asgi_events.stores.sqlite import watches as sqlite_watches
from tests.stores.sqlite.files import META, Make, frames, hinted, opened, until, whole

ROOT = Path(__file__).parents[3]


# Processes


def python(code: str, *args: str) -> list[str]:
    return [sys.executable, "-W", "error", "-c", code, *args]


async def write_and_be_killed(path: Path, key: str, after: int) -> int:
    """Have a process write; the last number acknowledged before its SIGKILL."""
    process = await asyncio.create_subprocess_exec(
        *python(
            "import sys; "
            "from tests.stores.sqlite.files import write_until_killed as f; "
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
from asgi_events.stores.sqlite import SQLiteStore
from tests.stores.sqlite.files import frames, opened

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


async def test_has_one_writer_in_all_processes(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = make(), make()
    now = time.time()
    monkeypatch.setattr(sqlite_logs, "clock", lambda: now)
    grant = await opened(here)

    with pytest.raises(Busy):
        await opened(there, writer="other")

    now += 6.0  # of a lease of 10 seconds
    reaped = []
    for _ in range(4):
        reaped.append(await there.reap("k", 0, b"data: lost\n\n", end="lost"))
        now += 2.0
    assert reaped == [False, False, False, True]
    with pytest.raises(Fenced):
        await here.append("k", grant, 0, frames(1, 1))
    with pytest.raises(Fenced):
        await here.renew("k", grant)
    with pytest.raises(Ended):
        await opened(here)


# Hints


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
    monkeypatch.setattr(sqlite_logs, "clock", lambda: now)
    assert not await store.reap("k", 0, b"data: lost\n\n", end="lost")
    assert await asked(path) == [("w", "k")]

    for _ in range(3):
        now += 2.0
        reaped = await store.reap("k", 0, b"data: lost\n\n", end="lost")

    assert reaped
    assert await asked(path) == []
