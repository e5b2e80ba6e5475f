"""Can one core send 100 events a second to 1,000 viewers?

    python -m benchmarks.paced [uvicorn|hypercorn|granian]

It lasts ten seconds. ``late`` is how much longer it took until the last viewer had the
last event. A server that is late cannot sustain the rate.
"""

from typing import Any

from benchmarks.load import ALL, measure, servers, versions
from benchmarks.report import machine, server_asked_for

VIEWERS, PACE = 1000, 0.01


def run(kind: str, seconds: int = 10) -> dict[str, Any]:
    """Of each rival ``cpu`` in cores, ``p50``, ``p99`` and ``late`` in seconds, and
    ``published``, events a second."""
    print(f"{VIEWERS} viewers, an event every {PACE} s for {seconds} s, on {kind}")
    figures = {}
    for rival in ALL:
        with servers([rival], kind) as [server]:
            measure(server, 10, f"mode=paced&pace={PACE}&seconds=0.5")
            query = f"mode=paced&pace={PACE}&seconds={seconds}"
            result = measure(server, VIEWERS, query, seconds=120)
        figures[rival] = found = {
            "cpu": result["server"] / result["wall"],
            "p50": result["p50"],
            "p99": result["p99"],
            "late": max(0.0, result["seconds"] - seconds),
            "published": result["most"] / seconds,
        }
        print(
            f"  {rival:14} {result['events'] / result['seconds']:9,.0f} deliveries/s"
            f"   {found['cpu']:4.0%} of a core"
            f"   p50 {found['p50'] * 1e3:9.1f} ms   p99 {found['p99'] * 1e3:9.1f} ms"
            f"   late {found['late']:5.1f} s   of {found['published']:.0f} events/s",
            flush=True,
        )
    return figures


if __name__ == "__main__":
    machine(*versions(server_asked_for()))
    run(server_asked_for())
