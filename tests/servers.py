"""Real server processes on 127.0.0.1, each on a free port of its own.

The server itself takes port 0 and says in its output which one it was given, so any
number of test runs go side by side.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import pytest

ROOT = Path(__file__).parents[1]
TIMEOUT = 10.0  # of every wait: a test that waits this long has failed

T = TypeVar("T")

KINDS: dict[str, list[str]] = {
    "hypercorn": ["hypercorn", "--bind=127.0.0.1:0", "--workers=0"],
    "hypercorn-uvloop": [
        "hypercorn",
        "--bind=127.0.0.1:0",
        "--workers=0",
        "--worker-class=uvloop",
    ],
    "uvicorn": ["uvicorn", "--host=127.0.0.1", "--port=0", "--no-access-log"],
}
_MODULES = {"hypercorn-uvloop": ("hypercorn", "uvloop")}

_RUNNING_ON = re.compile(r"running on http://127\.0\.0\.1:(\d+)", re.IGNORECASE)
_TROUBLE = re.compile(
    r"Traceback|Exception ignored|never retrieved|never awaited|pending!|Warning:"
)


def require(present: object, what: str) -> None:
    """Skip the test for want of ``what``; fail it where nothing may be missing."""
    if present:
        return
    everything = os.environ.get("ASGI_EVENTS_REQUIRE_ALL") == "1"
    if everything or os.environ.get("CI") == "true":
        pytest.fail(f"{what}, and here nothing may be missing", pytrace=False)
    pytest.skip(what)


class Server:
    """A server process for an application: ``with Server("tests.apps:app") as server``.

    Warnings are errors in it, as they are in the tests.

    Attributes:
        port: Where it listens on 127.0.0.1.
        pid: Its process.
    """

    def __init__(self, app: str, kind: str = "hypercorn") -> None:
        self.app = app
        self.kind = kind
        self.port = 0
        self.pid = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        for module in _MODULES.get(self.kind, (self.kind,)):
            require(find_spec(module), f"{module} is not installed")
        self._file = tempfile.TemporaryFile()
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            self.command(),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=self._file,
            stderr=subprocess.STDOUT,
        )
        self.pid = self._process.pid
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def command(self) -> list[str]:
        return [sys.executable, "-W", "error", "-m", *KINDS[self.kind], self.app]

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for the process to end by itself; its exit status."""
        return self._process.wait(TIMEOUT)

    def output(self, since: int = 0) -> str:
        """What it has printed, after the first ``since`` bytes."""
        if self._file.closed:
            return ""
        size = os.fstat(self._file.fileno()).st_size
        return os.pread(self._file.fileno(), size - since, since).decode()

    def printed(self) -> int:
        """How many bytes it has printed."""
        return len(self.output().encode())

    def stop(self) -> None:
        """End the process: SIGTERM, and SIGKILL to one that does not heed it."""
        try:
            self._process.terminate()
            self._process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            pytest.fail(f"{self} did not stop within {TIMEOUT} s.\n{self.output()}")
        finally:
            self._file.close()

    def _wait_until_it_answers(self) -> None:
        def port() -> int | None:
            found = _RUNNING_ON.search(self.output())
            return int(found[1]) if found else None

        self.port = self._poll(port)
        self._poll(self._answers)

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self.url, timeout=TIMEOUT).close()
        except urllib.error.HTTPError as answer:
            answer.close()
        except OSError:
            return False
        return True

    def _poll(self, look: Callable[[], T | None]) -> T:
        deadline = time.monotonic() + TIMEOUT
        while not (found := look()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{self} did not start.\n{self.output()}", pytrace=False)
            time.sleep(0.02)
        return found

    def __repr__(self) -> str:
        return f"<{self.kind} {self.app} at {self.url}, pid {self.pid}>"


@contextmanager
def watched(server: Server) -> Iterator[Server]:
    """Print what ``server`` prints meanwhile; a traceback or a warning is a failure."""
    start = server.printed()
    yield server
    output = server.output(since=start)
    print(f"{server}:\n{output}")
    assert not _TROUBLE.search(output), f"{server} had trouble:\n{output}"
