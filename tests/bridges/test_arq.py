"""Jobs of a real worker of arq as executions.

arq needs an earlier redis than taskiq-redis, so it has an environment of its own:
``tox run -e arq``.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import arq
import pytest

from asgi_events import Executions
from asgi_events.bridges.queues import find_execution
from asgi_events.events import ExecutionStatus
from asgi_events.exceptions import ExecutionCancelled
from tests import TIMEOUT
from tests.bridges.told import started
from tests.bridges.workers import worker
from tests.valkey import Valkey

pytestmark = pytest.mark.server


def arq_worker(valkey: Valkey) -> AbstractContextManager[subprocess.Popen[bytes]]:
    command = ["arq", "tests.bridges.arq_jobs.WorkerSettings"]
    return worker(command, valkey.url, ready="Starting worker")


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with Valkey() as server:
        yield server


@pytest.fixture(scope="module")
def working(valkey: Valkey) -> Iterator[subprocess.Popen[bytes]]:
    with arq_worker(valkey) as process:
        yield process


@pytest.fixture
async def executions(valkey: Valkey) -> AsyncIterator[Executions]:
    """The executions of the web server."""
    async with Executions(store=valkey.url, lease=1.0) as shown:
        yield shown


@pytest.fixture
async def pool(valkey: Valkey) -> AsyncIterator[Any]:
    """Where jobs are put."""
    settings = arq.connections.RedisSettings.from_dsn(valkey.url)
    pool = await arq.create_pool(settings)
    yield pool
    await pool.aclose(close_connection_pool=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "told"


async def result(job: Any) -> Any:
    return await job.result(TIMEOUT, poll_delay=0.02)


async def test_returns_what_the_actor_returns(
    working: object, pool: Any, executions: Executions, path: Path
) -> None:
    job = await pool.enqueue_job("run", "told", str(path))
    execution = await find_execution(executions, job.job_id, wait=TIMEOUT)
    path.with_suffix(".go").touch()

    assert await result(job) == await execution.result() == "told"
    assert execution.id == job.job_id


async def test_fails_as_stopped_when_somebody_stops_the_execution(
    working: object, pool: Any, executions: Executions, path: Path
) -> None:
    job = await pool.enqueue_job("run", "told", str(path))
    execution = await find_execution(executions, job.job_id, wait=TIMEOUT)
    await execution.cancel()

    with pytest.raises(ExecutionCancelled) as caught:
        await result(job)
    assert caught.value.args == (job.job_id, "cancelled", "Execution cancelled")


async def test_raises_what_the_actor_has_raised(
    working: object, pool: Any, path: Path
) -> None:
    job = await pool.enqueue_job("run", "unsteady", str(path))

    with pytest.raises(OSError, match="no line"):
        await result(job)


async def test_runs_again_when_the_job_asks_for_it(
    working: object, pool: Any, executions: Executions, path: Path
) -> None:
    job = await pool.enqueue_job("retried", str(path))

    assert await result(job) == 3
    tried = [await executions.get(f"{job.job_id}{n}") for n in ("", "-2", "-3")]
    assert [e.status.value for e in tried] == ["failed", "failed", "completed"]


async def test_cancels_the_execution_of_a_job_that_is_aborted(
    working: object, pool: Any, executions: Executions, path: Path
) -> None:
    job = await pool.enqueue_job("run", "told", str(path))
    execution = await find_execution(executions, job.job_id, wait=TIMEOUT)

    assert await job.abort(timeout=TIMEOUT, poll_delay=0.02)
    assert await execution.wait() == ExecutionStatus.CANCELLED


async def test_runs_again_in_the_next_worker_when_one_is_told_to_stop(
    valkey: Valkey,
    working: subprocess.Popen[bytes],
    pool: Any,
    executions: Executions,
    path: Path,
) -> None:
    job = await pool.enqueue_job("run", "told", str(path))
    await started(path)
    working.send_signal(signal.SIGTERM)
    assert working.wait(TIMEOUT) == 0
    with arq_worker(valkey):
        await started(path, 2)
        path.with_suffix(".go").touch()

        assert await result(job) == "told"
    tried = [await executions.get(f"{job.job_id}{n}") for n in ("", "-2")]
    assert [e.status.value for e in tried] == ["cancelled", "completed"]
