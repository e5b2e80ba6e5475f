"""The fixtures of these tests."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from asgi_events.stores.sqlite import SQLiteStore
from tests.stores.sqlite.files import Make


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
