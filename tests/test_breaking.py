"""Connections that break, on every server, because their execution goes on."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest

from tests.matrix import visit
from tests.raw_http import Connection2, Stream
from tests.servers import TIMEOUT, Server, require

pytestmark = pytest.mark.server

KINDS = [
    "uvicorn-httptools",
    "uvicorn-h11",
    "hypercorn",
    "hypercorn-h2",
    "granian-asyncio",
    "granian-h2",
    "daphne",
]
NEVER_HOLD_BACK = ["hypercorn-h2", "granian-h2", "daphne"]


@contextmanager
def serving(kind: str, store: Path | None = None, **options: Any) -> Iterator[Server]:
    env = {"BREAKING_OPTIONS": json.dumps(options)}
    if store is not None:
        env["BREAKING_STORE"] = f"sqlite:///{store}"
    with Server("tests.breaking_app:app", kind, env=env) as server:
        yield server


Shared: TypeAlias = Callable[..., Server]


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared]:
    """Start a server of each kind and options once, for all tests."""
    with ExitStack() as stack:

        @cache
        def server(kind: str, **options: Any) -> Server:
            # What a test has left behind ends soon.
            return stack.enter_context(serving(kind, cancel_after=0.1, **options))

        yield server


@asynccontextmanager
async def watching(server: Server, path: str = "/") -> AsyncIterator[Stream]:
    """A client that has an event."""
    async with visit(server, "GET", path) as stream:
        assert await stream.block() is not None
        yield stream


async def broken(stream: Stream) -> bool:
    """Whether the stream breaks, after whole events only."""
    await stream.blocks()
    return not stream.clean and not stream.received


@pytest.mark.parametrize("kind", KINDS)
async def test_breaks_after_max_stream_duration_on(kind: str, shared: Shared) -> None:
    server = shared(kind, max_stream_duration=0.5)
    async with watching(server) as stream:
        assert await broken(stream)


@pytest.mark.parametrize("kind", NEVER_HOLD_BACK)
async def test_breaks_after_max_stream_backlog_on(kind: str, shared: Shared) -> None:
    server = shared(kind, max_stream_backlog=100_000)
    async with watching(server, "/flood") as stream:
        await stream.blocks()
        assert not stream.clean  # it may break inside of an event


@pytest.mark.parametrize("kind", KINDS)
async def test_breaks_when_the_server_stops_and_others_can_go_on_on(
    kind: str, tmp_path: Path
) -> None:
    with serving(kind, tmp_path / "events.db") as server:
        async with watching(server) as stream:
            server.signal(signal.SIGTERM)
            assert await broken(stream)


@pytest.mark.parametrize("kind", ["hypercorn-h2", "granian-h2"])
async def test_breaks_one_stream_and_leaves_its_connection_alone_on(
    kind: str, shared: Shared
) -> None:
    server = shared(kind, max_stream_backlog=100_000)
    async with Connection2(server.port) as connection:
        first = await connection.request("GET", "/flood")
        second = await connection.request("GET", "/")
        await first.blocks()
        assert first.reset
        assert await second.block() is not None
        assert not second.ended


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.endswith("h2")])
async def test_tells_httpx_that_the_body_is_incomplete_on(
    kind: str, shared: Shared
) -> None:
    server = shared(kind, max_stream_duration=0.5)
    async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(server.url)


@pytest.mark.parametrize("kind", KINDS)
async def test_tells_curl_that_the_transfer_has_failed_on(
    kind: str, shared: Shared
) -> None:
    require(shutil.which("curl"), "curl is not installed")
    server = shared(kind, max_stream_duration=0.5)
    version = "--http2-prior-knowledge" if kind.endswith("h2") else "--http1.1"
    curl = await asyncio.create_subprocess_exec(
        "curl",
        *("--silent", "--noproxy", "*", "--max-time", str(TIMEOUT), version),
        *("--output", "/dev/null", server.url),
    )
    # CURLE_PARTIAL_FILE, CURLE_HTTP2_STREAM
    assert await curl.wait() == (92 if kind.endswith("h2") else 18)
