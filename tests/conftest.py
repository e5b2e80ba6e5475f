"""What all tests share."""

import asyncio
import gc
import os
import sys
from collections.abc import AsyncIterator
from datetime import datetime, tzinfo

import pytest

from asgi_events import events
from asgi_events.stores.sqlite.file import warn_of_the_wal_reset_bug

# The tests start hundreds of processes. Each would compile all modules again where the
# environment says that bytecode is not kept.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that start processes first: none of the long ones is the last."""
    long = {
        item.path
        for item in items
        if any(map(item.get_closest_marker, ("server", "browser", "node")))
    }
    items.sort(key=lambda item: item.path not in long)


def pytest_collection_finish() -> None:
    """Freeze what is imported by now: no collection needs to walk it again."""
    # The warning comes once in a process: no test must find it among its own.
    warn_of_the_wal_reset_bug()
    gc.collect()
    gc.freeze()


class _FixedTime(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "_FixedTime":
        return cls(2026, 1, 2, 3, 4, 5, tzinfo=tz)


@pytest.fixture
def fixed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """All events have the same timestamp, so that a test can compare whole frames."""
    monkeypatch.setattr(events, "datetime", _FixedTime)


@pytest.fixture(autouse=True)
async def no_task_is_left() -> AsyncIterator[None]:
    """Every test leaves its event loop as it found it: without tasks.

    Garbage is collected in the test that made it, so that its warnings fail that test.
    What was there before is frozen: no collection needs to walk it again.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.collect()
    own = asyncio.current_task()
    for _ in range(3):  # a task that was cancelled last may still have to run
        await asyncio.sleep(0)
    left = [t for t in asyncio.all_tasks() if t is not own and not t.done()]
    assert not left, f"tasks left behind: {left}"
