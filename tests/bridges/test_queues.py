"""Jobs of task queues as executions, without a queue."""

from __future__ import annotations

import asyncio
import pickle
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from asgi_events import Executions, tool
from asgi_events.bridges.queues import (
    find_execution,
    run_execution,
)
from asgi_events.events import ExecutionStatus
from asgi_events.exceptions import (
    AsgiEventsError,
    Draining,
    EventTooLarge,
    ExecutionCancelled,
    ExecutionFailed,
    InvalidInput,
    LimitReached,
    UnknownExecution,
)
from asgi_events.executions import Execution
from asgi_events.stores import EventStore, Page
from tests import TIMEOUT
from tests.executions.faulty_store import FaultyStore
from tests.processes.sharing import Dictation, until

CUT_OFF = "Execution cancelled: its worker has stopped the job"

runs: list[str] = []  # the texts of the actors below, as they ran


@pytest.fixture(autouse=True)
def no_runs() -> None:
    runs.clear()


class Trouble(Exception):
    def __init__(self, code: int, why: str) -> None:
        super().__init__(f"{code}: {why}")
        self.code = code


@tool
async def troubled(text: str = "") -> str:
    """Raise for the first time, after an exception that it handles."""
    runs.append(text)
    try:
        await broken()
    except ValueError:
        pass
    if len(runs) == 1:
        raise Trouble(7, "not yet")
    return f"{text} after {len(runs)}"


@tool
async def broken() -> None:
    raise ValueError("of a tool")


class Followed:
    """A store that tells when somebody reads frames of it.

    Attributes:
        pages: How often somebody did.
    """

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self.pages = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def read(self, key: str, after: int, limit: int) -> Page | None:
        page = await self._store.read(key, after, limit)
        self.pages += limit > 0
        return page


Worker = Callable[..., Executions]


@pytest.fixture
def dictation() -> Dictation:
    return Dictation()


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore()


@pytest.fixture
async def worker(dictation: Dictation, store: FaultyStore) -> AsyncIterator[Worker]:
    """Makes the executions of one more worker, on the same store."""
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.aclose)

        def make(**options: Any) -> Executions:
            made = Executions(
                dictation.actor,
                troubled,
                store=Followed(store),
                **{"lease": 0.3} | options,
            )
            stack.push_async_callback(made.drain, 0)
            return made

        yield make


def deliver(worker: Executions, actor: Any, **options: Any) -> asyncio.Task[Any]:
    """A job, delivered to a worker."""
    return asyncio.ensure_future(
        run_execution(worker, actor, **{"id": "job"} | options)
    )


async def runs_in(worker: Executions, id: str = "job") -> Execution:
    """The execution of a job, once it runs in that worker."""
    await until(lambda: any(e.id == id and e.runs_here for e in worker))
    return await worker.get(id)


async def waits_in(worker: Executions) -> None:
    """Wait until a job there waits for an execution of another worker."""
    store = worker.store
    assert isinstance(store, Followed)
    await until(lambda: store.pages > 0)


async def how(execution: Execution) -> tuple[str, str]:
    """How an execution has ended, and what viewers were told."""
    event = await execution.terminal_event()
    assert event is not None
    return execution.status.value, event.message


async def test_returns_what_the_actor_returns_under_the_id_of_the_job(
    worker: Worker, dictation: Dictation
) -> None:
    here, web = worker(), worker()
    job = deliver(here, dictation.actor, input={"text": "tea"}, owner="ada")
    shown = await find_execution(web, "job", wait=TIMEOUT)
    dictation.stop()

    assert await job == await shown.result() == "tea"
    assert (shown.id, shown.owner) == ("job", "ada")


async def test_raises_what_the_actor_has_raised(worker: Worker) -> None:
    here = worker()

    with pytest.raises(Trouble) as caught:
        await run_execution(here, troubled, {"text": "a"}, id="job")

    assert caught.value.code == 7
    assert (await here.get("job")).status == ExecutionStatus.FAILED


async def test_runs_again_when_it_has_failed_and_is_delivered_again(
    worker: Worker,
) -> None:
    here, there, web = worker(), worker(), worker()
    with pytest.raises(Trouble):
        await run_execution(here, troubled, {"text": "a"}, id="job")
    first = await find_execution(web, "job")

    again = await run_execution(there, troubled, {"text": "a"}, id="job")

    assert (again, runs) == ("a after 2", ["a", "a"])
    assert first.id == "job"
    assert (await find_execution(web, "job")).id == "job-2"


async def test_waits_for_what_runs_when_it_is_delivered_again(
    worker: Worker, dictation: Dictation
) -> None:
    here, there = worker(), worker()
    jobs = [deliver(here, dictation.actor), deliver(here, dictation.actor)]
    await runs_in(here)
    jobs.append(deliver(there, dictation.actor))
    await waits_in(there)
    dictation.stop()

    assert await asyncio.gather(*jobs) == ["", "", ""]
    assert dictation.runs == 1


