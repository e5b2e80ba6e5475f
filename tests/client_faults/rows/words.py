"""What a server says at the end of a connection."""

from __future__ import annotations

from collections.abc import Iterator

from asgi_events.events import CancelledEvent, ErrorEvent, LostEvent
from asgi_events.wire import frames
from tests.client_faults.answers import goodbye, part, refuse, said
from tests.client_faults.row import Row, events
from tests.client_faults.rows.delays import AT_ONCE, first_waits


def rows() -> Iterator[Row]:
    """What a server says at the end of a connection."""
    for reason, retry in (("draining", 1234), ("max_duration", 3999), ("backlog", 51)):
        yield Row(
            name=f"goodbye: {reason}",
            plan=(part(4, goodbye(reason, retry)),),
            ids=[None, 4],
            waits=[(retry / 1000, retry / 1000)],
            judged=reason == "backlog",
        )
    yield Row(
        name="goodbye before any event, three times",
        plan=(said(lambda log: goodbye("draining", 1500)),) * 3,
        ids=[None] * 4,
        waits=[(1.5, 1.5)] * 3,
    )
    yield Row(
        name="goodbye after failures",
        plan=(refuse(502), refuse(502), part(4, goodbye("draining", 1500))),
        ids=[None, None, None, 4],
        waits=[*first_waits(1, 2), (1.5, 1.5)],
    )
    yield Row(
        name="goodbye, and the connection breaks",
        plan=(part(4, goodbye("draining", 1500), then="fin"),),
        ids=[None, 4],
        waits=[(1.5, 1.5)],
    )
    for framing in ("chunked", "close"):
        yield Row(
            name=f"a clean end without end, {framing}",
            plan=(part(4, framing=framing),),
            ids=[None, 4],
            waits=[AT_ONCE],
            judged=True,
        )
    yield Row(
        name="clean ends that bring nothing",
        plan=(part(0),) * 3,
        ids=[None] * 4,
        waits=first_waits(0.001, 3),
    )
    for then in ("end", "fin", "rst"):
        yield Row(
            name=f"{then} after the terminal event",
            plan=(part(12, then=then),),
            ids=[None] if then != "rst" else None,
            waits=[] if then != "rst" else None,
        )
    yield Row(
        name="an end with a status of a later version",
        plan=(part(4, frames.end("paused")),),
        seen=lambda log: events(log, 1, 4),
        status="paused",
        ids=[None],
        waits=[],
    )
    yield Row(
        name="an end without a terminal event",
        plan=(part(4, frames.end("cancelled")),),
        seen=lambda log: events(log, 1, 4),
        status="cancelled",
        ids=[None],
    )
    for event, status in (
        (ErrorEvent(message="It has failed."), "failed"),
        (CancelledEvent(), "cancelled"),
        (LostEvent(), "lost"),
    ):
        yield Row(
            name=f"an execution that is {status}, and no end",
            log=lambda log, event=event, status=status: log.ended_by(event, status),
            plan=(part(12, then="fin"),),
            ids=[None],
        )
