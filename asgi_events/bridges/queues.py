"""Jobs of task queues as executions: Celery, arq, taskiq, and any other.

An execution has the same id as its job. So the program that queues the job can watch
and stop the execution. A queue may deliver a job again. What then happens depends on
the execution that the earlier delivery has left:

| the execution | the job |
|---|---|
| runs, in this worker or another one | waits for it, and ends as it ends |
| has completed | has its result at once |
| was stopped: ``Execution.cancel``, ``max_duration``, … | ``ExecutionCancelled`` |
| has failed, was lost with its worker, or its worker stopped | runs again |

The second execution of a job has the id ``JOB-2``, the third one ``JOB-3``.

The worker decides when its jobs end: a job leaves SIGTERM and SIGINT to the worker, and
where the worker cancels a job, the job cancels its execution.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Coroutine, Iterator
from concurrent import futures
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

from asgi_events.actors.actor import ActorFunction
from asgi_events.aio import signals
from asgi_events.error_messages import described
from asgi_events.events import SHUTTING_DOWN, ExecutionStatus
from asgi_events.exceptions import (
    AsgiEventsError,
    ExecutionFailed,
    UnknownExecution,
)
from asgi_events.executions.execution import Execution
from asgi_events.executions.executions import Executions

_CUT_OFF = "Execution cancelled: its worker has stopped the job"
_BY_WORKER = (_CUT_OFF, SHUTTING_DOWN)

_STORING = 1.0  # seconds that the store has to take the terminal event

# Tasks that end executions whose jobs were cancelled: a loop holds no tasks.
_cutting: set[asyncio.Task[None]] = set()


async def run_execution(
    executions: Executions,
    actor: str | ActorFunction[..., Any],
    input: Any = None,
    *,
    id: str,
    owner: str | None = None,
) -> Any:
    """Run an actor as the job of a task queue, and return what it returns.

    Args:
        executions: Those of the worker, with the store of the web server.
        actor: The actor or its name.
        input: As for ``Executions.start``.
        id: The id of the job.
        owner: To whom the execution belongs.

    Raises:
        Exception: What the actor has raised, where it ran for this job.
        ExecutionFailed: It failed in another worker; ``ExecutionCancelled``: somebody
            has stopped it.
        Draining: ``Executions.drain`` has stopped it: the job may run again.
        AsgiEventsError: It did not start; see ``Executions.start``.
    """
    while True:
        raised: dict[str, BaseException] = {}
        name = await _name_of_try(executions, id)
        start = executions.start(actor, input, owner=owner, id=name)
        with _hold(raised), signals.left_to_others():
            starting = asyncio.ensure_future(start)
        try:
            execution = await asyncio.shield(starting)
            await execution.wait()
        except asyncio.CancelledError:
            cleanup = executions.viewing.options["cancel_timeout"]
            cutting = asyncio.ensure_future(_cut_off(starting, cleanup))
            _cutting.add(cutting)
            cutting.add_done_callback(_cutting.discard)
            await asyncio.shield(cutting)  # a job may be cancelled twice
            raise
        try:
            return await execution.result()
        except ExecutionFailed as error:
            failure = error
        if failure.status == ExecutionStatus.FAILED:
            raise raised.get(failure.message, failure)
        if not await _runs_again(execution):
            raise failure


def run_execution_sync(
    executions: Executions,
    actor: str | ActorFunction[..., Any],
    input: Any = None,
    *,
    id: str,
    owner: str | None = None,
) -> Any:
    """Run an actor as the job of a worker that is not async: see ``run_execution``.

    One thread of the process has the event loop of all its jobs. An exception that
    interrupts the waiting, such as Celery's ``SoftTimeLimitExceeded``, cancels the
    execution. So does SIGTERM where it would kill the process.

    Raises:
        RuntimeError: An event loop runs in this thread.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError(
            "run_execution_sync would block the event loop that runs in this thread: "
            "write await run_execution(…) instead."
        )
    job = _Job(run_execution(executions, actor, input, id=id, owner=owner))
    with _cancelled_by_sigterm(job):
        return job.result()


