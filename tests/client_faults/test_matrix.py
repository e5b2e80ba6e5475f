"""The clients in the matrix of faults; ``python -m tests.client_faults`` prints it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from asgi_events.wire.sse import STREAM_START
from tests.client_faults.certificates import make_all, trust
from tests.client_faults.clients import CLIENTS
from tests.client_faults.judge import judge
from tests.client_faults.judges import CANNOT, Judge, judged_by
from tests.client_faults.live import live
from tests.client_faults.log import Log, record
from tests.client_faults.memory import growth, long
from tests.client_faults.row import Outcome, Question, Row
from tests.client_faults.rows import answers, named
from tests.client_faults.rows.cuts import every_cut
from tests.client_faults.storm import storm
from tests.servers import Server

MEBI = 1024 * 1024

OURS = ("python", "python-sync", "typescript")

ours = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.node] if name == "typescript" else [])
        for name in OURS
    ],
)

_NODE = {"eventsource", "eventsource-client", "fetch-event-source"}

SOME = {
    "reset in the middle of a connection: future",
    "goodbye: backlog",
    "one byte in a chunk",
}
"""What the judges are asked that have a process for each question."""


@pytest.fixture
async def log() -> Log:
    found, _ = await record()
    return found


def some_cuts(log: Log) -> list[Row]:
    """Cuts in the head, in one event of each kind of byte, at the ends, and others."""
    return list(every_cut(log, 37))


@ours
async def test_keeps_what_it_promises_whatever_fails(name: str, log: Log) -> None:
    rows = [*named(), *some_cuts(log), storm(1, 150)]

    async with CLIENTS[name]({}) as client:
        assert await judge(client, rows, log) == {}


@pytest.mark.parametrize("name", ["python-httpx", "python-sync-httpx"])
async def test_answers_once_whatever_fails(name: str, log: Log) -> None:
    async with CLIENTS[name]({}) as client:
        assert await judge(client, list(answers.rows()), log) == {}


@ours
async def test_keeps_no_events_of_a_long_execution(name: str, log: Log) -> None:
    count, bound = (20_000, 2 * MEBI) if name == "typescript" else (5000, MEBI)

    async with CLIENTS[name]({}) as client:
        assert await growth(client, long(count, 3, bound), log) == {}


@ours
async def test_trusts_nobody_with_a_wrong_certificate(
    name: str, log: Log, tmp_path: Path
) -> None:
    certificates = make_all(tmp_path)
    env = {"NODE_EXTRA_CA_CERTS": str(certificates.trusted)}

    async with CLIENTS[name](env) as client:
        assert await trust(client, certificates, log) == {}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server("tests.apps:app") as server:
        yield server


@pytest.mark.server
@pytest.mark.node
async def test_follows_a_live_execution_of_a_real_server_across_cuts(
    server: Server,
) -> None:
    async def complaints(name: str) -> list[str]:
        async with CLIENTS[name]({}) as client:
            return await live(client, server, 100, 18)

    assert await asyncio.gather(*map(complaints, OURS)) == [[]] * len(OURS)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.node] if name in _NODE else [])
        for name in CANNOT
    ],
)
async def test_sends_what_others_understand(name: str, log: Log) -> None:
    rows = judged_by(name, named())
    if name in _NODE:
        rows = [row for row in rows if row.name in SOME]

    assert await judge(Judge(name), rows, log) == {}


async def test_sends_the_bytes_of_a_real_application() -> None:
    log, body = await record()

    assert log.stream() == body
    assert body.startswith(STREAM_START)


class Deaf:
    """A client that does nothing."""

    async def ask(self, questions: list[Question]) -> list[Outcome]:
        return [Outcome() for _ in questions]


async def test_complains_in_every_row_of_a_client_that_does_nothing(log: Log) -> None:
    rows = [*named(), *some_cuts(log), storm(1, 150)]

    complaints = await judge(Deaf(), rows, log)

    assert [row.name for row in rows if row.name not in complaints] == []


async def test_has_a_name_of_its_own_for_each_row(log: Log) -> None:
    rows = [*named(), *some_cuts(log)]
    names = [row.name for row in rows]

    assert sorted(set(names)) == sorted(names)
