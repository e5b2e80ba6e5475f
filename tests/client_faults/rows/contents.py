"""Events that are wrong, or newer than the client."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from asgi_events.wire import frames
from tests.client_faults.answers import events_of, odd, part, rest, said, shaped
from tests.client_faults.log import Log
from tests.client_faults.place import Place
from tests.client_faults.row import ANY, Failure, Outcome, Row, events


def rows() -> Iterator[Row]:
    """Events that are wrong, or newer than the client."""
    for name, bad in (
        ("malformed JSON", b'{"event_type":"log",'),
        ("no JSON", b"hello"),
        ("JSON with bytes that are no text", b'{"a":1}\xff'),
    ):
        yield Row(
            name=f"{name} in the middle",
            plan=(said(lambda log, bad=bad: _with_bad(log, bad)),) * 5,
            seen=lambda log: events(log, 1, 4),
            failure=Failure("MalformedEvent"),
            ids=[None],
            waits=[],
            check=_names_the_event,
        )
    for name, payload in (
        ("an event type of a later version", b'{"event_type":"thought","about":1}'),
        ("an event of ours that is another's", b'{"event_type":"log","text":1}'),
        ("an event without a type", b'{"a":1}'),
        ("a status of a later version", _LATER_CALL),
    ):
        yield Row(
            name=name,
            log=lambda log, payload=payload: _replaced(log, 5, payload),
            plan=(part(5, then="fin"),),
            ids=[None, 5],
        )
    yield Row(
        name="a reset that is no JSON",
        plan=(said(lambda log: log.frames(0, 4) + _NO_RESET),) * 9,
        seen=lambda log: events(log, 1, 4),
        failure=Failure("MalformedEvent"),
        ids=[None],
        waits=[],
    )
    yield Row(
        name="bytes in an event that are no text",
        log=lambda log: _replaced(log, 5, b'{"a":"\xff"}'),
        seen=lambda log: [
            *events(log, 1, 4),
            ("event", 5, {"a": "\N{REPLACEMENT CHARACTER}"}),
            *events(log, 6, 12),
        ],
        ids=[None],
    )
    yield Row(
        name="an event of 300 kB",
        log=lambda log: _replaced(log, 5, b'{"a":"%b"}' % (b"\xc3\xbc" * 150_000)),
        plan=(shaped(_pieces),),
        ids=[None],
        waits=[],
    )
    yield Row(
        name="events that are no objects",
        log=lambda log: _replaced(_replaced(log, 5, b"null"), 6, b'["a"]'),
        seen=ANY,  # what they become is each client's own
        check=_saw_all,
        ids=[None],
        waits=[],
    )
    yield Row(
        name="an event with members of a later version",
        log=lambda log: _replaced(log, 5, _LATER),
        seen=ANY,  # the models of Python drop what they do not know
        check=_saw_all,
        ids=[None],
        waits=[],
    )
    yield Row(
        name="an id without a number",
        plan=(said(lambda log: log.frames(0, 4) + odd(b"hello") + rest(log, 4)),),
        seen=lambda log: [
            *events(log, 1, 4),
            ("event", ANY, {"event_type": "odd"}),
            *events(log, 5, 12),
        ],
        ids=[None],
    )
    yield Row(
        name="an event without an id",
        plan=(said(lambda log: log.frames(0, 4) + odd(b"") + rest(log, 4)),),
        seen=lambda log: [
            *events(log, 1, 4),
            ("event", ANY, {"event_type": "odd"}),
            *events(log, 5, 12),
        ],
        ids=[None],
    )
    yield Row(
        name="a named event of a later version",
        plan=(said(lambda log: log.frames(0, 4) + _HINT + rest(log, 4)),),
        seen=ANY,
        check=_saw_all,
        ids=[None],
        waits=[],
    )


_LATER = (
    b'{"event_type":"log","level":"info","message":"x","address":"a",'
    b'"timestamp":"2026-01-02T03:04:05Z","later":1}'
)


_LATER_CALL = (
    b'{"event_type":"tool_call","address":"a","timestamp":"2026-01-02T03:04:05Z",'
    b'"actor":"a","execution_status":"paused","from_cache":false}'
)


_NO_RESET = b"event: reset\ndata: hello\n\n"
_HINT = b'event: hint\ndata: {"a":1}\n\n'


def _with_bad(log: Log, bad: bytes) -> bytes:
    block = frames.join(bad, log.id(5).encode())
    return log.frames(0, 4) + block + rest(log, 5)


def _names_the_event(place: Place, outcome: Outcome) -> str | None:
    message = (outcome.failure or ("", ""))[1]
    return None if place.log.id(5) in message else f"{message} does not name the event"


def _replaced(log: Log, number: int, payload: bytes) -> Log:
    payloads = list(log.payloads)
    payloads[number - 1] = payload
    return replace(log, payloads=tuple(payloads))


def _saw_all(place: Place, outcome: Outcome) -> str | None:
    numbers = [n for n in dict.fromkeys(events_of(outcome.seen)) if n]
    return None if numbers == list(range(1, 13)) else f"saw {numbers}"


def _pieces(body: bytes) -> list[bytes]:
    return [body[at : at + 1001] for at in range(0, len(body), 1001)]
