"""What does an event cost where a thousand executions run, each with one viewer?

    python -m benchmarks.many [--servers SERVER …] [--rounds N] [--seconds S …]
                              [--executions N] [--pace S] [--bytes N]
                              [--rivals RIVAL …]

The task of each execution publishes an event of about 100 bytes every ``pace`` seconds.
The first column is the CPU time of the server process for each event that a viewer got;
it includes the making of the event. × is the ratio to the hand-written pattern in the
same round, so less is better. Latency is from ``publish`` to the viewer. ``late`` is
how much longer than planned the last viewer read. A server that is late by more than
the 0.25 s of the hand-written pattern has no CPU left, and its latency is that of a
queue.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from benchmarks.load import (
    MANY,
    NAP,
    many_files,
    measure,
    median,
    servers,
    spread,
    versions,
)
from benchmarks.report import SERVERS, machine

EXECUTIONS, PACE, SECONDS = 1000, 0.02, (4.0, 16.0)


def run(
    kind: str,
    rounds: int = 3,
    seconds: Sequence[float] = SECONDS,
    executions: int = EXECUTIONS,
    pace: float = PACE,
    rivals: Sequence[str] = MANY,
    size: int = 0,
) -> dict[str, Any]:
    """Measure each rival for each length in seconds.

    Returns:
        ``cpu`` in seconds per event, its ``ratios`` to the first rival, and the medians
        ``p50``, ``p99`` and ``late`` in seconds.
    """
    many_files()
    figures: dict[str, Any] = {}
    with servers(rivals, kind) as running:
        for length in seconds:
            print(f"{executions} executions, {1 / pace:.0f}/s, {length:g} s, on {kind}")
            query = f"mode=many&pace={pace}&seconds={length}&bytes={size}"
            results: dict[str, list[dict[str, float]]] = {name: [] for name in rivals}
            for number in range(rounds + 1):
                for server in running:
                    short = f"mode=many&pace={pace}&seconds=1"
                    result = measure(
                        server,
                        executions,
                        query if number else short,  # the first round warms up
                        seconds=10 * length + 60,
                        nap=NAP,
                        streams=executions,
                    )
                    if number:
                        results[server.rival].append(result)
            figures[f"{length:g}"] = _tell(results, length)
    return figures


def _tell(
    results: dict[str, list[dict[str, float]]], length: float
) -> dict[str, dict[str, Any]]:
    """Print a line for each rival; return its figures."""
    base = [1 / run["rate"] for run in next(iter(results.values()))]
    figures = {}
    for rival, runs in results.items():
        cpu = [1 / run["rate"] for run in runs]
        ratios = [own / other for own, other in zip(cpu, base, strict=True)]
        late = max(0.0, median(runs, "seconds") - length)
        figures[rival] = {
            "cpu": cpu,
            "ratios": ratios,
            "p50": median(runs, "p50"),
            "p99": median(runs, "p99"),
            "late": late,
        }
        print(
            f"  {rival:14} {spread([own * 1e6 for own in cpu], '6.2f')} us"
            f"   × {spread(ratios, '4.2f')}, least {min(cpu) / min(base):4.2f}"
            f"   p50 {median(runs, 'p50') * 1e3:8.2f} ms"
            f"   p99 {median(runs, 'p99') * 1e3:8.2f} ms"
            f"   late {late:4.1f} s   reader "
            f"{median(runs, 'cpu') / median(runs, 'server'):4.0%}",
            flush=True,
        )
    return figures


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--servers", nargs="+", choices=SERVERS, default=SERVERS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, nargs="+", default=SECONDS)
    parser.add_argument("--executions", type=int, default=EXECUTIONS)
    parser.add_argument("--pace", type=float, default=PACE)
    parser.add_argument("--bytes", type=int, default=0)
    parser.add_argument("--rivals", nargs="+", choices=MANY, default=MANY)
    asked = parser.parse_args()
    for kind in asked.servers:
        machine(*versions(kind))
        run(
            kind,
            asked.rounds,
            asked.seconds,
            asked.executions,
            asked.pace,
            asked.rivals,
            asked.bytes,
        )


if __name__ == "__main__":
    main()
