"""An actor whose executions continue a thread, on every kind of store."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from asgi_events import Executions, agent, current_state
from asgi_events.actors import Actor
from asgi_events.exceptions import ThreadBusy
from asgi_events.executions import Execution
from tests import TIMEOUT
from tests.executions.scenes import end_of, soon

STORES = ["memory", "sqlite", pytest.param("valkey", marks=pytest.mark.server)]
KINDS = ["no store", *STORES]


class Chat:
    """An actor whose runs end when the test says so.

    Attributes:
        actor: It rejects another start in a busy thread.
        queueing, replacing: The same actor, that queues or replaces it.
        asked: What it was asked, in the order of its runs.
        running: How many run now.
        most: How many have run at once.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.running = self.most = 0
        self._gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._is_open = False

        async def chat(text: str = "") -> str:
            self.asked.append(text)
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                if not self._is_open:
                    await self._gates[current_state().execution_id or ""].wait()
            finally:
                self.running -= 1
            return text

        self.actor: Actor[..., Any] = agent(chat)
        self.queueing: Actor[..., Any] = agent(name="queueing", when_busy="queue")(chat)
        self.replacing: Actor[..., Any] = agent(name="replacing", when_busy="replace")(
            chat
        )

    def let_go(self, id: str) -> None:
        """Let the run of an execution end."""
        self._gates[id].set()

    def open(self) -> None:
        """Let all runs end, also those to come."""
        self._is_open = True
        for gate in self._gates.values():
            gate.set()

    @property
    def actors(self) -> tuple[Actor[..., Any], ...]:
        return self.actor, self.queueing, self.replacing


Process: TypeAlias = Callable[..., Executions]

shared = pytest.mark.parametrize("kind", STORES, indirect=True)


async def ended(chat: Chat, execution: Execution) -> str:
    chat.let_go(execution.id)
    return await end_of(execution)


async def begun(chat: Chat, execution: Execution) -> None:
    async with asyncio.timeout(TIMEOUT):
        async for _ in execution.events():
            return


async def refused(starting: Any) -> tuple[str, str]:
    """The thread and the id of the execution that refuse a start."""
    with pytest.raises(ThreadBusy) as raised:
        await soon(starting)
    return raised.value.thread, raised.value.execution_id
