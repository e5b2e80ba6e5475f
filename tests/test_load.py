"""Many viewers that come and go, and what is left when they have gone."""

import asyncio
import gc
import random
import tracemalloc

from asgi_events import EventsApp, current_state, tool
from asgi_events.log.cursor import Cursor
from asgi_events.log.log import Log
from asgi_events.testing import Client, Connection

VIEWERS = 100
EVENTS = 800


@tool
async def count(to: int) -> None:
    state = current_state()
    for number in range(to):
        await state.progress(number, to)
        if number % 20 == 0:
            await asyncio.sleep(0.002)  # a while in all, to be joined in


async def watch(app: EventsApp, id: str, seed: int) -> tuple[list[int], int]:
    """The numbers a client sees that leaves at random places, and its connections."""
    draw = random.Random(seed)
    last_event_id = ""
    seen: list[int] = []
    connections = 0
    while True:
        connections += 1
        headers = {"last-event-id": last_event_id} if last_event_id else {}
        path = f"/executions/{id}/events"
        async with Connection(app, "GET", path, headers=headers) as connection:
            patience = draw.randint(1, 60)
            try:
                while patience:
                    event = await connection.event()
                    if event.id is not None:
                        last_event_id = event.id
                        seen.append(int(event.id.partition(":")[2]))
                    patience -= 1
            except EOFError:
                return seen, connections


async def run(viewers: int, events: int) -> int:
    """How many connections it took ``viewers`` to see all of one execution."""
    app = EventsApp(count, cancel_after=None)
    execution = await app.executions.start("count", {"to": events})
    results = await asyncio.gather(
        *(watch(app, execution.id, seed) for seed in range(viewers))
    )
    expected = list(range(1, events + 4))  # started, the events, completed, complete
    assert all(seen == expected for seen, _ in results)
    assert execution.viewers == 0
    assert (await Client(app).get(f"/executions/{execution.id}")).status == 200
    await app.executions.drain(0)
    return sum(connections for _, connections in results)


async def test_shows_many_viewers_all_events_once_over_many_reconnects() -> None:
    connections = await run(VIEWERS, EVENTS)

    assert connections > 10 * VIEWERS


def logs_and_cursors() -> int:
    """How many there are in this process, other tests' included."""
    gc.collect()
    return sum(isinstance(thing, Cursor | Log) for thing in gc.get_objects())


async def test_leaves_nothing_behind_when_its_viewers_have_gone() -> None:
    await run(20, 200)  # what is made once and kept is made now
    held = logs_and_cursors()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(5):
        await run(20, 200)
    assert logs_and_cursors() == held
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    # Each run held 200 frames of 130 bytes and made hundreds of connections.
    assert after - before < 50_000
