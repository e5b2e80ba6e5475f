"""Starts executions in forked processes: ``python -m tests.forking STORE_URL FILE``."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from asgi_events import Executions
from tests.process_apps import mark

TIMEOUT = 10  # seconds


async def start(executions: Executions, path: str) -> None:
    """Start an actor that writes a line, once by a key and once by an id."""
    async with executions:
        for name, how in (("key", "idempotency_key"), ("id", "id")):
            given = {"path": path, "text": name}
            execution = await executions.start(mark, given, **{how: "job-1"})
            await execution.wait()


def main(url: str, path: str) -> None:
    """Fork four processes that share one ``Executions``, and start in each."""
    executions = Executions(mark, store=url)
    children = []
    for _ in range(4):
        pid = os.fork()
        if not pid:
            signal.alarm(TIMEOUT)
            asyncio.run(start(executions, path))
            os._exit(0)
        children.append(pid)
    for pid in children:
        _, status = os.waitpid(pid, 0)
        assert status == 0


if __name__ == "__main__":
    main(*sys.argv[1:])
