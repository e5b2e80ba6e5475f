"""What do 5,000 viewers cost while nothing is sent to them?

    python -m benchmarks.idle [uvicorn|hypercorn|granian] [--executions] [--viewers N]

Memory is the resident memory with the viewers minus the memory before the first one
came. CPU is measured over two heartbeat intervals: 0.25 s for the hand-written pattern,
15 s for all others that have heartbeats.

All viewers watch one execution. With ``--executions`` each watches its own.
"""

import argparse
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.load import ALL, MANY, many_files, reading, servers, versions
from benchmarks.report import SERVERS, machine

VIEWERS = 5000


def run(
    kind: str,
    seconds: int = 30,
    rivals: Sequence[str] = ALL,
    viewers: int = VIEWERS,
    executions: bool = False,
) -> dict[str, Any]:
    """Return ``memory`` in bytes per viewer and ``cpu`` in cores for each rival."""
    many_files()
    streams = viewers if executions else 1
    print(f"{viewers} idle viewers of {streams} streams for {seconds} s, on {kind}")
    figures = {}
    for rival in rivals:
        with servers([rival], kind) as [server]:
            with reading(server, 1, 10):
                before = server.rss()
            with reading(server, viewers, 120, streams=streams):
                time.sleep(3)
                began = server.cpu()
                time.sleep(seconds)
                cpu = (server.cpu() - began) / seconds
                memory = (server.rss() - before) / viewers
        print(
            f"  {rival:14} {memory / 1024:6.1f} KiB a viewer   {cpu:6.2%} of a core",
            flush=True,
        )
        figures[rival] = {"memory": memory, "cpu": cpu}
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("server", nargs="?", choices=SERVERS, default=SERVERS[0])
    parser.add_argument("--executions", action="store_true")
    parser.add_argument("--viewers", type=int, default=VIEWERS)
    parser.add_argument("--seconds", type=int, default=30)
    asked = parser.parse_args()
    machine(*versions(asked.server))
    rivals = MANY if asked.executions else ALL
    run(asked.server, asked.seconds, rivals, asked.viewers, asked.executions)
