"""An answer to a question: what fails while it is given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.client_faults.answers import cut_reply_at, nothing, plain, redirect, refuse
from tests.client_faults.place import QUESTION, Answer, Place, Reply, Request, told
from tests.client_faults.row import Check, Failure, Outcome, Question, Row

ANSWER = Question(verb="answer")

BODY = b'{"action":"accept","content":true}'


def rows() -> Iterator[Row]:
    """An answer, which counts whatever is lost on the way."""
    yield _row("nothing is wrong", requests=1)
    for then in ("fin", "rst"):
        yield _row(f"it counts, and its response is lost: {then}", nothing(then))
    for at in (30, 150, 250):
        yield _row(
            f"it counts, and its response is cut at {at}",
            cut_reply_at(at, told(201, QUESTION)),
        )
    for status in (429, 500, 502, 503, 504):
        yield _row(f"{status}, then 201", refuse(status))
    yield _row(
        "503 with Retry-After",
        refuse(503, headers={"retry-after": "7"}),
    )
    yield _row("503, and it counts", refuse(503), _told(200))
    yield _row(
        "lost, 502, lost, 503",
        *(nothing("fin"), refuse(502), nothing("rst"), refuse(503)),
        requests=5,
    )
    yield _row("401, and a new token", refuse(401))
    yield _row("it was given before", _told(200), requests=1, counts=False)
    yield _row("429, and it was given before", refuse(429), _told(200), counts=False)
    for status in (307, 308):
        yield _row(
            f"a redirect: {status}",
            redirect(status, "moved/1"),
            requests=1,
            other=_told(201),
            check=_was_moved(private=False),
        )
    yield _row(
        "a redirect to another origin",
        _to_another_origin,
        requests=1,
        other=_told(201),
        check=_was_moved(private=True),
    )
    for kind, status, more in (
        ("Unauthorized", 401, {}),
        ("Forbidden", 403, {}),
        ("UnknownExecution", 404, {}),
        ("UnknownQuestion", 404, {"n": 1}),
        ("AlreadyAnswered", 409, {"action": "decline", "by": "bob"}),
        ("QuestionClosed", 410, {"action": "expired"}),
        ("RequestFailed", 413, {}),
        ("InvalidInput", 422, {"errors": _ERRORS}),
    ):
        yield _refused(kind, refuse(status, "Not this one.", **more), status)
    yield _refused("RequestFailed", plain(200, "text/html", "<h1>Sign in</h1>"), 200)
    yield _refused(
        "AlreadyAnswered",
        nothing("fin"),
        409,
        refuse(409, "Not this one.", action="accept", by="bob"),
    )


_ERRORS = [{"type": "type", "loc": [], "msg": "Not this one."}]


def _row(
    name: str,
    *plan: Answer,
    requests: int | None = None,
    counts: bool = True,
    other: Answer | None = None,
    check: Check | None = None,
) -> Row:
    count = 2 if requests is None else requests

    def checked(place: Place, outcome: Outcome) -> str | None:
        bodies = [request.body for request in place.of("answer")]
        if bodies != [BODY] * count:
            return f"the answers had the bodies {bodies}"
        if outcome.value not in (counts, None):  # some clients do not say it
            return f"said {outcome.value}, not {counts}"
        return check(place, outcome) if check is not None else None

    return Row(
        name=f"an answer: {name}",
        ask=ANSWER,
        others={"answer": plan, "other": () if other is None else (other,)},
        check=checked,
    )


def _refused(kind: str, first: Answer, status: int, *more: Answer) -> Row:
    lost = "lost, then " if more else ""

    def check(place: Place, outcome: Outcome) -> str | None:
        count = 2 if status == 401 or more else 1
        found = len(place.of("answer"))
        return None if found == count else f"{found} requests, not {count}"

    return Row(
        name=f"an answer that is refused: {lost}{status} {kind}",
        ask=ANSWER,
        others={"answer": (first, *(more or (first, first)))},
        failure=Failure(
            f"{kind} or ClientError" if status == 200 else kind,
            () if status == 200 else ("Not this one.",),
        ),
        check=check,
    )


def _told(status: int) -> Answer:
    return lambda log, request: told(status, QUESTION)


def _to_another_origin(log: Any, request: Request) -> Reply:
    host = request.headers["host"].replace("127.0.0.1", "localhost")
    location = f"http://{host}/{request.place}/moved/1"
    return told(307, {}, {"location": location})


def _was_moved(private: bool) -> Check:
    def check(place: Place, outcome: Outcome) -> str | None:
        (first,), (second,) = place.of("answer"), place.of("other")
        if (second.method, second.body) != ("POST", first.body):
            return f"the second request was {second.method} {second.body!r}"
        wanted = None if private else first.token
        return None if second.token == wanted else f"the token was {second.token}"

    return check
