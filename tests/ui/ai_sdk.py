"""Chats of the AI SDK in Node.js, and what they show."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from tests.clients.node import Script, script
from tests.servers import Server

VERSIONS = ["ai5", "ai6", "ai7"]

_VOLATILE = ("execution_time", "execution")


def normal(message: Any) -> Any:
    """A message without what differs from run to run, and from version to version."""
    if isinstance(message, list):
        return [normal(item) for item in message]
    if not isinstance(message, dict):
        return message
    volatile = {"id"} if message.get("type") == "reasoning" else set(_VOLATILE)
    return {k: normal(v) for k, v in message.items() if k not in volatile}


@dataclass(frozen=True)
class Shown:
    """What a chat shows.

    Attributes:
        status: As ``useChat`` returns it.
        error: The message of its error.
        messages: All of them.
        end: What ``onFinish`` was told last.
        asks: The role of the last message of each request that was posted.
    """

    status: str
    error: str | None
    messages: list[dict[str, Any]]
    end: dict[str, Any]
    asks: list[str]

    @property
    def answers(self) -> list[dict[str, Any]]:
        """The messages of the assistant, without their ids and times."""
        found = [m for m in self.messages if m["role"] == "assistant"]
        return [normal({k: v for k, v in m.items() if k != "id"}) for m in found]

    @property
    def texts(self) -> list[str]:
        """The texts of the newest message."""
        return [p["text"] for p in self.messages[-1]["parts"] if p["type"] == "text"]

    @property
    def is_closed(self) -> bool:
        """Whether no part of the newest message is open."""
        states = [part.get("state") for part in self.messages[-1]["parts"]]
        return not {"streaming", "input-streaming", "input-available"} & set(states)


class Chat:
    """One chat of one version: a tab of a browser, without the browser."""

    def __init__(self, running: Script, name: str) -> None:
        self._script = running
        self._name = name

    async def do(self, what: str, **how: Any) -> Shown:
        """Do it, and return what is shown then; see ``ai-sdk-client.mjs``."""
        asked = {"do": what, "chat": self._name, **how}
        return Shown(**await self._script.ask(asked))


class Tabs:
    """Opens chats, all in one Node.js."""

    def __init__(self, running: Script) -> None:
        self._script = running
        self._names = count()

    async def open(
        self, version: str, server: Server | str, id: str, **how: Any
    ) -> Chat:
        """Open a chat at a server."""
        chat = Chat(self._script, f"{next(self._names)}")
        await chat.do("open", version=version, api=api(server), id=id, **how)
        return chat


@asynccontextmanager
async def tabs() -> AsyncIterator[Tabs]:
    async with script("ai-sdk-client.mjs") as running:
        yield Tabs(running)


def api(server: Server | str) -> str:
    url = server if isinstance(server, str) else server.url
    return f"{url}/api/chat"


def asked(shown: Shown) -> list[dict[str, Any]]:
    """The messages that a page has which is loaded while the answer comes."""
    return [m for m in json.loads(json.dumps(shown.messages)) if m["role"] == "user"]
