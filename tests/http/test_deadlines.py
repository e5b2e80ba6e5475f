"""When streams act although no frame comes, in virtual time."""

import asyncio

from asgi_events.http.deadlines import Deadlines
from asgi_events.testing.clock import virtual_time

INTERVAL = 15.0  # seconds
SLOT = 0.025  # seconds: how late a look may come


class Stream:
    """A stream that sends its heartbeats at once, and notes when."""

    def __init__(self, max_duration: float | None = None) -> None:
        self.beats: list[float] = []
        self.ends: list[float] = []
        self.deadlines = Deadlines(
            heartbeat_interval=INTERVAL, send_timeout=30.0, max_duration=max_duration
        )
        self.deadlines.start(self)

    async def send_until(self, end: float) -> None:
        """Send one message after the other, so that every look comes in a send."""
        loop, deadlines = asyncio.get_running_loop(), self.deadlines
        while loop.time() < end:
            deadlines.last_sent = deadlines.sending_since = loop.time()
            await asyncio.sleep(0.1)
        deadlines.sending_since = None

    def wake(self) -> None:
        self.deadlines.last_sent = asyncio.get_running_loop().time()
        self.deadlines.beat = False
        self.beats.append(self.deadlines.last_sent)

    def expire(self) -> None:
        self.ends.append(asyncio.get_running_loop().time())

    def drop(self) -> None:
        raise AssertionError("it sends nothing for long")


async def test_lets_the_heartbeats_of_many_streams_fall_together() -> None:
    with virtual_time():
        streams = []
        for _ in range(2_000):
            streams.append(Stream())
            await asyncio.sleep(0.003)
        await asyncio.sleep(10 * INTERVAL)
        for stream in streams:
            stream.deadlines.stop()
    # Within 6 s there are 240 slots of the timer wheel, and 60 tenths of a second.
    turns = {beat for stream in streams for beat in stream.beats[1:]}
    assert len(turns) < 9 * 140


async def test_ends_in_time_if_a_send_is_under_way_when_it_looks() -> None:
    with virtual_time():
        began = asyncio.get_running_loop().time()
        stream = Stream(max_duration=5.0)
        await stream.send_until(began + 4.0)
        await asyncio.sleep(60)
        stream.deadlines.stop()
    (end,) = stream.ends
    assert 4.5 <= end - began <= 5.0 + SLOT


async def test_sends_a_heartbeat_in_time_if_a_send_is_under_way_when_it_looks() -> None:
    with virtual_time():
        stream = Stream()
        await stream.send_until(asyncio.get_running_loop().time() + INTERVAL)
        last = stream.deadlines.last_sent
        await asyncio.sleep(60)
        stream.deadlines.stop()
    assert INTERVAL <= stream.beats[0] - last <= INTERVAL + 0.125 + SLOT


async def test_sends_a_heartbeat_at_most_an_eighth_of_a_second_late() -> None:
    with virtual_time():
        streams = [Stream() for _ in range(100)]
        await asyncio.sleep(20 * INTERVAL)
        for stream in streams:
            stream.deadlines.stop()
    pauses = [
        after - before
        for stream in streams
        for before, after in zip(stream.beats, stream.beats[1:], strict=False)
    ]
    assert min(pauses) >= INTERVAL
    assert max(pauses) <= INTERVAL + 0.125 + 1e-6
