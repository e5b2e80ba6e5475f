"""Real server processes on 127.0.0.1, each on its own free port.

The server listens on port 0 and prints which port it got, so any number of test runs
can run at the same time.
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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import pytest

ROOT = Path(__file__).parents[1]
TIMEOUT = 10.0  # seconds of every wait: a test that waits this long has failed

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
"""The servers that most tests run with."""

_UVICORN = ["uvicorn", "--host=127.0.0.1", "--port=0", "--no-access-log"]
_GRANIAN = ["granian", "--interface=asgi", "--host=127.0.0.1", "--port=0"]

ALL_KINDS: dict[str, list[str]] = {
    **KINDS,
    "uvicorn-httptools": [*_UVICORN, "--http=httptools", "--loop=uvloop"],
    "uvicorn-h11": [*_UVICORN, "--http=h11", "--loop=asyncio"],
    "hypercorn-master": ["hypercorn", "--bind=127.0.0.1:0"],
    "hypercorn-h2": KINDS["hypercorn"],
    "granian-asyncio": [*_GRANIAN, "--loop=asyncio"],
    "granian-uvloop": [*_GRANIAN, "--loop=uvloop"],
    "granian-h2": [*_GRANIAN, "--loop=asyncio", "--http=2"],
    "daphne": ["daphne", "-b", "127.0.0.1", "-p", "0"],
}
"""Speak HTTP/2 with prior knowledge to those that end in ``-h2``."""

_MODULES = {
    "hypercorn-uvloop": ("hypercorn", "uvloop"),
    "uvicorn-httptools": ("uvicorn", "httptools", "uvloop"),
    "uvicorn-h11": ("uvicorn", "h11"),
    "hypercorn-h2": ("hypercorn", "h2"),
    "granian-uvloop": ("granian", "uvloop"),
    "granian-h2": ("granian", "h2"),
}

_RUNNING_ON = re.compile(
    r"(?:running on http://|listening on tcp address )127\.0\.0\.1:(\d+)", re.IGNORECASE
)
_STARTED_WORKER = re.compile(r"with PID: (\d+)(?s:.*)Started worker-1")
_TROUBLE = re.compile(
    r"Traceback|Exception ignored|never retrieved|never awaited|pending!|Warning:"
)


def require(present: object, what: str) -> None:
    """Skip the test if ``what`` is missing, or fail it where nothing may be missing."""
    if present:
        return
    everything = os.environ.get("ASGI_EVENTS_REQUIRE_ALL") == "1"
    if everything or os.environ.get("CI") == "true":
        pytest.fail(f"{what}, and here nothing may be missing", pytrace=False)
    pytest.skip(what)


class Server:
    """A server process for an application: ``with Server("tests.apps:app") as server``.

    Warnings are errors in it, as in the tests.

    Attributes:
        port: The port of 127.0.0.1 on which it listens.
        pid: The id of its process.
    """

    def __init__(
        self, app: str, kind: str = "hypercorn", *, env: Mapping[str, str] | None = None
    ) -> None:
        self.app = app
        self.kind = kind
        self.env = dict(env or {})
        self.port = 0
        self.pid = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        for module in _MODULES.get(self.kind, (self.kind.partition("-")[0],)):
            require(find_spec(module), f"{module} is not installed")
        self._file = tempfile.TemporaryFile()
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            self.command(),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path, **self.env},
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
        return [sys.executable, "-W", "error", "-m", *ALL_KINDS[self.kind], self.app]

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait until the process ends by itself, and return its exit status."""
        return self._process.wait(TIMEOUT)

    def output(self, since: int = 0) -> str:
        """Return what it has printed after the first ``since`` bytes."""
        if self._file.closed:
            return ""
        size = os.fstat(self._file.fileno()).st_size
        return os.pread(self._file.fileno(), size - since, since).decode()

    def printed(self) -> int:
        """Return how many bytes it has printed."""
        return len(self.output().encode())

    def stop(self) -> None:
        """End the process by SIGTERM, or by SIGKILL if it does not end."""
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
            if self.kind.startswith("granian"):  # it does not print its port
                started = _STARTED_WORKER.search(self.output())
                return _listening_port(int(started[1])) if started else None
            found = _RUNNING_ON.search(self.output())
            return int(found[1]) if found else None

        self.port = self._poll(port)
        self._poll(self._answers)

    def _answers(self) -> bool:
        if self.kind.endswith("-h2"):  # urllib does not speak HTTP/2
            return True
        try:
            urllib.request.urlopen(self.url, timeout=TIMEOUT).close()
        except urllib.error.HTTPError as answer:
            answer.close()
        except OSError:
            return False
        return True

    def _poll(self, look: Callable[[], T | None]) -> T:
        deadline = time.monotonic() + 3 * TIMEOUT  # it may import a large framework
        while not (found := look()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{self} did not start.\n{self.output()}", pytrace=False)
            time.sleep(0.02)
        return found

    def __repr__(self) -> str:
        return f"<{self.kind} {self.app} at {self.url}, pid {self.pid}>"


def _listening_port(pid: int) -> int | None:
    """Return the port on which a process listens (Linux)."""
    sockets = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            sockets.add(os.readlink(descriptor))
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *rest = line.split()
        if state == "0A" and f"socket:[{rest[5]}]" in sockets:
            return int(local.partition(":")[2], 16)
    return None


@contextmanager
def watched(server: Server) -> Iterator[Server]:
    """Fail if ``server`` prints a traceback or a warning during the block."""
    start = server.printed()
    yield server
    output = server.output(since=start)
    print(f"{server}:\n{output}")
    assert not _TROUBLE.search(output), f"{server} had trouble:\n{output}"