async def find_execution(
    executions: Executions, id: str, *, wait: float = 0.0
) -> Execution:
    """The newest execution of a job, of any owner, wherever it runs.

    Args:
        executions: Those of the web server, with the store of the workers.
        id: The id of the job.
        wait: Seconds to wait for a worker to take the job.

    Raises:
        UnknownExecution: No worker has taken it, or it is not kept any more.
        Unavailable: The store does not answer.
    """
    execution = await executions.get(id, wait=wait)
    for number in count(2):
        if not await _runs_again(execution):
            break
        try:
            execution = await executions.get(f"{id}-{number}")
        except UnknownExecution:
            break
    return execution


async def _name_of_try(executions: Executions, id: str) -> str:
    """The id of the execution of a job that is delivered now."""
    try:
        newest = await find_execution(executions, id)
    except UnknownExecution:
        return id
    if not await _runs_again(newest):
        return newest.id
    number = int(newest.id[len(id) + 1 :] or 1)
    return f"{id}-{number + 1}"


async def _runs_again(execution: Execution) -> bool:
    """Whether a job that is delivered now runs again after this execution of it."""
    if execution.status == ExecutionStatus.CANCELLED:
        event = await execution.terminal_event()
        return event is not None and event.message.startswith(_BY_WORKER)
    return execution.status in (ExecutionStatus.FAILED, ExecutionStatus.LOST)


@contextmanager
def _hold(raised: dict[str, BaseException]) -> Iterator[None]:
    """Put there, by its message, what an actor raises that starts in this block."""
    token = described.set(raised)
    try:
        yield
    finally:
        described.reset(token)


async def _cut_off(starting: asyncio.Future[Execution], cleanup: float) -> None:
    """End an execution, which may still be starting, since its job was cancelled."""
    with suppress(AsgiEventsError, TimeoutError):
        async with asyncio.timeout(cleanup + _STORING):
            execution = await starting
            if execution.runs_here:
                await execution.cancel(_CUT_OFF)
                await execution.wait()


class _Job:
    """A coroutine that runs in the event loop of this process's jobs.

    Args:
        run: The coroutine.
    """

    def __init__(self, run: Coroutine[Any, Any, Any]) -> None:
        self._loop = _loop_of_jobs()
        self._ended: futures.Future[Any] = futures.Future()
        self._loop.call_soon_threadsafe(self._start, run)

    def result(self) -> Any:
        """Wait for what it returns; what interrupts the waiting cancels it."""
        try:
            return self._ended.result()
        except BaseException:
            if not self._ended.done():
                self.cancel()
                futures.wait([self._ended])
            raise

    def cancel(self) -> None:
        self._loop.call_soon_threadsafe(lambda: self._task.cancel())

    def _start(self, run: Coroutine[Any, Any, Any]) -> None:
        self._task = self._loop.create_task(run)
        self._task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            self._ended.set_exception(futures.CancelledError())
        elif (error := task.exception()) is not None:
            self._ended.set_exception(error)
        else:
            self._ended.set_result(task.result())


@contextmanager
def _cancelled_by_sigterm(job: _Job) -> Iterator[None]:
    """Let the execution end before SIGTERM kills the process."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    heard: list[int] = []

    def hear(number: int, _: object) -> None:
        heard.append(number)
        signal.signal(number, signal.SIG_DFL)  # a second one kills at once
        job.cancel()

    signal.signal(signal.SIGTERM, hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if heard:
            signal.raise_signal(signal.SIGTERM)


_loops: dict[int, asyncio.AbstractEventLoop] = {}  # by process; a fork inherits others


def _loop_of_jobs() -> asyncio.AbstractEventLoop:
    pid = os.getpid()
    if pid not in _loops:
        made = asyncio.new_event_loop()
        if _loops.setdefault(pid, made) is made:
            name = "asgi_events jobs"
            threading.Thread(target=made.run_forever, name=name, daemon=True).start()
        else:  # another thread was faster
            made.close()
    return _loops[pid]
