"""Starts a server in its own process, and a client that does as little as possible."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def server(app: str, kind: str = "hypercorn") -> Iterator[int]:
    """Serve ``app``, an import path, on a free port of 127.0.0.1; yield the port."""
    with launched(app, kind, {}) as (_, port):
        yield port


@contextlib.contextmanager
def launched(
    app: str, kind: str, environment: Mapping[str, str], package: Path | None = None
) -> Iterator[tuple[int, int]]:
    """Serve ``app``, an import path, and yield the pid and the port.

    Args:
        package: The checkout to import ``asgi_events`` from; None for the installed
            package. The benchmarks are always those of this checkout.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with beside(package, environment) as place:
        process = subprocess.Popen(
            [sys.executable, "-m", *_command(kind, app, port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **place,
        )
        try:
            _wait_for(port, process)
            yield process.pid, port
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def beside(
    package: Path | None, environment: Mapping[str, str] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the options with which ``Popen`` starts a process that imports a package.

    Args:
        package: As ``launched`` takes it.
        environment: Further variables.
    """
    env = os.environ | (environment or {})
    if package is None:
        yield {"env": env}
        return
    with tempfile.TemporaryDirectory() as alone:  # our benchmarks, not our package
        Path(alone, "benchmarks").symlink_to(Path(__file__).parent)
        yield {"env": env | {"PYTHONPATH": f"{alone}:{package}"}, "cwd": alone}


def _command(kind: str, app: str, port: int) -> list[str]:
    if kind == "aiohttp":
        return ["benchmarks.aiohttp_server", str(port)]
    if kind == "hypercorn":
        bind = f"127.0.0.1:{port}"
        return [kind, app, "--bind", bind, "--workers", "0", "--backlog", "4096"]
    command = [kind, app, "--host", "127.0.0.1", "--port", str(port)]
    command += ["--log-level", "warning"]
    if kind == "granian":
        return [*command, "--interface", "asgi", "--backpressure", "10000"]
    return [*command, "--backlog", "4096"]


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port)),
        ):
            return
        time.sleep(0.05)
    raise RuntimeError("The server did not start.")


async def send(
    port: int, method: str, path: str, body: Any = None, accept: str = "*/*"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a request on a new connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    content = b"" if body is None else json.dumps(body).encode()
    writer.write(
        f"{method} {path} HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n"
        "connection: close\r\n\r\n".encode()
        + content
    )
    return reader, writer


async def fetch(port: int, method: str, path: str, body: Any = None) -> Any:
    """Return the JSON of a whole response."""
    reader, writer = await send(port, method, path, body)
    _, _, content = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return json.loads(content)


async def blocks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yield the blocks of an event stream, with the chunk framing around them."""
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            yield await reader.readuntil(b"\n\n")
