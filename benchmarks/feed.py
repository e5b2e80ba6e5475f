"""What do the watchers of a feed cost, and what does the feed cost that nobody watches?

    python -m benchmarks.feed [WATCHERS] [ROUNDS]

Watchers of a feed are compared with as many viewers of one execution. Both are in
another process than what happens, as far as the code knows: two ``Executions`` share
one store. No server is between them and the application, so what differs is ours. Each
round has both, one after the other.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import tempfile
import tracemalloc
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import count
from statistics import median
from time import process_time
from typing import Any

from asgi_events import EventsApp, Executions, current_state, tool
from asgi_events.events import LogEvent
from asgi_events.executions.facts import Facts
from benchmarks.report import machine

EVENTS, PAUSE = 100, 0.02  # of one run, and seconds between two
STARTS = 300

_numbers = count()


@tool
async def quick() -> None:
    pass


@tool
async def silent() -> None:
    global publish
    state = current_state()
    publish = state.publish
    await asyncio.Event().wait()


publish: Callable[[Any], Awaitable[None]]


class Reader:
    """A client that counts the events that it gets."""

    def __init__(self, app: Any, path: str) -> None:
        self.events = 0
        self._gone = asyncio.Event()
        headers = [(b"user", b"ann")]
        scope = {"type": "http", "method": "GET", "path": path, "headers": headers}
        scope |= {"query_string": b"", "http_version": "1.1"}
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def leave(self) -> None:
        self._gone.set()
        await self.task

    async def _receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.events += message.get("body", b"").count(b'"event_type"')


async def watched(
    app: Any, path: str, watchers: int, happen: Callable[[], Any]
) -> tuple[float, float]:
    """CPU microseconds of each event that was delivered, and KiB of each watcher."""
    gc.collect()
    tracemalloc.start()
    readers = [Reader(app, path) for _ in range(watchers)]
    await asyncio.sleep(1)
    size = tracemalloc.get_traced_memory()[0] / watchers / 1024
    tracemalloc.stop()
    before = sum(each.events for each in readers)
    began = process_time()
    for _ in range(EVENTS):
        happened = happen()
        if happened is not None:
            await happened
        await asyncio.sleep(PAUSE)
    while sum(each.events for each in readers) - before < EVENTS * watchers:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    took = process_time() - began
    for each in readers:
        await each.leave()
    return took / EVENTS / watchers * 1e6, size


async def of_feed(url: str, watchers: int) -> tuple[float, float]:
    async with Executions(quick, store=url) as here, Executions(store=url) as there:
        app = EventsApp(executions=there, authorize=lambda *_: "ann")

        def happen() -> None:
            id, now = f"{next(_numbers)}", datetime.now(UTC)
            here.feeds.started(
                Facts(id=id, actor="quick", owner="ann", created=now, fingerprint="")
            )

        return await watched(app, "/feed", watchers, happen)


async def of_execution(url: str, watchers: int) -> tuple[float, float]:
    async with Executions(silent, store=url) as here, Executions(store=url) as there:
        execution = await here.start(silent, owner="ann")
        app = EventsApp(executions=there, authorize=lambda *_: "ann")
        text = "about as long as an event of a feed, which has an id and a moment in it"
        path = f"/executions/{execution.id}/events"
        return await watched(
            app, path, watchers, lambda: publish(LogEvent(message=text))
        )


async def starts(url: str, *, tells: bool) -> float:
    """Milliseconds of CPU of one start and end."""
    async with Executions(quick, store=url) as executions:
        executions.feeds._may_be_watched = tells
        await executions.newest("x", owner="ann")  # the first read opens a connection
        began = process_time()
        for _ in range(STARTS):
            execution = await executions.start(quick, owner="ann")
            await execution.wait()
        return (process_time() - began) / STARTS * 1e3


async def costs(url: str) -> tuple[float, float]:
    """That of executions that tell the feeds, and of those that do not."""
    taken: dict[bool, list[float]] = {True: [], False: []}
    await starts(url, tells=True)  # the first one is slower
    for tells in (True, False, False, True, True, False):
        taken[tells].append(await starts(url, tells=tells))
    return median(taken[True]), median(taken[False])


async def compare(watchers: int, rounds: int) -> None:
    pairs: list[Any] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            url = f"sqlite:///{folder}/{number}.db"
            pair = [await of_feed(url, watchers), await of_execution(url, watchers)]
            told, silent = await costs(f"sqlite:///{folder}/{number}.costs.db")
            pairs.append((*pair, told, silent))
    for name, unit, place in (("event delivered", "us CPU", 0), ("watcher", "KiB", 1)):
        feed = median(pair[0][place] for pair in pairs)
        execution = median(pair[1][place] for pair in pairs)
        ratio = median(pair[0][place] / pair[1][place] for pair in pairs)
        print(
            f"each {name}: feed {feed:.2f}, execution {execution:.2f} {unit}; ", end=""
        )
        print(f"ratio {ratio:.2f}")
    told, silent = (median(pair[place] for pair in pairs) for place in (2, 3))
    ratio = median(pair[2] / pair[3] for pair in pairs)
    print(
        f"start and end, with no feed: {told:.3f}, without feeds {silent:.3f} ms CPU; ",
        end="",
    )
    print(f"ratio {ratio:.3f}")


if __name__ == "__main__":
    machine()
    watchers, rounds = (int(each) for each in [*sys.argv[1:], "1000", "5"][:2])
    asyncio.run(compare(watchers, rounds))
