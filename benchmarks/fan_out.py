"""What does a delivery cost when all viewers see the same events?

    python -m benchmarks.fan_out [uvicorn|hypercorn|granian]

One event is published in each turn of the loop, which is more than any server delivers.
``uncoalesced`` is ours with a round of wake-ups, and so a write, for each event;
``bound`` is what no library can beat in that.
"""

from typing import Any

from benchmarks.load import ALL, bound, compare, versions
from benchmarks.report import machine, server_asked_for


def run(kind: str, rounds: int = 3) -> dict[str, Any]:
    """Figures for ``100`` and ``1000`` viewers; see ``compare``."""
    figures = {}
    rivals = (*ALL, "uncoalesced", "retained", *bound(kind))
    for viewers, seconds in ((100, 1), (1000, 2)):
        print(f"fan-out to {viewers}, saturating, on {kind}: deliveries per CPU second")
        query = f"mode=saturating&seconds={seconds}"
        figures[str(viewers)] = compare(rivals, viewers, query, rounds, kind)
    return figures


if __name__ == "__main__":
    machine(*versions(server_asked_for()))
    run(server_asked_for())
