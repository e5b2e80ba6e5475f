"""Asks a client all rows at once, and says what it has done wrong."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from tests.client_faults.clients import Client
from tests.client_faults.log import Log
from tests.client_faults.peer import Peer
from tests.client_faults.row import Outcome, Question, Row

LEAVES_WITHIN = 5.0
"""Seconds in which a client closes its connections after its last word."""


@dataclass(frozen=True, slots=True)
class Posed:
    """A row, where it is asked, and the question."""

    row: Row
    peer: Peer
    place: str
    question: Question


async def judge(
    client: Client, rows: Sequence[Row], log: Log, tls: ssl.SSLContext | None = None
) -> dict[str, list[str]]:
    """Return the complaints about a client, by the names of the rows it has failed."""
    async with AsyncExitStack() as stack:
        peer = await stack.enter_async_context(Peer(tls))
        posed = [
            await _pose(stack, peer, f"r{index}", row, log)
            for index, row in enumerate(rows)
        ]
        outcomes = await client.ask([each.question for each in posed])
        pairs = zip(posed, outcomes, strict=True)
        found = {each.row.name: await _complaints(each, it) for each, it in pairs}
    return {name: complaints for name, complaints in found.items() if complaints}


async def _pose(
    stack: AsyncExitStack, peer: Peer, place: str, row: Row, log: Log
) -> Posed:
    port = None
    if row.late:
        peer, port = await stack.enter_async_context(late_peer())
    behind = peer.places[place] = row.place(log)
    question = replace(
        row.ask, base=peer.url(place), execution=behind.log.name, announce=port
    )
    return Posed(row, peer, place, question)


async def _complaints(posed: Posed, outcome: Outcome) -> list[str]:
    found = []
    try:
        await posed.peer.until_left(posed.place, LEAVES_WITHIN)
    except TimeoutError:
        found = ["a connection is still open"]
    return posed.row.complaints(posed.peer.places[posed.place], outcome) + found


@asynccontextmanager
async def late_peer() -> AsyncIterator[tuple[Peer, int]]:
    """A peer that refuses connections until somebody connects to another port."""
    peer = Peer()

    async def listen(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        await peer.listen()

    announced = await asyncio.start_server(listen, "127.0.0.1", 0)
    try:
        yield peer, announced.sockets[0].getsockname()[1]
    finally:
        announced.close()
        await peer.aclose()
        await announced.wait_closed()
