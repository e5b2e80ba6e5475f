"""Jobs of a worker that is not async: ``python -m tests.bridges.sync_jobs WHAT STORE``.

It is a process of its own, since the thread of the jobs stays as long as the process.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from asgi_events import Executions, tool
from asgi_events.bridges.queues import run_execution_sync
from tests import TIMEOUT


@tool
async def square(number: int) -> int:
    if number < 0:
        raise ArithmeticError("negative")
    return number * number


@tool
async def forever() -> None:
    """Say so, and never return."""
    print("runs", flush=True)
    await asyncio.Event().wait()


def returns(executions: Executions) -> None:
    """Run jobs in this thread and in others, and print what comes of them."""

    def run(number: int) -> int:
        return run_execution_sync(
            executions, square, {"number": number}, id=f"job-of-{number}"
        )

    with ThreadPoolExecutor() as pool:
        print([run(2), *pool.map(run, range(3, 20))])
    try:
        run(-1)
    except ArithmeticError as error:
        print("raised", error)
    names = [thread.name for thread in threading.enumerate()]
    print(names.count("asgi_events jobs"))


def in_loop(executions: Executions) -> None:
    """Use it where an event loop runs."""

    async def block() -> None:
        run_execution_sync(executions, square, {"number": 2}, id="job")

    try:
        asyncio.run(block())
    except RuntimeError as error:
        print(error)


def waits(executions: Executions) -> None:
    """Run a job until something ends it."""
    try:
        run_execution_sync(executions, forever, id="job")
    except BaseException as error:
        print("raised", repr(error), flush=True)


def ignores(executions: Executions) -> None:
    """Likewise, where SIGTERM has a handler already."""
    signal.signal(signal.SIGTERM, lambda *_: print("heard", flush=True))
    waits(executions)


def forks(executions: Executions) -> None:
    """Run a job in this process, and then in processes that are forked off it."""
    print(run_execution_sync(Executions(square), square, {"number": 5}, id="job"))
    sys.stdout.flush()
    for number in range(3):
        pid = os.fork()
        if not pid:
            signal.alarm(round(TIMEOUT))
            job = run_execution_sync(
                executions, square, {"number": number}, id=f"job-{number}"
            )
            print(job, flush=True)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        assert status == 0


def main(what: str, url: str) -> None:
    known: list[Callable[[Executions], None]] = [
        returns,
        in_loop,
        waits,
        ignores,
        forks,
    ]
    # SQLite before 3.51.3 is warned of.
    logging.getLogger("asgi_events.stores").setLevel(logging.ERROR)
    executions = Executions(square, forever, store=url, error_message=str)
    {call.__name__: call for call in known}[what](executions)


if __name__ == "__main__":
    main(*sys.argv[1:])
