"""Cuts an answer of AG-UI at every byte: ``python -m tests.ui.ag_ui_every_byte``.

TanStack AI resumes by itself after each cut, and ``HttpAgent`` runs the same run again.
The command prints how many cuts each has survived on each server, and each cut after
which a client has something else than after a run that was not cut. ``--clients``,
``--servers`` and ``--step`` run a part of it.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
from time import perf_counter

from tests.proxy import Cut, Proxy
from tests.servers import Server
from tests.ui.ag_ui import KINDS, Clients, Shown, clients

APP = "tests.ui.ag_ui_apps:app"
SERVERS = ["uvicorn", "hypercorn"]


async def whole_run(
    opened: Clients, kind: str, server: Server | Proxy, *, again: bool = False
) -> Shown:
    """What a client has of a run; ``again``: after it has run it twice."""
    client = await opened.open(kind, server, secrets.token_hex(8))
    run = secrets.token_hex(8)
    await client.do("run", run=run, text="Hi")
    shown = await client.do("end")
    if again:
        await client.do("run", run=run)
        shown = await client.do("end")
    return shown


async def is_survived(
    opened: Clients, kind: str, server: Server, cut: Cut, uncut: Shown
) -> bool:
    """Whether a client that is cut there has what ``uncut`` has."""
    async with Proxy(server.port, [cut]) as proxy:
        shown = await whole_run(opened, kind, proxy, again=kind == "agent")
        resumed = [request.last_event_id for request in proxy.requests]
    if kind == "tanstack" and shown.error:
        return resumed == [None]  # it had no id yet, so it cannot come back
    return (shown.error, shown.messages, shown.state) == (
        None,
        uncut.messages,
        uncut.state,
    )


async def run(kinds: list[str], servers: list[str], step: int) -> int:
    """Print the table, and return how many cuts were not survived."""
    failures = 0
    async with clients() as opened:
        for name in servers:
            with Server(APP, name) as server:
                for kind in kinds:
                    began = perf_counter()
                    async with Proxy(server.port) as proxy:
                        uncut = await whole_run(opened, kind, proxy)
                        size = proxy.passed
                    cuts = [
                        Cut(more=place, abrupt=abrupt)
                        for place in range(0, size, step)
                        for abrupt in (False, True)
                    ]
                    for cut in cuts:
                        if not await is_survived(opened, kind, server, cut, uncut):
                            failures += 1
                            print(f"{name} {kind}: NOT after {cut}", flush=True)
                    took = perf_counter() - began
                    about = f"{len(cuts)} cuts in {size} bytes, {took:.0f} s"
                    print(f"{name} {kind}: {about}", flush=True)
    return failures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--servers", nargs="+", default=SERVERS)
    parser.add_argument("--step", type=int, default=1, help="bytes between two cuts")
    given = parser.parse_args()
    sys.exit(bool(asyncio.run(run(given.clients, given.servers, given.step))))


if __name__ == "__main__":
    main()
