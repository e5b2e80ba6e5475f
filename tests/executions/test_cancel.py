"""``Executions``: who cancels, and what viewers learn of errors."""

import asyncio
import logging
import re
import threading
import time
from typing import Any

import pytest

from asgi_events import agent, current_state, tool
from asgi_events.executions import Execution
from asgi_events.http.viewing import ExecutionResponse
from asgi_events.testing import Connection
from tests import TIMEOUT
from tests.executions.scenes import (
    SECRET,
    Cleaner,
    Gate,
    Make,
    end_of,
    idle,
    outer,
    seen,
    soon,
    viewer,
)
from tests.payloads import data, kinds

# The policy: disconnect is a policy, stop is a request


class Twin:
    """Two alike executions. The second loses its only viewer after whatever happened to
    the first, so when it is cancelled for that, the first one's time was up as well."""

    def __init__(self, make: Make, cancel_after: float) -> None:
        self.gate = Gate()
        self.executions = make(self.gate.actor, cancel_after=cancel_after)

    async def start(self) -> Execution:
        return await self.executions.start("work")

    async def watch_and_leave(self, execution: Execution) -> None:
        async with viewer(self.executions, execution) as connection:
            await connection.until(b"started")

    async def outlast(self) -> None:
        """Wait until an execution that was left now is cancelled for it."""
        other = await self.start()
        await self.watch_and_leave(other)
        assert await end_of(other) == "cancelled"


@pytest.mark.parametrize(
    ("cancel_after", "message"),
    [
        (0.05, "Execution cancelled: nobody watched it for 0.05 s"),
        (0, "Execution cancelled: nobody watched it for 0 s"),
    ],
    ids=["after a while", "at once"],
)
async def test_cancels_an_execution_that_its_last_viewer_has_left(
    make: Make, cancel_after: float, message: str
) -> None:
    twin = Twin(make, cancel_after)
    execution = await twin.start()
    async with viewer(twin.executions, execution) as first:
        await first.until(b"started")
        async with viewer(twin.executions, execution) as second:
            await second.until(b"started")
    assert await end_of(execution) == "cancelled"
    assert (await seen(twin.executions, execution))[-1] == {
        "event_type": "cancelled",
        "message": message,
    }
    assert twin.gate.ended == ["cancelled"]


async def test_runs_on_without_viewers_when_cancel_after_is_none(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor, cancel_after=None)
    execution = await executions.start("work")
    async with viewer(executions, execution) as connection:
        await connection.until(b"started")
    await asyncio.sleep(0.06)  # two slots of the wheel, had it a timer
    gate.open.set()
    assert await end_of(execution) == "completed"


@pytest.mark.parametrize("cancel_after", [0, 0.05], ids=["at once", "after a while"])
async def test_runs_on_when_it_never_had_a_viewer(
    make: Make, cancel_after: float
) -> None:
    twin = Twin(make, cancel_after)
    execution = await twin.start()
    await twin.outlast()
    assert execution.status == "started"
    twin.gate.open.set()
    assert await end_of(execution) == "completed"


async def test_counts_a_head_request_as_no_viewer(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor, cancel_after=0)
    execution = await executions.start("work")
    async with Connection(ExecutionResponse(execution), "HEAD") as connection:
        await connection.end()
    gate.open.set()
    assert await end_of(execution) == "completed"


async def test_forgets_that_it_was_left_when_a_viewer_comes_back(make: Make) -> None:
    twin = Twin(make, 0.05)
    execution = await twin.start()
    await twin.watch_and_leave(execution)
    async with viewer(twin.executions, execution) as back:
        await back.until(b"started")
        await twin.outlast()
        assert execution.status == "started"
        twin.gate.open.set()
        assert kinds(await back.events())[-1] == "complete"


async def test_waits_anew_when_the_viewer_who_came_back_leaves(make: Make) -> None:
    twin = Twin(make, 0.05)
    execution = await twin.start()
    await twin.watch_and_leave(execution)
    await twin.watch_and_leave(execution)
    assert await end_of(execution) == "cancelled"


@pytest.mark.parametrize("cancel_after", [0, 0.05], ids=["at once", "after a while"])
async def test_lets_a_joiner_leave_while_another_watches(
    make: Make, cancel_after: float
) -> None:
    twin = Twin(make, cancel_after)
    execution = await twin.start()
    async with viewer(twin.executions, execution) as stays:
        await stays.until(b"started")
        await twin.watch_and_leave(execution)
        await twin.outlast()
        assert execution.status == "started"
        twin.gate.open.set()
        assert kinds(await stays.events())[-1] == "complete"


