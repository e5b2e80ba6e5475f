"""What the nemesis does, and when: a schedule that the seed decides."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from tests.nemesis import LEASE
from tests.nemesis.cluster import LETHAL, SQLiteFile, ValkeyServer, Worker
from tests.nemesis.judge import Judge

Fault: TypeAlias = Callable[[random.Random], Awaitable[str]]
"""Does something, undoes it after a while, and says what it was."""

_CLOCKS = (-8.0, 0.0, 8.0)  # seconds ahead; further apart than a lease


def schedule(
    faults: list[Fault], seconds: float, seed: int
) -> Iterator[tuple[float, Fault, random.Random]]:
    """When to do what; the dice decide how, and are the same for the same seed."""
    dice = random.Random(seed)
    at = 2.0
    while at < seconds:
        yield at, dice.choice(faults), random.Random(dice.random())
        at += dice.uniform(1.0, 4.0)


class WorkerFaults:
    """What is done to processes."""

    def __init__(self, workers: list[Worker], judge: Judge) -> None:
        self._workers = workers
        self._judge = judge

    @property
    def all(self) -> list[Fault]:
        return [self.kill, self.pause, self.pause, self.restart]

    async def kill(self, dice: random.Random) -> str:
        worker, away = dice.choice(self._workers), dice.uniform(0, 2)
        async with worker.lock:
            await worker.kill()
            await asyncio.sleep(away)
            await worker.start()
        return f"killed worker {worker.number}, away for {away:.1f} s"

    async def pause(self, dice: random.Random) -> str:
        worker = dice.choice(self._workers)
        seconds = dice.choice([0.2, 1.0, LEASE, LEASE + 3])
        async with worker.lock:
            if seconds > LETHAL:
                self._judge.hurt(worker.pid)
            worker.signal(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            worker.signal(signal.SIGCONT)
        return f"stopped worker {worker.number} for {seconds} s"

    async def restart(self, dice: random.Random) -> str:
        worker = dice.choice(self._workers)
        async with worker.lock:
            await worker.stop()
            await worker.start()
        return f"restarted worker {worker.number}"


class SQLiteFaults:
    """What is done to a file."""

    def __init__(self, file: SQLiteFile, clock: Path, judge: Judge) -> None:
        self._file = file
        self._clock = clock
        self._judge = judge
        self._lock = asyncio.Lock()

    @property
    def all(self) -> list[Fault]:
        faults: list[Fault]
        faults = [self.hold, self.hold, self.checkpoint, self.step_clock, self.replace]
        faults += [self.remove]
        if self._file.can_be_filled:
            faults.append(self.fill)
        return faults

    async def hold(self, dice: random.Random) -> str:
        seconds = dice.choice([0.5, 1.5, LEASE, LEASE + 2])
        async with self._lock:
            release = await asyncio.to_thread(self._file.hold)
            await asyncio.sleep(seconds)
            release()
        return f"held the lock for {seconds} s"

    async def checkpoint(self, dice: random.Random) -> str:
        await asyncio.to_thread(self._file.checkpoint)
        return "checkpointed"

    async def step_clock(self, dice: random.Random) -> str:
        ahead = dice.choice(_CLOCKS)
        self._judge.clock_spread = max(_CLOCKS) - min(_CLOCKS)
        temporary = self._clock.with_suffix(".new")
        temporary.write_text(str(ahead))
        temporary.rename(self._clock)
        return f"set the clock to {ahead:+g} s"

    async def replace(self, dice: random.Random) -> str:
        seconds = dice.uniform(0.2, 2)
        async with self._lock:
            since = time.monotonic()
            copy = await asyncio.to_thread(self._file.copy)
            await asyncio.sleep(seconds)
            self._file.replace(copy)
            self._judge.rolled_back(since)
        return f"put the file back by {seconds:.1f} s"

    async def remove(self, dice: random.Random) -> str:
        async with self._lock:
            self._file.remove()
            self._judge.rolled_back(0)
        return "deleted the file"

    async def fill(self, dice: random.Random) -> str:
        seconds = dice.choice([0.5, 2.0, LEASE + 2])
        async with self._lock:
            make_room = await asyncio.to_thread(self._file.fill)
            await asyncio.sleep(seconds)
            make_room()
        return f"filled the disk for {seconds} s"


class ValkeyFaults:
    """What is done to a server and to the links that lead there."""

    def __init__(
        self, store: ValkeyServer, workers: list[Worker], judge: Judge
    ) -> None:
        self._store = store
        self._workers = workers
        self._judge = judge
        self._lock = asyncio.Lock()

    @property
    def all(self) -> list[Fault]:
        links = [self.cut, self.delay, self.swallow, self.disconnect]
        server = [self.kill, self.pause, self.fill, self.roll_back, self.rotate]
        return [*links, *server, self.flush_scripts, self.kill_clients, self.forbid]

    async def cut(self, dice: random.Random) -> str:
        number = dice.randrange(len(self._workers))
        self._store.links[number].cut()
        return f"cut link {number}"

    async def delay(self, dice: random.Random) -> str:
        number = dice.randrange(len(self._workers))
        link, delay = self._store.links[number], dice.uniform(0.2, 0.8)
        link.delay = delay
        await asyncio.sleep(4)
        link.delay = 0.0
        return f"delayed replies on link {number} by {delay:.1f} s"

    async def swallow(self, dice: random.Random) -> str:
        number, seconds = dice.randrange(len(self._workers)), dice.uniform(0.3, 4)
        link, worker = self._store.links[number], self._workers[number]
        async with worker.lock:
            self._judge.hurt(worker.pid)  # its next try may come seconds later
            link.swallows = True
            await asyncio.sleep(seconds)
            link.swallows = False
            link.cut()
        return f"swallowed replies on link {number} for {seconds:.1f} s"

    async def disconnect(self, dice: random.Random) -> str:
        number, seconds = dice.randrange(len(self._workers)), dice.uniform(0.3, 4)
        link, worker = self._store.links[number], self._workers[number]
        async with worker.lock:
            if seconds > LETHAL / 2:
                self._judge.hurt(worker.pid)
            link.down = True
            link.cut()
            await asyncio.sleep(seconds)
            link.down = False
        return f"took link {number} down for {seconds:.1f} s"

    async def kill(self, dice: random.Random) -> str:
        seconds = dice.uniform(0, LEASE + 2)
        async with self._lock:
            self._store.server.kill()
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self._store.server.start)
        return f"killed the server, away for {seconds:.1f} s"

    async def pause(self, dice: random.Random) -> str:
        seconds = dice.choice([0.5, 1.5, LEASE, LEASE + 3])
        async with self._lock:
            self._store.server.pause()
            await asyncio.sleep(seconds)
            self._store.server.resume()
        return f"stopped the server for {seconds} s"

    async def fill(self, dice: random.Random) -> str:
        seconds = dice.choice([0.5, 2.0, LEASE + 2])
        async with self._lock:
            await self._store.ask("CONFIG", "SET", "maxmemory", "1mb")
            await asyncio.sleep(seconds)
            await self._store.ask("CONFIG", "SET", "maxmemory", "0")
        return f"filled the server for {seconds} s"

    async def roll_back(self, dice: random.Random) -> str:
        seconds = dice.uniform(0.2, 1.5)
        async with self._lock:
            written, since = self._store.written, time.monotonic()
            size = written.stat().st_size
            await asyncio.sleep(seconds)
            self._store.server.kill()
            os.truncate(written, size)
            self._judge.rolled_back(since - 2)  # AOF is written by and by
            await asyncio.to_thread(self._store.server.start)
        return f"put the server back by {seconds:.1f} s"

    async def rotate(self, dice: random.Random) -> str:
        seconds = dice.uniform(0.5, 2)
        async with self._lock:
            await self._store.ask("CONFIG", "SET", "requirepass", "secret")
            await self._store.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            await asyncio.sleep(seconds)
            await self._store.let_in("secret")
        return f"had another password for {seconds:.1f} s"

    async def forbid(self, dice: random.Random) -> str:
        seconds = dice.uniform(0.5, 2)
        async with self._lock:
            await self._store.ask("ACL", "SETUSER", "default", "-xadd")
            await asyncio.sleep(seconds)
            await self._store.ask("ACL", "SETUSER", "default", "+xadd")
        return f"forbade XADD for {seconds:.1f} s"

    async def flush_scripts(self, dice: random.Random) -> str:
        await self._store.ask("SCRIPT", "FLUSH")
        return "flushed the scripts"

    async def kill_clients(self, dice: random.Random) -> str:
        await self._store.ask("CLIENT", "KILL", "TYPE", "normal")
        return "killed all connections"
