"""What do 5,000 viewers cost that nothing is sent to?

    python -m benchmarks.idle [uvicorn|hypercorn|granian]

Memory: what is resident with them, less what was before the first came. CPU: over two
intervals of heartbeats, 15 s for all that have any but the hand-written pattern, which
has 0.25 s.
"""

import resource
import time
from typing import Any

from benchmarks.load import ALL, reading, servers, versions
from benchmarks.report import machine, server_asked_for

VIEWERS = 5000


def run(kind: str, seconds: int = 30) -> dict[str, Any]:
    """Of each rival ``memory``, bytes a viewer, and ``cpu`` in cores."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(f"{VIEWERS} idle viewers for {seconds} s, on {kind}")
    figures = {}
    for rival in (*ALL, "retained"):
        with servers([rival], kind) as [server]:
            with reading(server, 1, 10):
                before = server.rss()
            with reading(server, VIEWERS, 120):
                time.sleep(3)
                began = server.cpu()
                time.sleep(seconds)
                cpu = (server.cpu() - began) / seconds
                memory = (server.rss() - before) / VIEWERS
        print(
            f"  {rival:14} {memory / 1024:6.1f} KiB a viewer   {cpu:6.2%} of a core",
            flush=True,
        )
        figures[rival] = {"memory": memory, "cpu": cpu}
    return figures


if __name__ == "__main__":
    machine(*versions(server_asked_for()))
    run(server_asked_for())
