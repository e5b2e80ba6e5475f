from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from asgi_events.cli import inspect
from asgi_events.cli.command import main
from asgi_events.cli.inspect import (
    Filters,
    events,
    find,
    line,
    line_json,
    listed,
    report,
    table,
    table_json,
)
from asgi_events.events import ExecutionStatus
from asgi_events.exceptions import StoreError, Unavailable, UnknownExecution
from asgi_events.executions import Executions, ListedExecution
from asgi_events.stores.memory import MemoryStore
from asgi_events.stores.sqlite import SQLiteStore
from asgi_events.wire.sse import ServerSentEvent
from tests.apps import count, quiet
from tests.valkey import held_port

NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)

LISTED = [
    ListedExecution(
        id="b",
        actor="research",
        owner=None,
        thread=None,
        status=ExecutionStatus.STARTED,
        last=12345,
        created=NOW - timedelta(seconds=59),
        ended=None,
    ),
    ListedExecution(
        id="aaaa",
        actor="x",
        owner="ann",
        thread="t",
        status=ExecutionStatus.COMPLETED,
        last=7,
        created=NOW - timedelta(days=2, hours=3),
        ended=NOW - timedelta(days=2),
    ),
]


@pytest.fixture
async def executions() -> AsyncIterator[Executions]:
    store = MemoryStore()
    async with Executions(count, quiet, store=store, drain_grace=0) as executions:
        yield executions


async def printed(url: str, id: str | None = None, *, as_json: bool = False) -> str:
    return "".join([text async for text in report(url, id, as_json=as_json)])


async def test_lists_executions_the_newest_first(executions: Executions) -> None:
    over = await executions.start(count, {"to": 2}, owner="ann")
    await over.wait()
    running = await executions.start(quiet, id="running")

    found = await listed(executions.store)

    assert found == [
        ListedExecution(
            id="running",
            actor="quiet",
            owner=None,
            thread=None,
            status=ExecutionStatus.STARTED,
            last=found[0].last,
            created=running.created,
            ended=None,
        ),
        ListedExecution(
            id=over.id,
            actor="count",
            owner="ann",
            thread=None,
            status=ExecutionStatus.COMPLETED,
            last=5,
            created=over.created,
            ended=found[1].ended,
        ),
    ]
    assert found[1].ended is not None


async def test_lists_what_is_asked_for(executions: Executions) -> None:
    for owner in ("ann", "bob", None):
        over = await executions.start(count, {"to": 1}, owner=owner, id=f"c-{owner}")
        await over.wait()
        await executions.start(quiet, owner=owner, id=f"q-{owner}", thread="t")
    store = executions.store

    found = {
        name: [each.id for each in await listed(store, limit, **filters)]
        for name, limit, filters in (
            ("owner", None, Filters(owner="ann")),
            ("nobody", None, Filters(owner=None)),
            ("status", None, Filters(status="completed", owner="bob")),
            ("actor", None, Filters(actor="quiet")),
            ("thread", None, Filters(thread="t", owner="ann")),
            ("limit", 2, Filters()),
            ("all", None, Filters()),
        )
    }

    assert found == {
        "owner": ["q-ann", "c-ann"],
        "nobody": ["q-None", "c-None"],
        "status": ["c-bob"],
        "actor": ["q-None", "q-bob", "q-ann"],
        "thread": ["q-ann"],
        "limit": ["q-None", "c-None"],
        "all": ["q-None", "c-None", "q-bob", "c-bob", "q-ann", "c-ann"],
    }


async def test_lists_all_pages(
    executions: Executions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspect, "MOST", 2)
    for number in range(5):
        await executions.start(quiet, id=f"q{number}")

    found = [each.id for each in await listed(executions.store)]
    some = [each.id for each in await listed(executions.store, 3)]

    assert (found, some) == (["q4", "q3", "q2", "q1", "q0"], ["q4", "q3", "q2"])


