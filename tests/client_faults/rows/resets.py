"""What a server says where it cannot continue."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from asgi_events.events import LostEvent
from asgi_events.wire import frames
from tests.client_faults.answers import part, reset, said
from tests.client_faults.log import Log
from tests.client_faults.place import Place
from tests.client_faults.row import (
    ANY,
    Check,
    Failure,
    Outcome,
    Question,
    Row,
    events,
    resets,
)


def rows() -> Iterator[Row]:
    """What a server says where it cannot continue."""
    for reason in ("malformed", "foreign", "future"):
        yield Row(
            name=f"reset at the start: {reason}",
            ask=Question(after=5),
            plan=(said(lambda log, r=reason: reset(r, 1) + log.frames() + log.end),),
            seen=lambda log, r=reason: [*resets(r, 1), *events(log, 1, 12)],
            ids=[5],
        )
    yield Row(
        name="reset at the start: trimmed",
        plan=(said(lambda log: reset("trimmed", 7) + log.frames(6) + log.end),),
        seen=lambda log: [*resets("trimmed", 7), *events(log, 7, 12)],
        ids=[None],
        waits=[],
        judged=True,
    )
    yield Row(
        name="reset in the middle: trimmed",
        plan=(part(3, then="fin"), said(_trimmed)),
        seen=lambda log: [
            *events(log, 1, 3),
            *resets("trimmed", 7),
            *events(log, 7, 12),
        ],
        ids=[None, 3],
    )
    yield Row(
        name="reset in the middle of a connection: future",
        plan=(said(_forgotten),),
        seen=lambda log: [
            *events(log, 1, 5),
            *resets("future", 1),
            *events(log, 1, 12),
        ],
        ids=[None],
        waits=[],
        judged=True,
    )
    yield Row(
        name="reset, and the connection breaks before an event",
        plan=(
            part(4, then="fin"),
            said(lambda log: reset("foreign", 1), then="fin"),
            said(lambda log: reset("foreign", 1) + log.frames() + log.end),
        ),
        seen=lambda log: [
            *events(log, 1, 4),
            *resets("foreign", 1),
            *resets("foreign", 1),
            *events(log, 1, 12),
        ],
        ids=[None, 4, None],
    )
    yield Row(
        name="trimmed, and the connection breaks before an event",
        plan=(
            part(3, then="fin"),
            said(lambda log: reset("trimmed", 7), then="fin"),
        ),
        seen=lambda log: [
            *events(log, 1, 3),
            *resets("trimmed", 7),
            *events(log, 7, 12),
        ],
        ids=[None, 3, 6],
    )
    yield Row(
        name="reset, events again, a cut, and the rest",
        plan=(
            part(6, then="fin"),
            said(lambda log: reset("future", 1) + log.frames(0, 3), then="fin"),
        ),
        seen=lambda log: [
            *events(log, 1, 6),
            *resets("future", 1),
            *events(log, 1, 12),
        ],
        ids=[None, 6, 3],
    )
    yield Row(
        name="reset with a reason of a later version",
        plan=(part(2, then="fin"), said(lambda log: reset("merged", 1) + _all(log))),
        seen=lambda log: [
            *events(log, 1, 2),
            *resets("merged", 1),
            *events(log, 1, 12),
        ],
    )
    yield Row(
        name="reset, and lost without an id",
        log=lambda log: log.ended_by(LostEvent(message="It is not kept."), "lost"),
        plan=(part(4, then="fin"), said(_is_hopeless)),
        seen=lambda log: [
            *events(log, 1, 4),
            *resets("future", 1),
            ("event", ANY, log.value(12)),
        ],
    )
    yield Row(
        name="reset for ever",
        ask=Question(after=5),
        plan=(said(lambda log: reset("future", 1), then="fin"),) * 20,
        seen=ANY,
        failure=Failure("TooManyResets", (" 5 ",)),
        check=_resets_of(5, told=4),
    )
    yield Row(
        name="reset for ever, and the same events",
        plan=(
            part(5, then="fin"),
            *(said(lambda log: reset("future", 1) + log.frames(0, 3), then="fin"),)
            * 20,
        ),
        seen=ANY,
        failure=Failure("TooManyResets", (" 5 ",)),
        check=_resets_of(6, told=4),
    )
    yield Row(
        name="reset for ever in one connection",
        plan=(said(lambda log: (reset("future", 1) + log.frames(0, 3)) * 20),),
        seen=ANY,
        failure=Failure("TooManyResets", (" 5 ",)),
        check=_resets_of(1, told=5),
    )
    yield Row(
        name="a reset each time, and one event more",
        plan=tuple(
            said(
                lambda log, n=n: reset("future", 1) + log.frames(0, n) + b":\n",
                then="fin",
            )
            for n in range(1, 12)
        ),
        seen=lambda log: [
            *chain.from_iterable(
                [*resets("future", 1), *events(log, 1, n)] for n in range(1, 12)
            ),
            *events(log, 12, 12),
        ],
    )


def _trimmed(log: Log) -> bytes:
    return reset("trimmed", 7) + log.frames(6) + log.end


def _forgotten(log: Log) -> bytes:
    return log.frames(0, 5) + reset("future", 1) + _all(log)


def _all(log: Log) -> bytes:
    return log.frames() + log.end


def _is_hopeless(log: Log) -> bytes:
    lost = frames.join(log.payloads[-1], b"")
    return reset("future", 1) + lost + log.end


def _resets_of(requests: int, *, told: int) -> Check:
    """So many requests and resets, and no more."""

    def check(place: Place, outcome: Outcome) -> str | None:
        asked = len(place.of("events"))
        seen = [kind for kind, *_ in outcome.seen].count("reset")
        if (asked, seen) != (requests, told):
            return f"{asked} requests, {seen} resets told"
        return None

    return check
