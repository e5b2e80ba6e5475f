"""The fixtures of these tests."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from asgi_events import EventsApp
from asgi_events.actors import Actor
from tests.http.app.routes import Make


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Makes an ``EventsApp`` and drains it when the test is over."""
    made: list[EventsApp] = []

    def make(*actors: Actor[..., Any], **options: Any) -> EventsApp:
        made.append(EventsApp(*actors, **options))
        return made[-1]

    yield make
    for app in made:
        await app.executions.drain(0)
