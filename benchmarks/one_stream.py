"""What does an event cost on one stream?

    python -m benchmarks.one_stream [uvicorn|hypercorn|granian]

Woken: each event is published when the last one has been sent, so each is a wake-up and
a write; ``bound`` is what no library can beat in that. Burst: 100,000 events are
published without waiting for anything.
"""

import sys

from benchmarks.load import ALL, bound, compare, versions
from benchmarks.report import machine

ROUNDS = 3


def main() -> None:
    kind = sys.argv[1] if len(sys.argv) > 1 else "uvicorn"
    machine(*versions())
    rivals = (*ALL, "retained")
    print(f"one stream, woken for each event, on {kind}: events per CPU second")
    compare((*rivals, *bound(kind)), 1, "mode=woken&seconds=1", ROUNDS, kind)
    print(f"one stream, a burst of 100,000, on {kind}: events per CPU second")
    compare(rivals, 1, "mode=burst&count=100000", ROUNDS, kind)


if __name__ == "__main__":
    main()