async def test_lets_the_first_viewer_leave_while_a_joiner_watches(make: Make) -> None:
    twin = Twin(make, 0)
    execution = await twin.start()
    first = viewer(twin.executions, execution)
    async with viewer(twin.executions, execution) as joiner:
        async with first:
            await first.until(b"started")
            await joiner.until(b"started")
        twin.gate.open.set()
        assert kinds(await joiner.events())[-1] == "complete"


async def test_is_bounded_by_max_duration_watched_or_not(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor, max_duration=0.05)
    unwatched = await executions.start("work")
    watched = await executions.start("work")
    told = await seen(executions, watched)
    assert await end_of(unwatched) == "cancelled"
    assert told[-1] == {
        "event_type": "cancelled",
        "message": "Execution cancelled: it ran longer than 0.05 s",
    }
    assert (await seen(executions, unwatched))[-1] == told[-1]
    assert gate.ended == ["cancelled", "cancelled"]


async def test_has_no_say_after_the_end_of_an_execution(make: Make) -> None:
    executions = make(idle, max_duration=0.03, cancel_after=0.03)
    execution = await executions.start(idle)
    told = await seen(executions, execution)
    twin = await executions.start(idle)
    await asyncio.sleep(0.06)
    assert execution.status == twin.status == "completed"
    assert await seen(executions, execution) == told


async def test_tells_every_viewer_of_the_cancel_and_runs_finally(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor)
    execution = await executions.start("work")
    async with (
        viewer(executions, execution) as first,
        viewer(executions, execution) as second,
    ):
        await first.until(b"started")
        cancelling = await execution.cancel("Execution cancelled: enough")
        told = [data(await first.events()), data(await second.events())]
    assert cancelling is True
    assert told[0] == told[1]
    assert [event.get("execution_status") for event in told[0]] == [
        "started",
        "cancelled",
        None,
    ]
    assert told[0][-1] == {
        "event_type": "cancelled",
        "message": "Execution cancelled: enough",
    }
    assert (execution.status, gate.ended) == ("cancelled", ["cancelled"])


async def test_is_cancelled_before_its_actor_has_begun(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor)
    execution = await executions.start("work")
    await execution.cancel()
    assert await end_of(execution) == "cancelled"
    assert await seen(executions, execution) == [
        {"event_type": "cancelled", "message": "Execution cancelled"}
    ]
    assert not gate.begun.is_set()


async def test_is_cancelled_by_an_actor_that_then_returns(make: Make) -> None:
    @agent
    async def work() -> None:
        await execution.cancel("Enough")

    executions = make(work)
    execution = await executions.start("work")

    assert await end_of(execution) == "cancelled"
    told = await seen(executions, execution)
    assert told[-1] == {"event_type": "cancelled", "message": "Enough"}


async def test_does_not_disturb_the_cleanup_when_cancelled_again(make: Make) -> None:
    cleaner = Cleaner()
    executions = make(cleaner.actor)
    execution = await executions.start("clean")
    await soon(cleaner.begun.wait())
    first = await execution.cancel("first")
    await soon(cleaner.cleaning.wait())
    second = await execution.cancel("second")
    await asyncio.sleep(0)
    cleaner.open.set()
    status = await end_of(execution)
    assert (first, second, await execution.cancel("third")) == (True, True, False)
    assert (status, cleaner.over.is_set()) == ("cancelled", True)
    assert (await seen(executions, execution))[-1]["message"] == "first"


