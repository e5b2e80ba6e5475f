"""Responses that are no stream: errors, and 204."""

from __future__ import annotations

from collections.abc import Iterator

from tests.client_faults.answers import empty, part, plain, refuse
from tests.client_faults.log import Log
from tests.client_faults.place import Place
from tests.client_faults.row import Failure, Outcome, Question, Row, events
from tests.client_faults.rows.delays import SECOND, first_waits


def rows() -> Iterator[Row]:
    """Responses that are no stream."""
    for status in (408, 425, 429, 500, 502, 503, 504):
        yield Row(
            name=f"{status}, then the stream",
            log=Log.without_retry,
            plan=(refuse(status),),
            ids=[None, None],
            waits=[SECOND],
        )
    yield Row(
        name="502 as a page of a proxy",
        log=Log.without_retry,
        plan=(plain(502, "text/html", "<h1>Bad Gateway</h1>"),),
        ids=[None, None],
        waits=[SECOND],
    )
    yield Row(
        name="502 eight times",
        log=Log.without_retry,
        plan=(refuse(502),) * 8,
        waits=first_waits(1, 8),
    )
    yield Row(
        name="502 twice after events: an event resets the delay",
        plan=(
            refuse(502),
            refuse(502),
            part(4, then="fin"),
            refuse(502),
            refuse(502),
            part(6, then="fin"),
        ),
        ids=[None, None, None, 4, 4, 4, 6],
        waits=[
            *first_waits(1, 2),
            *first_waits(0.001, 3),
            *first_waits(0.001, 1),
        ],
    )
    for kind, status, word in (
        ("Forbidden", 403, "not yours"),
        ("UnknownExecution", 404, ""),
        ("Gone or RequestFailed", 410, ""),
        ("RequestFailed", 400, "malformed cursor"),
        ("RequestFailed", 418, "a teapot"),
        ("RequestFailed", 304, ""),
    ):
        yield Row(
            name=f"{status} at once",
            plan=(refuse(status, word or "It has gone."),),
            seen=lambda log: [],
            failure=Failure(kind, (word,)),
            ids=[None],
            waits=[],
        )
    yield Row(
        name="403 in the middle",
        plan=(part(4, then="fin"), refuse(403, "not yours any more")),
        seen=lambda log: events(log, 1, 4),
        failure=Failure("Forbidden", ("not yours any more",)),
        ids=[None, 4],
    )
    yield Row(
        name="204 at once",
        plan=(empty(204),),
        seen=lambda log: [],
        ids=[None],
        waits=[],
        check=_asked_about,
        judged=True,
    )
    yield Row(
        name="204 after the last event but one",
        plan=(part(11, then="fin"), empty(204)),
        seen=lambda log: events(log, 1, 11),
        ids=[None, 11],
        check=_asked_about,
    )
    yield Row(
        name="204 for who has everything",
        ask=Question(after=12),
        seen=lambda log: [],
        ids=[12],
        waits=[],
        check=_asked_about,
    )

    yield Row(
        name="204, and the question for the status fails once",
        plan=(empty(204),) * 3,
        others={"about later": (refuse(503),)},
        seen=lambda log: [],
        check=_asked_about,
    )


def _asked_about(place: Place, outcome: Outcome) -> str | None:
    kinds = [request.kind for request in place.requests]
    asked = "events" in kinds and "about" in kinds[kinds.index("events") :]
    return None if asked else "nobody has asked for the status"
