"""What does the compiling of each module give?

    python -m benchmarks.modules [uvicorn|hypercorn|granian] [--rounds N]
                                 [--only WORKLOAD …] [--modules MODULE …]

The compiled package is 1. Each line is the package with one module left as it is, as
the ratio of a pair of runs, so 0.95 means that to compile this module gives 5 %. The
last line is the package without any compiled module. Each build takes about a minute.
"""

import argparse
import contextlib
import re
import statistics
from pathlib import Path

from benchmarks.before import RIVALS, WORKLOADS, serve
from benchmarks.builds import ROOT, compiled
from benchmarks.load import many_files
from benchmarks.report import SERVERS, machine

CHOSEN = ("woken, 400 bytes", "1,000 executions")
_MODULE = re.compile(r'"(asgi_events/\S+\.py)"')


def modules() -> list[str]:
    """Return the modules that ``setup.py`` compiles."""
    return _MODULE.findall((ROOT / "setup.py").read_text())


def ratios(
    package: Path, rival: str, kind: str, names: list[str], rounds: int
) -> list[str]:
    """Compare a package with the compiled one; return the ratio of each workload."""
    told = []
    with contextlib.ExitStack() as stack:
        whole, part = (
            serve(stack, rival, kind, path) for path in (compiled(), package)
        )
        for name in names:
            workload, found = WORKLOADS[name], []
            for number in range(rounds + 1):
                pair = (workload(whole), workload(part))
                if number:  # the first round warms up
                    found.append(pair[1] / pair[0])
            told.append(f"{statistics.median(found):.3f}")
    return told


def main() -> None:
    """Parse the command line, measure, print a line for each module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("server", nargs="?", choices=SERVERS, default=SERVERS[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=CHOSEN)
    parser.add_argument("--modules", nargs="+", choices=modules(), default=modules())
    asked = parser.parse_args()
    machine(asked.server)
    many_files()
    columns = [f"{name}, {rival}" for name in asked.only for rival in RIVALS]
    print(f"| without | {' | '.join(columns)} |")
    print(f"|{'---|' * (len(columns) + 1)}")
    packages = {module: compiled(module) for module in asked.modules}
    for module, package in (packages | {"all of them": ROOT}).items():
        rows = [
            ratios(package, rival, asked.server, asked.only, asked.rounds)
            for rival in RIVALS
        ]
        cells = [cell for column in zip(*rows, strict=True) for cell in column]
        print(f"| {module} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
