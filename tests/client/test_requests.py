"""Starts, questions and cancels: the plans alone, without I/O."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from pydantic import BaseModel

from asgi_events.client import outcome, requests
from asgi_events.client.actions import Broken, Follow
from asgi_events.client.terms import check_start
from asgi_events.exceptions import (
    AsgiEventsError,
    ClientError,
    EventTooLarge,
    ExecutionCancelled,
    ExecutionFailed,
    ExecutionLost,
    Forbidden,
    Gone,
    IdempotencyConflict,
    InvalidInput,
    MalformedEvent,
    NotAnEventStream,
    Refused,
    RequestFailed,
    ResultGone,
    ThreadBusy,
    TooManyResets,
    Unauthorized,
    UnknownActor,
    UnknownExecution,
    Unreachable,
)
from asgi_events.wire.frames import end
from tests.client.world import (
    BASE,
    CUT,
    ID,
    REFUSED,
    SILENT,
    URL,
    Reply,
    World,
    about,
    answer,
    complete,
    event,
    failed,
    finish,
    problem,
    stream,
)

STARTED = {"id": ID, "actor": "count", "status": "started"}
HTML = Reply(headers={"content-type": "text/html"}, body=(b"<html>",))


def start(world: World, input: Any = None, key: str | None = None) -> Any:
    return world.run(requests.start(world.terms, "count", input, key))


# Starts


@pytest.mark.parametrize(
    "reply",
    [REFUSED, CUT]
    + [answer(status, problem(status, "No.")) for status in (429, 502, 503, 504)]
    + [Reply(status=202, body=(b'{"id"', CUT))],
)
def test_starts_with_the_same_key_again(reply: Reply | Broken) -> None:
    world = World(reply, reply, answer(202, STARTED))

    found = start(world, {"to": 3})

    assert (found.id, found.actor, found.status) == (ID, "count", "started")
    assert world.pauses == [1.0, 2.0]
    keys = {send.headers["idempotency-key"] for send in world.sent}
    assert [len(key) for key in keys] == [32]
    assert {send.content for send in world.sent} == {b'{"to":3}'}
    assert [request[:2] for request in world.requests] == [("POST", "/count")] * 3


def test_has_a_new_key_for_each_start() -> None:
    worlds = [World(answer(202, STARTED)) for _ in range(2)]
    for world in worlds:
        start(world)

    first, second = (world.sent[0].headers["idempotency-key"] for world in worlds)
    assert first != second


def test_sends_the_key_that_it_is_given() -> None:
    world = World(answer(202, STARTED))

    start(world, key="k")

    assert world.sent[0].headers == {
        "authorization": "t",
        "accept": "application/json",
        "content-type": "application/json",
        "idempotency-key": "k",
    }


class Order(BaseModel):
    topic: str
    depth: int = 1


@pytest.mark.parametrize(
    "input, content",
    [
        (None, b"{}"),
        ({"topic": "tea"}, b'{"topic":"tea"}'),
        (Order(topic="tea"), b'{"topic":"tea","depth":1}'),
        (b'{"raw": 1}', b'{"raw": 1}'),
        ([1, {2}], b"[1,[2]]"),
    ],
)
def test_sends_an_input(input: Any, content: bytes) -> None:
    world = World(answer(202, STARTED))

    start(world, input)

    assert world.sent[0].content == content


def test_sends_no_input_that_has_no_json() -> None:
    with pytest.raises(ValueError, match="Unable to serialize"):
        start(World(), {"x": object()})


def test_puts_the_name_of_an_actor_into_one_segment() -> None:
    world = World(answer(202, STARTED))

    world.run(requests.start(world.terms, "a/b ü", None, None))

    assert world.requests[0][1] == "/a%2Fb%20%C3%BC"


@pytest.mark.parametrize(
    "thread, path",
    [
        (None, "/count"),
        ("c1", "/count?thread=c1"),
        ("a/b &ü", "/count?thread=a%2Fb%20%26%C3%BC"),
    ],
)
def test_names_the_thread_in_the_query(thread: str | None, path: str) -> None:
    world = World(answer(202, STARTED | {"thread": thread}))

    found = world.run(requests.start(world.terms, "count", None, None, thread))

    assert world.requests[0][1] == path
    assert found.thread == thread


@pytest.mark.parametrize("thread", ["", " ", "a\n", "x" * 256])
def test_sends_no_thread_that_there_cannot_be(thread: str) -> None:
    with pytest.raises(ValueError, match="thread must have 1 to 255 printable"):
        check_start("count", None, thread)


INVALID = [{"type": "missing", "loc": ["to"], "msg": "Field required"}]

START_REFUSED: list[tuple[Reply, type[Exception], str]] = [
    (answer(400, problem(400, "Bad.")), RequestFailed, "400: Bad."),
    (answer(401, problem(401, "Who?")), Unauthorized, "Who?"),
    (answer(403, problem(403, "Not you.")), Forbidden, "Not you."),
    (answer(404, problem(404, "No actor.")), UnknownActor, "No actor."),
    (answer(408, problem(408, "Late.")), RequestFailed, "408: Late."),
    (answer(409, problem(409, "Busy.", execution="x")), ThreadBusy, "Busy."),
    (answer(409, problem(409, "Busy.")), RequestFailed, "409: Busy."),
    (answer(410, problem(410, "Over.", execution="x")), Gone, "Over."),
    (answer(410, problem(410, "Over.")), RequestFailed, "410: Over."),
    (answer(413, problem(413, "Large.")), RequestFailed, "413: Large."),
    (answer(422, problem(422, "Used.")), IdempotencyConflict, "Used."),
    (answer(422, problem(422, "No.", errors=INVALID)), InvalidInput, "'missing'"),
    (answer(500, problem(500, "Oops.")), RequestFailed, "500: Oops."),
    # No problem documents: somebody else has answered.
    (Reply(status=404), RequestFailed, "404: Not Found"),
    (Reply(status=422), RequestFailed, "422: Unprocessable"),
    (Reply(status=599), RequestFailed, "599: HTTP status 599"),
    (
        Reply(
            status=404,
            headers={"content-type": "application/json"},
            body=(b'{"detail":"No ro', b'ute"}'),
        ),
        RequestFailed,
        "404: No route",
    ),
    (
        Reply(
            status=404,
            headers={"content-type": "application/problem+json"},
            body=(b"[\xff", CUT),
        ),
        UnknownActor,
        "Not Found",
    ),
    (Reply(status=302), RequestFailed, "302: Found"),
    (HTML, RequestFailed, r"200: this is not how an execution stands \(text/html\)"),
    (Reply(status=204), RequestFailed, r"204: this is not .* \(no content type\)"),
]


@pytest.mark.parametrize("reply, error, words", START_REFUSED)
def test_says_why_nothing_was_started(
    reply: Reply, error: type[Exception], words: str
) -> None:
    world = World(*[reply] * (2 if error is Unauthorized else 1))

    with pytest.raises(error, match=words) as raised:
        start(world, {"to": 3}, "k")

    assert type(raised.value) is error
    assert world.pauses == []
    assert isinstance(raised.value, AsgiEventsError)
    again = pickle.loads(pickle.dumps(raised.value))
    assert (type(again), again.args) == (error, raised.value.args)
    assert vars(again) == vars(raised.value)


def test_keeps_the_facts_of_a_refusal() -> None:
    world = World(answer(410, problem(410, "Over.", execution="x")))
    with pytest.raises(Gone) as gone:
        start(world, key="k")
    world = World(answer(422, problem(422, "No.", errors=INVALID)))
    with pytest.raises(InvalidInput) as invalid:
        start(world)
    world = World(answer(418, problem(418, "Tea.", pot=1)))
    with pytest.raises(RequestFailed) as failed:
        start(world)

    assert (gone.value.key, gone.value.id) == ("k", "x")
    assert (invalid.value.actor, invalid.value.errors) == ("count", INVALID)
    assert (failed.value.status, failed.value.detail) == (418, "Tea.")
    assert failed.value.url == f"{BASE}/count"
    assert failed.value.problem == problem(418, "Tea.", pot=1)


def test_reads_no_more_of_a_refusal_than_it_needs() -> None:
    piece = b" " * 16 * 1024
    reply = Reply(
        status=400, headers={"content-type": "text/plain"}, body=(piece,) * 1000
    )
    world = World(reply)

    with pytest.raises(RequestFailed, match="400: Bad Request"):
        start(world)


def test_reads_no_more_of_an_answer_than_it_may() -> None:
    page = Reply(headers={"content-type": "application/json"}, body=(b" " * 99,) * 1000)
    world = World(page, max_event_bytes=1000)

    with pytest.raises(EventTooLarge, match="The answer has 1089 bytes"):
        start(world)


@pytest.mark.parametrize("tries, give_up_after", [(1, 5.0), (2, 60.0), (3, 120.0)])
def test_has_not_started_in_time_where_nobody_answers(
    tries: int, give_up_after: float
) -> None:
    world = World(*[SILENT] * tries, give_up_after=give_up_after)

    with pytest.raises(Unreachable, match=f"given up after {give_up_after:g} s"):
        start(world)
    assert world.time == 1000.0 + give_up_after


def test_has_a_moment_for_the_last_try() -> None:
    world = World(*[REFUSED] * 3, SILENT, give_up_after=5.0)

    with pytest.raises(Unreachable, match="given up after 5 s"):
        start(world)
    assert world.time == 1006.0


def test_waits_as_long_as_it_must_where_it_never_gives_up() -> None:
    world = World(SILENT, SILENT, about(), give_up_after=None)
    start(world)
    assert world.time == 1000.0 + 45.0 + 1.0 + 45.0 + 2.0


def test_has_not_started_after_a_while() -> None:
    world = World(*[REFUSED] * 4, give_up_after=5.0)

    with pytest.raises(Unreachable, match=f"{BASE}/count cannot be reached"):
        start(world)
    assert world.pauses == [1.0, 2.0, 2.0]

    busy = answer(503, problem(503, "This process is shutting down."))
    world = World(*[busy] * 4, give_up_after=5.0)
    with pytest.raises(Refused, match="shutting down"):
        start(world)

    page = Reply(status=503, headers={"content-type": "text/html"})
    world = World(*[page] * 4, give_up_after=5.0)
    with pytest.raises(Unreachable, match="503 Service Unavailable") as raised:
        start(world)
    assert isinstance(raised.value.__cause__, RequestFailed)


# Questions


def test_reads_an_answer_that_is_nested_deeply() -> None:
    body = b'{"id":"4ad0","actor":"a","status":"completed","result":%b1%b}'
    reply = Reply(body=(body % (b"[" * 500, b"]" * 500),))

    assert str(result(reply)).count("[") == 500


def test_refuses_an_answer_that_is_nested_too_deeply() -> None:
    deep = b"[" * 60_000
    with pytest.raises(RequestFailed, match="not how an execution stands"):
        result(Reply(body=(deep,)))
    refusal = Reply(
        status=400, headers={"content-type": "application/json"}, body=(deep,)
    )
    with pytest.raises(RequestFailed, match="400: Bad Request"):
        result(refusal)


def test_asks_how_an_execution_stands() -> None:
    world = World(
        about("completed", result=[1], last=4, created="2026-11-22T12:00:00Z", newer=1)
    )

    found = world.run(requests.about(world.terms, ID))

    assert (found.status, found.result, found.last) == ("completed", [1], 4)
    assert world.requests == [("GET", f"/executions/{ID}", None)]


def test_asks_again_where_nothing_is_lost_by_it() -> None:
    statuses = (408, 425, 429, 500, 502, 503, 504)
    refusals = [answer(status, problem(status, "No.")) for status in statuses]
    cut = Reply(headers=about().headers, body=(b"{", CUT))
    world = World(REFUSED, *refusals, cut, about("failed"))

    assert world.run(outcome.status(world.terms, ID)) == "failed"
    assert len(world.pauses) == 9


@pytest.mark.parametrize("id", ["", ".", ".."])
def test_asks_for_no_id_that_no_url_can_have(id: str) -> None:
    with pytest.raises(UnknownExecution):
        World().run(requests.about(World().terms, id))


def test_knows_no_other_execution() -> None:
    world = World(answer(404, problem(404, "No execution '4ad0'.")))

    with pytest.raises(UnknownExecution, match=r"^No execution '4ad0'\.$") as raised:
        world.run(requests.about(world.terms, ID))

    assert raised.value.id == ID


@pytest.mark.parametrize("status, cancels", [(202, True), (200, False)])
def test_cancels(status: int, cancels: bool) -> None:
    world = World(REFUSED, answer(status, STARTED))

    assert world.run(requests.cancel(world.terms, ID)) is cancels
    assert world.requests[1] == ("DELETE", f"/executions/{ID}", None)


# Redirects


def moved(method: str) -> Reply:
    return Reply(status=307, redirect=method)


def test_goes_where_it_is_redirected() -> None:
    world = World(moved("GET"), moved("GET"), about("failed"))

    assert world.run(outcome.status(world.terms, ID)) == "failed"
    assert world.followed == [Follow(frozenset({"authorization"}))] * 2
    assert (world.asked, world.pauses) == (1, [])


def test_goes_on_after_a_redirect_to_nowhere() -> None:
    world = World(moved("GET"), REFUSED, moved("GET"), about("failed"))

    assert world.run(outcome.status(world.terms, ID)) == "failed"
    assert (world.asked, world.pauses) == (2, [1.0])


def test_is_not_redirected_for_ever() -> None:
    world = World(*[moved("GET")] * 21)

    with pytest.raises(Unreachable, match="too many redirects"):
        world.run(requests.about(world.terms, ID))
    assert len(world.followed) == 20


@pytest.mark.parametrize(
    "plan",
    [lambda t: requests.start(t, "a", None, None), lambda t: requests.cancel(t, ID)],
)
def test_makes_no_other_request_of_what_changes_something(plan: Any) -> None:
    world = World(moved("GET"))

    with pytest.raises(RequestFailed, match="307: .* redirects to a GET") as raised:
        world.run(plan(world.terms))
    assert (raised.value.status, world.followed) == (307, [])


# Results


def result(*script: Reply | Broken, type: Any = Any) -> Any:
    world = World(*script)
    return world.run(outcome.result(world.terms, ID, type))


def test_has_the_result_of_what_has_ended() -> None:
    assert result(about("completed", result={"a": 1})) == {"a": 1}


def test_waits_for_the_result() -> None:
    running = about(last=2)
    assert result(running, stream(event(3), CUT), stream(finish(4))) == 7
    assert result(running, stream(complete(3, None) + end("completed"))) is None


def test_waits_from_the_newest_event() -> None:
    world = World(about(last=2), stream(finish(3)))

    world.run(outcome.wait(world.terms, ID))

    assert world.requests[1][2] == f"{ID}:2"


def test_asks_for_the_result_that_it_has_not_seen() -> None:
    running, over = about(last=2), about("completed", result=9)
    assert result(running, Reply(status=204), over, over) == 9


def test_reads_a_terminal_event_of_a_later_version() -> None:
    later = {"event_type": "complete", "message": "m", "result": 3, "later": 1}
    assert result(about(), stream(event(1, later))) == 3


def test_validates_the_result() -> None:
    over = about("completed", result={"topic": "tea", "depth": 3})
    assert result(over, type=Order) == Order(topic="tea", depth=3)
    with pytest.raises(ValueError, match="4ad0 has returned something else than .*int"):
        result(over, type=int)


@pytest.mark.parametrize(
    "status, error",
    [
        ("failed", ExecutionFailed),
        ("cancelled", ExecutionCancelled),
        ("lost", ExecutionLost),
        ("vanished", ExecutionFailed),
    ],
)
def test_raises_where_there_is_no_result(status: str, error: type[Exception]) -> None:
    with pytest.raises(error, match="No tea") as raised:
        result(about(status, error="No tea."))

    assert type(raised.value) is error
    assert pickle.loads(pickle.dumps(raised.value)).status == status


def test_raises_what_it_has_watched() -> None:
    with pytest.raises(ExecutionFailed, match=r"failed: No tea\."):
        result(about(), stream(failed(1)))


def test_says_that_a_result_is_gone() -> None:
    gone = answer(404, problem(404, "No execution."))
    with pytest.raises(ResultGone, match=ID):
        result(about(), stream(end("completed")), gone)
    with pytest.raises(UnknownExecution):
        result(gone)


@pytest.mark.parametrize(
    "script, status",
    [
        ([about("lost")], "lost"),
        ([about(), stream(failed(1))], "failed"),
        ([about(), Reply(status=204), about("cancelled")], "cancelled"),
    ],
)
def test_waits_for_the_end(script: list[Any], status: str) -> None:
    world = World(*script)

    assert world.run(outcome.wait(world.terms, ID)) == status


# Exceptions


@pytest.mark.parametrize(
    "error, text",
    [
        (
            RequestFailed(418, "Tea.", url=URL, problem={"pot": 1}),
            f"{URL} has answered 418: Tea.",
        ),
        (Unreachable(URL, "refused"), f"{URL} cannot be reached: refused"),
        (
            NotAnEventStream(URL, ""),
            f"{URL} has answered with no content type, not with an event stream.",
        ),
        (MalformedEvent("x:1", URL), f"Event x:1 of {URL} is not JSON."),
        (MalformedEvent(None, URL), f"An event without an id of {URL} is not JSON."),
        (
            TooManyResets(URL, 5, "future"),
            f"{URL} has reset the stream 5 times (future) without a new event.",
        ),
    ],
)
def test_pickles_its_exceptions(error: ClientError, text: str) -> None:
    again = pickle.loads(pickle.dumps(error))

    assert str(error) == str(again) == text
    assert vars(again) == vars(error)
    assert json.dumps(vars(error))
