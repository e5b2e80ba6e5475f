"""``ExecutionState.ask``: who waits for what, and what ends it."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Awaitable
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict

from asgi_events import Executions, agent, current_state, tool
from asgi_events.events import InputAnswerEvent, InputRequestEvent
from asgi_events.exceptions import (
    AlreadyAnswered,
    InvalidInput,
    QuestionClosed,
    Unavailable,
    UnknownQuestion,
)
from asgi_events.executions.execution import Execution
from asgi_events.executions.question_log import Answer, QuestionLog
from asgi_events.stores import Ack, EventStore, Grant, Page
from asgi_events.stores.memory import MemoryStore
from asgi_events.stores.sqlite import SQLiteStore
from asgi_events.testing import run, virtual_time
from tests import TIMEOUT
from tests.executions.asking import (
    Choice,
    answers,
    asked,
    book,
    book_in_its_loop,
    book_sync,
    confirm,
    waiting_in,
)
from tests.executions.faulty_store import FaultyStore
from tests.executions.feeds import watching
from tests.executions.leases.processes import Link
from tests.executions.scenes import Make, end_of, soon

WINDOW = {"seat": "1A"}
BOOKED = repr(Choice(seat="1A"))


@pytest.fixture(params=["memory", "memory store", "sqlite"])
async def where(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[dict[str, Any]]:
    """The option of executions that says where they are."""
    if request.param == "memory":
        yield {}
        return
    made: EventStore = MemoryStore()
    if request.param == "sqlite":
        made = SQLiteStore(tmp_path / "events.db")
    yield {"store": made}
    await made.aclose()


# What is asked, and answered


@pytest.mark.parametrize("actor", [book, book_sync], ids=["async", "sync"])
async def test_returns_the_typed_answer(
    make: Make, where: dict[str, Any], actor: Any
) -> None:
    execution = await make(actor, **where).start(actor)
    (request,) = await asked(execution)
    waiting = await execution.waiting()
    is_first = await execution.answer(1, WINDOW, by="ann")

    assert await soon(execution.result()) == BOOKED
    assert (waiting, is_first) == ([request], True)
    assert await execution.waiting() == []
    assert request == InputRequestEvent(
        address=actor.name if hasattr(actor, "name") else actor.__name__,
        timestamp=request.timestamp,
        n=1,
        message="Book?",
        response_schema={
            "type": "object",
            "title": "Choice",
            "required": ["seat"],
            "properties": {
                "seat": {"title": "Seat", "type": "string"},
                "bags": {"title": "Bags", "type": "integer", "default": 1},
            },
        },
    )
    assert await answers(execution) == [(1, "accept", "ann", None)]


@pytest.mark.parametrize("actor", [book, book_sync], ids=["async", "sync"])
async def test_raises_that_it_was_declined(
    make: Make, where: dict[str, Any], actor: Any
) -> None:
    execution = await make(actor, **where).start(actor)
    await asked(execution)

    assert await execution.decline(1, by="ann")
    assert not await execution.decline(1, by="bob")
    assert await soon(execution.result()) == "declined by ann"
    assert await answers(execution) == [(1, "decline", "ann", None)]


@pytest.mark.parametrize("actor", [book, book_sync], ids=["async", "sync"])
async def test_raises_that_nobody_has_answered_in_time(
    make: Make, where: dict[str, Any], actor: Any
) -> None:
    execution = await make(actor, **where).start(actor, {"timeout": 0.05})

    assert await soon(execution.result()) == "expired after 0.05"
    with pytest.raises(QuestionClosed, match="has expired"):
        await execution.answer(1, WINDOW)
    assert await answers(execution) == [(1, "expired", None, None)]


async def test_shows_what_has_expired_before_it_was_stored(
    make: Make, where: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(QuestionLog, "ask", never)
    execution = await make(book, **where).start(book, {"timeout": 0.05})
    (request,) = await asked(execution)

    assert await soon(execution.result()) == "expired after 0.05"
    assert await answers(execution) == [(request.n, "expired", None, None)]


async def test_asks_from_a_thread_with_an_event_loop_of_its_own(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    loops = waiting_in(monkeypatch)
    execution = await make(book_in_its_loop).start(book_in_its_loop)
    await asked(execution)
    await execution.answer(1, WINDOW)

    assert await soon(execution.result()) == BOOKED
    assert loops == [asyncio.get_running_loop()]


async def test_stops_waiting_in_another_event_loop(make: Make) -> None:
    over = threading.Event()

    @agent
    def work() -> None:
        try:
            asyncio.run(_ask())
        finally:
            over.set()

    async def _ask() -> None:
        await current_state().ask("Sure?")

    execution = await make(work).start(work)
    await asked(execution)
    await execution.cancel()

    assert await asyncio.to_thread(over.wait, TIMEOUT)
    assert await answers(execution) == [(1, "cancelled", None, None)]


async def test_waits_for_as_long_as_it_says(make: Make) -> None:
    with virtual_time():
        loop = asyncio.get_running_loop()
        began = loop.time()
        execution = await make(book).start(book, {"timeout": 3600.0})
        (request,) = await asked(execution)
        await asyncio.sleep(3599)
        before = await execution.waiting()
        result = await execution.result()
        took = loop.time() - began
    assert before == [request]
    assert result == "expired after 3600.0"
    assert 3600 <= took < 3601
    assert request.expires is not None
    assert 3599 < (request.expires - request.timestamp).total_seconds() < 3601


async def test_takes_an_answer_just_before_its_time_is_over(make: Make) -> None:
    with virtual_time():
        execution = await make(book).start(book, {"timeout": 3600.0})
        await asked(execution)
        await asyncio.sleep(3599.9)
        await execution.answer(1, WINDOW)
        assert await execution.result() == BOOKED


async def test_asks_several_at_once_that_are_answered_in_any_order(
    make: Make, where: dict[str, Any]
) -> None:
    execution = await make(confirm, **where).start(confirm, {"count": 5})
    requests = await asked(execution, 5)
    for n, content in ((4, False), (1, True), (5, False), (3, True)):
        assert await execution.answer(n, content)
    waiting = await execution.waiting()
    await execution.answer(2, True)

    assert sorted(each.n for each in requests) == [1, 2, 3, 4, 5]
    assert [each.n for each in waiting] == [2]
    assert await soon(execution.result()) == [True, True, True, False, False]
    assert sorted(n for n, *_ in await answers(execution)) == [1, 2, 3, 4, 5]


@tool
async def pay(sum: int) -> bool:
    return await current_state().ask(f"Pay {sum}?", bool)


@tool
def pay_sync(sum: int) -> bool:
    return bool(current_state().ask(f"Pay {sum}?"))


@agent
async def shop() -> list[bool]:
    return list(await asyncio.gather(pay(1), pay_sync(2), pay(3)))


async def test_asks_in_nested_calls_under_their_own_addresses(make: Make) -> None:
    execution = await make(shop).start(shop)
    requests = {each.message: each for each in await asked(execution, 3)}
    for message, content in (("Pay 3?", True), ("Pay 1?", False), ("Pay 2?", True)):
        await execution.answer(requests[message].n, content)

    assert await soon(execution.result()) == [False, True, True]
    assert {name: each.address for name, each in requests.items()} == {
        "Pay 1?": "shop/pay",
        "Pay 2?": "shop/pay_sync",
        "Pay 3?": "shop/pay#2",
    }


async def test_has_the_answer_in_the_log_before_the_coroutine_goes_on(
    make: Make, where: dict[str, Any]
) -> None:
    @agent
    async def said() -> None:
        state = current_state()
        await state.ask("Sure?")
        await state.log("went on")

    execution = await make(said, **where).start(said)
    await asked(execution)
    await execution.answer(1, True)
    kinds = [str(event.event_type) async for event in execution.events()]
    assert kinds == [
        *("agent_call", "input_request", "input_answer", "log"),
        *("agent_call", "complete"),
    ]


@pytest.mark.parametrize("echo", [True, False])
async def test_shows_the_answer_only_if_it_says_so(
    make: Make, where: dict[str, Any], echo: bool
) -> None:
    execution = await make(confirm, **where).start(confirm, {"echo": echo})
    await asked(execution)
    await execution.answer(1, False)

    assert await answers(execution) == [(1, "accept", None, False if echo else None)]


async def test_gives_what_a_validator_refuses_to_the_actor(make: Make) -> None:
    execution = await make(book).start(book)
    await asked(execution)
    await execution.answer(1, {"seat": "13"})

    assert await soon(execution.result()) == "ValidationError"
    assert await answers(execution) == [(1, "accept", None, None)]


class Meal(Enum):
    FISH = "fish"


class Trip(BaseModel):
    model_config = ConfigDict(strict=True)

    day: date
    meals: set[Meal]


async def test_makes_a_strict_model_of_the_answer(make: Make) -> None:
    @agent
    async def travel() -> str:
        trip: Trip = await current_state().ask("When?", Trip)
        return repr(trip)

    execution = await make(travel).start(travel)
    await asked(execution)
    await execution.answer(1, {"day": "2026-01-02", "meals": ["fish"]})

    expected = Trip(day=date(2026, 1, 2), meals={Meal.FISH})
    assert await soon(execution.result()) == repr(expected)


async def test_neither_stores_nor_says_a_question_that_is_too_large(
    make: Make, where: dict[str, Any]
) -> None:
    @agent
    async def talk() -> bool:
        return bool(await current_state().ask("m" * 2000))

    executions = make(talk, max_event_bytes=1000, error_message=str, **where)
    async with watching(executions) as ann:
        execution = await executions.start(talk, owner="ann")
        assert await end_of(execution) == "failed"
        assert "max_event_bytes" in (await execution.terminal_event()).message
        await ann.until_ended(execution.id)

    assert await execution.questions() == []
    assert [each.event_type for each in ann.events] == ["started", "ended"]


@pytest.mark.parametrize("form", [{"type": "wat"}, {"type": "object"}], ids=str)
async def test_hides_a_question_to_which_redact_gives_no_form(
    make: Make, form: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    def redact(event: Any) -> Any:
        if not isinstance(event, InputRequestEvent):
            return event
        return event.model_copy(update={"response_schema": form})

    execution = await make(book, redact=redact).start(book)
    async with asyncio.timeout(TIMEOUT):
        while not await execution.questions():  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert await execution.waiting() == []
    assert "The schema is not that of a form" in caplog.text
    assert await execution.answer(1, WINDOW)
    assert await soon(execution.result()) == BOOKED


async def test_says_that_it_was_answered_though_the_answer_is_too_large_to_show(
    make: Make, where: dict[str, Any]
) -> None:
    @agent
    async def name() -> int:
        return len(await current_state().ask("Name?", str, echo=True))

    execution = await make(name, max_event_bytes=1000, **where).start(name)
    await asked(execution)
    await execution.answer(1, "x" * 2000, by="ann")

    assert await soon(execution.result()) == 2000
    assert await answers(execution) == [(1, "accept", "ann", None)]


async def test_takes_a_literal_with_its_type(make: Make) -> None:
    @agent
    async def pick() -> str:
        colour: Literal["red", "blue"] = await current_state().ask(
            "Which?", Literal["red", "blue"]
        )
        return colour

    execution = await make(pick).start(pick)
    (request,) = await asked(execution)
    with pytest.raises(InvalidInput):
        await execution.answer(1, "green")
    await execution.answer(1, "blue")
    assert request.response_schema == {"type": "string", "enum": ["red", "blue"]}
    assert await soon(execution.result()) == "blue"


# Bad input


async def test_says_that_nobody_can_answer_where_nothing_runs_it() -> None:
    with pytest.raises(RuntimeError, match="only an execution that Executions runs"):
        await run(book)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"message": ""}, ValueError),
        ({"message": 1}, TypeError),
        ({"type": dict}, TypeError),
        ({"timeout": 0}, ValueError),
        ({"timeout": -1.0}, ValueError),
        ({"timeout": "1"}, TypeError),
        ({"timeout": 1e15}, ValueError),
        ({"to": ""}, ValueError),
        ({"echo": 1}, TypeError),
    ],
    ids=str,
)
async def test_refuses_a_question_that_makes_no_sense(
    make: Make, arguments: dict[str, Any], error: type[Exception]
) -> None:
    raised: list[Exception] = []

    @agent
    async def ask() -> None:
        try:
            await current_state().ask(**{"message": "?", **arguments})
        except Exception as error:
            raised.append(error)

    execution = await make(ask).start(ask)
    assert await end_of(execution) == "completed"
    assert [type(each) for each in raised] == [error]
    assert await execution.questions() == []


async def test_refuses_an_answer_that_makes_no_sense(
    make: Make, where: dict[str, Any]
) -> None:
    execution = await make(book, **where).start(book)
    await asked(execution)
    for n in (0, 2, -1):
        with pytest.raises(UnknownQuestion, match=f"has asked no question '?{n}"):
            await execution.answer(n, WINDOW)
        with pytest.raises(UnknownQuestion):
            await execution.decline(n)
    for content in (None, [], {}, {"seat": 1}, {"seat": "1A", "x": 1}):
        with pytest.raises(InvalidInput, match="question 1"):
            await execution.answer(1, content)
    assert len(await execution.waiting()) == 1
    await execution.answer(1, WINDOW)
    assert await soon(execution.result()) == BOOKED


async def test_names_the_argument_of_an_answer_that_is_no_such_thing(
    make: Make, where: dict[str, Any]
) -> None:
    execution = await make(book, **where).start(book)
    await asked(execution)
    for n in (True, 1.0, "1", None):
        with pytest.raises(TypeError, match="n must be the number of a question, got"):
            await execution.answer(n, WINDOW)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="n must be"):
            await execution.decline(n)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="by must be a str, got 5"):
        await execution.answer(1, WINDOW, by=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="by must be a str, got 5"):
        await execution.decline(1, by=5)  # type: ignore[arg-type]
    assert len(await execution.waiting()) == 1


async def test_refuses_any_other_answer_and_takes_the_same_again(
    make: Make, where: dict[str, Any]
) -> None:
    execution = await make(book, **where).start(book)
    await asked(execution)
    first = await execution.answer(1, WINDOW, by="ann")
    again = [await execution.answer(1, dict(WINDOW), by="bob") for _ in range(3)]
    with pytest.raises(AlreadyAnswered, match="accepted by 'ann'") as other:
        await execution.answer(1, {"seat": "2B"})
    with pytest.raises(AlreadyAnswered):
        await execution.decline(1)

    assert (first, again) == (True, [False] * 3)
    assert (other.value.action, other.value.by, other.value.n) == ("accept", "ann", 1)
    assert await soon(execution.result()) == BOOKED
    assert not await execution.answer(1, WINDOW)


# What ends it


@pytest.mark.parametrize("actor", [book, book_sync], ids=["async", "sync"])
async def test_closes_the_question_of_a_cancelled_execution(
    make: Make, where: dict[str, Any], actor: Any
) -> None:
    execution = await make(actor, **where).start(actor)
    await asked(execution)
    await execution.cancel()

    assert await end_of(execution) == "cancelled"
    # A thread may learn that it is cancelled after the log has ended.
    told = await answers(execution)
    assert told == [(1, "cancelled", None, None)] or (actor is book_sync and not told)
    assert await execution.waiting() == []
    with pytest.raises(QuestionClosed, match="not open any more"):
        await execution.answer(1, WINDOW)


async def test_closes_the_question_of_a_task_that_is_cancelled(make: Make) -> None:
    @agent
    async def either() -> bool:
        state = current_state()
        questions = [asyncio.create_task(state.ask(text)) for text in ("a", "b")]
        done, others = await asyncio.wait(
            questions, return_when=asyncio.FIRST_COMPLETED
        )
        for task in others:
            task.cancel()
        await asyncio.wait(others)
        return (await done.pop()) and bool(await state.ask("c"))

    execution = await make(either).start(either)
    await asked(execution, 2)
    await execution.answer(2, True)
    await asked(execution, 3)
    with pytest.raises(QuestionClosed):
        await execution.answer(1, True)
    await execution.answer(3, True)
    assert await soon(execution.result()) is True
    assert [each[:2] for each in await answers(execution)] == [
        (2, "accept"),
        (1, "cancelled"),
        (3, "accept"),
    ]


async def test_leaves_no_question_open_behind_an_end(make: Make) -> None:
    execution = await make(confirm).start(confirm, {"count": 2})
    await asked(execution, 2)
    await execution.decline(1)

    assert await end_of(execution) == "failed"
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)
    closed = [
        each.answer and each.answer.action for each in await execution.questions()
    ]
    assert closed == ["decline", "cancelled"]


async def test_does_not_count_for_cancel_after_while_a_question_is_open(
    make: Make,
) -> None:
    @agent
    async def slow() -> None:
        await current_state().ask("Sure?")
        await asyncio.sleep(3600)

    with virtual_time():
        loop = asyncio.get_running_loop()
        execution = await make(slow, cancel_after=10).start(slow)
        await asked(execution)
        await asyncio.sleep(1000)
        while_open = execution.status
        answered = loop.time()
        await execution.answer(1, True)
        await execution.wait()
        took = loop.time() - answered
    assert (while_open, execution.status) == ("started", "cancelled")
    assert 10 <= took < 11


async def test_counts_for_max_duration_while_a_question_is_open(make: Make) -> None:
    with virtual_time():
        loop = asyncio.get_running_loop()
        began = loop.time()
        executions = make(book, max_duration=100, cancel_after=10)
        execution = await executions.start(book)
        await execution.wait()
        took = loop.time() - began
        told = await answers(execution)
    assert 100 <= took < 101
    assert (execution.status, told) == ("cancelled", [(1, "cancelled", None, None)])


async def test_is_closed_by_a_drain(tmp_path: Path) -> None:
    path = f"sqlite:///{tmp_path}/events.db"
    async with Executions(book, store=path) as executions:
        id = (execution := await executions.start(book)).id
        await asked(execution)
        await executions.drain(0)
    async with Executions(store=path) as others:
        execution = await others.get(id)
        (question,) = await execution.questions()
        assert execution.status == "cancelled"
        assert await answers(execution) == [(1, "cancelled", None, None)]
        assert question.answer is not None
        assert question.answer.action == "cancelled"


async def test_refuses_an_answer_to_what_a_process_left_open_that_has_died(
    make: Make,
) -> None:
    store = MemoryStore()
    executions = make(book, store=store)
    execution = await executions.start(book)
    (request,) = await asked(execution)
    await execution.answer(1, WINDOW)
    await end_of(execution)
    log = QuestionLog(store, execution.id, lease=10, ttl=10)
    await log.ask(request.model_copy(update={"n": 2}))  # as it would be then

    assert await execution.waiting() == []
    for refused in (execution.answer(2, WINDOW), execution.decline(2)):
        with pytest.raises(QuestionClosed, match="not open any more"):
            await refused


@pytest.mark.parametrize(
    ("is_dead", "then"), [(False, "True"), (True, "QuestionClosed")]
)
async def test_takes_no_answer_while_nobody_knows_whether_the_process_lives(
    is_dead: bool, then: str
) -> None:
    store = MemoryStore()
    link = Link(store)
    with virtual_time():
        here = Executions(book, store=link, lease=4.0)
        async with Executions(store=store, lease=4.0) as there:
            execution = await there.get((await here.start(book)).id)
            await asked(execution)
            link.cut = True
            await asyncio.sleep(3)
            silent = await outcome(execution.answer(1, WINDOW))
            link.cut = is_dead
            await asyncio.sleep(4)
            later = await outcome(execution.answer(1, WINDOW))
        link.cut = False
        await here.drain(0)
    assert (silent, later) == ("Unavailable", then)


async def outcome(answering: Awaitable[bool]) -> str:
    try:
        return str(await answering)
    except (Unavailable, QuestionClosed) as error:
        return type(error).__name__


class AnsweredFirst(MemoryStore):
    """A store in which an answer is there just before the question is cancelled."""

    async def append(self, key: str, *args: Any, **options: Any) -> Ack:
        if key.startswith("questions:") and b'"cancelled"' in args[2][0]:
            log = QuestionLog(self, key.removeprefix("questions:"), lease=10, ttl=10)
            (question,) = (await log.read()).questions.values()
            answer = Answer(n=1, action="accept", content=True, by="ann", token="t")
            await log.close(question.request, answer)
        return await super().append(key, *args, **options)


@pytest.mark.parametrize("echo", [False, True])
async def test_says_of_an_answer_at_the_last_moment_that_it_counts(
    make: Make, echo: bool
) -> None:
    execution = await make(confirm, store=AnsweredFirst()).start(
        confirm, {"echo": echo}
    )
    await asked(execution)
    await execution.cancel()

    assert await end_of(execution) == "cancelled"
    assert await answers(execution) == [(1, "accept", "ann", True if echo else None)]
    (question,) = await execution.questions()
    assert question.answer is not None
    assert (question.answer.action, question.answer.by) == ("accept", "ann")


class NeverCancels(MemoryStore):
    """A store that does not say what has closed a question."""

    async def append(self, key: str, *args: Any, **options: Any) -> Ack:
        if key.startswith("questions:") and b'"cancelled"' in args[2][0]:
            await asyncio.sleep(10)
        return await super().append(key, *args, **options)


async def test_says_nothing_of_a_question_that_may_have_been_answered(
    make: Make,
) -> None:
    with virtual_time():
        loop = asyncio.get_running_loop()
        execution = await make(confirm, store=NeverCancels()).start(confirm)
        await asked(execution)
        began = loop.time()
        await execution.cancel()
        await execution.wait()
        took = loop.time() - began
        told = await answers(execution)
        await asyncio.sleep(10)  # until the store has answered
    assert (execution.status, told) == ("cancelled", [])
    assert took < 2


class SlowToCancel(MemoryStore):
    """A store that takes its time to close a question as cancelled."""

    async def append(self, key: str, *args: Any, **options: Any) -> Ack:
        if key.startswith("questions:") and b'"cancelled"' in args[2][0]:
            await asyncio.sleep(0.5)
        return await super().append(key, *args, **options)


async def test_waits_in_a_drain_until_its_questions_are_closed(make: Make) -> None:
    store = SlowToCancel()
    with virtual_time():
        executions = make(book, store=store)
        execution = await executions.start(book)
        await asked(execution)
        await executions.drain(0)
        log = QuestionLog(store, execution.id, lease=10, ttl=10)
        (question,) = (await log.read()).questions.values()
    assert question.answer is not None
    assert question.answer.action == "cancelled"


# Stores that fail


async def test_takes_an_answer_again_whose_reply_was_lost(make: Make) -> None:
    store = FaultyStore()
    execution = await make(book, store=store).start(book)
    await asked(execution)
    store.after["append"].append(Unavailable("The reply is lost."))
    with pytest.raises(Unavailable):
        await execution.answer(1, WINDOW, by="ann")

    assert not await execution.answer(1, WINDOW, by="ann")
    with pytest.raises(AlreadyAnswered):
        await execution.answer(1, {"seat": "2B"}, by="ann")
    assert await soon(execution.result()) == BOOKED


async def test_asks_again_what_the_store_has_lost(make: Make) -> None:
    store = FaultyStore()
    with virtual_time():
        execution = await make(confirm, store=store).start(confirm, {"count": 2})
        await asked(execution, 2)
        await store.delete(f"questions:{execution.id}")
        lost = await execution.waiting()
        await asyncio.sleep(5)
        again = await execution.waiting()
        await execution.answer(1, True)
        store.lose(f"questions:{execution.id}", 2)  # this answer, and a question
        await asyncio.sleep(5)
        for n in (1, 2):
            await execution.answer(n, True)
        result = await execution.result()
    assert (lost, sorted(each.n for each in again)) == ([], [1, 2])
    assert result == [True, True]


async def test_waits_for_a_store_that_is_down(make: Make) -> None:
    store = FaultyStore()
    with virtual_time():
        execution = await make(book, store=store).start(book)
        await asked(execution)
        store.up.clear()
        with pytest.raises(Unavailable):
            await execution.answer(1, WINDOW)
        with pytest.raises(Unavailable):
            await execution.questions()
        await asyncio.sleep(100)
        store.up.set()
        assert await execution.answer(1, WINDOW)
        assert await execution.result() == BOOKED


async def test_expires_once_the_store_is_back(make: Make) -> None:
    store = FaultyStore()
    with virtual_time():
        execution = await make(book, store=store).start(book, {"timeout": 10.0})
        await asked(execution)
        store.up.clear()
        await asyncio.sleep(100)
        is_waiting = execution.status == "started"
        store.up.set()
        assert await execution.result() == "expired after 10.0"
    assert is_waiting


# Several at once


class Yielding(MemoryStore):
    """A store whose calls of several callers come between each other."""

    random = random.Random(3)

    async def open(self, *args: Any, **options: Any) -> Grant:
        await self._pass()
        return await super().open(*args, **options)

    async def append(self, *args: Any, **options: Any) -> Ack:
        await self._pass()
        ack = await super().append(*args, **options)
        await self._pass()
        return ack

    async def read(self, *args: Any) -> Page | None:
        await self._pass()
        page = await super().read(*args)
        await self._pass()
        return page

    async def _pass(self) -> None:
        for _ in range(self.random.randrange(4)):
            await asyncio.sleep(0)


async def race(
    executions: list[Executions], execution: Execution, count: int
) -> list[tuple[str, int]]:
    """Answer by so many at the same time; what each of them was told."""
    found = [await each.get(execution.id) for each in executions]

    async def answer(number: int) -> tuple[str, int]:
        try:
            content = {"seat": f"{number}A"}  # "13" is refused
            is_first = await found[number % len(found)].answer(1, content)
        except AlreadyAnswered:
            return "refused", number
        return "first" if is_first else "again", number

    return await asyncio.gather(*map(answer, range(count)))


@pytest.mark.parametrize("processes", [1, 2])
async def test_takes_one_of_many_answers(make: Make, processes: int) -> None:
    store = Yielding()
    executions = [make(book, store=store) for _ in range(processes)]
    execution = await executions[0].start(book)
    await asked(execution)
    told = await race(executions, execution, 200)
    (winner,) = [number for how, number in told if how == "first"]

    assert sorted(how for how, _ in told) == ["first", *["refused"] * 199]
    assert await soon(execution.result()) == repr(Choice(seat=f"{winner}A"))
    assert len(await answers(execution)) == 1


async def test_takes_the_same_answer_of_many_once(make: Make) -> None:
    execution = await make(book, store=Yielding()).start(book)
    await asked(execution)
    answered = (execution.answer(1, WINDOW, by=str(n)) for n in range(50))
    told = await asyncio.gather(*answered)

    assert sorted(told) == [*[False] * 49, True]
    events = [each async for each in execution.events()]
    (event,) = [each for each in events if isinstance(each, InputAnswerEvent)]
    assert event.by == str(told.index(True))
