"""Are 100 events a second sustained, to 1,000 viewers from one core?

    python -m benchmarks.paced [uvicorn|hypercorn|granian]

For ten seconds. ``late`` is how much longer than that it took until the last viewer had
the last event; who is late has not sustained it.
"""

import sys

from benchmarks.load import ALL, measure, servers, versions
from benchmarks.report import machine

VIEWERS, SECONDS, PACE = 1000, 10, 0.01


def main() -> None:
    kind = sys.argv[1] if len(sys.argv) > 1 else "uvicorn"
    machine(*versions())
    print(f"{VIEWERS} viewers, an event every {PACE} s for {SECONDS} s, on {kind}")
    for rival in (*ALL, "retained"):
        with servers([rival], kind) as [server]:
            measure(server, 10, f"mode=paced&pace={PACE}&seconds=0.5")
            query = f"mode=paced&pace={PACE}&seconds={SECONDS}"
            result = measure(server, VIEWERS, query, seconds=120)
        late = max(0.0, result["seconds"] - SECONDS)
        print(
            f"  {rival:14} {result['events'] / result['seconds']:9,.0f} deliveries/s"
            f"   {result['server'] / result['wall']:4.0%} of a core"
            f"   p50 {result['p50'] * 1e3:9.1f} ms   p99 {result['p99'] * 1e3:9.1f} ms"
            f"   late {late:5.1f} s   of {result['most'] / SECONDS:.0f} events/s",
            flush=True,
        )


if __name__ == "__main__":
    main()
