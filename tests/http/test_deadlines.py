"""When streams act although no frame comes, in virtual time."""

import asyncio

from asgi_events.http.deadlines import Deadlines
from asgi_events.testing.clock import virtual_time

INTERVAL = 15.0  # seconds


class Stream:
    """A stream that sends its heartbeats at once, and notes when."""

    def __init__(self) -> None:
        self.beats: list[float] = []
        self.deadlines = Deadlines(
            heartbeat_interval=INTERVAL, send_timeout=30.0, max_duration=None
        )
        self.deadlines.start(self)

    def wake(self) -> None:
        self.deadlines.last_sent = asyncio.get_running_loop().time()
        self.deadlines.beat = False
        self.beats.append(self.deadlines.last_sent)

    def expire(self) -> None:
        raise AssertionError("it may last for any time")

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
