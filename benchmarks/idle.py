"""What do 5,000 viewers cost that nothing is sent to?

    python -m benchmarks.idle [uvicorn|hypercorn|granian]

Memory: what is resident with them, less what was before the first came. CPU: over two
intervals of heartbeats, 15 s for all but the hand-written pattern, which has 0.25 s.
"""

import resource
import sys
import time

from benchmarks.load import ALL, reading, servers, versions
from benchmarks.report import machine

VIEWERS, SECONDS = 5000, 30


def main() -> None:
    kind = sys.argv[1] if len(sys.argv) > 1 else "uvicorn"
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    machine(*versions())
    print(f"{VIEWERS} idle viewers for {SECONDS} s, on {kind}")
    for rival in (*ALL, "retained"):
        with servers([rival], kind) as [server]:
            with reading(server, 1, 10):
                before = server.rss()
            with reading(server, VIEWERS, 120):
                time.sleep(3)
                began = server.cpu()
                time.sleep(SECONDS)
                cpu = (server.cpu() - began) / SECONDS
                memory = (server.rss() - before) / VIEWERS
        print(
            f"  {rival:14} {memory / 1024:6.1f} KiB a viewer   {cpu:6.1%} of a core",
            flush=True,
        )


if __name__ == "__main__":
    main()
