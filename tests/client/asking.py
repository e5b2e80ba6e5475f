"""An application whose actors ask, for a real server."""

from __future__ import annotations

import asyncio
from typing import Literal

from pydantic import BaseModel

from asgi_events import EventsApp, agent, current_state
from asgi_events.exceptions import InputDeclined, Unauthorized
from asgi_events.executions import Execution
from asgi_events.types import Scope


class Choice(BaseModel):
    """What is asked for."""

    seat: Literal["window", "aisle"]
    bags: int = 0
    note: str | None = None


@agent
async def book(to: str | None = None) -> str:
    """Ask one question."""
    try:
        choice = await current_state().ask("Book it?", Choice, to=to)
    except InputDeclined as declined:
        return f"declined by {declined.by}"
    return repr(choice)


@agent
async def several() -> list[bool]:
    """Ask three questions at once."""
    state = current_state()
    return list(await asyncio.gather(*(state.ask(f"{n}?") for n in "abc")))


def authorize(scope: Scope, action: str, execution: Execution | None) -> str:
    """Take the header ``user`` for the caller."""
    user = dict(scope["headers"]).get(b"user", b"").decode()
    if not user:
        raise Unauthorized("Who are you?")
    return str(user)


app = EventsApp(book, several, authorize=authorize, drain_grace=0.1)
