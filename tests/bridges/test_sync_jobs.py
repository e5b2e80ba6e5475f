"""Jobs of a worker that is not async, in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from asgi_events import Executions
from tests import TIMEOUT
from tests.servers import ROOT


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/events.db"


@contextmanager
def jobs(what: str, url: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-W", "error", "-m", "tests.bridges.sync_jobs"]
    process = subprocess.Popen(
        [*command, what, url],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def printed(what: str, url: str) -> list[str]:
    """What such a process prints; it has no trouble."""
    with jobs(what, url) as process:
        output, errors = process.communicate(timeout=TIMEOUT)
        assert (process.returncode, errors) == (0, "")
    return output.splitlines()


async def end_of_job(url: str) -> tuple[str, str]:
    async with Executions(store=url) as executions:
        execution = await executions.get("job")
        event = await execution.terminal_event()
        assert event is not None
        return execution.status.value, event.message


def test_runs_the_jobs_of_all_threads_in_one_event_loop(url: str) -> None:
    squares = [number * number for number in range(2, 20)]

    assert printed("returns", url) == [str(squares), "raised negative", "1"]


def test_runs_in_each_forked_process(url: str) -> None:
    assert printed("forks", url) == ["25", "0", "1", "4"]


def test_says_what_to_write_where_an_event_loop_runs(url: str) -> None:
    [message] = printed("in_loop", url)

    assert message.endswith("write await run_execution(…) instead.")


@pytest.mark.parametrize(
    ("what", "number", "output", "status"),
    [
        ("waits", signal.SIGTERM, "", -signal.SIGTERM),
        ("waits", signal.SIGINT, "raised KeyboardInterrupt()\n", 0),
    ],
)
async def test_cancels_the_execution_before_a_signal_ends_the_process(
    url: str, what: str, number: int, output: str, status: int
) -> None:
    with jobs(what, url) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "runs\n"
        process.send_signal(number)
        rest, errors = process.communicate(timeout=TIMEOUT)

    assert (rest, errors, process.returncode) == (output, "", status)
    assert await end_of_job(url) == (
        "cancelled",
        "Execution cancelled: its worker has stopped the job",
    )


async def test_leaves_sigterm_to_a_worker_that_handles_it(url: str) -> None:
    with jobs("ignores", url) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "runs\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "heard\n"
        async with Executions(store=url) as executions:
            assert await (await executions.get("job")).cancel()
        rest, errors = process.communicate(timeout=TIMEOUT)

    assert rest.startswith("raised ExecutionCancelled('job', 'cancelled'")
    assert errors == ""
