"""What do the start and the end of an execution cost?

    python -m benchmarks.start_end [ROUNDS] [CHECKOUT]

Microseconds of CPU of this process, with the thread of the store, from
``executions.start`` until the execution has ended. The actor is a coroutine function
that publishes nothing, or one event. One execution runs at a time, or a hundred start
together. SQLite waits for no disk. Of an older ``CHECKOUT`` the same is measured in
turn with this one.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path
from statistics import median
from time import process_time

from asgi_events import Executions, current_state, tool
from asgi_events.executions.options import ExecutionsOptions
from benchmarks.report import machine

EXECUTIONS = 1000
HERE = Path(__file__).parent.parent


@tool
async def silent() -> None:
    pass


@tool
async def one_event() -> None:
    await current_state().log("one")


async def cost(url: str | None, actor: str, together: int) -> float:
    options: ExecutionsOptions = {} if url is None else {"store": url}
    async with Executions(silent, one_event, **options) as executions:

        async def run() -> None:
            await (await executions.start(actor, owner="ann")).wait()

        async def run_all(count: int) -> None:
            for _ in range(count // together):
                await asyncio.gather(*[run() for _ in range(together)])

        await run_all(EXECUTIONS // 5)  # warm up
        gc.collect()
        began = process_time()
        await run_all(EXECUTIONS)
        return (process_time() - began) / EXECUTIONS * 1e6


def costs() -> dict[str, float]:
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for actor, together in product(("silent", "one_event"), (1, 100)):
            url = f"sqlite:///{folder}/{actor}{together}.db?synchronous=normal"
            for name, store in (("memory", None), ("SQLite", url)):
                took = asyncio.run(cost(store, actor, together))
                found[f"{name}, {actor}, {together} together"] = took
    return found


def costs_of(checkout: Path) -> dict[str, float]:
    """The same in a process of its own, with the package of a checkout."""
    done = subprocess.run(
        [sys.executable, "-P", __file__],
        env=os.environ | {"PYTHONPATH": str(checkout)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # SQLite may warn
        text=True,
        check=True,
    )
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def compare(rounds: int, older: Path | None) -> None:
    new: list[dict[str, float]] = []
    old: list[dict[str, float]] = []
    for _ in range(rounds):
        if older is not None:
            old.append(costs_of(older))
        new.append(costs_of(HERE))
    for name in new[0]:
        now = median(each[name] for each in new)
        print(f"{name:32} {now:7.0f} us", end="")
        if old:
            pairs = zip(old, new, strict=True)
            ratio = median(n[name] / o[name] for o, n in pairs)
            before = median(each[name] for each in old)
            print(f"  before {before:7.0f} us, ratio {ratio:.2f}", end="")
        print()


if __name__ == "__main__":
    if __package__:
        machine()
        older = Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else None
        compare(int(sys.argv[1]) if len(sys.argv) > 1 else 5, older)
    else:
        print(json.dumps(costs()))
