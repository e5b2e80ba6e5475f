"""Is this checkout slower than another one?

    python -m benchmarks.before CHECKOUT [uvicorn|hypercorn|granian] [--rounds N]
                                [--only WORKLOAD …]

Both run in turn on the same machine, and each figure is the ratio of such a pair: the
other checkout is 1, and more is faster. The benchmarks of this checkout drive both
packages. They use only public names, so the other package may have any layout:

    git worktree add /tmp/before REVISION
    python -m benchmarks.before /tmp/before
"""

import argparse
import contextlib
import random
from collections.abc import Callable
from pathlib import Path

from benchmarks.builds import ROOT
from benchmarks.client import launched
from benchmarks.load import NAP, Server, many_files, measure, spread
from benchmarks.many import EXECUTIONS, PACE
from benchmarks.report import SERVERS, machine

RIVALS = ("asgi-events", "retained")


def _woken(server: Server) -> float:
    return measure(server, 1, "mode=woken&seconds=1", nap=NAP)["rate"]


def _woken_400(server: Server) -> float:
    return measure(server, 1, "mode=woken&seconds=1&bytes=400", nap=NAP)["rate"]


def _burst(server: Server) -> float:
    return measure(server, 1, "mode=burst&count=100000", nap=NAP)["rate"]


def _fan_out(server: Server) -> float:
    return measure(server, 100, "mode=saturating&seconds=1", nap=NAP)["rate"]


def _paced(server: Server) -> float:
    return measure(server, 100, "mode=paced&pace=0.01&seconds=2", nap=NAP)["rate"]


def _end(server: Server) -> float:
    ends = []
    for _ in range(20):
        pace = random.uniform(0.01, 0.1)
        ends.append(measure(server, 1, f"mode=paced&count=1&pace={pace}", pause=0.02))
    return 1 / sorted(end["end"] for end in ends)[len(ends) // 2]


def _many(server: Server) -> float:
    query = f"mode=many&pace={PACE}&seconds=4"
    return measure(server, EXECUTIONS, query, nap=NAP, streams=EXECUTIONS)["rate"]


WORKLOADS: dict[str, Callable[[Server], float]] = {
    "woken": _woken,
    "woken, 400 bytes": _woken_400,
    "burst": _burst,
    "fan-out to 100": _fan_out,
    "100 viewers at 100/s": _paced,
    "end": _end,
    "1,000 executions": _many,
}


def main() -> None:
    """Parse the command line, measure, print a line for each workload."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkout")
    parser.add_argument("server", nargs="?", choices=SERVERS, default=SERVERS[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=WORKLOADS)
    asked = parser.parse_args()
    machine(asked.server)
    many_files()
    for rival in RIVALS:
        with contextlib.ExitStack() as stack:
            pair = [
                serve(stack, rival, asked.server, package)
                for package in (Path(asked.checkout).resolve(), ROOT)
            ]
            for name in asked.only:
                workload, ratios = WORKLOADS[name], []
                for number in range(asked.rounds + 1):
                    other, this = (workload(server) for server in pair)
                    if number:  # the first round warms up
                        ratios.append(this / other)
                print(f"{rival:12} {name:22} × {spread(ratios, '5.2f')}", flush=True)


def serve(stack: contextlib.ExitStack, rival: str, kind: str, package: Path) -> Server:
    """Serve the package in that directory, until the stack is closed."""
    process = launched("benchmarks.drive:app", kind, {"RIVAL": rival}, package)
    server = Server(rival, kind, *stack.enter_context(process))
    served = Path(server.get("/package"))
    if not served.is_relative_to(package):
        raise RuntimeError(f"The server imported {served}, not what is in {package}.")
    return server


if __name__ == "__main__":
    main()
