"""A part of the table of ``tests.matrix``, and what is around servers.

The whole table is run by ``python -m tests.matrix``; times and memory are judged there.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from functools import cache
from pathlib import Path
from time import monotonic
from typing import TypeAlias

import httpx
import pytest

from tests.matrix import (
    APP,
    SSE,
    WAYS_IN,
    Connection2,
    Place,
    Stream,
    ask,
    comes_back_elsewhere,
    descriptors,
    environment,
    is_stopped,
    is_told,
    kind_of,
    leaves_idle,
    memory,
    raises,
    until,
    visit,
)
from tests.nginx import Nginx
from tests.servers import TIMEOUT, Server, require, watched

pytestmark = pytest.mark.server

MEBI = 1024 * 1024

PLACES = [
    ("uvicorn-httptools", "fastapi", "endpoint"),
    ("uvicorn-h11", "starlette", "mounted"),
    ("hypercorn", "litestar", "mounted"),
    ("hypercorn-h2", "quart", "around"),
    ("granian-asyncio", "litestar", "endpoint"),
    ("granian-h2", "bare", "mounted"),
    ("daphne", "django", "endpoint"),
]
"""Each server and each framework once."""


@pytest.mark.parametrize(("kind", "framework", "way"), PLACES)
async def test_behaves_the_same_on(
    kind: str, framework: str, way: str, tmp_path: Path
) -> None:
    env = environment(str(tmp_path), framework)
    with (
        Server(APP, kind, env=env) as server,
        Server(APP, kind, env=env) as second,
        watched(second),
    ):
        place = Place(server=server, second=second, framework=framework, way=way)
        left = await leaves_idle(place)
        raised = await raises(place)
        elsewhere = await comes_back_elsewhere(place)

    print(left)
    assert raised.seen == "2 events, error, clean end"
    assert elsewhere.good, elsewhere.seen


@pytest.mark.parametrize(
    ("kind", "framework", "way"),
    [
        ("uvicorn-httptools", "starlette", "around"),
        ("hypercorn-uvloop", "fastapi", "mounted"),
        ("granian-uvloop", "quart", "endpoint"),
    ],
)
async def test_says_goodbye_to_all_and_stops_when_told_to_on(
    kind: str, framework: str, way: str, tmp_path: Path
) -> None:
    env = environment(str(tmp_path), framework, way)
    with Server(APP, kind, env=env) as server:
        place = Place(server=server, framework=framework, way=way, streams=10)
        stopped = await is_stopped(place, Path(env["MATRIX_ENDS"]))

    assert stopped.seen.partition(", ")[2] == "10/10 goodbyes, 10/10 terminal"


class BelowApp(Server):
    """A server that is told of a proxy which serves it below /app."""

    def command(self) -> list[str]:
        return [*super().command(), "--root-path=/app"]


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("uvicorn", "/events/quiet"),
        ("hypercorn", "/events/quiet"),
        ("hypercorn", "/app/events/quiet"),
    ],
    ids=["uvicorn, stripped", "hypercorn, stripped", "hypercorn, left on"],
)
async def test_links_below_root_path(kind: str, path: str) -> None:
    with BelowApp("tests.apps:site", kind) as server, watched(server):
        async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as http:
            answer = await http.post(f"{server.url}{path}")
    about = answer.json()
    link = f"/app/events/executions/{about['id']}"
    assert answer.headers["location"] == link
    assert about["links"] == {"self": link, "events": f"{link}/events", "cancel": link}


@pytest.mark.parametrize(
    ("kind", "way", "number"),
    [
        ("uvicorn-httptools", "EventSourceResponse", signal.SIGTERM),
        ("hypercorn", "EventStreamer.response", signal.SIGINT),
        ("granian-uvloop", "EventSourceResponse", signal.SIGTERM),
        ("granian-asyncio", "EventStreamer.response", signal.SIGTERM),
        ("daphne", "EventsApp", signal.SIGINT),
    ],
    ids=str,
)
async def test_ends_its_stream_when_told_to_stop_on(
    kind: str, way: str, number: int
) -> None:
    told = await is_told(kind, WAYS_IN[way], number)

    print(told)
    assert told.seen.partition(", ")[2] == "cancelled, clean end"


@contextmanager
def bare(kind: str = "uvicorn-httptools", **more: str) -> Iterator[Server]:
    with Server(APP, kind, env=more) as server, watched(server):
        yield server


Shared: TypeAlias = Callable[[str], Server]


@pytest.fixture(scope="module")
def started() -> Iterator[Shared]:
    with ExitStack() as stack:
        yield cache(lambda kind: stack.enter_context(Server(APP, kind)))


@pytest.fixture
async def shared(started: Shared) -> AsyncIterator[Shared]:
    """Give the one server of a kind to all tests without options of their own."""
    async with AsyncExitStack() as stack:
        given: list[Server] = []

        def share(kind: str) -> Server:
            given.append(stack.enter_context(watched(started(kind))))
            return given[-1]

        yield share
        for server in given:  # the next test counts from nothing
            await until(server, running=0, viewers=0)


async def one_by_one(server: Server, gate: str, stream: Stream) -> list[str]:
    """What arrives, each event confirmed before the next one is published."""
    kinds: list[str] = []
    while (block := await stream.block()) is not None:
        kinds.append(kind_of(block))
        if kinds[-1] == "numbered":
            await ask(server, f"/confirm/{gate}", method="POST")
    return kinds


class Decoder(Stream):
    """A stream whose content coding is taken off as it arrives."""

    def __init__(self, coded: Stream) -> None:
        super().__init__()
        self._coded = coded
        if coded.headers["content-encoding"] == "br":
            brotli = pytest.importorskip("brotli")
            self._decode = brotli.Decompressor().process
        else:
            self._decode = zlib.decompressobj(wbits=31).decompress

    async def more(self) -> None:
        if not self._coded.received:
            await self._coded.more()
        coded, self._coded.received = self._coded.received, bytearray()
        self.received += self._decode(bytes(coded))
        self.ended = self._coded.ended and not self._coded.received


GATED = ["tool_call", "numbered", "numbered", "numbered", "tool_call", "complete"]


@pytest.mark.parametrize(
    ("around", "accepts", "coding"),
    [
        ("gzip", "gzip", None),
        ("gzip-all", "gzip", "gzip"),
        ("brotli", "br", "br"),
        ("base", "gzip", None),
        ("cors", "gzip", None),
    ],
)
async def test_passes_one_event_at_a_time_through(
    around: str, accepts: str, coding: str | None
) -> None:
    headers = {**SSE, "accept-encoding": accepts, "origin": "https://example.org"}
    given = {"to": 3, "gate": "a"}
    with bare(MATRIX_FRAMEWORK="starlette", MATRIX_AROUND=around) as server:
        async with visit(
            server, "POST", "/events/gated", given=given, headers=headers
        ) as stream:
            read = Decoder(stream) if "content-encoding" in stream.headers else stream
            kinds = await one_by_one(server, "a", read)

    assert kinds == [*GATED, "end"]
    assert stream.headers.get("content-encoding") == coding


async def test_passes_one_event_at_a_time_through_gzip_of_django() -> None:
    headers = {**SSE, "accept-encoding": "gzip"}
    given = {"to": 3, "gate": "a"}
    env = {"MATRIX_FRAMEWORK": "django", "MATRIX_AROUND": "django"}
    with bare(**env) as server:
        async with visit(
            server, "POST", "/own/gated", given=given, headers=headers
        ) as stream:
            kinds = await one_by_one(server, "a", stream)

    assert kinds == GATED
    assert stream.headers["content-encoding"] == "identity"


@pytest.mark.parametrize("settings", ["", "proxy_http_version 1.1;", "gzip on;"])
async def test_passes_one_event_at_a_time_through_nginx(
    settings: str, shared: Shared
) -> None:
    headers = {**SSE, "accept-encoding": "gzip"}
    given = {"to": 3, "gate": "a"}
    server = shared("uvicorn-httptools")
    with Nginx(server.port, settings) as nginx:
        async with visit(
            server,
            "POST",
            "/mounted/gated",
            given=given,
            headers=headers,
            port=nginx.port,
        ) as stream:
            kinds = await one_by_one(server, "a", stream)

    assert kinds == [*GATED, "end"]


async def test_hears_through_nginx_that_a_client_has_gone(shared: Shared) -> None:
    server = shared("uvicorn-httptools")
    with Nginx(server.port) as nginx:
        async with visit(
            server, "POST", "/mounted/quiet", given={}, port=nginx.port
        ) as stream:
            await stream.block()
            await until(server, running=1, viewers=1)
        about = await until(server, running=0, viewers=0)

    assert (about["running"], about["viewers"]) == (0, 0)


@pytest.mark.parametrize("kind", ["hypercorn-h2", "granian-h2"])
async def test_lets_99_streams_of_a_connection_flow_while_one_is_stalled_on(
    kind: str, shared: Shared
) -> None:
    server = shared(kind)
    async with Connection2(server.port) as connection:
        path, flood = "/mounted/gated", json.dumps({"to": 5000, "text": "x" * 100})
        stalled = await connection.request(
            "POST",
            "/mounted/flood",
            body=flood.encode(),
            headers={**SSE, "content-length": str(len(flood))},
            stalled=True,
        )
        body = json.dumps({"to": 2, "gate": "a"}).encode()
        headers = {**SSE, "content-length": str(len(body))}
        streams = [
            await connection.request("POST", path, body=body, headers=headers)
            for _ in range(99)
        ]
        for stream in streams:
            while kind_of(await stream.block() or b"") != "numbered":
                pass
        for _ in range(2 * 99):
            await ask(server, "/confirm/a", method="POST")
        rest = [await stream.blocks() for stream in streams]
        over = stalled.clean

    assert [[kind_of(block) for block in blocks] for blocks in rest] == [
        ["numbered", "tool_call", "complete", "end"]
    ] * 99
    assert all(stream.clean for stream in streams)
    assert not over


@pytest.mark.parametrize("kind", ["hypercorn-h2", "granian-h2"])
async def test_frees_the_seats_of_streams_that_were_never_read_on(kind: str) -> None:
    options = json.dumps({"send_timeout": 3600, "cancel_after": 3600, "max_viewers": 3})
    given = json.dumps({"to": 20_000, "text": "x" * 100}).encode()

    async def tried(count: int) -> list[int]:
        """The statuses of so many streams at once."""
        async with AsyncExitStack() as stack:
            visits = [
                visit(server, "POST", "/mounted/quiet", given={}) for _ in range(count)
            ]
            return [(await stack.enter_async_context(v)).status for v in visits]

    with bare(kind, MATRIX_OPTIONS=options) as server:
        async with Connection2(server.port) as connection:
            headers = {**SSE, "content-length": str(len(given))}
            taken = [
                await connection.request(
                    "POST", "/mounted/flood", body=given, headers=headers, stalled=True
                )
                for _ in range(3)
            ]
            # Only hypercorn tells when the client has read what it was sent.
            if kind == "hypercorn-h2":
                assert await tried(1) == [429]
        async with asyncio.timeout(TIMEOUT):
            while 429 in (found := await tried(3)):
                pass

    assert [stream.status for stream in taken] == [200] * 3
    assert found == [200] * 3


@pytest.mark.parametrize("kind", ["hypercorn-h2", "granian-h2"])
async def test_takes_a_reset_stream_for_a_client_that_has_gone_on(
    kind: str, shared: Shared
) -> None:
    server = shared(kind)
    async with Connection2(server.port) as connection:
        headers = {**SSE, "content-length": "2"}
        left, stays = [
            await connection.request(
                "POST", "/mounted/quiet", body=b"{}", headers=headers
            )
            for _ in range(2)
        ]
        await until(server, running=2, viewers=2)
        await left.leave()
        about = await until(server, running=1, viewers=1)

    assert about["viewers"] == 1
    assert not stays.reset


@pytest.mark.parametrize("path", ["/mounted/nothing", "/mounted/quiet"])
@pytest.mark.parametrize("kind", ["hypercorn-h2", "granian-h2"])
async def test_stalls_no_stream_by_a_large_body_that_it_refuses_on(
    kind: str, path: str, shared: Shared
) -> None:
    size = 4 * MEBI
    server = shared(kind)
    async with Connection2(server.port) as connection:
        headers = {**SSE, "content-length": str(size)}
        refused = await connection.request(
            "POST", path, headers=headers, end=False, wait=False
        )
        sent = 0
        async with asyncio.timeout(TIMEOUT):
            while not refused.ended and sent < size:
                sent += connection.send(refused, b" " * min(16384, size - sent))
                await asyncio.sleep(0)
            if not refused.ended:
                connection.finish(refused)
            await refused.rest()
        body = json.dumps({"to": 3, "gate": "a"}).encode()
        stream = await connection.request(
            "POST",
            "/mounted/gated",
            body=body,
            headers={**SSE, "content-length": str(len(body))},
        )
        kinds = await one_by_one(server, "a", stream)

    assert refused.status == (404 if path.endswith("nothing") else 413)
    assert kinds == [*GATED, "end"]
    assert (stream.clean, refused.ended) == (True, True)


_CLONE_NEWNET = 0x40000000  # sched.h


@contextmanager
def namespace() -> Iterator[str]:
    """A network of its own, of which there is only 127.0.0.1."""
    ip = shutil.which("ip", path="/usr/sbin:/usr/bin:/sbin")
    require(ip and os.geteuid() == 0, "network namespaces need iproute2 and root")
    name = f"asgi-events-{os.getpid()}"
    made = subprocess.run([str(ip), "netns", "add", name], capture_output=True)
    require(not made.returncode, f"ip netns add: {made.stderr.decode().strip()}")
    try:
        _loopback(name, "up")
        yield name
    finally:
        subprocess.run([str(ip), "netns", "del", name], check=True)


def _loopback(name: str, state: str) -> None:
    subprocess.run(["ip", "-n", name, "link", "set", "lo", state], check=True)


def _connected(name: str, port: int) -> socket.socket:
    """A socket of that namespace: it stays there, its thread does not live on."""
    sock: list[socket.socket] = []

    def connect() -> None:
        with open(f"/run/netns/{name}") as file:
            if ctypes.CDLL(None).setns(file.fileno(), _CLONE_NEWNET):
                raise OSError("setns")
        sock.append(socket.create_connection(("127.0.0.1", port), TIMEOUT))

    thread = threading.Thread(target=connect)
    thread.start()
    thread.join()
    return sock[0]


class Elsewhere(Server):
    """A server in a namespace."""

    def __init__(self, name: str, kind: str, env: dict[str, str]) -> None:
        super().__init__(APP, kind, env=env)
        self.name = name

    def command(self) -> list[str]:
        return ["ip", "netns", "exec", self.name, *super().command()]

    def _answers(self) -> bool:
        return True


@pytest.mark.parametrize("kind", ["uvicorn-httptools"])
def test_releases_a_viewer_that_vanished_within_max_stream_duration_on(
    kind: str, tmp_path: Path
) -> None:
    ends = tmp_path / "ends"
    env = {
        "MATRIX_ENDS": str(ends),
        "MATRIX_OPTIONS": json.dumps({"max_stream_duration": 2.0, "cancel_after": 0.5}),
    }
    with namespace() as name, Elsewhere(name, kind, env) as server:
        with _connected(name, server.port) as viewer:
            viewer.sendall(
                b"POST /mounted/quiet HTTP/1.1\r\nhost: 127.0.0.1\r\n"
                b"accept: text/event-stream\r\ncontent-type: application/json\r\n"
                b"content-length: 2\r\n\r\n{}"
            )
            received = b""
            while b'"number":1' not in received:
                received += viewer.recv(65536)
            _loopback(name, "down")  # not even a FIN or a RST passes any more
            began = monotonic()
            while not ends.exists() and monotonic() - began < 3 * TIMEOUT:
                time.sleep(0.02)
            took = monotonic() - began
            released = ends.exists()
            _loopback(name, "up")

    print(f"{kind}: released after {took:.1f} s")
    assert released, "the viewer kept its execution alive"
    assert ends.read_text().split()[1:] == ["cancelled"]


async def test_leaves_nothing_behind_after_many_short_streams() -> None:
    streams = int(os.environ.get("ASGI_EVENTS_CHURN", "1000"))
    options = json.dumps({"retention": 0.2})

    async def short(server: Server, count: int) -> None:
        for _ in range(count):
            async with visit(
                server, "POST", "/mounted/flood", given={"to": 3}
            ) as stream:
                assert kind_of((await stream.blocks())[-1]) == "end"

    async def churn(server: Server, count: int) -> tuple[dict[str, int], int]:
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(short(server, count // 10))
        async with asyncio.timeout(3 * TIMEOUT):
            about = await ask(server, "/introspect?whole")
            while about["held"]:
                about = await ask(server, "/introspect?whole")
            # Those that were let go last are still being deleted from the store.
            about = await ask(server, "/introspect?whole")
        pid = about["pid"]
        counts = {name: about[name] for name in ("tasks", "viewers", "running")}
        counts["descriptors"] = descriptors(pid)
        print(counts, about["objects"], f"{memory(pid) / MEBI:.1f} MiB")
        return counts | {"objects": about["objects"] // 1000}, memory(pid)

    with bare(MATRIX_OPTIONS=options) as server:
        before, memory_before = await churn(server, 500)
        after, memory_after = await churn(server, streams)

    assert after == pytest.approx(before, abs=1)
    assert memory_after - memory_before < 8 * MEBI
