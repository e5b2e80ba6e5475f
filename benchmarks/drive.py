"""The application of every server: a rival, and what makes it publish.

The environment variable RIVAL says which. ``GET /open`` answers the path of a new
stream, which any number of viewers may read. ``GET /go?mode=…`` publishes events to all
of them, ends it, and remembers when, for ``GET /finished``:

* ``woken``: one as soon as the last one has been sent, for some seconds
* ``saturating``: one for each turn of the loop, for some seconds
* ``burst``: one and the same a number of times, without waiting for anything
* ``paced``: one every ``pace`` seconds, for some seconds
"""

import asyncio
import os
from time import monotonic, monotonic_ns
from typing import Any
from urllib.parse import parse_qsl

from benchmarks.rivals import RIVALS, Rival, Tick

_OURS = ("/open", "/go", "/finished")


class Driven:
    """A rival's application, and the paths that drive it."""

    def __init__(self, rival: Rival) -> None:
        self._rival = rival
        self._tasks: set[asyncio.Task[None]] = set()
        self._sent = 0
        self._finished = 0.0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] not in _OURS:

            def counted(message: Any) -> Any:
                self._sent += message.get("body", b"").count(b"~")
                return send(message)

            await self._rival.app(scope, receive, counted)
            return
        answer = "ok"
        if scope["path"] == "/open":
            answer = await self._rival.open()
        elif scope["path"] == "/finished":
            answer = str(self._finished)
        else:
            asked = dict(parse_qsl(scope["query_string"].decode()))
            task = asyncio.create_task(self._produce(asked))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        headers = [(b"content-length", b"%d" % len(answer)), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer.encode()})

    async def _produce(self, asked: dict[str, str]) -> None:
        mode, count = asked["mode"], int(asked.get("count", 0))
        pace, began = float(asked.get("pace", 0)), monotonic()
        stop = began + float(asked.get("seconds", 3600))
        number = self._sent = 0
        event: Tick | None = None
        while (not count or number < count) and monotonic() < stop:
            number += 1
            if event is None or mode != "burst":
                event = Tick(
                    number=number, text=f"~{monotonic_ns()} of about 100 bytes"
                )
            published = self._rival.publish(event)
            if published is not None:
                await published
            if mode == "woken":
                while self._sent < number:  # noqa: ASYNC110, it is the load
                    await asyncio.sleep(0)
            elif mode == "saturating":
                await asyncio.sleep(0)
            elif mode == "paced":
                await asyncio.sleep(max(0.0, began + number * pace - monotonic()))
        self._finished = monotonic()
        self._rival.finish()


app = Driven(RIVALS[os.environ["RIVAL"]]()) if "RIVAL" in os.environ else None
