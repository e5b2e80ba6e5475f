"""What does an event cost on one stream?

    python -m benchmarks.one_stream [uvicorn|hypercorn|granian]

Woken: each event is published when the last one has been sent, so each needs a wake-up
and a write; no library can be faster than ``bound`` there. Burst: 100,000 events are
published without waiting for anything. Figures are events per CPU second.
"""

from typing import Any

from benchmarks.load import ALL, SIZES, bound, compare, versions
from benchmarks.report import machine, server_asked_for


def run(kind: str, rounds: int = 3) -> dict[str, Any]:
    """Return the figures of ``woken`` and ``burst`` for each size of events.

    See ``compare``.
    """
    figures: dict[str, Any] = {}
    for name, size in SIZES.items():
        print(f"one stream, woken for each event of {size or 100} bytes, on {kind}:")
        query = f"mode=woken&seconds=0.3&bytes={size}"  # so that pairs stand close
        rivals = (*ALL, *bound(kind))
        figures[f"woken{name}"] = compare(
            rivals, 1, query, 6 * rounds, kind, pause=0.05
        )
        print(f"one stream, a burst of 100,000 of {size or 100} bytes, on {kind}:")
        query = f"mode=burst&count=100000&bytes={size}"
        rivals = (*ALL, "bound of a burst")
        figures[f"burst{name}"] = found = compare(rivals, 1, query, rounds, kind)
        found["bound"] = found.pop("bound of a burst")
    return figures


if __name__ == "__main__":
    machine(*versions(server_asked_for()))
    run(server_asked_for())
