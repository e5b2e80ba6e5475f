"""A chat server of the AI SDK whose actor asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Literal

from pydantic import BaseModel

from asgi_events import EventsApp, agent, current_state, tool
from asgi_events.exceptions import InputDeclined, InputExpired
from asgi_events.types import Receive, Scope, Send
from asgi_events.ui import VercelAIApp
from tests.ui.vercel_apps import page


class Trip(BaseModel):
    seat: Literal["window", "aisle"]
    bags: int = 0


async def outcome(answer: Awaitable[object]) -> str:
    try:
        return repr(await answer)
    except InputDeclined:
        return "declined"
    except InputExpired:
        return "expired"


@tool
async def book(flight: str, timeout: float | None = None) -> str:
    """Ask whether to book a flight."""
    await current_state().text(f"Look at {flight}. ")
    return await outcome(current_state().ask(f"Book {flight}?", timeout=timeout))


@agent
async def chat(text: str) -> str:
    """Do what the text says, and say how it was answered."""
    state = current_state()
    await state.text("Well. ")
    if text == "two":
        made = await asyncio.gather(book("A"), book("B"))
    elif text == "twice":
        made = [await book("A"), await book("B")]
    elif text == "form":
        made = [await outcome(state.ask("Which seat?", Trip))]
    else:
        made = [await book("A", 0.3 if text == "soon" else None)]
    await state.text(f"So: {', '.join(made)}.")
    return "done"


events = EventsApp(chat, prefix="/events", error_message=str)
new = VercelAIApp(events.executions, chat, sdk_version=6)
old = VercelAIApp(events.executions, chat, prefix="/old/api/chat")


async def site(scope: Scope, receive: Receive, send: Send) -> None:
    """Chats for 6 and 7 at ``/api/chat``, for 5 at ``/old/api/chat``; events."""
    if scope["type"] != "http" or scope["path"].startswith("/events"):
        await events(scope, receive, send)
    elif scope["path"].startswith("/old/"):
        await old(scope, receive, send)
    elif scope["path"].startswith("/api/"):
        await new(scope, receive, send)
    else:
        await page(scope, receive, send)
