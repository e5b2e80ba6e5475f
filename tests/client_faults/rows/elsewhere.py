"""Redirects, and what is no event stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.client_faults.answers import empty, part, plain, redirect, usual, whole_reply
from tests.client_faults.log import Log
from tests.client_faults.place import Answer, Place
from tests.client_faults.row import Failure, Outcome, Question, Row, events


def rows() -> Iterator[Row]:
    """Redirects, and what is no event stream."""
    for status in (301, 302, 307, 308):
        yield Row(
            name=f"a redirect: {status}",
            ask=Question(own=True),
            plan=(part(4, then="fin"), redirect(status, "elsewhere")),
            others={"other": (usual,)},
            ids=[None, 4],
            check=_was_redirected,
        )
    yield Row(
        name="an HTML page",
        plan=(plain(200, "text/html; charset=utf-8", "<h1>Sign in</h1>"),),
        seen=lambda log: [],
        failure=Failure("NotAnEventStream", ("text/html", "/executions/", "/events")),
        ids=[None],
        waits=[],
    )
    yield Row(
        name="JSON in place of a stream, in the middle",
        plan=(part(4, then="fin"), plain(200, "application/json", "{}")),
        seen=lambda log: events(log, 1, 4),
        failure=Failure("NotAnEventStream", ("application/json",)),
        ids=[None, 4],
    )
    yield Row(
        name="no content type",
        plan=(empty(200),),
        seen=lambda log: [],
        failure=Failure("NotAnEventStream", ("/events",)),
        ids=[None],
        waits=[],
    )
    yield Row(
        name="a content type in other letters",
        plan=(_typed("Text/Event-Stream ; charset=UTF-8"),),
        ids=[None],
        waits=[],
    )

    yield Row(
        name="a redirect to a page",
        ask=Question(own=True),
        plan=(redirect(302, "login"),),
        others={"other": (plain(200, "text/html", "<h1>Sign in</h1>"),)},
        seen=lambda log: [],
        failure=Failure("NotAnEventStream", ("text/html", "/login")),
        ids=[None],
        waits=[],
    )
    yield Row(
        name="a redirect in a circle",
        ask=Question(give_up=0.2, auth=False),
        plan=(redirect(302, "events"),) * 100_000,
        seen=lambda log: [],
        failure=Failure("Unreachable"),
    )


def _was_redirected(place: Place, outcome: Outcome) -> str | None:
    found = [(each.path, each.last_event_id) for each in place.of("other")]
    path = f"/executions/{place.log.name}/elsewhere"
    wanted = [(path, place.log.id(4))]
    return None if found == wanted else f"{found}, not {wanted}"


def _typed(media_type: str) -> Answer:
    def answer(log: Log, request: object) -> object:
        reply = whole_reply(log, "chunked")
        return replace(reply, headers={"content-type": media_type})

    return answer  # type: ignore[return-value]
