"""``redact``: what a hook changes and hides, and what it cannot hide."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from asgi_events import (
    EventBus,
    EventsApp,
    EventStreamer,
    Executions,
    ExecutionState,
    agent,
    current_state,
    tool,
)
from asgi_events.events import (
    CancelledEvent,
    CompleteEvent,
    ErrorEvent,
    ExecutionEvent,
    InputAnswerEvent,
    InputRequestEvent,
    LogEvent,
    TerminalEvent,
    TextDelta,
)
from asgi_events.exceptions import InvalidInput
from asgi_events.executions import Execution
from asgi_events.http.viewing import ExecutionResponse
from asgi_events.stores.memory import MemoryStore
from asgi_events.testing import Client, Connection
from tests import TIMEOUT
from tests.executions.asking import answers, asked
from tests.executions.scenes import SECRET, Gate, Make, end_of, kinds_of, outer, seen
from tests.payloads import data


class Note(BaseModel):
    event_type: str = "note"
    text: str


@agent
async def talk() -> Any:
    state = current_state()
    await state.log(f"a log: {SECRET}")
    await state.text(SECRET)
    await state.publish(Note(text=SECRET))
    return {"said": SECRET}


class Pin(BaseModel):
    pin: str


@agent
async def pay() -> str:
    given = await current_state().ask(f"Pay for {SECRET}?", Pin, to="ann", echo=True)
    return str(given.pin)


def nothing(event: Any) -> None:
    return None


def only(kind: type[BaseModel], then: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A hook that does ``then`` with events of a kind, and shows all others."""
    return lambda event: then(event) if isinstance(event, kind) else event


async def run(executions: Executions, actor: Any) -> tuple[Execution, list[Any]]:
    execution = await executions.start(actor)
    await end_of(execution)
    return execution, await seen(executions, execution)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert {r.levelno for r in caplog.records} <= {logging.ERROR}
    return [r.getMessage() for r in caplog.records if "redact" in r.getMessage()]


def failed(kind: str, reason: str) -> str:
    return (
        f"The redact hook failed with an event of type {kind}, which is hidden: "
        f"it {reason}. "
        "This is logged once for each type."
    )


async def test_shows_viewers_what_the_hook_returns(make: Make) -> None:
    def redact(event: Any) -> Any:
        match event:
            case LogEvent():
                return None
            case TextDelta():
                return event.model_copy(update={"delta": "…"})
            case Note():
                return LogEvent(message="a note")
            case CompleteEvent():
                return event.model_copy(update={"message": "Fine", "result": 1})
        return event

    executions = make(talk, redact=redact)
    execution, told = await run(executions, talk)
    shown = [{k: v for k, v in e.items() if k != "timestamp"} for e in told]
    assert shown[0]["execution_status"] == "started"
    assert shown[1:3] == [
        {"event_type": "text_delta", "address": "talk", "delta": "…"},
        {"event_type": "log", "address": "", "level": "info", "message": "a note"},
    ]
    assert shown[3]["execution_status"] == "completed"
    assert shown[4:] == [{"event_type": "complete", "message": "Fine", "result": 1}]
    assert [await execution.result(), SECRET in str(told)] == [1, False]


async def test_numbers_the_events_that_are_shown_without_gaps(make: Make) -> None:
    executions = make(talk, redact=only(LogEvent, nothing))
    execution = await executions.start(talk)
    await end_of(execution)
    async with Connection(ExecutionResponse(execution)) as connection:
        events = await connection.events()
    ids = [event.id for event in events if event.event is None]
    assert ids == [f"{execution.id}:{n}" for n in range(1, len(ids) + 1)]
    assert len(ids) == 5


async def test_keeps_what_is_hidden_out_of_the_store(make: Make, tmp_path: Any) -> None:
    executions = make(
        talk, store=f"sqlite:///{tmp_path}/e.db", redact=only(BaseModel, nothing)
    )
    await run(executions, talk)
    await executions.drain(0)
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"Execution completed" in files
    assert SECRET.encode() not in files


async def test_gives_handlers_every_event_unchanged(make: Make) -> None:
    heard: list[Any] = []
    executions = make(talk, redact=nothing, handlers=[heard.append])
    await run(executions, talk)
    assert [type(event).__name__.partition("[")[0] for event in heard] == [
        "ExecutionEvent",
        "LogEvent",
        "TextDelta",
        "Note",
        "ExecutionEvent",
        "CompleteEvent",
    ]
    assert heard[-1].result == {"said": SECRET}


# The terminal event


