"""A start: what fails before an execution has an id."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.client_faults.answers import cut_reply_at, empty, plain, redirect, refuse
from tests.client_faults.log import Log
from tests.client_faults.place import Answer, Place, Reply, Request, about, told
from tests.client_faults.row import Check, Failure, Outcome, Question, Range, Row

START = Question(verb="start")


def result(log: Log) -> Any:
    """What the execution has returned."""
    return log.value(log.last)["result"]


def rows() -> Iterator[Row]:
    """A start, and what is followed after it."""

    def row(
        name: str,
        *plan: Answer,
        requests: int = 2,
        waits: list[Range] | None = None,
    ) -> Row:
        return Row(
            name=f"a start: {name}",
            ask=START,
            others={"start": plan},
            value=result,
            waits=waits,
            check=_starts_once(requests),
        )

    yield row("nothing is wrong", requests=1)
    yield row("its answer is lost: FIN", _lost("fin"))
    yield row("its answer is lost: RST", _lost("rst"))
    yield row("its answer is cut in the head", cut_answer(30))
    yield row("its answer is cut in the body", cut_answer(150))
    for status in (429, 502, 503, 504):
        yield row(str(status), refuse(status))
    yield row(
        "503 with Retry-After",
        refuse(503, headers={"retry-after": "7"}),
    )
    yield row(
        "lost, 502, lost, 503",
        _lost("fin"),
        refuse(502),
        _lost("rst"),
        refuse(503),
        requests=5,
    )
    yield row("401, and a new token", refuse(401))
    for status in (307, 308):
        yield Row(
            name=f"a start: a redirect: {status}",
            ask=START,
            others={"start": (_redirect(status),), "other": (_moved,)},
            value=result,
            check=_was_moved,
        )
    for kind, status, more in (
        ("Unauthorized", 401, {}),
        ("Forbidden", 403, {}),
        ("UnknownActor", 404, {}),
        ("ThreadBusy or RequestFailed", 409, {"execution": "another"}),
        ("Gone or RequestFailed", 410, {}),
        ("RequestFailed", 413, {}),
        ("RequestFailed", 415, {}),
        ("InvalidInput", 422, {"errors": _ERRORS}),
        ("IdempotencyConflict", 422, {}),
        ("RequestFailed", 500, {}),
    ):
        yield Row(
            name=f"a start that is refused: {status} {kind}",
            ask=START,
            others={"start": (refuse(status, "Not this one.", **more),) * 3},
            seen=lambda log: [],
            failure=Failure(kind, _words(kind)),
            check=asks(2 if status == 401 else 1),
            waits=[],
        )
    for name, answer in (
        ("an HTML page", plain(200, "text/html", "<h1>Sign in</h1>")),
        ("no body", empty(202)),
        ("a list", _json(202, [])),
        ("an object without an id", _json(202, {"ok": True})),
    ):
        yield Row(
            name=f"a start that gets {name}",
            ask=START,
            others={"start": (answer,)},
            seen=lambda log: [],
            failure=Failure("ClientError or RequestFailed"),
            check=asks(1),
            waits=[],
        )


_ERRORS = [{"type": "missing", "loc": ["topic"], "msg": "Field required"}]


def _words(kind: str) -> tuple[str, ...]:
    """What the message must have of the problem; other words are the client's."""
    if kind == "InvalidInput":
        return ("Field required",)
    has_own = kind in ("UnknownActor", "IdempotencyConflict") or " or " in kind
    return () if has_own else ("Not this one.",)


def _lost(then: str) -> Answer:
    """The execution is started, and the answer is lost."""

    def answer(log: Log, request: Request) -> Reply:
        return Reply(cut=0, then=then)

    return answer


def cut_answer(at: int) -> Answer:
    """What a server says of an execution, of which some bytes pass."""

    def answer(log: Log, request: Request) -> Reply:
        return cut_reply_at(at, told(202, about(log)))(log, request)

    return answer


def _json(status: int, value: Any) -> Answer:
    return lambda log, request: told(status, value)


def _redirect(status: int) -> Answer:
    return redirect(status, "moved/research")


def _moved(log: Log, request: Request) -> Reply:
    return told(202, about(log))


def _was_moved(place: Place, outcome: Outcome) -> str | None:
    starts, others = place.of("start"), place.of("other")
    if (len(starts), len(others)) != (1, 1):
        return f"{len(starts)} requests, and {len(others)} elsewhere"
    first, second = starts[0], others[0]
    for name in ("idempotency-key", "authorization"):
        if first.headers.get(name) != second.headers.get(name):
            return f"{name} was {first.headers.get(name)}, {second.headers.get(name)}"
    if (second.method, second.body) != ("POST", first.body):
        return f"the second request was {second.method} {second.body!r}"
    return None


def _starts_once(requests: int) -> Check:
    def check(place: Place, outcome: Outcome) -> str | None:
        keys = [each.headers.get("idempotency-key") for each in place.of("start")]
        if len(keys) != requests or len(set(keys)) != 1:
            return f"the starts had the keys {keys}"
        if len(keys[0] or "") < 22:
            return f"the key {keys[0]} has fewer than 128 bits"
        return None

    return check


def asks(count: int) -> Check:
    """So many requests, and no more."""

    def check(place: Place, outcome: Outcome) -> str | None:
        found = len(place.requests)
        return None if found == count else f"{found} requests, not {count}"

    return check
