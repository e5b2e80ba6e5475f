"""Those who start, watch, and read again."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence

from asgi_events.wire.sse import Decoder
from tests.nemesis import RETENTION
from tests.nemesis.judge import Judge, Sight, Walk
from tests.nemesis.web import Body, asked

_PATIENCE = 0.3  # seconds between two tries
_QUIET = 8.0  # seconds without a byte until a client takes its connection for dead


class Clients:
    """Everybody who uses the workers.

    Args:
        ports: Of the workers.
        judge: Who is told what they see.
        dice: What they decide by.
    """

    def __init__(self, ports: Sequence[int], judge: Judge, dice: random.Random) -> None:
        self._ports = ports
        self._judge = judge
        self._dice = dice
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0
        self.waiting: set[Sight] = set()  # viewers that have no end yet

    def go(self) -> None:
        """Begin one more execution, with all that happens around it."""
        self._count += 1
        walk = Walk(f"key-{self._count}")
        self._judge.walks[walk.key] = walk
        task = asyncio.create_task(self._live(walk))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def finish(self, timeout: float) -> None:
        """Wait for all of them; who takes longer is named."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=timeout)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        for sight in self.waiting:
            self._judge.accuse(
                f"{sight.id} ({sight.walk.key}) never ended for a viewer at "
                f"{sight.last_event_id}, {sight.connections} connections"
            )

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._judge.accuse(f"a client failed: {error!r}")

    async def _live(self, walk: Walk) -> None:
        dice = random.Random(self._dice.random())
        body = json.dumps(
            {
                "key": walk.key,
                "steps": dice.randint(5, 40),
                "pace": dice.choice([0.02, 0.1, 0.2]),
                "size": dice.choice([10, 10, 10, 1000, 200_000]),
            }
        ).encode()
        askers = dice.choice([1, 1, 2, 3])
        ports = dice.sample(self._ports, askers)
        await asyncio.gather(*(self._start(walk, body, port) for port in ports))
        if not walk.ids:
            return
        [id, *_] = walk.ids
        async with asyncio.TaskGroup() as group:
            for _ in range(dice.randint(1, 3)):
                group.create_task(self._watch(Sight(walk, id), dice))
            if dice.random() < 0.5:
                group.create_task(self._again(walk, body, dice.uniform(0, 8)))
        if dice.random() < 0.5:
            await asyncio.sleep(dice.uniform(0, RETENTION / 2))
            await self._watch(Sight(walk, id), dice)
        if dice.random() < 0.3:
            await self._again(walk, body, dice.uniform(0, RETENTION * 1.5))

    async def _start(self, walk: Walk, body: bytes, port: int) -> None:
        """Ask until there is an answer, as a client does that is unsure."""
        headers = {"idempotency-key": walk.key}
        loop = asyncio.get_running_loop()
        walk.started = walk.started or loop.time()
        for attempt in range(60):
            try:
                async with asked(port, "POST", "/walk", headers, body) as answer:
                    status, told_in = answer
                    if status in (200, 202):
                        told = json.loads(await told_in.whole())
                        self._judge.started(walk, told["id"])
                        return
                    if status == 410:  # it has ended, and is not kept any more
                        return
                    if status not in (429, 503):
                        text = (await told_in.whole()).decode()
                        self._judge.accuse(f"{walk.key}: POST {status} {text}")
                        return
            except OSError:
                pass
            await asyncio.sleep(_PATIENCE)
            port = self._ports[(self._ports.index(port) + attempt) % len(self._ports)]

    async def _again(self, walk: Walk, body: bytes, delay: float) -> None:
        await asyncio.sleep(delay)
        await self._start(walk, body, random.choice(self._ports))

    async def _watch(self, sight: Sight, dice: random.Random) -> None:
        """Follow it to its end, over as many connections as it takes."""
        self.waiting.add(sight)
        while sight.end is None:
            try:
                if await self._connect(sight, dice):
                    break
            except OSError:
                pass
            await asyncio.sleep(_PATIENCE)
        self.waiting.discard(sight)

    async def _connect(self, sight: Sight, dice: random.Random) -> bool:
        """One connection; whether there is nothing to come back for."""
        headers = {}
        if sight.last_event_id is not None:
            headers["last-event-id"] = sight.last_event_id
        path = f"/executions/{sight.id}/events"
        port = dice.choice(self._ports)
        leaves = dice.randint(1, 30) if dice.random() < 0.3 else None
        async with asked(port, "GET", path, headers) as (status, told):
            if status in (204, 404):
                return self._judge.turned_away(sight, status)
            if status != 200:
                return False
            sight.connections += 1
            self._judge.connections += 1
            decoder = Decoder()
            while chunk := await _read(told):
                for event in decoder.feed(chunk):
                    self._judge.saw(sight, event)
                    if sight.end is not None:
                        return True
                    if leaves is not None:
                        leaves -= 1
                if leaves is not None and leaves <= 0:
                    return False  # a tab that reloads
        return False


async def _read(body: Body) -> bytes:
    """What comes next; nothing when the connection ended, or is quiet for too long."""
    try:
        async with asyncio.timeout(_QUIET):
            return await body.read()
    except TimeoutError:
        return b""
