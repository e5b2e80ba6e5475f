"""An execution used from Python: its result, and its typed events."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from asgi_events import ExecutionResult, Executions, agent, current_state
from asgi_events.bus import EventHandler
from asgi_events.events import CompleteEvent, ExecutionEvent, LogEvent
from asgi_events.exceptions import (
    ExecutionCancelled,
    ExecutionFailed,
    InvalidInput,
    ResultGone,
)
from asgi_events.stores import Page
from asgi_events.stores.memory import MemoryStore
from tests.executions.scenes import soon


class Report(BaseModel):
    text: str


class Chart(BaseModel):
    event_type: Literal["chart"] = "chart"
    points: list[int]


@agent
async def report(text: str) -> Report:
    await current_state().log("working")
    await current_state().publish(Chart(points=[1, 2]))
    return Report(text=text)


@agent
async def fail() -> None:
    raise ValueError("bad luck")


@agent
async def sleep() -> None:
    await asyncio.sleep(3600)


@agent
async def lie() -> int:
    return "seven"  # type: ignore[return-value]


@agent
async def say() -> AsyncIterator[str]:
    yield "a"
    yield "b"


@agent
async def wrap() -> ExecutionResult[int]:
    return ExecutionResult(ok=True, result=7)


@agent
async def hint() -> "Unknown":  # type: ignore[name-defined]  # noqa: F821
    return {"a": 1}


ACTORS = (report, fail, sleep, lie, say, wrap, hint)


@pytest.fixture(params=["memory", "sqlite"])
async def executions(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Executions]:
    options: Any = {"error_message": str, "drain_grace": 0}
    if request.param == "sqlite":
        options["store"] = f"sqlite:///{tmp_path}/events.db"
    async with Executions(*ACTORS, **options) as made:
        yield made


async def test_is_what_the_actor_returned(executions: Executions) -> None:
    execution = await executions.start(report, {"text": "tea"})
    assert await execution.result() == Report(text="tea")
    assert await (await executions.start(say)).result() == "ab"


async def test_is_what_is_in_an_execution_result(executions: Executions) -> None:
    assert await (await executions.start(wrap)).result() == 7


async def test_is_json_where_the_annotation_cannot_be_resolved(
    executions: Executions,
) -> None:
    assert await (await executions.start(hint)).result() == {"a": 1}


async def test_is_the_same_in_another_process(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/events.db"
    async with Executions(*ACTORS, store=store) as here, Executions(store=store) as far:
        execution = await here.start(report, {"text": "tea"})
        found = await far.get(execution.id)
        assert await found.result() == {"text": "tea"}  # it does not know the actor
        async with Executions(*ACTORS, store=store) as there:
            again = await there.get(execution.id)
            assert await again.result() == Report(text="tea")


class Late(MemoryStore):
    """A store that gives frames late.

    Attributes:
        late: Set when it may give them.
        asked: Set when it was to give some.
    """

    def __init__(self) -> None:
        super().__init__()
        self.late, self.asked = asyncio.Event(), asyncio.Event()

    async def read(self, key: str, after: int, limit: int) -> Page | None:
        page = await super().read(key, after, limit)
        if limit and page is not None and page.end is not None:
            self.asked.set()
            await self.late.wait()
        return page


async def test_is_there_for_who_waits_when_another_one_finds_the_end_first() -> None:
    go, store = asyncio.Event(), Late()

    @agent
    async def work() -> int:
        await go.wait()
        return 42

    async with Executions(work, store=store) as here, Executions(store=store) as there:
        id = (await here.start(work)).id
        waiting = asyncio.ensure_future((await there.get(id)).result())
        await asyncio.sleep(0)
        go.set()
        await soon(store.asked.wait())  # so the follower has not taken the end
        found = await there.get(id)
        others = [asyncio.ensure_future(found.wait()) for _ in range(2)]
        await asyncio.sleep(0)
        others.pop().cancel()
        store.late.set()
        assert found.status == "completed"
        assert await soon(asyncio.gather(waiting, *others)) == [42, "completed"]


async def test_is_an_exception_that_names_what_failed(executions: Executions) -> None:
    execution = await executions.start(fail)
    with pytest.raises(ExecutionFailed, match="bad luck") as caught:
        await execution.result()
    assert (caught.value.id, caught.value.status) == (execution.id, "failed")


async def test_is_an_exception_when_it_was_cancelled(executions: Executions) -> None:
    execution = await executions.start(sleep)
    await execution.cancel()
    with pytest.raises(ExecutionCancelled, match=execution.id):
        await execution.result()


async def test_says_what_the_actor_is_annotated_to_return(
    executions: Executions,
) -> None:
    execution = await executions.start(lie)
    with pytest.raises(ValueError, match="'lie' is annotated to return"):
        await execution.result()


async def test_says_that_the_result_is_gone(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/events.db"
    async with Executions(*ACTORS, store=store) as executions:
        execution = await executions.start(report, {"text": "tea"})
        await execution.wait()
        await executions.store.delete(execution.id)
        with pytest.raises(ResultGone, match=execution.id):
            await execution.result()


async def test_gives_typed_events(executions: Executions) -> None:
    execution = await executions.start(report, {"text": "tea"})
    events = [event async for event in execution.events(types=[Chart])]
    with pytest.raises(TypeError, match=r"write types=\[Chart\]"):
        execution.events(types=Chart)  # type: ignore[arg-type]
    assert [type(event) for event in events] == [
        ExecutionEvent[Any],
        LogEvent,
        Chart,
        ExecutionEvent[Any],
        CompleteEvent,
    ]
    assert events[2] == Chart(points=[1, 2])


async def test_goes_on_after_an_event(executions: Executions) -> None:
    execution = await executions.start(report, {"text": "tea"})
    await execution.wait()
    events = [event async for event in execution.events(after=2)]
    assert events[0] == {"event_type": "chart", "points": [1, 2]}
    assert len(events) == 3


@pytest.mark.parametrize("after", [-1, 6])
async def test_refuses_a_number_that_nobody_can_have(
    executions: Executions, after: int
) -> None:
    execution = await executions.start(report, {"text": "tea"})
    await execution.wait()
    with pytest.raises(ValueError, match="has 5 events so far"):
        await anext(execution.events(after=after))


async def test_leaves_when_the_reader_stops(executions: Executions) -> None:
    execution = await executions.start(sleep)
    events = execution.events()
    await anext(events)
    watching = execution.viewers
    await events.aclose()
    assert (watching, execution.viewers) == (1, 0)


async def test_starts_nothing_without_actors() -> None:
    async with Executions() as executions:
        assert executions.actors == {}


def test_names_the_option_that_was_meant() -> None:
    with pytest.raises(TypeError, match="did you mean 'cancel_after'"):
        Executions(report, cancel_afer=3)  # type: ignore[call-arg]


async def test_still_validates_its_input(executions: Executions) -> None:
    with pytest.raises(InvalidInput):
        await executions.start(report, {"text": 5})


class Diary:
    """A handler factory: it writes down whose events its handlers heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, str | None, str]] = []

    def for_execution(
        self, execution_id: str, *, actor: str, owner: str | None
    ) -> EventHandler:
        def hear(event: Any) -> None:
            self.heard.append((execution_id, actor, owner, str(event.event_type)))

        return hear


