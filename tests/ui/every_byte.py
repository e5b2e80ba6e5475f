"""Cuts an answer at every byte: ``python -m tests.ui.every_byte``.

The AI SDK resumes after each cut. The command prints how many cuts each version has
survived on each server, and each cut after which a chat shows something else than after
a run that was not cut. ``--versions``, ``--servers`` and ``--step`` run a part of it.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
from time import perf_counter

from tests.proxy import Cut, Proxy
from tests.servers import Server
from tests.ui.ai_sdk import VERSIONS, Shown, Tabs, tabs

APP = "tests.ui.vercel_apps:app"
SERVERS = ["uvicorn", "hypercorn"]


async def size_of(opened: Tabs, version: str, server: Server) -> tuple[int, Shown]:
    """How many bytes an answer has, and what is shown of it."""
    async with Proxy(server.port) as proxy:
        chat = await opened.open(version, proxy.url, secrets.token_hex(8))
        shown = await chat.do("send", text="Bonn")
        return proxy.passed, shown


async def is_survived(
    opened: Tabs, version: str, server: Server, cut: Cut, uncut: Shown
) -> bool:
    """Whether a chat that is cut there, and resumes, shows what ``uncut`` shows."""
    async with Proxy(server.port, [cut]) as proxy:
        chat = await opened.open(version, proxy.url, secrets.token_hex(8))
        broken = await chat.do("send", text="Bonn")
        if broken.status == "ready" and broken.answers != uncut.answers:
            return False
        shown = await chat.do("resume")
    return (shown.status, shown.answers) == ("ready", uncut.answers)


async def run(versions: list[str], servers: list[str], step: int) -> int:
    """Print the table, and return how many cuts were not survived."""
    failures = 0
    async with tabs() as opened:
        for kind in servers:
            with Server(APP, kind) as server:
                for version in versions:
                    began = perf_counter()
                    size, uncut = await size_of(opened, version, server)
                    places = range(0, size, step)
                    for place in places:
                        for abrupt in (False, True):
                            cut = Cut(more=place, abrupt=abrupt)
                            if not await is_survived(
                                opened, version, server, cut, uncut
                            ):
                                failures += 1
                                print(f"{kind} {version}: NOT after {cut}")
                    print(
                        f"{kind} {version}: {2 * len(places)} cuts in {size} bytes, "
                        f"{perf_counter() - began:.0f} s",
                        flush=True,
                    )
    return failures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--versions", nargs="+", default=VERSIONS, choices=VERSIONS)
    parser.add_argument("--servers", nargs="+", default=SERVERS)
    parser.add_argument("--step", type=int, default=1, help="bytes between two cuts")
    given = parser.parse_args()
    sys.exit(bool(asyncio.run(run(given.versions, given.servers, given.step))))


if __name__ == "__main__":
    main()
