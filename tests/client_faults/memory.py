"""A very long execution: what a client keeps of it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from tests.client_faults.answers import position
from tests.client_faults.clients import Client
from tests.client_faults.judge import judge
from tests.client_faults.log import Log, numbered
from tests.client_faults.place import SSE, Answer, Place, Reply, Request
from tests.client_faults.row import Outcome, Question, Row

PIECE = 200
"""Events in one write."""


def long(count: int, cuts: int, bound: int) -> Row:
    """Return a row of many events, over some connections.

    Args:
        count: How many events.
        cuts: How many connections break.
        bound: Bytes by which the memory may grow.
    """
    payloads = tuple(numbered(count))

    def check(place: Place, outcome: Outcome) -> str | None:
        value = outcome.value or {"events": 0, "bytes": 0}
        if value["events"] != count or value["bytes"] > bound:
            return f"{value}, not {count} events and {bound} bytes at most"
        if len(place.of("events")) != cuts + 1:
            return f"{len(place.of('events'))} connections"
        return None

    return Row(
        name=f"{count} events",
        ask=Question(verb="count", count=count),
        log=lambda log: replace(log, payloads=payloads),
        plan=tuple(_part(n * count // (cuts + 1)) for n in range(1, cuts + 1))
        + (_part(count),),
        check=check,
    )


def _part(upto: int) -> Answer:
    def answer(log: Log, request: Request) -> Reply:
        ends = upto == log.last
        pieces = _pieces(log, position(log, request), upto)
        return Reply(headers=SSE, body=pieces, then="end" if ends else "fin")

    return answer


def _pieces(log: Log, begin: int, upto: int) -> Iterator[bytes]:
    yield log.start
    for first in range(begin, upto, PIECE):
        yield log.frames(first, min(first + PIECE, upto))
    if upto == log.last:
        yield log.end


async def growth(client: Client, row: Row, log: Log) -> dict[str, list[str]]:
    """Return the complaints about what a client keeps."""
    with _traced():
        return await judge(client, [row], log)


@contextmanager
def _traced() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()