async def test_tells_handlers_whose_events_they_hear_and_how_it_ended() -> None:
    diary = Diary()
    async with Executions(say, fail, handlers=[diary]) as executions:
        first = await executions.start(say, owner="ada")
        second = await executions.start(fail)
        await first.wait()
        await second.wait()
    assert [entry for entry in diary.heard if entry[0] == first.id] == [
        (first.id, "say", "ada", kind)
        for kind in ("agent_call", "text_delta", "text_delta", "agent_call", "complete")
    ]
    assert [entry[1:] for entry in diary.heard if entry[0] == second.id] == [
        ("fail", None, kind) for kind in ("agent_call", "agent_call", "error")
    ]


async def test_runs_what_a_handler_factory_has_no_handler_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Diary):
        def for_execution(
            self, execution_id: str, *, actor: str, owner: str | None
        ) -> EventHandler:
            raise ValueError("no handler")

    async with Executions(say, handlers=[Broken()]) as executions:
        assert await (await executions.start(say)).result() == "ab"
    assert "no handler" in caplog.text


async def test_ends_though_a_handler_raises_a_cancellation() -> None:
    def wait_for_what_was_cancelled(event: BaseModel) -> None:
        if isinstance(event, CompleteEvent):
            cancelled = asyncio.get_running_loop().create_future()
            cancelled.cancel()
            cancelled.result()

    async with Executions(say, handlers=[wait_for_what_was_cancelled]) as executions:
        execution = await executions.start(say)
        await soon(execution.wait())
    assert execution.status == "completed"


async def test_knows_its_execution_in_the_actor() -> None:
    @agent
    async def whoami() -> list[str | None]:
        state = current_state()
        return [state.execution_id, state.owner]

    async with Executions(whoami) as executions:
        execution = await executions.start(whoami, owner="ada")
        assert await execution.result() == [execution.id, "ada"]


# Its progress


class Reads(MemoryStore):
    """Counts the frames that are read from it."""

    frames = 0

    async def read(self, key: str, after: int, limit: int) -> Page | None:
        page = await super().read(key, after, limit)
        self.frames += 0 if page is None else len(page.frames)
        return page


@agent
async def step(before: int, after: int, size: int) -> None:
    for _ in range(before):
        await current_state().log("x" * size)
    await current_state().progress(7)
    for _ in range(after):
        await current_state().log("x" * size)


@pytest.mark.parametrize(
    ("before", "after", "size", "shown", "read"),
    [
        (300, 0, 1, 7, 16),
        (300, 40, 1, 7, 16 + 64),
        (300, 250, 1, 7, 16 + 64 + 256),
        (300, 260, 1, None, 16 + 64 + 256),
        (200, 0, 10_000, 7, 16),
        (3, 30, 100_000, None, 16),
        (3, 0, 1, 7, 7),
    ],
)
async def test_shows_the_newest_progress_of_a_process_that_is_not_this_one(
    before: int, after: int, size: int, shown: int | None, read: int
) -> None:
    store = Reads()
    async with Executions(step, store=store) as here, Executions(store=store) as there:
        started = await here.start(
            step, {"before": before, "after": after, "size": size}
        )
        await started.wait()
        execution = await there.get(started.id)
        store.frames = 0

        progress = await execution.progress()

    assert (progress and progress.current, store.frames) == (shown, read)
