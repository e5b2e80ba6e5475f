"""What does a delivery cost when all viewers see the same events?

    python -m benchmarks.fan_out [uvicorn|hypercorn|granian]

Each turn of the loop publishes one event, which is more than any server delivers.
``uncoalesced`` is asgi-events with a batch of wake-ups, and so a write, for each event.
No library with a write for each event can be faster than ``bound``.
"""

from typing import Any

from benchmarks.load import ALL, bound, compare, versions
from benchmarks.report import machine, server_asked_for


def run(kind: str, rounds: int = 3) -> dict[str, Any]:
    """Return the figures for ``100`` and ``1000`` viewers; see ``compare``."""
    figures = {}
    rivals = (*ALL, "uncoalesced", *bound(kind))
    for viewers, seconds in ((100, 1), (1000, 2)):
        print(f"fan-out to {viewers}, saturating, on {kind}: deliveries per CPU second")
        query = f"mode=saturating&seconds={seconds}"
        figures[str(viewers)] = compare(rivals, viewers, query, rounds, kind)
    return figures


if __name__ == "__main__":
    machine(*versions(server_asked_for()))
    run(server_asked_for())
