"""Connections that do not come about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.client_faults.answers import (
    cut_at,
    nothing,
    part,
    raw,
    refuse,
)
from tests.client_faults.log import Log
from tests.client_faults.place import Place, Reply, Request, resumed
from tests.client_faults.row import Failure, Outcome, Question, Row, events
from tests.client_faults.rows.delays import SECOND, first_waits


def rows() -> Iterator[Row]:
    """Connections that do not come about."""
    yield Row(
        name="a connection that is refused, until the server is there",
        log=Log.without_retry,
        late=True,
        ids=[None],
        check=_waited_twice,
    )
    for then in ("fin", "rst"):
        yield Row(
            name=f"a connection that is closed at once: {then}",
            log=Log.without_retry,
            plan=(nothing(then),) * 3,
            ids=[None] * 4,
            waits=first_waits(1, 3),
        )
    yield Row(
        name="a server that is never there",
        ask=Question(give_up=0.2),
        log=Log.without_retry,
        plan=(nothing("rst"),) * 100_000,
        seen=lambda log: [],
        failure=Failure("Unreachable"),
    )
    yield Row(
        name="a server that is never there again",
        ask=Question(give_up=0.2),
        plan=(part(4, then="fin"), *(refuse(502),) * 100_000),
        seen=lambda log: events(log, 1, 4),
        failure=Failure("Unreachable"),
    )
    for name, head in (
        ("another protocol", b"SSH-2.0-OpenSSH_9.2\r\n"),
        ("a head without an end", b"HTTP/1.1 200 OK\r\n"),
        ("a chunk without a size", _NO_SIZE),
        ("more bytes than its length", _TOO_LONG),
        ("fewer bytes than its length", _TOO_SHORT),
    ):
        yield Row(
            name=f"a response with {name}" if "proto" not in name else name,
            log=Log.without_retry,
            plan=(raw(head),),
            ids=[None, None],
            waits=[SECOND],
        )
    yield Row(
        name="103 Early Hints before the head",
        plan=(_hinted,),
        ids=[None],
        waits=[],
    )
    yield Row(
        name="heads that are cut",
        log=Log.without_retry,
        plan=(cut_at(30, then="fin"), cut_at(9, then="fin")),
        ids=[None] * 3,
        waits=first_waits(1, 2),
    )


def _waited_twice(place: Place, outcome: Outcome) -> str | None:
    count = len(outcome.waits)
    return None if count >= 2 else f"waited {count} times"


_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n"
_NO_SIZE = _HEAD + b"transfer-encoding: chunked\r\n\r\nhello\r\n: x\n"
_TOO_LONG = _HEAD + b"content-length: 4\r\n\r\n: x\n: y\n"
_TOO_SHORT = _HEAD + b"content-length: 40\r\n\r\n: x\n: y\n"


def _hinted(log: Log, request: Request) -> Reply:
    hint = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n"
    return replace(resumed(log, request), raw=hint)
