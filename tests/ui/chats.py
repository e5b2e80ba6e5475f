"""Chats as the AI SDK posts them, and actors that answer."""

from __future__ import annotations

import asyncio
from typing import Any

from asgi_events import agent, current_state, tool
from asgi_events.actors.when_busy import WhenBusy

JSON = {"content-type": "application/json"}


def message(text: str, *, id: str = "m1", role: str = "user") -> dict[str, Any]:
    return {"id": id, "role": role, "parts": [{"type": "text", "text": text}]}


def chat(text: str = "Hi", *, id: str = "c1", **more: Any) -> dict[str, Any]:
    return {"id": id, "messages": [message(text)], "trigger": "submit-message"} | more


@tool
async def shout(text: str) -> str:
    return text.upper()


@agent
async def echo(text: str) -> str:
    """Say what the user says."""
    await current_state().text(f"You said {text}")
    return text


class Gate:
    """An actor that says a word and waits, until it is let on or cancelled."""

    def __init__(self, when_busy: WhenBusy = "reject") -> None:
        self.opened = asyncio.Event()
        self.stopped = asyncio.Event()

        @agent(when_busy=when_busy)
        async def waiting(text: str) -> str:
            try:
                await current_state().text("One")
                await self.opened.wait()
                await current_state().text(", two")
            except asyncio.CancelledError:
                self.stopped.set()
                raise
            return "done"

        self.actor = waiting
