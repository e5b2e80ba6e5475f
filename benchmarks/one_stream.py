"""What does an event cost on one stream?

    python -m benchmarks.one_stream [uvicorn|hypercorn|granian]

Woken: each event is published when the last one has been sent, so each needs a wake-up
and a write; no library can be faster than ``bound`` there. Burst: 100,000 events are
published without waiting for anything.
"""

from typing import Any

from benchmarks.load import ALL, bound, compare, versions
from benchmarks.report import machine, server_asked_for


def run(kind: str, rounds: int = 3) -> dict[str, Any]:
    """Return the figures of ``woken`` and ``burst``; see ``compare``."""
    rivals = (*ALL, "retained")
    print(f"one stream, woken for each event, on {kind}: events per CPU second")
    query = "mode=woken&seconds=1"
    woken = compare((*rivals, *bound(kind)), 1, query, rounds, kind)
    print(f"one stream, a burst of 100,000, on {kind}: events per CPU second")
    burst = compare(rivals, 1, "mode=burst&count=100000", rounds, kind)
    return {"woken": woken, "burst": burst}


if __name__ == "__main__":
    machine(*versions(server_asked_for()))
    run(server_asked_for())
