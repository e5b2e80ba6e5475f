"""Answers to the questions of executions: the plans alone, and with a real server."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import AsyncIterator, Iterator
from datetime import date
from typing import Any, Literal

import httpx
import httpx2
import pytest
from pydantic import BaseModel, Field

from asgi_events.client import InputAnswer, Question, answering, requests
from asgi_events.client.actions import Broken
from asgi_events.exceptions import (
    AlreadyAnswered,
    Forbidden,
    InvalidInput,
    QuestionClosed,
    Refused,
    RequestFailed,
    Unauthorized,
    UnknownExecution,
    UnknownQuestion,
    Unreachable,
)
from tests.client import asking
from tests.client.users import User
from tests.client.world import (
    BASE,
    CUT,
    ID,
    NOON,
    REFUSED,
    Reply,
    World,
    about,
    answer,
    problem,
)
from tests.servers import Server, watched

PATH = f"/executions/{ID}/inputs/2"
OPEN = {
    "n": 2,
    "address": "book",
    "message": "Book it?",
    "response_schema": {"type": "boolean"},
    "expires": NOON,
    "to": "bob",
    "answer": None,
}


def closed(action: str = "accept", by: str | None = "ann") -> dict[str, Any]:
    return {**OPEN, "answer": {"action": action, "by": by, "timestamp": NOON}}


FIRST, SAME = answer(201, closed()), answer(200, closed())


def accept(world: World, content: Any = True) -> Any:
    return world.run(answering.accept(world.terms, ID, 2, content))


def decline(world: World) -> Any:
    return world.run(answering.decline(world.terms, ID, 2))


# What is asked


def ask(*script: Reply | Broken) -> Question:
    world = World(*script)
    found = world.run(answering.question(world.terms, ID, 2))
    assert world.requests == [("GET", PATH, None)] * len(script)
    assert isinstance(found, Question)
    return found


def test_asks_how_a_question_stands() -> None:
    open = ask(REFUSED, answer(200, {**OPEN, "newer": 1}))
    declined = ask(answer(200, closed("decline")))

    assert open == Question(
        n=2,
        address="book",
        message="Book it?",
        response_schema={"type": "boolean"},
        expires=NOON,
        to="bob",
    )
    assert declined.answer == InputAnswer(action="decline", by="ann", timestamp=NOON)


@pytest.mark.parametrize(
    "waiting",
    [
        [],
        [{**OPEN, "newer": 1}, {"n": 3, "message": "?", "response_schema": {}}],
    ],
)
def test_says_what_an_execution_waits_for(waiting: list[Any]) -> None:
    questions = [Question.model_validate(each) for each in waiting]
    world = World(about(waiting=waiting))
    later = World(about(waiting=waiting))

    assert world.run(requests.about(world.terms, ID)).waiting == questions
    assert later.run(answering.waiting(later.terms, ID)) == questions


# Answers


def test_answers() -> None:
    world = World(FIRST)

    assert accept(world, {"seat": "aisle"}) is True

    (send,) = world.sent
    assert (send.method, send.url) == ("POST", f"{BASE}{PATH}")
    assert send.content == b'{"action":"accept","content":{"seat":"aisle"}}'
    assert send.headers == {
        "authorization": "t",
        "accept": "application/json",
        "content-type": "application/json",
    }


def test_declines() -> None:
    world = World(answer(201, closed("decline")))

    assert decline(world) is True
    assert world.sent[0].content == b'{"action":"decline"}'


class Trip(BaseModel):
    seat: Literal["window", "aisle"] = Field(alias="where")
    day: date
    note: str | None = None
    bags: int | None = 1


@pytest.mark.parametrize(
    "content, sent",
    [
        (None, None),
        ("a", "a"),
        ([1.5], [1.5]),
        (date(2026, 1, 2), "2026-01-02"),
        (
            Trip(where="aisle", day=date(2026, 1, 2)),
            {"where": "aisle", "day": "2026-01-02", "bags": 1},
        ),
        (  # A form has no null: to leave this one out would be another answer.
            Trip(where="aisle", day=date(2026, 1, 2), note="n", bags=None),
            {"where": "aisle", "day": "2026-01-02", "note": "n", "bags": None},
        ),
    ],
)
def test_sends_content_as_json(content: Any, sent: Any) -> None:
    world = World(FIRST)

    accept(world, content)

    assert json.loads(world.sent[0].content or b"")["content"] == sent


def test_sends_nothing_that_has_no_json() -> None:
    with pytest.raises(ValueError, match="Unable to serialize"):
        accept(World(), object())


@pytest.mark.parametrize("n", [True, "1", 1.0, None])
def test_takes_only_numbers_of_questions(n: Any) -> None:
    with pytest.raises(TypeError, match="n must be the number of a question"):
        World().run(answering.question(World().terms, ID, n))


@pytest.mark.parametrize("id", ["", ".", ".."])
def test_answers_nothing_of_an_id_that_no_url_can_have(id: str) -> None:
    with pytest.raises(UnknownExecution):
        World().run(answering.decline(World().terms, id, 1))


# Whether an answer counts


@pytest.mark.parametrize(
    "script, counts",
    [
        ([FIRST], True),
        ([SAME], False),
        # A response was lost, so the one that was there may be this one.
        ([CUT, SAME], True),
        ([CUT, FIRST], True),
        ([Reply(status=201, headers=FIRST.headers, body=(b'{"n"', CUT)), SAME], True),
        *(
            ([answer(status, problem(status, "No.")), SAME], True)
            for status in (408, 500, 502, 503, 504)
        ),
        ([CUT, answer(401, problem(401, "Who?")), SAME], True),
        # Nothing was done by what was refused.
        ([answer(429, problem(429, "No.")), SAME], False),
        ([answer(425, problem(425, "No.")), SAME], False),
        ([answer(401, problem(401, "Who?")), SAME], False),
        ([answer(429, problem(429, "No.")), CUT, SAME], True),
    ],
)
def test_says_whether_an_answer_counts(script: list[Any], counts: bool) -> None:
    world = World(*script)

    assert accept(world) is counts
    assert len({send.content for send in world.sent}) == 1


def test_waits_as_long_as_the_server_asks() -> None:
    world = World(answer(429, problem(429, "No."), retry_after="7"), FIRST)

    assert accept(world) is True
    assert world.pauses == [7.0]


INVALID = [{"type": "missing", "loc": ["seat"], "msg": "It is required."}]
BY = {"action": "accept", "by": "bob"}
REFUSALS: list[tuple[int, dict[str, Any], type[Exception], str]] = [
    (400, {}, RequestFailed, "400: No."),
    (401, {}, Unauthorized, "No."),
    (403, {}, Forbidden, "No."),
    (404, {"n": 2}, UnknownQuestion, "No."),
    (404, {}, UnknownExecution, "No."),
    (409, {"action": "accept", "by": "bob"}, AlreadyAnswered, "No."),
    (409, {"action": "decline", "by": None}, AlreadyAnswered, "No."),
    (409, {}, RequestFailed, "409: No."),
    (410, {"action": "expired"}, QuestionClosed, "No."),
    (410, {}, RequestFailed, "410: No."),
    (413, {}, RequestFailed, "413: No."),
    (415, {}, RequestFailed, "415: No."),
    (422, {"errors": INVALID}, InvalidInput, "It is required"),
    (422, {}, RequestFailed, "422: No."),
]


@pytest.mark.parametrize("status, members, error, words", REFUSALS)
@pytest.mark.parametrize("do", [accept, decline])
def test_says_why_an_answer_does_not_count(
    do: Any, status: int, members: dict[str, Any], error: type[Exception], words: str
) -> None:
    world = World(*[answer(status, problem(status, "No.", **members))] * 2)
    if error is not Unauthorized:
        world = World(answer(status, problem(status, "No.", **members)))

    with pytest.raises(error, match=words) as raised:
        do(world)

    assert type(raised.value) is error
    assert world.pauses == []
    again = pickle.loads(pickle.dumps(raised.value))
    assert (type(again), vars(again)) == (error, vars(raised.value))
    facts = {"id": ID, "n": 2, **members} if error is not InvalidInput else members
    if error not in (RequestFailed, UnknownExecution, Unauthorized, Forbidden):
        assert vars(raised.value).items() >= facts.items()


def test_says_that_another_answer_was_first_after_a_lost_response() -> None:
    world = World(CUT, answer(409, problem(409, "No.", **BY)))

    with pytest.raises(AlreadyAnswered):
        accept(world)


@pytest.mark.parametrize("status", [404, 409, 410, 422])
def test_takes_the_page_of_a_proxy_for_no_word_about_a_question(status: int) -> None:
    page = Reply(
        status=status,
        headers={"content-type": "application/json"},
        body=(json.dumps({"n": 2, "errors": [], **BY}).encode(),),
    )

    with pytest.raises(RequestFailed):
        accept(World(page))


@pytest.mark.parametrize(
    "reply",
    [
        Reply(headers={"content-type": "text/html"}, body=(b"<h1>Sign in</h1>",)),
        Reply(status=201, headers={"content-type": "text/html"}, body=(b"<h1>",)),
        Reply(status=204),
        answer(200, []),
        answer(200, OPEN),
        answer(200, closed("decline")),
        answer(200, closed("expired")),
    ],
)
def test_takes_nothing_else_for_an_answer_that_counts(reply: Reply) -> None:
    with pytest.raises(RequestFailed, match="is it the URL of an EventsApp"):
        accept(World(reply))


def test_gives_up_after_a_while() -> None:
    with pytest.raises(Unreachable):
        accept(World(*[CUT] * 4, give_up_after=5.0))
    with pytest.raises(Unreachable):
        accept(World(Broken("no", is_final=True)))

    busy = answer(503, problem(503, "The store does not answer."))
    with pytest.raises(Refused, match="does not answer"):
        accept(World(*[busy] * 4, give_up_after=5.0))


# With a real server


@pytest.fixture(params=["async", "sync"])
def user(request: pytest.FixtureRequest) -> User:
    return User(request.param)


@pytest.fixture(params=[httpx2, httpx], ids=["httpx2", "httpx"])
async def http(request: pytest.FixtureRequest, user: User) -> AsyncIterator[Any]:
    if user.kind == "async":
        async with request.param.AsyncClient() as http:
            yield http
    else:
        with request.param.Client() as http:
            yield http


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server("tests.client.asking:app", "uvicorn") as server, watched(server):
        yield server


async def asked(user: User, run: Any, count: int = 1) -> list[Question]:
    """Wait for the questions, on the stream, and return them."""
    events = run.events()
    seen = 0
    while seen < count:
        seen += (await user.next(events)).event_type == "input_request"
    await user.close(events)
    return list(await user.call(run.waiting))


@pytest.mark.server
async def test_answers_a_running_execution(
    user: User, http: Any, server: Server
) -> None:
    client = user.make(server.url, auth={"user": "ann"}, http=http)
    run = await user.call(client.start, "book")
    (question,) = await asked(user, run)
    choice = asking.Choice(seat="aisle")

    assert (question.n, question.message) == (1, "Book it?")
    with pytest.raises(InvalidInput) as invalid:
        await user.call(run.answer, 1, {"bags": 1, "x": 2})
    assert {tuple(each["loc"]) for each in invalid.value.errors} == {("seat",), ("x",)}
    with pytest.raises(UnknownQuestion, match="has asked no question 2"):
        await user.call(run.answer, 2, True)
    assert await user.call(run.answer, 1, choice) is True
    assert await user.call(run.answer, 1, choice) is False
    assert await user.call(run.result) == repr(choice)
    with pytest.raises(AlreadyAnswered, match="accepted by 'ann' already") as other:
        await user.call(run.decline, 1)
    assert (other.value.action, other.value.by) == ("accept", "ann")
    assert (await user.call(run.about)).waiting == []
    found = await user.call(run.question, 1)
    assert (found.answer.action, found.answer.by) == ("accept", "ann")
    await user.close(client)


@pytest.mark.server
async def test_lets_somebody_answer_who_may_see_nothing_else(
    user: User, server: Server
) -> None:
    ann = user.make(server.url, auth={"user": "ann"})
    bob = user.make(server.url, auth={"user": "bob"})
    started = await user.call(ann.start, "book", {"to": "bob"})
    await asked(user, started)

    run = bob.execution(started.id)

    assert (run.id, run.actor) == (started.id, "")
    assert repr(run).endswith(f"RemoteExecution {run.id}>")
    with pytest.raises(UnknownExecution):
        await user.call(run.about)
    assert (await user.call(run.question, 1)).to == "bob"
    assert await user.call(run.decline, 1) is True
    assert await user.call(started.result) == "declined by bob"
    await user.close(ann)
    await user.close(bob)


@pytest.mark.server
async def test_says_that_nobody_waits_any_more(user: User, server: Server) -> None:
    client = user.make(server.url, auth={"user": "ann"})
    run = await user.call(client.start, "book")
    await asked(user, run)
    await user.call(run.cancel)
    await user.call(run.wait)

    with pytest.raises(QuestionClosed) as closed:
        await user.call(run.answer, 1, {"seat": "aisle"})

    assert closed.value.action == "cancelled"
    await user.close(client)


@pytest.mark.server
async def test_says_that_an_answer_is_too_large(
    user: User, http: Any, server: Server
) -> None:
    client = user.make(server.url, auth={"user": "ann"}, http=http, give_up_after=5)
    run = await user.call(client.start, "book")
    await asked(user, run)

    with pytest.raises(RequestFailed) as large:
        await user.call(run.answer, 1, {"seat": "aisle", "note": "x" * 1_000_000})

    assert large.value.status == 413
    await user.call(run.cancel)
    await user.close(client)


@pytest.mark.server
async def test_answers_several_questions_at_once(server: Server) -> None:
    user = User("async")
    client = user.make(server.url, auth={"user": "ann"})
    run = await user.call(client.start, "several")
    waiting = await asked(user, run, 3)

    counted = await asyncio.gather(
        *(run.answer(each.n, each.message == "b?") for each in waiting for _ in "12")
    )

    assert sum(counted) == 3
    assert await user.call(run.result) == [False, True, False]
    await user.close(client)
