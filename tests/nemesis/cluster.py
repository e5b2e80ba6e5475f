"""The workers and the store they share, and what can be done to them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, closing, suppress
from pathlib import Path
from typing import Self

import redis

from tests.nemesis import LEASE
from tests.nemesis.judge import Judge
from tests.nemesis.link import Link
from tests.nemesis.web import asked
from tests.servers import ROOT
from tests.valkey import Valkey

WORKERS = 3
_READY = 30.0  # seconds for a worker to answer
_EXIT = 20.0  # seconds for a worker that was told to stop while its store is away

# Silence for which a writer may rightly be taken for dead: a lease, less what has
# passed since its last sign of life.
LETHAL = LEASE * 0.6  # seconds


class Worker:
    """A server process, on the same port each time it is started."""

    def __init__(self, number: int, directory: Path, judge: Judge) -> None:
        self.number = number
        self.port = 0
        self.url = ""
        self.lock = asyncio.Lock()
        self._directory = directory
        self._judge = judge
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> Path:
        return self._directory / f"worker-{self.number}.log"

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        environment = os.environ | {
            "NEMESIS_STORE": self.url,
            "NEMESIS_RUNS": str(self._directory / "runs"),
            "NEMESIS_CLOCK": str(self._directory / "clock"),
        }
        command = [sys.executable, "-m", "uvicorn", "tests.nemesis.worker:counted"]
        command += ["--host=127.0.0.1", f"--port={self.port}", "--no-access-log"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - it takes a millisecond
                command, cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        async with asyncio.timeout(_READY):
            while await self.left() is None:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)

    async def left(self) -> dict[str, int] | None:
        """What it says is left in it; None when it does not answer."""
        try:
            async with asked(self.port, "GET", "/left") as (_, told):
                left: dict[str, int] = json.loads(await told.whole())
                return left
        except OSError:
            return None

    async def listed(self) -> list[tuple[str, str]] | None:
        """The executions it lists; None when it does not answer."""
        try:
            async with asked(self.port, "GET", "/list") as (status, told):
                text = await told.whole()
                if status != 200:
                    return None
                return [(id, status) for id, status in json.loads(text)]
        except (OSError, ValueError):  # the connection broke
            return None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def kill(self) -> None:
        """End it without a word."""
        if self._process is not None:
            self._judge.hurt(self.pid)
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    async def stop(self) -> None:
        """Tell it to stop, and wait until it has."""
        assert self._process is not None
        self._judge.told_to_stop(self.pid)
        self.signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(self._process.wait, _EXIT)
        except subprocess.TimeoutExpired:
            self._judge.accuse(f"worker {self.pid} runs {_EXIT:g} s after SIGTERM")
            await self.kill()


class SQLiteFile:
    """The store in a file.

    Attributes:
        path: The file.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "store"
        self.directory.mkdir()
        self.path = self.directory / "events.db"
        self._is_mounted = False

    def __enter__(self) -> Self:
        # A file system of its own can be filled without filling the machine's.
        path = str(self.directory)
        command = ["mount", "-t", "tmpfs", "-o", "size=512m", "nemesis", path]
        done = subprocess.run(command, stderr=subprocess.DEVNULL)
        self._is_mounted = done.returncode == 0
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_mounted:
            subprocess.run(["umount", "-l", self.directory], check=True)

    @property
    def can_be_filled(self) -> bool:
        return self._is_mounted

    def url(self, worker: int) -> str:
        return f"sqlite:///{self.path}?synchronous=normal"

    def hold(self) -> Callable[[], None]:
        """Take its lock, as another program might; what gives it back."""
        db = sqlite3.connect(self.path, timeout=10, check_same_thread=False)
        db.execute("BEGIN EXCLUSIVE")
        return db.close

    def checkpoint(self) -> None:
        """Do as another program that has the file open."""
        with suppress(sqlite3.Error), closing(sqlite3.connect(self.path)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def copy(self) -> Path:
        """A copy of the file as it stands."""
        path = self.directory / "copy.db"
        path.unlink(missing_ok=True)
        with (
            closing(sqlite3.connect(self.path, timeout=10)) as db,
            closing(sqlite3.connect(path)) as copied,
        ):
            db.backup(copied)
        return path

    def remove(self) -> None:
        """Delete it, under those who have it open."""
        for suffix in ("-wal", "-shm", ""):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def replace(self, copy: Path) -> None:
        """Put a copy in its place."""
        self.remove()
        copy.rename(self.path)

    def fill(self) -> Callable[[], None]:
        """Leave no room on its disk; what makes room again."""
        filler = self.directory / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 20))
        return lambda: filler.unlink(missing_ok=True)


class ValkeyServer:
    """The store on a server, with a link for each worker.

    Attributes:
        server: The process.
        links: One for each worker.
    """

    def __init__(self) -> None:
        self.server = Valkey(
            appendfsync="everysec",
            auto_aof_rewrite_percentage="0",  # so that its file can be cut short
            maxmemory_policy="noeviction",
        )
        self.links: list[Link] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._stack.enter_context(self.server)
        for _ in range(WORKERS):
            link = await self._stack.enter_async_context(Link(self.server.port))
            self.links.append(link)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def url(self, worker: int) -> str:
        return f"redis://127.0.0.1:{self.links[worker].port}/0"

    async def ask(self, *command: str | int) -> None:
        """Have the server do something, if it can be asked at all."""

        def ask() -> None:
            with suppress(Exception), self.server.client() as client:
                client.execute_command(*command)

        await asyncio.to_thread(ask)

    async def let_in(self, password: str) -> None:
        """Ask for no password again."""

        def ask() -> None:
            with redis.Redis(port=self.server.port, password=password) as client:
                client.execute_command("CONFIG", "SET", "requirepass", "")

        await asyncio.to_thread(ask)

    @property
    def written(self) -> Path:
        """The file to which it appends."""
        directory = Path(self.server.directory, "appendonlydir")
        return max(directory.glob("*.incr.aof"), key=lambda path: path.stat().st_mtime)
