"""The log of an execution, in the bytes that a real application has sent for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from asgi_events import EventsApp, agent, current_state
from asgi_events.events import TextDelta
from asgi_events.testing import Client
from asgi_events.wire import frames
from asgi_events.wire.encoding import encode_json
from asgi_events.wire.sse import KEEP_ALIVE, STREAM_START

RETRY = 1  # milliseconds


class Chart(BaseModel):
    """A model of the application that no client knows."""

    event_type: str = "chart"
    points: list[float]


TEXTS = ["Grüße, 世界 ", "\N{PILE OF POO}\u2028\u0085\0", "line\r\nline\rline\n"]


@agent
async def research(topic: str = "tea", texts: int = len(TEXTS)) -> dict[str, str]:
    """Publish one event of each kind, and texts that are difficult to cut."""
    state = current_state()
    state.log(f"reading about {topic}")
    state.progress(1, 3, message="½")
    for number in range(texts):
        await state.publish(
            TextDelta(address=state.address, delta=TEXTS[number % len(TEXTS)])
        )
    await state.publish(Chart(points=[1, 2.5]))
    state.custom("note", {"id": ": data", "ü": [None, True]})
    await state.publish(Chart(points=[]))
    state.progress(3, 3)
    return {"report": f"{topic} ✓"}


@dataclass(frozen=True)
class Log:
    """The events of one execution.

    Attributes:
        name: The execution's id.
        payloads: The JSON of each event; the last one is the terminal event.
        status: How the execution has ended.
        retry: Milliseconds that a client is told to wait; None for no word of it.
        lost: Whether another process has written the terminal event.
    """

    name: str
    payloads: tuple[bytes, ...]
    status: str = "completed"
    retry: int | None = RETRY
    lost: bool = False

    @property
    def last(self) -> int:
        """The number of the terminal event."""
        return len(self.payloads)

    def id(self, number: int) -> str:
        """The id of an event."""
        suffix = ":lost" if self.lost and number == self.last else ""
        return f"{self.name}:{number}{suffix}"

    def value(self, number: int) -> Any:
        """The JSON of an event."""
        return json.loads(self.payloads[number - 1])

    def frame(self, number: int) -> bytes:
        """The frame of an event."""
        return frames.join(self.payloads[number - 1], self.id(number).encode())

    def frames(self, after: int = 0, upto: int | None = None) -> bytes:
        """The frames of the events after a number, up to another one."""
        last = self.last if upto is None else upto
        return b"".join(self.frame(number) for number in range(after + 1, last + 1))

    @property
    def start(self) -> bytes:
        """The first bytes of a stream."""
        word = b"" if self.retry is None else b"retry: %d\n" % self.retry
        return STREAM_START + word

    @property
    def end(self) -> bytes:
        """The last bytes of a stream."""
        return frames.end(self.status)

    def stream(self, after: int = 0) -> bytes:
        """The body that a viewer gets who has the events up to a number."""
        return self.start + self.frames(after) + self.end

    def whole_before(self, body: bytes) -> int:
        """The number of the last event that a part of a stream has whole."""
        number = 0
        for block in body.split(b"\n\n")[:-1]:
            *_, last = block.split(b"\n")
            if last.startswith(b"id: "):
                number = int(last.split(b":")[2])
        return number

    def without_retry(self) -> Log:
        """The same, of a server that says nothing of reconnects."""
        return replace(self, retry=None)

    def ended_by(self, event: BaseModel, status: str, *, lost: bool = False) -> Log:
        """The same, with another terminal event."""
        payloads = (*self.payloads[:-1], encode_json(event))
        return replace(self, payloads=payloads, status=status, lost=lost)


def with_heartbeats(body: bytes) -> bytes:
    """The same stream, with a heartbeat before each block."""
    blocks = body.split(b"\n\n")
    return b"\n\n".join([KEEP_ALIVE + block if block else b"" for block in blocks])


async def record(texts: int = len(TEXTS)) -> tuple[Log, bytes]:
    """Run ``research`` in an application; return its log and the body it has sent."""
    app = EventsApp(research, retry=RETRY)
    async with Client(app) as client:
        begun = await client.post("/research", json={"topic": "tea", "texts": texts})
        path = begun.headers["location"]
        body = (await client.get(f"{path}/events")).body
    start = STREAM_START + b"retry: %d\n" % RETRY
    assert body.startswith(start)
    *blocks, end, rest = body.removeprefix(start).split(b"\n\n")
    assert (end.splitlines()[0], rest) == (b"event: end", b"")
    split = [frames.split(block + b"\n\n") for block in blocks]
    name = path.rpartition("/")[2]
    return Log(name, tuple(payload for payload, _ in split)), body


def numbered(count: int) -> Iterator[bytes]:
    """The JSON of many events, one after the other, and of a terminal one."""
    start = {"address": "research", "timestamp": "2026-01-02T03:04:05Z"}
    for number in range(1, count):
        delta = f"{number} {TEXTS[number % len(TEXTS)]}"
        yield encode_json({"event_type": "text_delta", "delta": delta, **start})
    yield encode_json(
        {
            "event_type": "complete",
            "message": "Execution completed successfully",
            **start,
            "address": "",
        }
    )
