"""What does a viewer cost in another format than the native one?

    python -m benchmarks.formats [--rounds N]

It runs in one process. ``send`` writes a chunk to a socket, which is the least that a
server does; another process reads it. For 1,000 viewers it does nothing. One execution
without a store streams tokens, and calls a tool after every 40th. It prints CPU time
per event, and the ratios to the native format, of runs in turn:

* woken: one viewer; each event is published when the last one has been sent
* burst: one viewer; all events are published without waiting for anything
* fan-out: 1,000 viewers; each turn of the loop publishes one event

``whole`` counts the actor and the publishing as well, ``viewer`` only what is more than
a run without viewers.
"""

import argparse
import asyncio
import socket
import statistics
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from time import thread_time
from typing import Any

import uvloop

from asgi_events import ExecutionResponse, Executions, agent, current_state, tool
from asgi_events.executions.execution import Execution
from asgi_events.wire.ag_ui import AGUIFormat
from asgi_events.wire.formats import Format
from asgi_events.wire.vercel_ai import VercelAIFormat
from benchmarks.report import machine

Make = Callable[[Execution], Callable[[], Format] | None]

FORMATS: dict[str, Make] = {
    "native": lambda execution: None,
    "AI SDK": lambda execution: partial(VercelAIFormat, execution.id),
    "AG-UI": lambda execution: partial(AGUIFormat, execution.id, "thread"),
}
WORKLOADS = {"woken": (1, 4_000), "burst": (1, 20_000), "fan-out": (1_000, 400)}
_TOOL_EVERY = 40

sends = 0
pause: Callable[[], Any]


@tool
async def weather(city: str) -> str:
    """A tool that answers at once."""
    await pause()
    return f"It is raining in {city}."


@agent
async def answer(count: int) -> None:
    """Stream ``count`` tokens and call a tool now and then."""
    text = current_state().text
    for number in range(count):
        await text(f"token {number} ")
        await pause()
        if number % _TOOL_EVERY == 0:
            await weather("Ghent")
            await pause()


async def _sent() -> None:
    """Wait until the viewer has been sent something, for a few turns at most."""
    before = sends
    for _ in range(5):
        if sends != before:
            return
        await asyncio.sleep(0)


async def _nothing() -> None:
    pass


async def _turn() -> None:
    await asyncio.sleep(0)


PAUSES = {"woken": _sent, "burst": _nothing, "fan-out": _turn}


@asynccontextmanager
async def sending(viewers: int) -> AsyncIterator[Callable[[Any], Any]]:
    """The ``send`` of all viewers."""
    ours, theirs = socket.socketpair()
    with (
        ours,
        theirs,
        subprocess.Popen(  # noqa: ASYNC220, it only starts
            ["cat"], stdin=theirs, stdout=subprocess.DEVNULL
        ) as reader,
    ):
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)

        async def send(message: Any) -> None:
            global sends
            sends += 1
            body = message.get("body")
            if body and viewers == 1:
                transport.write(b"%x\r\n%b\r\n" % (len(body), body))

        yield send
        transport.close()
        theirs.close()
        reader.terminate()


async def _receive() -> Any:
    await asyncio.Event().wait()


async def measure(workload: str, make: Make | None) -> float:
    """Return the CPU seconds of one event; ``make`` is None for no viewer."""
    global pause
    pause = PAUSES[workload] if make is not None else _turn
    if workload == "burst":
        pause = _nothing
    viewers, count = WORKLOADS[workload]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "headers": [],
        "query_string": b"",
        "asgi": {"spec_version": "2.4"},
    }
    async with (
        sending(viewers) as send,
        Executions(answer, handle_signals=False) as executions,
    ):
        began = thread_time()
        execution = await executions.start(answer, {"count": count})
        streams: list[asyncio.Task[None]] = []
        if make is not None:
            response = partial(ExecutionResponse, execution, format=make(execution))
            streams = [
                asyncio.create_task(response()(scope, _receive, send))
                for _ in range(viewers)
            ]
        await execution.wait()
        await asyncio.gather(*streams)
        return (thread_time() - began) / execution.log.last


def show(workload: str, rounds: int) -> None:
    """Measure all formats in turn, and print a line for each."""
    viewers, _ = WORKLOADS[workload]
    taken: dict[str, list[float]] = {name: [] for name in ("none", *FORMATS)}
    for round in range(rounds + 1):  # the first warms up
        for name in taken:
            seconds = uvloop.run(measure(workload, FORMATS.get(name)))
            if round:
                taken[name].append(seconds)
    base = taken["none"]
    for name in FORMATS:
        pairs = list(zip(taken[name], taken["native"], base, strict=True))
        whole = [each / native for each, native, _ in pairs]
        viewer = [(each - none) / (native - none) for each, native, none in pairs]
        us = statistics.median(taken[name]) * 1e6
        print(
            f"{workload:8} {viewers:5} viewers  {name:8} {us:9.2f} us an event"
            f"  whole {_ratio(whole)}  viewer {_ratio(viewer)}",
            flush=True,
        )


def _ratio(ratios: list[float]) -> str:
    middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
    return f"{middle:5.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    machine("uvloop")
    for workload in WORKLOADS:
        show(workload, asked.rounds)
