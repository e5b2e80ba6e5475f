"""What does a bridge cost for each event of its framework?

    python -m benchmarks.bridges [NAME …] [--rounds N]

It runs the same work of a framework, with a fake model, with and without the bridge:
inside an execution without a store that nobody watches, and outside of executions. It
prints the microseconds that an event of the framework takes without the bridge, and how
many more it takes with it, as medians of the differences of neighbouring runs.

To add a framework, add a function to ``FRAMEWORKS``, by the name of its package. It
returns a coroutine function that takes whether the bridge is on, runs the work once,
and returns how many events that were.
"""

import argparse
import asyncio
import gc
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable
from time import process_time

from asgi_events import Executions, agent
from benchmarks.report import machine

Work = Callable[[bool], Awaitable[int]]

EVENTS = 100


def pydantic_ai() -> Work:
    """A streamed answer; an event is one of those that the framework streams."""
    from pydantic_ai import Agent
    from pydantic_ai.models.function import FunctionModel

    from asgi_events.bridges.pydantic_ai import PydanticAIEvents

    async def answer(messages: object, info: object) -> AsyncIterator[str]:
        for _ in range(EVENTS):
            yield "word "

    guide = Agent(FunctionModel(stream_function=answer))
    events = PydanticAIEvents()

    async def work(with_bridge: bool) -> int:
        capabilities = [events] if with_bridge else None
        count = 0
        async with guide.run_stream_events("hi", capabilities=capabilities) as stream:
            async for _ in stream:
                count += 1
        return count

    return work


FRAMEWORKS: dict[str, Callable[[], Work]] = {"pydantic-ai-slim": pydantic_ai}


async def compare(work: Work, rounds: int) -> tuple[float, float]:
    """Return the time of an event alone, and what the bridge adds, in us."""
    alone, added = [], []
    for _ in range(rounds + 1):  # the first warms up
        times = []
        for with_bridge in (False, True):
            gc.collect()
            began = process_time()
            events = await work(with_bridge)
            times.append(1e6 * (process_time() - began) / events)
        alone.append(times[0])
        added.append(times[1] - times[0])
    return statistics.median(alone[1:]), statistics.median(added[1:])


async def measure(name: str, rounds: int) -> None:
    work = FRAMEWORKS[name]()
    found: list[tuple[float, float]] = []

    @agent
    async def inside() -> None:
        found.append(await compare(work, rounds))

    executions = Executions(inside)
    await (await executions.start(inside)).wait()
    await executions.drain(0)
    found.append(await compare(work, rounds))
    (alone, added), (_, outside) = found
    print(f"{name:17} alone {alone:7.2f}  adds {added:6.2f}  outside {outside:6.2f} us")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", default=FRAMEWORKS, metavar="NAME")
    parser.add_argument("--rounds", type=int, default=30)
    asked = parser.parse_args()
    machine(*asked.names)
    for name in asked.names:
        asyncio.run(measure(name, asked.rounds))


if __name__ == "__main__":
    main()
