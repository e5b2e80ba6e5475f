"""401, and what follows it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from tests.client_faults.answers import part, refuse
from tests.client_faults.row import Failure, Row, events
from tests.client_faults.rows.delays import AT_ONCE


def rows() -> Iterator[Row]:
    """401, and what follows it."""
    yield Row(
        name="401 in the middle, and a new token",
        plan=(part(4, then="fin"), refuse(401)),
        ids=[None, 4, 4],
        waits=[AT_ONCE],
    )
    yield Row(
        name="401 at once, and a new token",
        plan=(refuse(401),),
        ids=[None, None],
        waits=[],
    )
    yield Row(
        name="401 for ever",
        plan=(refuse(401, "Who are you?"),) * 4,
        seen=lambda log: [],
        failure=Failure("Unauthorized", ("Who are you?",)),
        ids=[None, None],
        waits=[],
    )
    yield Row(
        name="401 for ever, in the middle",
        plan=(part(4, then="fin"), *(refuse(401, "Who are you?"),) * 4),
        seen=lambda log: events(log, 1, 4),
        failure=Failure("Unauthorized", ("Who are you?",)),
        ids=[None, 4, 4],
        waits=[AT_ONCE],
    )
    yield Row(
        name="401 each time, and then a new token",
        plan=tuple(
            chain.from_iterable(
                (refuse(401), part(number, then="fin")) for number in range(1, 12)
            )
        ),
        waits=[AT_ONCE] * 11,
    )
    yield Row(
        name="every request with a new token",
        plan=(part(2, then="fin"), refuse(502), part(5, then="rst"), refuse(503)),
    )
