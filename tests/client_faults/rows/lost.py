"""Ids that end in ``:lost``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from asgi_events.events import LostEvent
from asgi_events.wire.encoding import encode_json
from tests.client_faults.answers import odd, part, reset, said
from tests.client_faults.log import Log
from tests.client_faults.row import Row, events, resets


def rows() -> Iterator[Row]:
    def lost(log: Log) -> Log:
        return log.ended_by(LostEvent(), "lost", lost=True)

    yield Row(name="an id that ends in :lost", log=lost, ids=[None], waits=[])
    yield Row(
        name="a cut after an id that ends in :lost",
        log=lost,
        plan=(part(12, then="fin"),),
        ids=[None],
        waits=[],
    )
    yield Row(
        name="a lost execution that resets",
        log=lost,
        plan=(
            part(8, then="fin"),
            said(lambda log: reset("future", 1) + log.frames() + log.end),
        ),
        seen=lambda log: [
            *events(log, 1, 8),
            *resets("future", 1),
            *events(log, 1, 12),
        ],
        ids=[None, 8],
    )
    yield Row(
        name="another event of the number of the one that says lost",
        log=lambda log: replace(lost(log), payloads=log.payloads[:4] + _lost_payload()),
        plan=(said(_seen_by_the_writer, then="fin"),),
        seen=lambda log: [
            *events(log, 1, 4),
            ("event", 5, {"event_type": "odd"}),
            *resets("future", 1),
            *events(log, 1, 5),
        ],
        ids=lambda log: [None, f"{log.name}:5"],
    )


def _lost_payload() -> tuple[bytes, ...]:
    return (encode_json(LostEvent()),)


def _seen_by_the_writer(log: Log) -> bytes:
    return log.frames(0, 4) + odd(f"{log.name}:5".encode())
