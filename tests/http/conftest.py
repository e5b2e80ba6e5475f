"""The fixtures of these tests."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from asgi_events import EventsApp, agent
from asgi_events.actors import Actor
from tests.http.refusals import Make, count, idle


class Login(BaseModel):
    user: str
    password: int

    @field_validator("user")
    @classmethod
    def _is_short(cls, value: str) -> str:
        if len(value) > 10:
            raise ValueError("too long")
        return value


@agent
async def login(given: Login) -> None:
    pass


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Makes an ``EventsApp`` and drains it when the test is over."""
    made: list[EventsApp] = []

    def make(*actors: Actor[..., Any], **options: Any) -> EventsApp:
        made.append(EventsApp(*(actors or (count, login, idle)), **options))
        return made[-1]

    yield make
    for app in made:
        await app.executions.drain(0)
