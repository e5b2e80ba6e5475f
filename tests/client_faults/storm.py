"""A long execution, and a connection that breaks again and again, in random ways."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from tests.client_faults.answers import goodbye, nothing, position, refuse
from tests.client_faults.log import Log, numbered, with_heartbeats
from tests.client_faults.place import SSE, Answer, Place, Reply, Request
from tests.client_faults.row import Outcome, Row


def storm(seed: int, cuts: int, size: int | None = None) -> Row:
    """Return a row of so many cuts, with other faults between them.

    Args:
        seed: Decides the faults.
        cuts: How many connections break.
        size: How many events the execution has; by default as many as cuts.
    """
    last = size or cuts
    payloads = tuple(numbered(last))
    dice = random.Random(seed)
    plan: list[Answer] = []
    for number in range(cuts):
        plan += _faults(dice)
        plan.append(_cut(dice, number * (last - 1) // cuts))
    return Row(
        name=f"{cuts} cuts in {last} events, seed {seed}",
        log=lambda log: replace(log, payloads=payloads),
        plan=tuple(plan),
        check=_all_used,
    )


def _faults(dice: random.Random) -> list[Answer]:
    """What happens between two cuts; usually nothing."""
    kinds: list[Callable[[], Answer]] = [
        lambda: refuse(dice.choice([408, 429, 500, 502, 503, 504])),
        lambda: refuse(503, headers={"retry-after": str(dice.randint(1, 9))}),
        lambda: refuse(401),
        lambda: nothing(dice.choice(["fin", "rst"])),
        lambda: _words(goodbye("backlog", dice.randint(50, 250))),
        lambda: _words(b""),
        lambda: _again(dice.randint(1, 5), 0),
        lambda: _again(0, 2),
    ]
    return [dice.choice(kinds)()] if dice.random() < 0.4 else []


def _cut(dice: random.Random, upto: int) -> Answer:
    """Events up to a number, some bytes of the next one, and then a break."""
    more = dice.choice([0, 0, dice.randint(1, 150)])
    then = dice.choice(["fin", "rst"])
    framing = dice.choice(["chunked", "close"])
    beats = dice.random() < 0.2

    def answer(log: Log, request: Request) -> Reply:
        body = log.start + log.frames(position(log, request), upto)
        body += log.frame(upto + 1)[:more]
        pieces = [with_heartbeats(body) if beats and not more else body]
        return Reply(headers=SSE, body=pieces, framing=framing, then=then)

    return answer


def _words(tail: bytes) -> Answer:
    """A connection that brings no event, and ends cleanly."""

    def answer(log: Log, request: Request) -> Reply:
        return Reply(headers=SSE, body=[log.start + tail])

    return answer


def _again(back: int, skipped: int) -> Answer:
    """Events that the client has already, or a gap after those that it has."""

    def answer(log: Log, request: Request) -> Reply:
        last = position(log, request)
        begin = max(last - back, 0) if back else last + skipped
        upto = last if back else begin + 1
        body = log.start + log.frames(begin, min(upto, log.last - 1))
        return Reply(headers=SSE, body=[body])

    return answer


def _all_used(place: Place, outcome: Outcome) -> str | None:
    left = len(place.plan["events"])
    return f"{left} faults were not met" if left else None
