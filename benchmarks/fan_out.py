"""What does a delivery cost when all viewers see the same events?

    python -m benchmarks.fan_out [uvicorn|hypercorn|granian]

One event is published in each turn of the loop, which is more than any server delivers.
``uncoalesced`` is ours with a round of wake-ups, and so a write, for each event;
``bound`` is what no library can beat in that.
"""

import sys

from benchmarks.load import ALL, bound, compare, versions
from benchmarks.report import machine

ROUNDS = 3


def main() -> None:
    kind = sys.argv[1] if len(sys.argv) > 1 else "uvicorn"
    machine(*versions())
    for viewers, seconds in ((100, 1), (1000, 2)):
        print(f"fan-out to {viewers}, saturating, on {kind}: deliveries per CPU second")
        query = f"mode=saturating&seconds={seconds}"
        rivals = (*ALL, "uncoalesced", "retained", *bound(kind))
        compare(rivals, viewers, query, ROUNDS, kind)


if __name__ == "__main__":
    main()