async def test_fails_as_it_has_failed_in_another_worker(
    worker: Worker, dictation: Dictation
) -> None:
    here, there = worker(error_message=str), worker()
    job = deliver(here, dictation.actor)
    await runs_in(here)
    again = deliver(there, dictation.actor)
    await waits_in(there)
    dictation.fail(Trouble(7, "no tea"))
    with pytest.raises(Trouble):
        await job
    with pytest.raises(ExecutionFailed) as caught:
        await again

    assert caught.value.args == ("job", "failed", "7: no tea")


async def test_has_the_result_at_once_when_it_is_delivered_again(
    worker: Worker, dictation: Dictation
) -> None:
    here, there = worker(), worker()
    dictation.stop()
    first = await run_execution(here, dictation.actor, {"text": "tea"}, id="job")

    again = await run_execution(there, dictation.actor, {"text": "tea"}, id="job")

    assert (first, again, dictation.runs) == ("tea", "tea", 1)


async def test_does_not_run_again_what_somebody_has_stopped(
    worker: Worker, dictation: Dictation
) -> None:
    here, there, web = worker(), worker(), worker()
    job = deliver(here, dictation.actor)
    await runs_in(here)
    await (await find_execution(web, "job")).cancel()
    caught = []
    for delivered in (job, deliver(there, dictation.actor)):
        with pytest.raises(ExecutionCancelled) as error:
            await delivered
        caught.append(error.value.args)

    assert caught == [("job", "cancelled", "Execution cancelled")] * 2
    assert dictation.runs == 1
    with pytest.raises(UnknownExecution):
        await web.get("job-2")


async def test_runs_again_what_was_lost(
    worker: Worker, dictation: Dictation, store: FaultyStore
) -> None:
    here, there = worker(), worker()
    jobs = [deliver(here, dictation.actor)]
    first = await runs_in(here)
    jobs.append(deliver(there, dictation.actor))
    await waits_in(there)
    await store.take_over("job")
    await first.wait()
    await until(lambda: dictation.runs == 2)
    dictation.stop()

    assert await asyncio.gather(*jobs) == ["", ""]
    assert (await there.get("job")).status == ExecutionStatus.LOST
    assert dictation.runs == 2


async def test_cancels_its_execution_when_the_worker_cancels_the_job(
    worker: Worker, dictation: Dictation
) -> None:
    here, there = worker(), worker()
    job = deliver(here, dictation.actor)
    execution = await runs_in(here)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    ended = await how(execution)
    again = deliver(there, dictation.actor)
    await runs_in(there, "job-2")
    dictation.stop()

    assert ended == ("cancelled", CUT_OFF)
    assert await again == ""


async def test_cancels_an_execution_that_is_still_starting(
    worker: Worker, dictation: Dictation
) -> None:
    here = worker()
    job = deliver(here, dictation.actor)
    await asyncio.sleep(0)  # the store is asked now
    assert list(here) == []
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job

    assert await how(await here.get("job")) == ("cancelled", CUT_OFF)


async def test_cancels_its_execution_when_the_job_is_cancelled_twice(
    worker: Worker, dictation: Dictation
) -> None:
    here = worker()
    job = deliver(here, dictation.actor)
    await asyncio.sleep(0)
    job.cancel()
    await asyncio.sleep(0)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    execution = await here.get("job", wait=TIMEOUT)

    async with asyncio.timeout(TIMEOUT):
        assert await execution.wait() == ExecutionStatus.CANCELLED


async def test_leaves_alone_what_runs_in_another_worker(
    worker: Worker, dictation: Dictation
) -> None:
    here, there = worker(), worker()
    job = deliver(here, dictation.actor)
    await runs_in(here)
    again = deliver(there, dictation.actor)
    await waits_in(there)
    again.cancel()
    with pytest.raises(asyncio.CancelledError):
        await again
    dictation.stop()

    assert await job == ""


async def test_may_run_again_when_its_worker_was_drained(
    worker: Worker, dictation: Dictation
) -> None:
    here, there = worker(), worker()
    job = deliver(here, dictation.actor)
    await runs_in(here)
    await here.drain(0)
    with pytest.raises(Draining):
        await job
    again = deliver(there, dictation.actor)
    await runs_in(there, "job-2")
    dictation.stop()

    assert await again == ""


async def test_leaves_signals_to_the_worker(
    worker: Worker, dictation: Dictation
) -> None:
    here = worker()
    before = signal.getsignal(signal.SIGTERM)
    job = deliver(here, dictation.actor)
    await runs_in(here)
    during = signal.getsignal(signal.SIGTERM)
    dictation.stop()
    await job

    assert during == before


@pytest.mark.parametrize(
    "error",
    [
        Draining(),
        EventTooLarge("event", 3, 2),
        ExecutionCancelled("job", "cancelled", "stopped"),
        InvalidInput("search", [{"loc": ["query"]}]),
        LimitReached("max_executions", 3),
    ],
    ids=lambda error: type(error).__name__,
)
def test_raises_what_queues_can_pickle(error: AsgiEventsError) -> None:
    restored = pickle.loads(pickle.dumps(error))

    assert type(restored) is type(error)
    assert str(restored) == str(error)
    assert vars(restored) == vars(error)
