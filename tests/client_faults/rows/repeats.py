"""Events that come again, and events that do not come."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat

from asgi_events.wire import frames
from tests.client_faults.answers import part, said
from tests.client_faults.log import Log
from tests.client_faults.row import Failure, Question, Row, events
from tests.client_faults.rows.delays import AT_ONCE, first_waits


def rows() -> Iterator[Row]:
    """Events that come again, and events that do not come."""
    yield Row(
        name="events that were seen already",
        plan=(part(4, then="fin"), part(12, frames.end("completed"), after=0)),
        ids=[None, 4],
        waits=[AT_ONCE],
    )
    yield Row(
        name="each event twice",
        plan=(said(lambda log: b"".join(_twice(log)) + log.end),),
        ids=[None],
        waits=[],
    )
    yield Row(
        name="only events that were seen already, and a break",
        plan=(part(4, then="fin"), *(part(4, after=0, then="fin"),) * 3),
        ids=[None, 4, 4, 4, 4],
        waits=first_waits(0.001, 4),
    )
    yield Row(
        name="a gap",
        plan=(said(lambda log: log.frames(0, 3) + log.frames(4) + log.end),),
        ids=[None, 3],
        waits=[AT_ONCE],
    )
    yield Row(
        name="a gap after a cut",
        plan=(part(4, then="fin"), part(12, frames.end("completed"), after=6)),
        ids=[None, 4, 4],
        waits=first_waits(0.001, 2),
    )
    yield Row(
        name="a gap at the start",
        plan=(part(12, frames.end("completed"), after=2),) * 2,
        ids=[None, None, None],
        waits=first_waits(0.001, 2),
    )
    yield Row(
        name="from the middle, and a cut",
        ask=Question(after=5),
        plan=(part(8, then="fin"),),
        seen=lambda log: events(log, 6, 12),
        ids=[5, 8],
        waits=[AT_ONCE],
    )
    yield Row(
        name="a gap for ever",
        ask=Question(give_up=0.2),
        plan=(part(4, then="fin"), *(part(9, after=6, then="fin"),) * 100_000),
        seen=lambda log: events(log, 1, 4),
        failure=Failure("Unreachable"),
    )


def _twice(log: Log) -> Iterator[bytes]:
    for number in range(1, log.last + 1):
        yield from repeat(log.frame(number), 2)
