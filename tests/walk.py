"""The ways of one event and of one reconnect through the package, by a profiler.

    python -m tests.walk

runs executions in this process and prints which functions of which files are entered,
in order, a line for each stay in a file. A coroutine is entered again, with all that
await it, each time it continues. What the threads of a store do is not shown.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

from asgi_events import EventsApp, agent, current_state
from asgi_events.testing import Client
from asgi_events.types import ASGIApp, Receive, Scope, Send
from tests import house

_BEFORE, _EVENT = "before", "the event"


@dataclass
class Walk:
    """A way through the package.

    Attributes:
        steps: The functions entered, in order: each a module without ``asgi_events.``,
            and the function's qualified name.
    """

    steps: list[tuple[str, str]] = field(default_factory=list)

    @property
    def rooms(self) -> list[str]:
        """The rooms entered that know others of ours, in the order of first entry."""
        return [name for name in self._entered() if house.rules()[name] - _row(name)]

    @property
    def leaves(self) -> list[str]:
        """The rooms entered that import none of ours, such as ``aio``."""
        return [name for name in self._entered() if name not in self.rooms]

    def lines(self) -> Iterator[str]:
        """The walk to read: a line for each stay in a file."""
        for module, steps in groupby(self.steps, key=lambda step: step[0]):
            room, _, rest = module.partition(".")
            names = ", ".join(dict.fromkeys(name for _, name in steps))
            yield f"{room:10} {rest or room:15} {names}"

    def _entered(self) -> list[str]:
        return list(dict.fromkeys(house.room(module) for module, _ in self.steps))


def _row(room: str) -> set[str]:
    """The rooms of the same row of the table, which import each other."""
    return {name for name, rule in house.rules().items() if rule == house.rules()[room]}


class _Profiler:
    """Notes the functions of the package that are entered while it has a walk."""

    def __init__(self) -> None:
        self.walk: Walk | None = None

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        walk, code = self.walk, frame.f_code
        if walk is None or event != "call" or code.co_name.startswith("<"):
            return
        file = Path(code.co_filename)
        if house.PACKAGE in file.parents:
            module = house.name_of(file)
            if house.room(module) != "testing":
                walk.steps.append((module, code.co_qualname))


@contextmanager
def _profiler() -> Iterator[_Profiler]:
    profiler, before = _Profiler(), sys.getprofile()
    sys.setprofile(profiler)
    try:
        yield profiler
    finally:
        sys.setprofile(before)


async def walks(**options: Any) -> tuple[Walk, Walk]:
    """Walk with one event, then with one reconnect.

    The event goes from ``EventBus.publish`` to the ``send`` of the server, with one
    viewer who has waited for it. The reconnect goes from the call of the application to
    the ``send`` of the first event that the client has missed.

    Args:
        options: The options of ``EventsApp``.
    """
    event, reconnect = Walk(), Walk()
    ready = asyncio.Event()

    with _profiler() as profiler:

        @agent
        async def talk() -> None:
            await current_state().log(_BEFORE)
            await ready.wait()
            profiler.walk = event
            await current_state().log(_EVENT)
            await asyncio.Event().wait()

        app = _until_sent(EventsApp(talk, **options), profiler)
        async with Client(app) as client:
            path = (await client.post("/talk")).headers["location"]
            async with client.stream(f"{path}/events") as stream:
                seen = [await stream.event(), await stream.event()]
                await _feed_is_told()
                ready.set()
                await stream.event()
            headers = {"last-event-id": seen[-1].id}
            connection = client.connect("GET", f"{path}/events", headers=headers)
            profiler.walk = reconnect
            async with connection:
                await connection.event()
            await client.delete(path)
    begins = next(i for i, step in enumerate(event.steps) if step[0] == "bus")
    del event.steps[:begins]
    return event, reconnect


async def _feed_is_told() -> None:
    """Wait until the start is in the feed, which is beside the path of events."""
    for task in asyncio.all_tasks():
        if getattr(task.get_coro(), "__qualname__", "") == "FeedWriter._run":
            await asyncio.wait({task})


def _until_sent(app: ASGIApp, profiler: _Profiler) -> ASGIApp:
    """The application; the walk ends where it sends the event."""

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        async def stop(message: Any) -> None:
            walk, profiler.walk = profiler.walk, None  # the client is no part of it
            await send(message)
            if _EVENT.encode() not in message.get("body", b""):
                profiler.walk = walk

        await app(scope, receive, stop)

    return watched


async def all_walks() -> dict[str, Walk]:
    """The walks by their names."""
    event, reconnect = await walks()
    with TemporaryDirectory() as directory:
        stored, _ = await walks(store=f"sqlite:///{directory}/events.db")
    return {
        "One event, without a store": event,
        "One event, with SQLite": stored,
        "One reconnect": reconnect,
    }


def main() -> None:
    """Print the walks."""
    for name, walk in asyncio.run(all_walks()).items():
        print(headline(name, walk), end="\n\n")
        print(*(f"    {line}" for line in walk.lines()), sep="\n", end="\n\n")


def headline(name: str, walk: Walk) -> str:
    """How many rooms a walk enters, and which."""
    rooms = f"{len(walk.rooms)} rooms ({', '.join(walk.rooms)})"
    return f"{name}: {rooms}, and {', '.join(walk.leaves) or 'no others'}"


if __name__ == "__main__":
    main()
