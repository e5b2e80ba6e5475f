"""What does the compiling of each module give?

    python -m benchmarks.modules [--rounds N] [--modules MODULE …]

The compiled package is 1. Each line is the package with one module left as it is, as
the ratio of pairs of runs, so 1.05 means that without this module an event costs 5 %
more. Modules whose classes are derived from each other are left together. The last line
is the package without any compiled module. What is measured is the path of an event in
one process, on uvloop, with a ``send`` that only counts:

* woken: from ``publish`` to ``send``, when the last event has been sent
* retained: the same, in an ``EventsApp``
* burst: the CPU time of 20,000 events of an ``EventsApp`` that nothing waits for
* SQLite: the same with a store, without the time of the store's own thread

A server adds 5 us to each event, whatever is compiled. Each build takes about a minute.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import thread_time
from typing import Any

import uvloop

from benchmarks.builds import ROOT, compiled
from benchmarks.client import beside
from benchmarks.path import EVENTS, events, viewed
from benchmarks.report import machine
from benchmarks.rivals import Bare, Retained, tick

COLUMNS = ("woken", "retained", "burst", "SQLite")
FAMILY = (
    "asgi_events/log/log.py",
    "asgi_events/log/stored.py",
    "asgi_events/wire/window.py",
)
_MODULE = re.compile(r'"(asgi_events/\S+\.py)"')
_CHILD = "from benchmarks.modules import tell; tell()"


def modules() -> list[str]:
    """Return the modules that ``setup.py`` compiles."""
    return _MODULE.findall((ROOT / "setup.py").read_text())


async def woken(make: Callable[[], Any]) -> float:
    """Return the us of an event, from ``publish`` until it was sent."""
    for _ in range(2):  # the first warms up
        steps = await events(make())
    return sum(statistics.median(step) for step in steps) / 1e3


async def burst(**options: Any) -> float:
    """Return the us of CPU time of an event that is published without a pause."""
    for _ in range(2):
        rival = Retained(max_events=2 * EVENTS, **options)
        async with viewed(rival) as viewer:
            event = tick(1)
            began = thread_time()
            for _ in range(EVENTS):
                await rival.publish(event)
            await viewer.until(EVENTS)
            took = thread_time() - began
        await rival.executions.drain()
    return took / EVENTS * 1e6


async def _costs() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as directory:
        found = (
            await woken(Bare),
            await woken(Retained),
            await burst(),
            await burst(store=f"sqlite:///{directory}/events.db"),
        )
    return dict(zip(COLUMNS, found, strict=True))


def tell() -> None:
    """Print which package this is, and its costs, as JSON."""
    import asgi_events

    print(json.dumps({"package": asgi_events.__file__} | uvloop.run(_costs())))


def costs(package: Path) -> dict[str, float]:
    """Return the us of an event for each column, with the package in a directory.

    Raises:
        RuntimeError: Another package was measured.
    """
    with beside(package) as place:
        told = subprocess.run(
            [sys.executable, "-c", _CHILD], check=True, capture_output=True, **place
        )
    found: dict[str, Any] = json.loads(told.stdout)
    measured = Path(found.pop("package"))
    if not measured.is_relative_to(package):
        raise RuntimeError(f"What was measured is {measured}, not in {package}.")
    return found


def ratios(package: Path, rounds: int) -> list[float]:
    """Compare a package with the compiled one, in pairs of runs."""
    pairs = [(costs(compiled()), costs(package)) for _ in range(rounds)]
    return [
        statistics.median(part[name] / whole[name] for whole, part in pairs)
        for name in COLUMNS
    ]


def main() -> None:
    """Parse the command line, measure, print a line for each module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--modules", nargs="+", choices=modules(), default=modules())
    asked = parser.parse_args()
    machine("uvloop")
    print(f"| without | {' | '.join(COLUMNS)} |")
    print(f"|{'---|' * (len(COLUMNS) + 1)}")
    groups = {
        FAMILY if module in FAMILY else (module,): None for module in asked.modules
    }
    packages = {", ".join(group): compiled(*group) for group in groups}
    for name, package in (packages | {"all of them": ROOT}).items():
        cells = [f"{ratio:.3f}" for ratio in ratios(package, asked.rounds)]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