async def test_reports_a_cleanup_that_takes_too_long(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    cleaner = Cleaner()
    executions = make(cleaner.actor, cancel_timeout=0.05)
    execution = await executions.start("clean")
    await soon(cleaner.begun.wait())
    await execution.cancel()
    status = await end_of(execution)
    cleaning = not cleaner.over.is_set()
    cleaner.open.set()
    await soon(cleaner.over.wait())
    told = await seen(executions, execution)
    assert (status, cleaning) == ("cancelled", True)
    assert told[-1] == {
        "event_type": "cancelled",
        "message": "Execution cancelled; its cleanup was not done after 0.05 s",
    }
    assert [event["event_type"] for event in told].count("cancelled") == 1
    assert "cleans up for more than 0.05 s" in caplog.text


async def test_shows_a_sync_actor_in_its_thread_that_it_is_cancelled(
    make: Make,
) -> None:
    begun, saw, give_up = threading.Event(), threading.Event(), threading.Event()

    @tool
    def grind() -> None:
        state = current_state()
        begun.set()
        while not state.cancelled:
            if give_up.wait(0.001):
                return
        saw.set()

    executions = make(grind)
    execution = await executions.start(grind)
    try:
        assert await asyncio.to_thread(begun.wait, TIMEOUT)
        await execution.cancel()
        assert await asyncio.to_thread(saw.wait, TIMEOUT)
    finally:
        give_up.set()
    assert await end_of(execution) == "cancelled"


async def test_stops_a_sync_generator_in_its_thread(make: Make) -> None:
    begun, give_up = threading.Event(), threading.Event()
    yielded: list[str] = []

    @tool
    def drip() -> Any:
        while not give_up.is_set():
            yielded.append("x")
            yield "x"
            begun.set()
            time.sleep(0.001)

    executions = make(drip)
    execution = await executions.start(drip)
    try:
        assert await asyncio.to_thread(begun.wait, TIMEOUT)
        await execution.cancel()
        assert await end_of(execution) == "cancelled"
    finally:
        give_up.set()


# Errors


async def test_tells_viewers_a_neutral_sentence_and_logs_the_rest_once(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    executions = make(outer)
    execution = await executions.start(outer)
    async with viewer(executions, execution) as connection:
        told = data(await connection.events())
    message = told[-1]["message"]
    match = re.fullmatch(r"The execution failed\. Error id: ([0-9a-f]{8})", message)
    assert match is not None
    assert told[-1] == {"event_type": "error", "message": message}
    failed = [event for event in told if event.get("execution_status") == "failed"]
    assert [(event["address"], event["message"]) for event in failed] == [
        ("outer/inner", message),
        ("outer", message),
    ]
    assert execution.status == "failed"
    assert b"Traceback" not in connection.body
    assert SECRET.encode() not in connection.body
    records = [r for r in caplog.records if match[1] in r.getMessage()]
    assert [(r.levelno, str((r.exc_info or ("", ""))[1])) for r in records] == [
        (logging.ERROR, SECRET)
    ]
    assert caplog.text.count("Traceback (most recent call last)") == 1


async def test_gives_two_errors_two_ids(make: Make) -> None:
    executions = make(outer)
    told = []
    for _ in range(2):
        execution = await executions.start(outer)
        told.append((await seen(executions, execution))[-1]["message"])
    assert told[0] != told[1]


async def test_tells_the_traceback_with_debug(make: Make) -> None:
    executions = make(outer, debug=True)
    execution = await executions.start(outer)
    told = (await seen(executions, execution))[-1]
    assert told["event_type"] == "error"
    assert told["message"].startswith("Traceback (most recent call last):\n")
    assert told["message"].endswith(f"RuntimeError: {SECRET}")


@pytest.mark.parametrize("debug", [False, True], ids=["plain", "debug"])
async def test_tells_what_the_error_message_hook_says(make: Make, debug: bool) -> None:
    executions = make(
        outer, debug=debug, error_message=lambda error: f"Sorry: {type(error).__name__}"
    )
    execution = await executions.start(outer)
    told = await seen(executions, execution)
    assert told[-1] == {"event_type": "error", "message": "Sorry: RuntimeError"}
    assert [e["message"] for e in told if e.get("execution_status") == "failed"] == [
        "Sorry: RuntimeError",
        "Sorry: RuntimeError",
    ]


async def test_leaks_nothing_when_the_error_message_hook_fails(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    def hook(error: BaseException) -> str:
        raise LookupError(f"no words for: {error}")

    executions = make(outer, error_message=hook)
    execution = await executions.start(outer)
    async with viewer(executions, execution) as connection:
        told = data(await connection.events())
    assert told[-1]["event_type"] == "error"
    assert SECRET.encode() not in connection.body
    assert b"Traceback" not in connection.body
    assert SECRET in caplog.text


class Stop(BaseException):
    """What some libraries raise to get past ``except Exception``."""


async def test_leaks_nothing_of_an_error_that_is_no_exception(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    @agent
    async def stop() -> None:
        raise Stop(SECRET)

    executions = make(stop)
    execution = await executions.start(stop)
    async with viewer(executions, execution) as connection:
        told = data(await connection.events())
    assert execution.status == "failed"
    assert SECRET.encode() not in connection.body
    assert re.fullmatch(
        r"The execution failed\. Error id: [0-9a-f]{8}", told[-1]["message"]
    )
    assert SECRET in caplog.text
