"""Prints the table of faults × clients: ``python -m tests.client_faults``.

With ``--full`` every byte of a stream is cut, in each way in which a connection breaks,
a connection breaks 1,000 times in an execution of 1,000 events, and another execution
has 200,000 events. The exit status is 1 if a client has failed a row.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from time import perf_counter

from tests.client_faults.certificates import Certificates, make_all, trust
from tests.client_faults.clients import CLIENTS, Client
from tests.client_faults.judge import judge
from tests.client_faults.judges import CANNOT, Judge, judged_by
from tests.client_faults.live import live
from tests.client_faults.log import Log, record
from tests.client_faults.memory import growth, long
from tests.client_faults.row import Row
from tests.client_faults.rows import named
from tests.client_faults.rows.cuts import every_cut
from tests.client_faults.storm import storm
from tests.servers import Server

MEBI = 1024 * 1024

BATCH = 500
"""Rows that are asked at the same time."""


class Table:
    """What each client has done wrong, by the names of the rows."""

    def __init__(self) -> None:
        self.complaints: dict[str, dict[str, list[str]]] = {}
        self.seconds: dict[str, float] = {}
        self.asked: dict[str, set[str]] = {}

    def add(self, name: str, asked: Iterable[str], found: dict[str, list[str]]) -> None:
        """Add what a client was asked, and its complaints."""
        self.complaints.setdefault(name, {}).update(found)
        self.asked.setdefault(name, set()).update(asked)

    def print(self, groups: dict[str, list[str]]) -> None:
        """Print one line for each group of rows, and what is wrong."""
        names = list(self.asked)
        print("| rows |", " | ".join(names), "|")
        print("|---|" + "---|" * len(names))
        for group, rows in groups.items():
            cells = [self._cell(name, rows) for name in names]
            print(f"| {group} |", " | ".join(cells), "|")
        print("| seconds |", " | ".join(f"{self.seconds[n]:.1f}" for n in names), "|")
        for name, found in self.complaints.items():
            for row, complaints in found.items():
                print(f"{name}: {row}: {'; '.join(complaints)}")

    def _cell(self, name: str, rows: Sequence[str]) -> str:
        asked = [row for row in rows if row in self.asked[name]]
        failed = [row for row in asked if row in self.complaints[name]]
        if not asked:
            return "–"
        if len(rows) == 1:
            return "**✗**" if failed else "✓"
        good = f"{len(asked) - len(failed)}/{len(asked)}"
        return f"**{good}**" if failed else good


async def ask(
    table: Table,
    name: str,
    rows: Sequence[Row],
    log: Log,
    certificates: Certificates,
    full: bool,
) -> None:
    """Ask one of our clients."""
    began = perf_counter()
    async with CLIENTS[name]({"NODE_EXTRA_CA_CERTS": str(certificates.trusted)}) as it:
        await _ask_all(table, name, it, rows, log)
        found = await trust(it, certificates, log)
        table.add(name, ["certificates"], {"certificates": sum(found.values(), [])})
        with Server("tests.apps:app") as server:
            size, count = (1000, 190) if full else (100, 18)
            table.add(name, ["live"], {"live": await live(it, server, size, count)})
        events = 200_000 if full else 20_000
        row = long(events, 9, 2 * MEBI)
        table.add(name, [row.name], await growth(it, row, log))
    table.seconds[name] = perf_counter() - began
    table.complaints[name] = {k: v for k, v in table.complaints[name].items() if v}


async def _ask_all(
    table: Table, name: str, client: Client, rows: Sequence[Row], log: Log
) -> None:
    left = iter(rows)
    while batch := list(islice(left, BATCH)):
        found = await judge(client, batch, log)
        table.add(name, [row.name for row in batch], found)


async def main(arguments: argparse.Namespace) -> int:
    """Ask every client, and print the table."""
    log, _ = await record()
    all_named = named()
    cuts = list(every_cut(log, 1 if arguments.full else 37))
    count = 1000 if arguments.full else 150
    storms = [storm(seed, count) for seed in range(3)]
    events = 200_000 if arguments.full else 20_000
    table = Table()
    with tempfile.TemporaryDirectory() as folder:
        certificates = make_all(Path(folder))
        for name in arguments.clients or [*CLIENTS, *CANNOT]:
            if name in CLIENTS:
                rows = [*all_named, *cuts, *storms]
                await ask(table, name, rows, log, certificates, arguments.full)
            else:
                began = perf_counter()
                rows = judged_by(name, all_named)
                await _ask_all(table, name, Judge(name), rows, log)
                table.seconds[name] = perf_counter() - began
    groups = {row.name: [row.name] for row in all_named}
    for kind in ("chunked fin", "close fin", "chunked rst"):
        chosen = [row.name for row in cuts if row.name.startswith(kind)]
        groups[f"{kind} at {len(chosen)} bytes"] = chosen
    groups |= {row.name: [row.name] for row in storms}
    groups |= {"certificates": ["certificates"]}
    groups |= {"a live execution of a real server": ["live"]}
    groups |= {f"memory over {events} events": [f"{events} events"]}
    table.print(groups)
    return 1 if any(table.complaints.values()) else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="every byte")
    parser.add_argument("clients", nargs="*", help="by default all of them")
    sys.exit(asyncio.run(main(parser.parse_args())))