async def test_shows_a_neutral_end_in_place_of_a_hidden_one(make: Make) -> None:
    heard: list[Any] = []
    executions = make(talk, redact=nothing, handlers=[heard.append])
    execution, _ = await run(executions, talk)
    assert [event async for event in execution.events()] == [
        CompleteEvent(timestamp=heard[-1].timestamp)
    ]
    assert await execution.result() is None


async def test_has_no_result_where_the_actor_returns_another_type(make: Make) -> None:
    @agent
    async def add() -> int:
        return 3

    executions = make(add, redact=only(CompleteEvent, nothing))
    execution, _ = await run(executions, add)
    with pytest.raises(ValueError, match="'add' is annotated to return"):
        await execution.result()


async def test_hides_the_message_of_a_hidden_failure(make: Make) -> None:
    executions = make(outer, redact=nothing, error_message=str)
    execution, told = await run(executions, outer)
    assert [(e["event_type"], e["message"]) for e in told] == [
        ("error", "Execution failed")
    ]
    assert execution.status == "failed"


async def test_hides_the_reason_of_a_hidden_cancellation(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor, redact=nothing)
    execution = await executions.start("work")
    await gate.begun.wait()
    await execution.cancel(SECRET)
    told = await seen(executions, execution)
    assert [(e["event_type"], e["message"]) for e in told] == [
        ("cancelled", "Execution cancelled")
    ]
    assert execution.status == "cancelled"


@pytest.mark.parametrize(
    ("returned", "what"),
    [
        (ErrorEvent(message="no"), "type ErrorEvent that ends otherwise"),
        (LogEvent(message="no"), "type LogEvent that ends otherwise"),
        (
            CompleteEvent().model_copy(update={"message": None}),
            "type CompleteEvent that",
        ),
        (
            CompleteEvent().model_copy(update={"event_type": "x"}),
            "type CompleteEvent tha",
        ),
        ("no", "type str, which is no pydantic model"),
    ],
)
async def test_takes_no_other_end_for_the_end(
    make: Make, caplog: pytest.LogCaptureFixture, returned: Any, what: str
) -> None:
    executions = make(talk, redact=only(TerminalEvent, lambda event: returned))
    execution, told = await run(executions, talk)
    assert [told[-1]["event_type"], told[-1]["message"]] == [
        "complete",
        "Execution completed successfully",
    ]
    assert "result" not in told[-1]
    assert execution.status == "completed"
    (error,) = errors(caplog)
    assert what in error


async def test_bounds_the_end_that_is_shown(make: Make) -> None:
    def grow(event: Any) -> Any:
        return event.model_copy(update={"result": "x" * 5000})

    executions = make(talk, redact=only(CompleteEvent, grow), max_event_bytes=1000)
    execution, told = await run(executions, talk)
    assert told[-1]["event_type"] == "error"
    assert "max_event_bytes=1000" in told[-1]["message"]
    assert execution.status == "failed"


# Hooks that fail


class Unprintable(Exception):
    def __repr__(self) -> str:
        raise ValueError

    __str__ = __repr__


async def test_hides_an_event_with_which_the_hook_fails(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: Any) -> Any:
        raise Unprintable

    executions = make(talk, redact=fail)
    execution, told = await run(executions, talk)
    await run(executions, talk)
    assert [(e["event_type"], e["message"]) for e in told] == [
        ("complete", "Execution completed successfully")
    ]
    assert errors(caplog) == [
        failed(kind, "raised Unprintable")
        for kind in ("ExecutionEvent", "LogEvent", "TextDelta", "Note", "CompleteEvent")
    ]
    assert all(record.exc_info for record in caplog.records)


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ("…", "returned a value of type str, which is no pydantic model"),
        ({"delta": "…"}, "returned a value of type dict, which is no pydantic model"),
        (False, "returned a value of type bool, which is no pydantic model"),
        (
            CancelledEvent(),
            "returned a value of type CancelledEvent, which ends a stream",
        ),
    ],
)
async def test_hides_an_event_in_place_of_which_there_is_none(
    make: Make, caplog: pytest.LogCaptureFixture, returned: Any, reason: str
) -> None:
    executions = make(talk, redact=only(TextDelta, lambda event: returned))
    _, told = await run(executions, talk)
    assert kinds_of(told)[1:-2] == ["log", "note"]
    assert errors(caplog) == [failed("TextDelta", reason)]


