"""The application of every server: a rival, and the driver that makes it publish.

The environment variable RIVAL names the rival. ``GET /open`` returns the path of a new
stream, which any number of viewers may read. ``GET /open?streams=N`` returns the path
at which each request reads another one of N streams. ``GET /go?mode=…`` publishes
events to all viewers, ends the streams, and keeps the time of the end for
``GET /finished``:

* ``woken``: an event as soon as the last one has been sent, for some seconds
* ``saturating``: an event in each turn of the loop, for some seconds
* ``burst``: the same event many times, without waiting for anything
* ``paced``: an event every ``pace`` seconds, for some seconds
* ``many``: one task for each stream publishes every ``pace`` seconds, for some seconds

``bytes=400`` makes the JSON of an event about as long as that, for each mode.

``GET /package`` returns the path from which ``asgi_events`` was imported, and
``GET /compiled`` whether its compiled modules run.
"""

import asyncio
import os
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any
from urllib.parse import parse_qsl

from benchmarks.rivals import RIVALS, Publish, Rival, Tick, tick

PATHS = ("/open", "/go", "/finished", "/package", "/compiled")


class Driver:
    """Makes a rival publish.

    Attributes:
        sent: How many events the server has taken; the code that sends them counts.
    """

    def __init__(self, rival: Rival) -> None:
        self.sent = 0
        self._rival = rival
        self._tasks: set[asyncio.Task[None]] = set()
        self._finished = 0.0

    async def answer(self, path: str, query: str) -> str:
        """Answer a request for one of ``PATHS``."""
        asked = dict(parse_qsl(query))
        if path == "/open":
            return await self._rival.open(int(asked.get("streams", 1)))
        if path == "/finished":
            return str(self._finished)
        if path in ("/package", "/compiled"):
            import asgi_events

            return str(
                asgi_events.__file__ if path == "/package" else asgi_events.compiled
            )
        produce = self._produce_many if asked["mode"] == "many" else self._produce
        task = asyncio.create_task(produce(asked))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return "ok"

    async def _produce(self, asked: dict[str, str]) -> None:
        mode, count = asked["mode"], int(asked.get("count", 0))
        pace, began = float(asked.get("pace", 0)), monotonic()
        stop = began + float(asked.get("seconds", 3600))
        size = int(asked.get("bytes", 0))
        number = self.sent = 0
        event: Tick | None = None
        while (not count or number < count) and monotonic() < stop:
            number += 1
            if event is None or mode != "burst":
                event = tick(number, size)
            published = self._rival.publish(event)
            if published is not None:
                await published
            if mode == "woken":
                while self.sent < number:  # noqa: ASYNC110, it is the load
                    await asyncio.sleep(0)
            elif mode == "saturating":
                await asyncio.sleep(0)
            elif mode == "paced":
                await asyncio.sleep(max(0.0, began + number * pace - monotonic()))
        self._finished = monotonic()
        self._rival.finish()

    async def _produce_many(self, asked: dict[str, str]) -> None:
        """Publish the same number of events to each stream, evenly spread in time."""
        pace, seconds = float(asked["pace"]), float(asked["seconds"])
        publishers = self._rival.publishers()
        make = partial(tick, size=int(asked.get("bytes", 0)))
        began, apart = monotonic(), pace / len(publishers)
        for number, publish in enumerate(publishers):
            first = began + number * apart
            produce = _produce_one(publish, make, first, pace, round(seconds / pace))
            task = asyncio.create_task(produce)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await asyncio.wait(self._tasks - {asyncio.current_task()})
        self._finished = monotonic()
        self._rival.finish()


async def _produce_one(
    publish: Publish, make: Callable[[int], Tick], at: float, pace: float, count: int
) -> None:
    for number in range(count):
        await asyncio.sleep(max(0.0, at + number * pace - monotonic()))
        published = publish(make(number))
        if published is not None:
            await published


def driven(rival: Rival) -> Any:
    """Return the rival's ASGI application, with the paths of the driver added."""
    driver = Driver(rival)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] not in PATHS:

            def counted(message: Any) -> Any:
                driver.sent += message.get("body", b"").count(b"~")
                return send(message)

            await rival.app(scope, receive, counted)
            return
        answer = await driver.answer(scope["path"], scope["query_string"].decode())
        headers = [(b"content-length", b"%d" % len(answer)), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer.encode()})

    return app


_make = RIVALS.get(os.environ.get("RIVAL", ""))
app = driven(_make()) if _make is not None else None
