"""Stores that cannot be used, and a worker of a task queue."""

from __future__ import annotations

import importlib
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
from asgi_lifespan import LifespanManager

from asgi_events import EventsApp
from asgi_events.exceptions import (
    StoreError,
)
from asgi_events.testing import Client, Connection
from tests import TIMEOUT
from tests.apps import quiet
from tests.payloads import data
from tests.processes.sharing import rest, seen
from tests.servers import ROOT, require
from tests.valkey import Valkey, free_port

EXAMPLES = ROOT / "examples"


# Stores that cannot be used


def wrong_address(tmp_path: Path) -> str:
    return f"redis://127.0.0.1:{free_port()}"


def corrupt(tmp_path: Path) -> str:
    (tmp_path / "events.db").write_bytes(b"no database" * 500)
    return f"sqlite:///{tmp_path}/events.db"


def newer(tmp_path: Path) -> str:
    path = tmp_path / "events.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA application_id = {0x61736765}")
        db.execute("PRAGMA user_version = 99")
    return f"sqlite:///{path}"


async def refused(url: str, caplog: pytest.LogCaptureFixture) -> tuple[int, int, str]:
    """How a start and a look are answered, and what is logged."""
    app = EventsApp(quiet, store=url, drain_grace=0)
    start = await Client(app).post("/quiet", json={})
    look = await Client(app).get("/executions/x")
    await app.executions.drain(0)
    return start.status, look.status, caplog.text


@pytest.mark.parametrize(
    "make, text",
    [
        (wrong_address, "The store cannot answer now: .*onnect"),
        (corrupt, "events.db: file is not a database; name another file"),
        (newer, "has schema version 99, and this asgi_events knows version 2: upgrade"),
    ],
)
async def test_answers_503_and_logs_why_the_store_is_of_no_use(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    make: Callable[[Path], str],
    text: str,
) -> None:
    *statuses, logged = await refused(make(tmp_path), caplog)

    assert statuses == [503, 503]
    assert re.search(text, logged), logged


@pytest.mark.server
async def test_answers_503_and_logs_that_the_password_is_wrong(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Valkey(requirepass="right") as valkey:
        url = valkey.url.replace("//", "//:wrong@")
        *statuses, logged = await refused(url, caplog)

    assert statuses == [503, 503]
    assert "The store does not let us in" in logged
    assert "Look at the user and the password in its URL" in logged
    assert "wrong@" not in logged


@pytest.mark.parametrize(
    "url, text",
    [
        ("postgres://127.0.0.1", "There is no store for 'postgres'"),
        ("events.db", "There is no store for ''"),
        ("redis://127.0.0.1/events", "the database is a number"),
        ("sqlite://events.db", "write .sqlite:///events.db. for one in the working"),
        ("sqlite:///events.db?sync=normal", "the options are .* not sync"),
    ],
)
def test_refuses_a_wrong_url_at_once(url: str, text: str) -> None:
    with pytest.raises((ValueError, StoreError), match=text):
        EventsApp(quiet, store=url)


# A worker of a task queue


@contextmanager
def taskiq_worker(url: str) -> Iterator[None]:
    """A worker of ``examples/with_queue.py``."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "taskiq", "worker", "with_queue:broker"]
    process = subprocess.Popen(
        [*command, "--workers=1", "--shutdown-timeout=1"],
        cwd=EXAMPLES,
        env={**os.environ, "PYTHONPATH": path, "REDIS_URL": url},
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(TIMEOUT)


@pytest.fixture
def with_queue(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A fresh import of ``examples/with_queue.py``."""
    for module in ("taskiq", "taskiq_redis"):
        require(find_spec(module), f"{module} is not installed")
    monkeypatch.setenv("REDIS_URL", valkey.url)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield importlib.import_module("with_queue")
    for name in ("with_queue", "hello"):
        sys.modules.pop(name, None)


@pytest.mark.server
async def test_shows_what_a_worker_of_a_task_queue_runs(
    valkey: Valkey, with_queue: ModuleType
) -> None:
    body = b'{"topic": "tea"}'
    headers = {"content-type": "application/json"}
    with taskiq_worker(valkey.url):
        async with LifespanManager(with_queue.app):
            asked = await Client(with_queue.app).post(
                "/research", headers=headers, body=body
            )
            path = asked.headers["location"]
            async with Connection(with_queue.app, "GET", path) as connection:
                events = await rest(connection)
            last = {"last-event-id": str(events[-2].id)}
            over = await Client(with_queue.app).get(path, headers=last)
            again = await Client(with_queue.app).post(
                "/research", headers=headers, body=body
            )
            path = again.headers["location"]
            async with Connection(with_queue.app, "GET", path) as connection:
                await seen(connection, 3)
                await Client(with_queue.app).delete(path.removesuffix("/events"))
                cancelled = await rest(connection)
            ran = [execution.id for execution in with_queue.executions]

    assert (asked.status, over.status) == (303, 204)
    assert data(events)[-1]["event_type"] == "complete"
    assert data(events)[-1]["result"].startswith("There is tea in China")
    assert data(cancelled)[-1]["event_type"] == "cancelled"
    assert ran == []  # in the web tier
