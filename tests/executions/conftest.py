"""The fixtures of these tests."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from asgi_events import Executions
from asgi_events.actors import Actor
from tests.executions.scenes import Make


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Makes ``Executions`` and drains them when the test is over."""
    made: list[Executions] = []

    def make(*actors: Actor[..., Any], **options: Any) -> Executions:
        made.append(Executions(*actors, **options))
        return made[-1]

    yield make
    for executions in made:
        await executions.drain(0)
