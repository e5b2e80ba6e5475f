"""Cuts an answer of AG-UI at every byte: ``python -m tests.ui.ag_ui_every_byte``.

TanStack AI resumes by itself after each cut, and ``HttpAgent`` runs the same run again.
Then it cuts the rest of a run that has asked, which begins with the answer.
The command prints how many cuts each has survived on each server, and each cut after
which a client has something else than after a run that was not cut. ``--clients``,
``--servers``, ``--parts`` and ``--step`` run a part of it.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
from itertools import product
from time import perf_counter
from typing import Any

from tests.proxy import Cut, Proxy
from tests.servers import Server
from tests.ui.ag_ui import KINDS, Client, Clients, Shown, clients, url

APP = "tests.ui.ag_ui_apps:app"
SERVERS = ["uvicorn", "hypercorn"]
PARTS = ["run", "rest"]
ANSWERS = {"payloads": [True]}


async def shown_by(
    client: Client, command: str, run: str, *, again: bool, **more: Any
) -> Shown:
    """What a client has in the end; ``again``: after it has run that twice.

    What it has answered whole is not answered twice.
    """
    await client.do(command, run=run, **more)
    shown = await client.do("end")
    if again and (command == "run" or shown.told["outcome"] != "success"):
        await client.do(command, **({"run": run} | ANSWERS))
        shown = await client.do("end")
    return shown


async def part_of_run(
    opened: Clients,
    kind: str,
    server: Server,
    proxy: Proxy,
    part: str,
    *,
    again: bool = False,
) -> Shown:
    """What a client has when its connection for a part of a run is that of a proxy."""
    run = secrets.token_hex(8)
    client = await opened.open(kind, proxy if part == "run" else server, run)
    if part == "run":
        return await shown_by(client, "run", run, again=again, text="Hi")
    await client.do("run", run=run, text="ask")
    await client.do("end")
    await client.do("move", url=url(proxy))
    return await shown_by(client, "answer", f"{run}-2", again=again, **ANSWERS)


async def is_survived(
    opened: Clients, kind: str, server: Server, part: str, cut: Cut, uncut: Shown
) -> bool:
    """Whether a client that is cut there has what ``uncut`` has."""
    again = kind == "agent"
    async with Proxy(server.port, [cut]) as proxy:
        shown = await part_of_run(opened, kind, server, proxy, part, again=again)
        resumed = [request.last_event_id for request in proxy.requests]
    if kind == "tanstack" and shown.error:
        return resumed == [None]  # it had no id yet, so it cannot come back
    has_ended = shown.error is None or shown.told.get("outcome") == "success"
    return has_ended and (shown.messages, shown.state) == (uncut.messages, uncut.state)


async def run(kinds: list[str], servers: list[str], parts: list[str], step: int) -> int:
    """Print the table, and return how many cuts were not survived."""
    failures = 0
    async with clients() as opened:
        for name in servers:
            with Server(APP, name) as server:
                for kind, part in product(kinds, parts):
                    began = perf_counter()
                    async with Proxy(server.port) as proxy:
                        uncut = await part_of_run(opened, kind, server, proxy, part)
                        size = proxy.passed
                    cuts = [
                        Cut(more=place, abrupt=abrupt)
                        for place in range(0, size, step)
                        for abrupt in (False, True)
                    ]
                    for cut in cuts:
                        if not await is_survived(
                            opened, kind, server, part, cut, uncut
                        ):
                            failures += 1
                            print(f"{name} {kind} {part}: NOT after {cut}", flush=True)
                    took = perf_counter() - began
                    about = f"{len(cuts)} cuts in {size} bytes, {took:.0f} s"
                    print(f"{name} {kind} {part}: {about}", flush=True)
    return failures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--servers", nargs="+", default=SERVERS)
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--step", type=int, default=1, help="bytes between two cuts")
    given = parser.parse_args()
    sys.exit(
        bool(
            asyncio.run(run(given.clients, given.servers, given.parts, given.step)),
        )
    )


if __name__ == "__main__":
    main()
