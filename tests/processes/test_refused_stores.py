"""Stores that cannot be used."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from asgi_events import EventsApp
from asgi_events.exceptions import (
    StoreError,
)
from asgi_events.testing import Client
from tests.apps import quiet
from tests.servers import ROOT
from tests.valkey import Valkey, held_port

EXAMPLES = ROOT / "examples"


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
        (corrupt, "events.db: file is not a database; name another file"),
        (newer, "has schema version 99, and this asgi_events knows version 3: upgrade"),
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


async def test_answers_503_and_logs_that_nobody_listens(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with held_port() as port:
        *statuses, logged = await refused(f"redis://127.0.0.1:{port}", caplog)

    assert statuses == [503, 503]
    assert re.search("The store cannot answer now: .*onnect", logged), logged


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