async def test_hides_the_events_of_a_hook_that_turns_out_to_be_async(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    async def later(event: Any) -> Any:
        return event

    executions = make(talk, redact=only(LogEvent, lambda event: later(event)))
    _, told = await run(executions, talk)
    assert "log" not in kinds_of(told)
    assert errors(caplog) == [
        failed(
            "LogEvent", "returned a value of type coroutine, which is no pydantic model"
        )
    ]


async def test_is_asked_in_the_order_of_events_of_threads_too(make: Make) -> None:
    asked: list[Any] = []

    @tool
    def work() -> None:
        for number in range(100):
            current_state().progress(number)

    def redact(event: Any) -> Any:
        asked.append(getattr(event, "current", None))
        return event

    executions = make(work, redact=redact)
    _, told = await run(executions, work)
    assert asked == [None, *range(100), None, None]
    assert [event.get("current") for event in told] == asked


async def test_has_events_too_large_only_after_the_hook(make: Make) -> None:
    @agent
    async def shout() -> None:
        await current_state().text("x" * 5000)

    def cut(event: Any) -> Any:
        return event.model_copy(update={"delta": event.delta[:3]})

    executions = make(shout, redact=only(TextDelta, cut), max_event_bytes=1000)
    _, told = await run(executions, shout)
    assert [event["delta"] for event in told if "delta" in event] == ["xxx"]


# Without Executions


async def test_hides_events_from_the_readers_of_a_streamer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus = EventBus()
    streamer = EventStreamer(redact=nothing, include_result=True)
    bus.subscribe(streamer)
    call = ExecutionEvent[Any](actor=talk)
    state = ExecutionState(bus)
    task = asyncio.ensure_future(call(None, None, state))
    async with Connection(streamer.response(task)) as connection:
        told = data(await connection.events())
    assert [event["event_type"] for event in told] == ["complete"]
    assert "result" not in told[0]
    assert caplog.records == []


@pytest.mark.parametrize("make_one", [Executions, EventStreamer])
@pytest.mark.parametrize("bad", ["no", 5, end_of])
def test_refuses_a_hook_that_returns_no_event(make_one: Any, bad: Any) -> None:
    with pytest.raises(TypeError, match="^redact must "):
        make_one(redact=bad)


# Questions


def asks(**changes: Any) -> Callable[[Any], Any]:
    """A hook that changes what is asked."""
    return only(InputRequestEvent, lambda event: event.model_copy(update=changes))


@pytest.mark.parametrize("store", [None, "memory://"])
async def test_shows_of_a_question_what_viewers_may_see(
    make: Make, store: str | None
) -> None:
    options = {} if store is None else {"store": store}
    changes = {"message": "Pay?", "to": "bob", "n": 7}
    executions = make(pay, redact=asks(**changes), **options)
    execution = await executions.start(pay)
    (shown,) = await asked(execution)
    (waiting,) = await execution.waiting()
    first = await execution.answer(1, {"pin": SECRET}, by="bob")

    assert (shown.message, shown.to) == ("Pay?", "bob")
    assert waiting == shown.model_copy(update={"n": 1})
    assert first and await execution.result() == SECRET  # the answer is whole


async def test_redacts_an_answer_that_is_echoed(make: Make) -> None:
    executions = make(
        pay,
        redact=only(InputAnswerEvent, lambda e: e.model_copy(update={"content": 0})),
    )
    execution = await executions.start(pay)
    await asked(execution)
    await execution.answer(1, {"pin": SECRET})

    assert await execution.result() == SECRET
    assert [content for *_, content in await answers(execution)] == [0]


@pytest.mark.parametrize(
    "redact",
    [
        only(InputRequestEvent, nothing),
        only(InputRequestEvent, lambda event: Note(text="It asks.")),
        only(InputRequestEvent, lambda event: 1 / 0),
    ],
    ids=["hides", "replaces", "fails"],
)
async def test_shows_no_question_that_viewers_may_not_see(
    make: Make, redact: Callable[[Any], Any]
) -> None:
    store = MemoryStore()
    app = EventsApp(executions=make(pay, redact=redact, store=store))
    other = EventsApp(executions=make(store=store))
    execution = await app.executions.start(pay)
    async with asyncio.timeout(TIMEOUT):
        while not await execution.questions():  # noqa: ASYNC110
            await asyncio.sleep(0)
    path, said = f"/executions/{execution.id}", []
    for client in (Client(app), Client(other)):
        about = await (await client.get(path)).json()
        input = await client.get(f"{path}/inputs/1")
        body = {"action": "decline"}
        answered = await client.post(f"{path}/inputs/1", json=body)
        said.append((about["waiting"], input.status, answered.status))
    stored = b"".join((await store.read(f"questions:{execution.id}", 0, 1000)).frames)

    assert said == [([], 404, 404)] * 2
    assert await execution.waiting() == []
    assert SECRET.encode() not in stored
    elsewhere = await other.executions.get(execution.id)
    with pytest.raises(InvalidInput):
        await elsewhere.answer(1, {"pin": 1})
    assert await elsewhere.answer(1, {"pin": "1234"})
    assert await execution.result() == "1234"