async def test_lists_no_markers(executions: Executions) -> None:
    execution = await executions.start(quiet, idempotency_key="k", thread="t")
    keys = [key async for key in executions.store.keys()]

    found = await listed(executions.store)

    assert len(keys) == 3
    assert [each.id for each in found] == [execution.id]
    for marker in set(keys) - {execution.id}:
        with pytest.raises(UnknownExecution):
            await find(executions.store, marker)


async def test_takes_for_lost_what_nobody_writes_and_does_not_end_it() -> None:
    store = MemoryStore()
    meta = {"actor": "a", "created": NOW.isoformat(), "fingerprint": ""}
    await store.open("k", writer="w", lease=0.0, ttl=60.0, meta=meta)

    found = await find(store, "k")

    page = await store.read("k", 0, 0)
    assert page is not None
    assert (found.status, page.end) == (ExecutionStatus.LOST, None)


async def test_gives_the_events_of_one(executions: Executions) -> None:
    execution = await executions.start(count, {"to": 3, "text": "x" * 200_000})
    await execution.wait()

    found = [event async for event in events(executions.store, execution.id)]

    assert [event.id for event in found] == [
        f"{execution.id}:{number}" for number in range(1, 7)
    ]
    assert [json.loads(event.data or "")["number"] for event in found[1:4]] == [1, 2, 3]


async def test_knows_no_other_execution(executions: Executions) -> None:
    with pytest.raises(UnknownExecution, match="No execution 'nobody'"):
        await anext(events(executions.store, "nobody"))


def test_draws_a_table() -> None:
    assert table(LISTED, NOW) == (
        "ID    ACTOR     STATUS     FRAMES  AGE\n"
        "b     research  started     12345  59 s\n"
        "aaaa  x         completed       7  2 d\n"
    )
    assert table([], NOW) == "No executions.\n"


@pytest.mark.parametrize(
    "seconds, text",
    [(-5, "0 s"), (59.4, "59 s"), (60, "1 min"), (3600, "1 h"), (86_400, "1 d")],
)
def test_tells_an_age(seconds: float, text: str) -> None:
    drawn = table(LISTED[:1], LISTED[0].created + timedelta(seconds=seconds))

    assert drawn.endswith(f"  {text}\n")


def test_prints_json() -> None:
    event = ServerSentEvent(data='{"a":1}', id="k:7")

    assert json.loads(table_json(LISTED[1:])) == [
        {
            "id": "aaaa",
            "actor": "x",
            "owner": "ann",
            "thread": "t",
            "status": "completed",
            "last": 7,
            "created": "2026-11-20T11:00:00Z",
            "ended": "2026-11-20T14:00:00Z",
        }
    ]
    assert line_json(event) == '{"number":7,"data":{"a":1}}\n'


def test_prints_an_event_that_says_lost() -> None:
    event = ServerSentEvent(data='{"a":1}', id="x:7:lost")

    assert line(event) == '     7  {"a":1}\n'
    assert line_json(event) == '{"number":7,"data":{"a":1}}\n'


def test_prints_an_event_that_can_not_move_the_cursor() -> None:
    event = ServerSentEvent(data='{"a":"\x1b[2J\x9b"}', id="k:7")

    assert line(event) == '     7  {"a":"\ufffd[2J\ufffd"}\n'


@pytest.mark.parametrize("hidden", ["\u202e", "\u2066", "\u200b", "\U000e0041"])
def test_prints_what_would_hide_or_reorder_as_what_it_is(hidden: str) -> None:
    event = ServerSentEvent(data=f'{{"a":"b{hidden}c"}}', id="k:7")
    execution = replace(LISTED[0], actor=f"re{hidden}search")

    assert line(event) == '     7  {"a":"b\ufffdc"}\n'
    assert "re\ufffdsearch" in table([execution], NOW)


