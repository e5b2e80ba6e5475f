"""How long is it from the end of an execution to the end of its stream?

    python -m benchmarks.end [uvicorn|hypercorn|granian]

As a viewer's socket sees it: until it has the terminal event and the last chunk. The
last event came up to 0.1 s before.
"""

import random
import sys

from benchmarks.load import ALL, measure, servers, versions
from benchmarks.report import machine, milliseconds

TIMES = 60


def main() -> None:
    kind = sys.argv[1] if len(sys.argv) > 1 else "uvicorn"
    machine(*versions())
    print(f"end of the execution to the end of the stream, on {kind}")
    rivals = (*ALL, "retained")
    times: dict[str, list[float]] = {rival: [] for rival in rivals}
    with servers(rivals, kind) as running:
        for _ in range(TIMES):
            for server in running:
                pace = random.uniform(0.01, 0.1)
                query = f"mode=paced&count=1&pace={pace}"
                result = measure(server, 1, query, pause=0.02)
                times[server.rival].append(result["end"])
    for rival in rivals:
        milliseconds(rival, times[rival])


if __name__ == "__main__":
    main()
