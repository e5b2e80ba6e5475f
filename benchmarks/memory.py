"""How much memory does a process take that has run many executions?

    python -m benchmarks.memory short|long|flood [count] [--store URL]

* short: executions that return ``"x"``, four at a time
* long: executions that return 100 KiB, four at a time
* flood: ``count`` executions at once, each of which publishes 50,000 events of 1 KB

The figures are the resident memory of the process. Without ``--store`` the events are
in it. For "flood" it is the peak.
"""

import argparse
import asyncio

from asgi_events import Executions, agent, current_state
from benchmarks.growth import resident
from benchmarks.report import machine

COUNTS = {"short": 160_000, "long": 8_000, "flood": 100}
AT_ONCE = 4
STEPS = 8  # lines that are printed


@agent
async def short() -> str:
    return "x"


@agent
async def long() -> str:
    return "y" * 100 * 1024


@agent
async def flood() -> None:
    for _ in range(50_000):
        await current_state().text("z" * 1_000)


def mebibytes() -> float:
    return resident() / 2**20


async def in_turn(executions: Executions, actor: str, count: int) -> None:
    """Run that many, a few at a time, and print the memory now and then."""

    async def run(count: int) -> None:
        for _ in range(count):
            await (await executions.start(actor)).wait()

    print(f"{0:9,} executions {mebibytes():6.0f} MiB")
    for step in range(1, STEPS + 1):
        each = count // STEPS // AT_ONCE
        await asyncio.gather(*(run(each) for _ in range(AT_ONCE)))
        print(f"{step * each * AT_ONCE:9,} executions {mebibytes():6.0f} MiB")


async def at_once(executions: Executions, count: int) -> None:
    """Run that many at the same time, and print the peak."""
    started = [await executions.start(flood) for _ in range(count)]
    ended = asyncio.gather(*(execution.wait() for execution in started))
    peak = 0.0
    while not ended.done():
        peak = max(peak, mebibytes())
        await asyncio.wait({ended}, timeout=0.1)
    print(f"{count:9,} floods {peak:10.0f} MiB at most")


async def main(what: str, count: int, store: str | None) -> None:
    machine()
    options = {} if store is None else {"store": store}
    async with Executions(short, long, flood, max_executions=None, **options) as all:
        if what == "flood":
            await at_once(all, count)
        else:
            await in_turn(all, what, count)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=list(COUNTS))
    parser.add_argument("count", type=int, nargs="?")
    parser.add_argument("--store")
    asked = parser.parse_args()
    asyncio.run(main(asked.what, asked.count or COUNTS[asked.what], asked.store))