async def test_reports_on_a_file(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "a b.db")
    async with Executions(count, store=store) as executions:
        execution = await executions.start(count, {"to": 1}, id="one")
        await execution.wait()
    await store.aclose()
    url = f"sqlite:///{tmp_path}/a%20b.db"

    assert [e["id"] for e in json.loads(await printed(url, as_json=True))] == ["one"]
    assert (await printed(url)).splitlines()[1].split()[:4] == [
        *("one", "count", "completed", "4")
    ]
    lines = (await printed(url, "one")).splitlines()
    assert lines[1] == '     2  {"number":1,"text":""}'
    numbers = [
        json.loads(text)["number"]
        for text in (await printed(url, "one", as_json=True)).splitlines()
    ]
    assert numbers == [1, 2, 3, 4]


def command(
    path: Path, capsys: pytest.CaptureFixture[str], *options: str
) -> tuple[int, str, str]:
    status = main(["inspect", f"sqlite:///{path}/e.db", *options])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_takes_filters_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fill() -> None:
        async with Executions(count, store=f"sqlite:///{tmp_path}/e.db") as executions:
            for owner in ("ann", None):
                execution = await executions.start(
                    count, {"to": 1}, owner=owner, id=f"of-{owner}", thread="t"
                )
                await execution.wait()

    asyncio.run(fill())

    for options, found in [
        ((), ["of-None", "of-ann"]),
        (("--owner", "ann"), ["of-ann"]),
        (("--owner", ""), ["of-None"]),
        (("--limit", "1"), ["of-None"]),
        (("--status", "failed"), []),
        (("--actor", "count", "--thread", "t", "--owner", "ann"), ["of-ann"]),
    ]:
        status, out, _ = command(tmp_path, capsys, "--json", *options)
        assert (status, [each["id"] for each in json.loads(out)]) == (0, found)


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--status", "dead"], 1, "status must be one of started, completed, failed"),
        (["--thread", "\n"], 1, "thread must be None or 1 to 255 printable"),
        (["--owner", " "], 1, "owner must be None or a str that is not blank"),
        (["--actor", ""], 1, "actor must be the name of an actor"),
        (["one", "--owner", "ann"], 2, "ID is of one execution: it has no filters"),
        (["one", "--limit", "1"], 2, "ID is of one execution: it has no filters"),
    ],
)
def test_says_what_is_wrong_with_a_filter(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    status: int,
    message: str,
) -> None:
    store = SQLiteStore(tmp_path / "e.db")

    async def make_file() -> None:
        await store.read("k", 0, 0)
        await store.aclose()

    asyncio.run(make_file())

    found = command(tmp_path, capsys, *options)

    assert found[:2] == (status, "")
    assert found[2].startswith(message)


@pytest.mark.parametrize("limit", ["0", "-1", "many", "1e3"])
def test_refuses_a_limit_that_is_no_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], limit: str
) -> None:
    with pytest.raises(SystemExit):
        command(tmp_path, capsys, f"--limit={limit}")

    assert "is not a number of executions" in capsys.readouterr().err


async def test_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="There is no file .*events.db"):
        await printed(f"sqlite:///{tmp_path}/events.db")

    assert os.listdir(tmp_path) == []


async def test_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database" * 500)
    with sqlite3.connect(tmp_path / "other") as other:
        other.execute("CREATE TABLE t (x)")
    other.close()

    for url, error, text in [
        ("memory://", ValueError, "only seen by the process"),
        ("mongo://x", ValueError, "no store for 'mongo'"),
        (f"sqlite:///{tmp_path}/text", StoreError, "file is not a database"),
        (f"sqlite:///{tmp_path}/other", StoreError, "of another program"),
        ("redis://127.0.0.1/x", StoreError, "the database is a number"),
    ]:
        with pytest.raises(error, match=text):
            await printed(url)
    with held_port() as port, pytest.raises(Unavailable, match="cannot answer now"):
        await printed(f"redis://127.0.0.1:{port}")
