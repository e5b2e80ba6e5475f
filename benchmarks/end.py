"""How long after the end of an execution does its stream end?

    python -m benchmarks.end [uvicorn|hypercorn|granian]

The time is measured at a viewer's socket, until it has the terminal event and the last
chunk. The event before that came up to 0.1 s earlier.
"""

import random
from typing import Any

from benchmarks.load import ALL, measure, servers, versions
from benchmarks.report import machine, milliseconds, server_asked_for


def run(kind: str, times: int = 60) -> dict[str, Any]:
    """Return ``median``, ``p99`` and ``max`` in seconds for each rival."""
    print(f"end of the execution to the end of the stream, on {kind}")
    ends: dict[str, list[float]] = {rival: [] for rival in ALL}
    with servers(ALL, kind) as running:
        for _ in range(times):
            for server in running:
                pace = random.uniform(0.01, 0.1)
                query = f"mode=paced&count=1&pace={pace}"
                result = measure(server, 1, query, pause=0.02)
                ends[server.rival].append(result["end"])
    return {rival: milliseconds(rival, ends[rival]) for rival in ALL}


if __name__ == "__main__":
    machine(*versions(server_asked_for()))
    run(server_asked_for())
