"""Executions without a store, at random: each viewer's stream is whole."""

from __future__ import annotations

import asyncio
import random
import re

import pytest

from asgi_events import Executions, agent, current_state
from asgi_events.aio.waiter import Waiter
from asgi_events.exceptions import UnknownExecution
from asgi_events.log.cursor import Cursor
from tests import TIMEOUT
from tests.executions.scenes import Make

FRAME = re.compile(
    rb'event: (?P<word>\w+)\ndata: {[^\n]*?(?:"first":(?P<first>\d+))?}\n\n'
    rb'|data: {"event_type":"(?P<kind>\w+)"[^\n]*\nid: \w+:(?P<number>\d+)\n\n'
)


async def read(cursor: Cursor, chance: random.Random) -> bytes:
    """All that a viewer is given that takes a little at a time, with pauses."""
    waiter, body = Waiter(cursor.on_ready), b""
    while (chunk := cursor.take(limit=chance.choice([1, 200, 5000]))) is not None:
        body += chunk
        if not chunk:
            await waiter.sleep()
        elif chance.random() < 0.3:
            await asyncio.sleep(chance.choice([0, 0, 0.002]))
    cursor.close()
    return body


def check(body: bytes, after: int, ended: bool) -> None:
    """A stream counts on without holes, or says where; it has one end, its last."""
    expected, at = after + 1, 0
    body = body.removeprefix(b"retry: 3000\n")
    for match in FRAME.finditer(body):
        at += len(match[0])
        if match["word"] == b"reset":
            assert not ended
            expected = int(match["first"])
        elif match["word"] == b"end":
            assert ended
        else:
            assert (int(match["number"]), ended) == (expected, False)
            expected += 1
            ended = match["kind"] in (b"complete", b"error", b"cancelled")
    assert ended
    assert at == len(body)  # nothing else was sent


@pytest.mark.parametrize("seed", range(12))
async def test_gives_each_viewer_a_whole_stream(make: Make, seed: int) -> None:
    chance = random.Random(seed)

    @agent
    async def talk(events: int, size: int, ends: str) -> None:
        for number in range(events):
            await current_state().text("x" * (size * (number % 3)))
            if number % 7 == 0:
                await asyncio.sleep(0)
        if ends == "error":
            raise ValueError("so")
        if ends == "cancelled":
            await asyncio.Event().wait()

    executions = make(
        talk,
        max_events=chance.choice([1, 5, 50, 1000]),
        max_bytes=chance.choice([1, 2_000, 50_000]),
        max_retained_bytes=chance.choice([1, 10_000, 100_000]),
        retention=chance.choice([0.001, 0.01, 60.0]),
        cancel_after=None,
    )
    async with asyncio.timeout(3 * TIMEOUT), asyncio.TaskGroup() as group:
        for _ in range(30):
            group.create_task(_one(executions, group, chance))
            if chance.random() < 0.5:
                await asyncio.sleep(0)


async def _one(
    executions: Executions, group: asyncio.TaskGroup, chance: random.Random
) -> None:
    ends = chance.choice(["complete", "error", "cancelled"])
    given = {"events": chance.randrange(100), "size": chance.randrange(500)}
    execution = await executions.start("talk", given | {"ends": ends})
    for _ in range(chance.randrange(4)):
        newest = execution.log.last
        after = chance.choice([0, newest, newest // 2])
        last_event_id = f"{execution.id}:{after}" if after else None
        cursor = execution.watchers.attach(last_event_id)
        group.create_task(_watch(cursor, after, chance))
        await asyncio.sleep(0)
    if ends == "cancelled":
        await execution.cancel()
    assert await execution.wait() == {"complete": "completed", "error": "failed"}.get(
        ends, ends
    )
    try:
        again = await executions.get(execution.id)
    except UnknownExecution:
        return
    group.create_task(_watch(again.watchers.attach(), 0, chance))


async def _watch(cursor: Cursor, after: int, chance: random.Random) -> None:
    position = cursor.position  # of an id that is not the log's any more, 0
    ended = cursor.finished  # it has the terminal event
    check(await read(cursor, chance), position if after else 0, ended)
