"""Connections on which nothing comes any more, and users who leave."""

from __future__ import annotations

from collections.abc import Iterator

from asgi_events.wire import frames
from asgi_events.wire.sse import KEEP_ALIVE
from tests.client_faults.answers import cut_at, goodbye, nothing, part, shaped
from tests.client_faults.place import Place
from tests.client_faults.row import ANY, Check, Outcome, Question, Row, events


def rows() -> Iterator[Row]:
    """Connections on which nothing comes any more."""
    stalled = Question(stall=1.003, own=True)
    for name, answer, last in (
        ("after events", part(4, then="hang"), 4),
        ("in an event", part(4, b'data: {"event_ty', then="hang"), 4),
        ("before the head", nothing("hang"), None),
        ("in the head", cut_at(40, then="hang"), None),
    ):
        yield Row(
            name=f"a stall {name}",
            ask=stalled,
            plan=(answer,),
            check=_came_back_after(last),
        )
    yield Row(
        name="heartbeats for longer than a stall",
        ask=Question(stall=2.003),
        plan=(
            shaped(
                lambda body: [*[KEEP_ALIVE] * 45, body],
                pause=0.05,
            ),
        ),
        ids=[None],
        waits=[],
    )
    yield Row(
        name="an end, and a connection that stays open",
        plan=(part(12, frames.end("completed"), then="hang"),),
        ids=[None],
        waits=[],
    )
    yield Row(
        name="a goodbye, and a connection that stays open",
        plan=(part(4, goodbye("backlog", 50), then="hang"),),
        ids=[None, 4],
        waits=[(0.05, 0.05)],
    )
    yield Row(
        name="a user who leaves",
        ask=Question(leave=3, own=True),
        plan=(part(5, then="hang"),),
        seen=lambda log: events(log, 1, 3),
        status=ANY,
        ids=[None],
        waits=[],
        check=_is_not_cancelled,
    )
    yield Row(
        name="a user who leaves while nothing comes",
        ask=Question(leave=5, waiting=True),
        plan=(part(5, then="hang"),),
        seen=lambda log: events(log, 1, 5),
        status=ANY,
        ids=[None],
        waits=[],
        check=_is_not_cancelled,
    )


def _came_back_after(last: int | None) -> Check:
    """Once, or more often if this machine is so slow that more seems to be a stall."""

    def check(place: Place, outcome: Outcome) -> str | None:
        asked = [request.last_event_id for request in place.of("events")]
        wanted = [None, None if last is None else place.log.id(last)]
        if asked[:2] != wanted or not outcome.waits:
            return f"asked for what follows {asked}, waited {len(outcome.waits)} times"
        return None

    return check


def _is_not_cancelled(place: Place, outcome: Outcome) -> str | None:
    return "it has cancelled the execution" if place.cancelled else None
