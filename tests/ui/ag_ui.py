"""The clients of AG-UI in Node.js, driven by a test."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.clients.node import Script, script
from tests.proxy import Proxy
from tests.servers import Server

KINDS = ["agent", "tanstack"]


@dataclass(frozen=True)
class Shown:
    """What a client has.

    Attributes:
        error: The message that it shows for a failure; None if nothing failed.
        messages: The messages, without what differs from run to run: times, and the
            ids of executions and of the user's messages.
        state: The state of the run; None for a client that has none.
        told: All that the client has.
    """

    error: str | None
    messages: list[Any]
    state: Any
    told: dict[str, Any]

    @property
    def run(self) -> str:
        """The id of its run."""
        run: str = self.told["run"]
        return run

    @property
    def execution(self) -> str:
        """The id of the execution, which begins the ids of its messages."""
        for message in reversed(self.told["messages"]):
            name, slash, _ = message["id"].partition("/")
            if slash:
                return str(name)
        raise AssertionError("no message is of an execution")


class Client:
    """A client: a tab of a page."""

    def __init__(self, node: Script, name: str) -> None:
        self._node = node
        self._name = name

    async def do(self, command: str, **more: Any) -> Shown:
        """Give a command; see ``ag-ui-live.mjs``."""
        told = await self._node.ask({"do": command, "name": self._name} | more)
        assert told is not None, f"it has waited for nothing: {command} {more}"
        messages = [_same(message) for message in told["messages"]]
        return Shown(told["error"], messages, told.get("state"), told)


class Clients:
    """Opens clients."""

    def __init__(self, node: Script) -> None:
        self._node = node

    async def open(self, kind: str, server: Server | Proxy, thread: str) -> Client:
        """Open a client of a kind, one of ``KINDS``."""
        client = Client(self._node, secrets.token_hex(8))
        await client.do("open", kind=kind, url=url(server), thread=thread)
        return client


@asynccontextmanager
async def clients() -> AsyncIterator[Clients]:
    """Yield what opens clients; they are gone at the end of the block."""
    async with script("ag-ui-live.mjs") as node:
        yield Clients(node)


def url(server: Server | Proxy) -> str:
    return f"{server.url}/ag-ui"


def _same(value: Any) -> Any:
    """Leave out of a message what differs from run to run."""
    if isinstance(value, dict):
        if value.get("role") == "user":
            value = value | {"id": "user"}
            value.pop("metadata", None)
        kept = {k: v for k, v in value.items() if k not in _DIFFERS}
        return {name: _same(each) for name, each in kept.items()}
    if isinstance(value, list):
        return [_same(each) for each in value]
    if isinstance(value, str) and "/chat" in value:
        return value[value.index("/chat") :]
    return value


_DIFFERS = ("execution_time", "createdAt")
