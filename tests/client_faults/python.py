"""The Python clients, in the process of the tests."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import ssl
import threading
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from itertools import count
from typing import Any
from unittest.mock import patch

import httpx2

from asgi_events.client import Client, EventStream, SyncClient, sync_connection
from asgi_events.client.connection import Connection
from asgi_events.wire.decoding import AnyEvent, ResetEvent
from asgi_events.wire.encoding import encode_json
from tests.client_faults.row import Outcome, Question, grown

MOST = 16
"""Questions at the same time."""

LONGEST = 60.0
"""Seconds that a question may take, on a machine that does much else."""


class _Asked:
    """A question, and what has come of it so far."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.outcome = Outcome()
        self._tokens = count(1)

    def options(self) -> dict[str, Any]:
        """The options of the client."""
        question = self.question
        options: dict[str, Any] = {"on_reconnect": self._on_reconnect}
        if question.stall is not None:
            options["stall_timeout"] = question.stall
        if question.give_up is not None:
            options["give_up_after"] = question.give_up
        if question.auth:
            options["auth"] = lambda: {"Authorization": f"Bearer {next(self._tokens)}"}
        return options

    def see(self, event: AnyEvent, number: int) -> bool:
        """Note an event; return whether the user leaves after it."""
        seen = self.outcome.seen
        if isinstance(event, ResetEvent):
            seen.append(("reset", event.reason, event.first))
        else:
            seen.append(("event", number, json.loads(encode_json(event))))
        return len(seen) == self.question.leave

    def fail(self, error: Exception) -> None:
        """Note an error, which must be one that the client promises."""
        self.outcome.failure = (type(error).__name__, str(error))

    def _on_reconnect(self, reason: object, seconds: float) -> None:
        self.outcome.waits.append(seconds)
        port = self.question.announce
        if port is not None and len(self.outcome.waits) == 2:
            with socket.create_connection(("127.0.0.1", port)):
                pass


class Memory:
    """What an interpreter has in use, from a quarter of the events to the last one.

    Args:
        total: How many events there will be.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._counted = 0
        self._first = 0
        self._last = 0

    @property
    def value(self) -> dict[str, int]:
        return grown(self._counted, self._last - self._first)

    def count(self) -> None:
        """Count one event more."""
        self._counted += 1
        if self._counted == self._total // 4:
            self._first = _in_use()
        elif self._counted == self._total:
            self._last = _in_use()


def _in_use() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


class Asynchronous:
    """``asgi_events.client.Client``.

    Args:
        library: httpx2 or httpx, whose connections it is given.
    """

    def __init__(self, library: Any = httpx2) -> None:
        self._library = library

    async def ask(self, questions: Sequence[Question]) -> list[Outcome]:
        free = asyncio.Semaphore(MOST)
        async with self._library.AsyncClient() as shared:

            async def ask(question: Question) -> Outcome:
                async with free:
                    return await _ask(_Asked(question), shared, self._library)

            return await asyncio.gather(*map(ask, questions))


async def _ask(asked: _Asked, shared: Any, library: Any) -> Outcome:
    question = asked.question
    try:
        longest = None if question.count else LONGEST
        async with asyncio.timeout(longest), AsyncExitStack() as stack:
            http = None if question.own else shared
            if question.trust is not None:
                trusting = library.AsyncClient(verify=_trust(question.trust))
                http = await stack.enter_async_context(trusting)
            made = Client(question.base, http=http, **asked.options())
            await _answer(asked, await stack.enter_async_context(made))
    except Exception as error:
        asked.fail(error)
    return asked.outcome


async def _answer(asked: _Asked, client: Client) -> None:
    question, outcome = asked.question, asked.outcome
    if question.verb == "start":
        run = await client.start("research", {"topic": "tea"})
    elif question.verb == "answer":
        run = client.execution(question.execution)
    else:
        run = await client.get(question.execution)
    if question.verb == "count":
        memory = Memory(question.count)
        async for _ in run.events():
            memory.count()
        outcome.value = memory.value
    if question.verb in ("start", "follow"):
        async with run.events(question.after) as stream:
            async for event in stream:
                if asked.see(event, stream.number):
                    if question.waiting:
                        await _wait_in_vain(stream)
                    break
        outcome.status = stream.status
    match question.verb:
        case "start" | "result":
            outcome.value = await run.result()
        case "cancel":
            await run.cancel()
        case "answer":
            outcome.value = await run.answer(1, True)
        case "about":
            outcome.value = await run.status()


async def _wait_in_vain(stream: EventStream) -> None:
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.wait([waiting], timeout=0.01)
    waiting.cancel()
    await asyncio.wait([waiting])


class Synchronous:
    """``asgi_events.client.SyncClient``, in threads.

    Args:
        library: httpx2 or httpx, whose connections it is given.
    """

    def __init__(self, library: Any = httpx2) -> None:
        self._library = library

    async def ask(self, questions: Sequence[Question]) -> list[Outcome]:
        loop = asyncio.get_running_loop()
        library = self._library
        with ThreadPoolExecutor(MOST) as threads, library.Client() as shared:

            def ask(question: Question) -> Outcome:
                return _ask_sync(_Asked(question), shared, library)

            asking = [loop.run_in_executor(threads, ask, each) for each in questions]
            return await asyncio.gather(*asking)


def _ask_sync(asked: _Asked, shared: Any, library: Any) -> Outcome:
    question = asked.question
    try:
        with ExitStack() as stack:
            http = None if question.own else shared
            if question.trust is not None:
                trusting = library.Client(verify=_trust(question.trust))
                http = stack.enter_context(trusting)
            made = SyncClient(question.base, http=http, **asked.options())
            _answer_sync(asked, stack.enter_context(made))
    except Exception as error:
        asked.fail(error)
    return asked.outcome


def _trust(file: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=file)


def _answer_sync(asked: _Asked, client: SyncClient) -> None:
    question, outcome = asked.question, asked.outcome
    if question.verb == "start":
        run = client.start("research", {"topic": "tea"})
    elif question.verb == "answer":
        run = client.execution(question.execution)
    else:
        run = client.get(question.execution)
    if question.verb == "count":
        memory = Memory(question.count)
        for _ in run.events():
            memory.count()
        outcome.value = memory.value
    if question.verb in ("start", "follow"):
        with run.events(question.after) as stream:
            for event in stream:
                if asked.see(event, stream.number):
                    break  # a thread that waits cannot be interrupted
        outcome.status = stream.status
    match question.verb:
        case "start" | "result":
            outcome.value = run.result()
        case "cancel":
            run.cancel()
        case "answer":
            outcome.value = run.answer(1, True)
        case "about":
            outcome.value = run.status()


@asynccontextmanager
async def asynchronous(library: Any = httpx2) -> AsyncIterator[Asynchronous]:
    """The client for asyncio, whose pauses take no time."""

    async def sleep(self: object, seconds: float) -> None:
        await asyncio.sleep(0)

    with patch.object(Connection, "_sleep", sleep):
        yield Asynchronous(library)


@asynccontextmanager
async def synchronous(library: Any = httpx2) -> AsyncIterator[Synchronous]:
    """The client for threads, whose pauses take no time."""
    with patch.object(sync_connection, "Event", _Impatient):
        yield Synchronous(library)


class _Impatient(threading.Event):
    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()
