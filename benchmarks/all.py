"""Runs what the plots show, then makes the tables and plots of ``docs/benchmarks.md``.

    python -m benchmarks.all [SERVER …] [--only NAME …] [--rounds N]

The figures go to ``benchmarks/results/<Python>.json``, beside those of other runs on
the same Python. ``python -m benchmarks.summary`` makes the tables and plots again. A
run takes about an hour on an idle machine; on a busy machine its figures mean little.
"""

import argparse
import json
import platform
from collections.abc import Callable
from typing import Any

from benchmarks import end, fan_out, growth, idle, many, one_stream, paced, summary
from benchmarks.load import MANY, versions
from benchmarks.report import SERVERS, machine

WORKLOADS: dict[str, Callable[[str, int], Any]] = {
    "one_stream": one_stream.run,
    "fan_out": fan_out.run,
    "paced": lambda kind, rounds: paced.run(kind, seconds=3 * rounds + 1),
    "end": lambda kind, rounds: end.run(kind, times=20 * rounds),
    "idle": lambda kind, rounds: idle.run(kind, seconds=15 * max(1, rounds - 1)),
    "many": lambda kind, rounds: many.run(kind, rounds, many.SECONDS[:1]),
    "many_16": lambda kind, rounds: many.run(kind, rounds, many.SECONDS[1:]),
    "many_400": lambda kind, rounds: many.run(kind, rounds, many.SECONDS[:1], size=400),
    "idle_executions": lambda kind, rounds: idle.run(
        kind, 15 * max(1, rounds - 1), MANY, executions=True
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("servers", nargs="*", default=SERVERS, metavar="SERVER")
    names = (*WORKLOADS, "growth")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    path = summary.RESULTS / f"{'.'.join(platform.python_version_tuple()[:2])}.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    for kind in asked.servers:
        on = results.setdefault(kind, {})
        on["machine"] = machine(*versions(kind))
        for name, run in WORKLOADS.items():
            if name in asked.only:
                on[name] = run(kind, asked.rounds)
                _write(path, results)
    if "growth" in asked.only:
        results["growth"] = growth.run()
    _write(path, results)
    summary.main()


def _write(path: Any, results: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
