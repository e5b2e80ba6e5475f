"""The result, the status, a cancellation."""

from __future__ import annotations

from collections.abc import Iterator

from asgi_events.events import CancelledEvent, ErrorEvent, LostEvent
from tests.client_faults.answers import nothing, part, plain, refuse
from tests.client_faults.place import Place, told
from tests.client_faults.row import Check, Failure, Outcome, Question, Row
from tests.client_faults.rows.starts import asks, cut_answer, result

RESULT = Question(verb="result")


CANCEL = Question(verb="cancel")


ABOUT = Question(verb="about")


def rows() -> Iterator[Row]:
    """The result, the status, a cancellation."""
    yield Row(name="the result", ask=RESULT, value=result)
    yield Row(
        name="the result, across cuts",
        ask=RESULT,
        plan=(part(4, then="fin"), part(7, then="rst"), refuse(502), nothing("fin")),
        running=True,
        value=result,
        check=_follows(5),
    )
    for kind, event, status in (
        ("ExecutionFailed", ErrorEvent(message="No tea is left."), "failed"),
        ("ExecutionCancelled", CancelledEvent(message="No tea is left."), "cancelled"),
        ("ExecutionLost", LostEvent(message="No tea is left."), "lost"),
    ):
        yield Row(
            name=f"the result of an execution that is {status}",
            ask=RESULT,
            log=lambda log, event=event, status=status: log.ended_by(event, status),
            failure=Failure(kind, ("No tea is left.",)),
        )
        yield Row(
            name=f"the result of an execution that will be {status}",
            ask=RESULT,
            log=lambda log, event=event, status=status: log.ended_by(event, status),
            plan=(part(4, then="fin"),),
            running=True,
            failure=Failure(kind, ("No tea is left.",)),
            check=_follows(2),
        )
    yield Row(
        name="a cancellation",
        ask=CANCEL,
        check=_is_cancelled,
    )
    yield Row(
        name="a cancellation: 401, and a new token",
        ask=CANCEL,
        others={"cancel": (refuse(401),)},
        check=_is_cancelled,
    )
    yield Row(
        name="a cancellation: 403",
        ask=CANCEL,
        others={"cancel": (refuse(403, "You may only look."),)},
        failure=Failure("Forbidden", ("You may only look.",)),
    )
    yield Row(
        name="a question: 404",
        ask=ABOUT,
        others={"about": (refuse(404, "No execution."),)},
        failure=Failure("UnknownExecution"),
    )
    yield Row(
        name="a question: 401, and a new token",
        ask=ABOUT,
        others={"about": (refuse(401),)},
        value=lambda log: "completed",
    )
    yield Row(
        name="a question: 401 for ever",
        ask=ABOUT,
        others={"about": (refuse(401, "Who are you?"),) * 3},
        failure=Failure("Unauthorized", ("Who are you?",)),
        check=asks(2),
    )
    yield Row(
        name="a question: JSON that is no execution",
        ask=ABOUT,
        others={"about": (lambda log, request: told(200, {"actors": []}),)},
        failure=Failure("ClientError or RequestFailed"),
    )
    yield Row(
        name="a question: an HTML page",
        ask=ABOUT,
        others={"about": (plain(200, "text/html", "<h1>Sign in</h1>"),)},
        failure=Failure("ClientError or RequestFailed"),
    )
    yield Row(
        name="a question: its answer is cut, and 503",
        ask=ABOUT,
        others={"about": (cut_answer(150), refuse(503))},
        value=lambda log: "completed",
    )


def _follows(requests: int) -> Check:
    def check(place: Place, outcome: Outcome) -> str | None:
        found = len(place.of("events"))
        return None if found == requests else f"{found} requests for events"

    return check


def _is_cancelled(place: Place, outcome: Outcome) -> str | None:
    return None if place.cancelled else "nothing was cancelled"
