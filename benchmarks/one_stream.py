"""What does an event cost on one stream?

    python -m benchmarks.one_stream [uvicorn|hypercorn|granian]

Woken: each event is published when the last one has been sent, so each is a wake-up and
a write; ``bound`` is what no library can beat in that. Burst: 100,000 events are
published without waiting for anything.
"""

from typing import Any

from benchmarks.load import ALL, bound, compare, versions
from benchmarks.report import machine, server_asked_for


def run(kind: str, rounds: int = 3) -> dict[str, Any]:
    """Figures of ``woken`` and ``burst``; see ``compare``."""
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
