"""Worker processes of task queues."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.servers import ROOT, TIMEOUT


@contextmanager
def worker(
    command: list[str], url: str, *, ready: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that takes jobs; in the end it is told to stop.

    Args:
        command: What follows ``python -m``.
        url: Of the Valkey of queue and store.
        ready: What it prints when it takes jobs.
    """
    path = [str(ROOT), str(ROOT / "examples"), os.environ.get("PYTHONPATH")]
    env = {"PYTHONPATH": os.pathsep.join(filter(None, path)), "REDIS_URL": url}
    with tempfile.NamedTemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=os.environ | env,
            stdout=output,
            stderr=subprocess.STDOUT,
        )

        def printed() -> str:
            with open(output.name) as file:
                return file.read()

        try:
            # A busy machine takes seconds to start it.
            deadline = time.monotonic() + 6 * TIMEOUT
            while ready not in printed():
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"{command} did not start.")
                time.sleep(0.02)
            yield process
            process.terminate()
            process.wait(TIMEOUT)
        finally:
            process.kill()
            process.wait()
            print(printed())
