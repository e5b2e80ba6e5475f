"""What all tests share."""

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest


def pytest_collection_finish() -> None:
    """What is imported by now stays: no collection needs to walk it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
async def no_task_is_left() -> AsyncIterator[None]:
    """Every test leaves its event loop as it found it: without tasks."""
    yield
    gc.collect()
    own = asyncio.current_task()
    for _ in range(3):  # what was cancelled last may still have to be told
        await asyncio.sleep(0)
    left = [t for t in asyncio.all_tasks() if t is not own and not t.done()]
    assert not left, f"tasks left behind: {left}"
