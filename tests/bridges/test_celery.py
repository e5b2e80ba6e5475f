"""Jobs of a real Celery worker as executions."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from asgi_events import Executions
from asgi_events.bridges.queues import find_execution
from asgi_events.events import ExecutionStatus
from asgi_events.exceptions import ExecutionCancelled
from tests import TIMEOUT
from tests.bridges.told import started
from tests.bridges.workers import worker
from tests.processes.sharing import until
from tests.servers import require
from tests.valkey import Valkey

pytestmark = pytest.mark.server


def celery(
    valkey: Valkey, name: str = "celery"
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """A worker of the queue of that name."""
    command = ["celery", "--app", "tests.bridges.celery_jobs:queue", "worker"]
    quick = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    options = ["--loglevel=INFO", "--concurrency=2", f"--queues={name}", *quick]
    return worker([*command, *options], valkey.url, ready=" ready.")


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with Valkey() as server:
        yield server


@pytest.fixture(scope="module")
def working(valkey: Valkey) -> Iterator[None]:
    with celery(valkey):
        yield


@pytest.fixture
def queue(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of the jobs, as the web server has it."""
    require(find_spec("celery"), "celery is not installed")
    monkeypatch.setenv("REDIS_URL", valkey.url)
    from tests.bridges import celery_jobs

    conf = celery_jobs.queue.conf
    conf.broker_url = conf.result_backend = valkey.url
    yield celery_jobs


@pytest.fixture
async def executions(valkey: Valkey) -> AsyncIterator[Executions]:
    """The executions of the web server."""
    async with Executions(store=valkey.url, lease=1.0) as shown:
        yield shown


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "told"


async def test_returns_what_the_actor_returns(
    working: None, queue: Any, executions: Executions, path: Path
) -> None:
    job = queue.run.delay("told", str(path))
    execution = await find_execution(executions, job.id, wait=TIMEOUT)
    path.with_suffix(".go").touch()

    assert await execution.result() == job.get(timeout=TIMEOUT) == "told"
    assert execution.id == job.id


async def test_fails_as_stopped_when_somebody_stops_the_execution(
    working: None, queue: Any, executions: Executions, path: Path
) -> None:
    job = queue.run.delay("told", str(path))
    execution = await find_execution(executions, job.id, wait=TIMEOUT)
    await started(path)
    await execution.cancel()

    with pytest.raises(ExecutionCancelled) as caught:
        job.get(timeout=TIMEOUT)
    assert caught.value.args == (job.id, "cancelled", "Execution cancelled")


async def test_runs_again_when_the_queue_retries_what_the_actor_has_raised(
    working: None, queue: Any, executions: Executions, path: Path
) -> None:
    job = queue.retried.delay(str(path))

    assert job.get(timeout=TIMEOUT) == 3
    tried = [await executions.get(f"{job.id}{n}") for n in ("", "-2", "-3")]
    assert [e.status.value for e in tried] == ["failed", "failed", "completed"]
    assert await find_execution(executions, job.id) is tried[-1]


async def test_raises_what_the_actor_has_raised(
    working: None, queue: Any, path: Path
) -> None:
    job = queue.run.delay("unsteady", str(path))

    with pytest.raises(OSError) as caught:
        job.get(timeout=TIMEOUT)
    assert caught.value.args == (5, "no line")


async def test_cancels_what_takes_longer_than_the_soft_time_limit(
    working: None, queue: Any, executions: Executions, path: Path
) -> None:
    job = queue.run.apply_async(("told", str(path)), soft_time_limit=1)
    execution = await find_execution(executions, job.id, wait=TIMEOUT)

    with pytest.raises(queue.SoftTimeLimitExceeded):
        job.get(timeout=TIMEOUT)
    assert await execution.wait() == ExecutionStatus.CANCELLED
    event = await execution.terminal_event()
    assert event is not None
    assert event.message == "Execution cancelled: its worker has stopped the job"


async def test_cancels_what_celery_terminates(
    working: None, queue: Any, executions: Executions, path: Path
) -> None:
    job = queue.run.delay("told", str(path))
    execution = await find_execution(executions, job.id, wait=TIMEOUT)
    await started(path)
    job.revoke(terminate=True)

    assert await execution.wait() == ExecutionStatus.CANCELLED
    await until(lambda: job.state == "REVOKED")


async def test_runs_again_what_was_lost_with_its_process(
    working: None, queue: Any, executions: Executions, path: Path
) -> None:
    job = queue.run.delay("told", str(path))
    os.kill(await started(path), signal.SIGKILL)
    await started(path, 2)
    path.with_suffix(".go").touch()

    assert job.get(timeout=TIMEOUT) == "told"
    tried = [await executions.get(f"{job.id}{n}") for n in ("", "-2")]
    assert [e.status.value for e in tried] == ["lost", "completed"]


async def test_ends_before_a_worker_that_is_told_to_stop(
    valkey: Valkey, queue: Any, executions: Executions, path: Path
) -> None:
    with celery(valkey, "other") as process:
        job = queue.run.apply_async(("told", str(path)), queue="other")
        await started(path)
        process.send_signal(signal.SIGTERM)
        path.with_suffix(".go").touch()

        assert process.wait(TIMEOUT) == 0
    assert job.get(timeout=TIMEOUT) == "told"
    assert (await executions.get(job.id)).status == ExecutionStatus.COMPLETED


async def test_runs_again_in_the_next_worker_what_a_quick_stop_has_cut_off(
    valkey: Valkey, queue: Any, executions: Executions, path: Path
) -> None:
    with celery(valkey, "other") as process:
        job = queue.run.apply_async(("told", str(path)), queue="other")
        await started(path)
        process.send_signal(signal.SIGQUIT)
        process.wait(TIMEOUT)
    with celery(valkey, "other"):
        await started(path, 2)
        path.with_suffix(".go").touch()

        assert job.get(timeout=TIMEOUT) == "told"
    tried = [await executions.get(f"{job.id}{n}") for n in ("", "-2")]
    assert [e.status.value for e in tried] == ["cancelled", "completed"]
