"""Servers × frameworks × behaviours: ``python -m tests.matrix`` prints the table.

It runs every cell with a real server process. With ``--full`` stuck viewers are stuck
for 60 s instead of 10 s, and servers stop with 100 streams instead of 50.
``--servers`` and ``--frameworks`` run a part of the table. ``--stopping`` prints
another table: what a signal does to an open stream of each kind.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import signal
import socket
import tempfile
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any

from tests.matrix_apps import WAYS
from tests.raw_http import Connection2, Stream, Stream1, lines
from tests.servers import ALL_KINDS, TIMEOUT, Server

APP = "tests.matrix_apps:app"

SERVERS = [
    "uvicorn-httptools",
    "uvicorn-h11",
    "hypercorn",
    "hypercorn-uvloop",
    "hypercorn-h2",
    "granian-asyncio",
    "granian-uvloop",
    "granian-h2",
    "daphne",
]

FLOOD = 100_000

TEXT = "x" * 100

MEBI = 1024 * 1024


@asynccontextmanager
async def serving(kind: str, env: dict[str, str]) -> AsyncIterator[Server]:
    """Start and stop a server process without blocking the event loop."""
    server = Server(APP, kind, env=env)
    await asyncio.to_thread(server.__enter__)
    try:
        yield server
    finally:
        await asyncio.to_thread(server.stop)


JSON = {"content-type": "application/json"}

SSE = {**JSON, "accept": "text/event-stream"}


@asynccontextmanager
async def visit(
    server: Server,
    method: str,
    path: str,
    *,
    given: Any = None,
    headers: dict[str, str] | None = None,
    stalled: bool = False,
    port: int = 0,
) -> AsyncIterator[Stream]:
    """Open a connection with one request; the client leaves at the end of the block."""
    port = port or server.port
    body = b"" if given is None else json.dumps(given).encode()
    fields = dict(headers or SSE)
    if method == "POST":
        fields["content-length"] = str(len(body))
    if server.kind.endswith("-h2"):
        async with Connection2(port) as connection:
            yield await connection.request(
                method, path, body=body, headers=fields, stalled=stalled
            )
        return
    sock = socket.socket()
    if stalled:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=sock)
    except BaseException:
        sock.close()
        raise
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    stream = Stream1(reader, writer)
    try:
        await stream.start()
        yield stream
    finally:
        await stream.leave()


async def ask(server: Server, path: str, **more: Any) -> dict[str, Any]:
    """Return the JSON of the response to a GET, or to ``method``."""
    method = more.pop("method", "GET")
    async with visit(server, method, path, headers=JSON, **more) as stream:
        said: dict[str, Any] = json.loads(await stream.rest())
    return said


async def until(server: Server, **expected: int) -> dict[str, Any]:
    """Wait until the process reports it."""
    async with asyncio.timeout(3 * TIMEOUT):
        while True:
            about = await ask(server, "/introspect")
            if all(about[name] == value for name, value in expected.items()):
                return about
            await asyncio.sleep(0.001)


def number_of(block: bytes) -> str:
    """Return the id of an event."""
    return next(
        (line[4:] for line in block.decode().split("\n") if line.startswith("id: ")), ""
    )


def kind_of(block: bytes) -> str:
    """Return the name of an event, or the type in its data."""
    fields = dict(line.partition(": ")[::2] for line in block.decode().split("\n"))
    if "event" in fields:
        return fields["event"]
    kind: str = json.loads(fields["data"]).get("event_type", "numbered")
    return kind


def memory(pid: int) -> int:
    """Return the resident memory in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)


def cpu(pid: int) -> float:
    """Return the CPU seconds used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@asynccontextmanager
async def others(server: Server, pause: float = 0.0) -> AsyncIterator[list[float]]:
    """Send other requests meanwhile, one after the other, and time each."""
    times: list[float] = []

    async def go_on_asking() -> None:
        while True:
            if server.kind.endswith("-h2"):  # where nobody connects for each request
                async with Connection2(server.port) as connection:
                    for _ in range(500):  # hypercorn sends GOAWAY after 1000
                        await timed(connection.ask("/introspect"))
            else:
                await timed(ask(server, "/introspect"))

    async def timed(request: Awaitable[object]) -> None:
        began = monotonic()
        await request
        times.append(monotonic() - began)
        await asyncio.sleep(pause)

    asking = asyncio.create_task(go_on_asking())
    try:
        yield times
    finally:
        asking.cancel()
        await asyncio.wait([asking])
        if not asking.cancelled() and (error := asking.exception()):
            raise error


@dataclass(frozen=True, slots=True)
class Cell:
    """What a test saw, and whether it is within the bounds."""

    good: bool
    seen: str

    def __str__(self) -> str:
        return self.seen if self.good else f"**✗** {self.seen}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A way to serve executions, on a running server.

    Attributes:
        server: The process.
        second: Another process of the same kind.
        way: One of ``WAYS``.
        stuck: Seconds for which a stuck viewer reads nothing.
        streams: How many streams are open when a server is stopped.
    """

    server: Server
    second: Server | None = None
    framework: str
    way: str
    stuck: float = 10.0
    streams: int = 50

    @property
    def retained(self) -> bool:
        """Return whether clients can resume the streams."""
        return self.way != "endpoint"

    def path(self, actor: str, *, kept: bool = False, shared: bool = False) -> str:
        prefix = {"mounted": "mounted", "around": "events", "endpoint": "own"}
        start = "kept" if kept and not self.retained else prefix[self.way]
        return f"/{'shared-' if shared else ''}{start}/{actor}"

    def events(self, id: str, *, shared: bool = False) -> str:
        name = f"executions/{id}/events" if self.retained else id
        return self.path(name, kept=True, shared=shared)


async def leaves_idle(place: Place) -> Cell:
    """A client leaves an idle stream: its task is cancelled, its place is free."""
    async with visit(place.server, "POST", place.path("quiet"), given={}) as stream:
        while kind_of(await stream.block() or b"data: {}") != "numbered":
            pass
        watched = await until(place.server, running=1, viewers=int(place.retained))
        left = monotonic()
    await until(place.server, running=0, viewers=0)
    took = monotonic() - left
    return Cell(took < 0.1 and watched["running"] == 1, f"{took * 1000:.0f} ms")


async def leaves_flood(place: Place) -> Cell:
    """A client leaves a flood: others get responses, and the worker becomes idle."""
    server = place.server
    pid = (await ask(server, "/introspect"))["pid"]
    given = {"to": FLOOD, "text": TEXT}
    async with others(server) as times:
        async with visit(server, "POST", place.path("flood"), given=given) as stream:
            for _ in range(1000):
                await stream.block()
        left = monotonic()
        await until(server, running=0, viewers=0)
        await asyncio.sleep(max(0, left + 0.5 - monotonic()))
    await asyncio.sleep(max(0, left + 1 - monotonic()))
    before = cpu(pid)
    await asyncio.sleep(0.5)
    load = (cpu(pid) - before) / 0.5
    slowest = max(times)
    seen = f"{slowest * 1000:.0f} ms, {load:.0%} CPU"
    return Cell(slowest < 0.05 and load < 0.05, seen)


async def reads_nothing(place: Place, lock: asyncio.Lock) -> Cell:
    """Clients do not read: each takes little memory, and is dropped."""
    server, viewers = place.server, 3
    pid = (await ask(server, "/introspect"))["pid"]
    given: Any = {"to": FLOOD, "text": TEXT}
    method, path = "POST", place.path("flood")
    async with AsyncExitStack() as stack:
        async with lock:
            if place.retained:
                started = await ask(server, path, method="POST", given=given)
                await until(server, running=0)
                method, path, given = "GET", place.events(started["id"]), None
            before = memory(pid)
            opened = [
                await stack.enter_async_context(
                    visit(server, method, path, given=given, stalled=True)
                )
                for _ in range(viewers)
            ]
            async with others(server, 0.005) as during:
                await asyncio.sleep(1)
        peak = memory(pid)
        deadline = monotonic() + place.stuck
        dropped = 0.0
        async with others(server, 0.05) as times:
            while monotonic() < deadline:
                await asyncio.sleep(0.1)
                peak = max(peak, memory(pid))
                about = await ask(server, "/introspect")
                if not dropped and not about["viewers"] and not about["running"]:
                    dropped = place.stuck - (deadline - monotonic()) + 1
        first = await opened[0].block()
        assert first is not None
        resumed = True
        if place.retained:
            again = {**SSE, "last-event-id": number_of(first)}
            async with visit(server, "GET", path, headers=again) as stream:
                next_one = await stream.block() or b""
            id, _, number = number_of(first).partition(":")
            resumed = number_of(next_one) == f"{id}:{int(number) + 1}"
    await until(server, viewers=0, running=0)
    grown = max(0, peak - before) / viewers / MEBI
    slowest = max(during + times)
    good = grown < 8 and dropped > 0 and resumed and slowest < 0.25
    end = f"gone after {dropped:.0f} s" if dropped else "not dropped"
    seen = f"{grown:.1f} MiB, {end}, others {slowest * 1000:.0f} ms"
    return Cell(good, seen if resumed else f"{seen}, not resumed")


async def is_stopped(place: Place, ends: Path) -> Cell:
    """SIGTERM with idle and busy streams: goodbyes, terminal events, a quick end."""
    server = place.server
    half = place.streams // 2
    worker = (await ask(server, "/introspect"))["pid"]
    async with AsyncExitStack() as stack:
        opened = []
        for actor in ["quiet"] * half + ["endless"] * half:
            path = place.path(actor, kept=True)
            stream = await stack.enter_async_context(
                visit(server, "POST", path, given={})
            )
            await stream.block()
            opened.append(stream)
        reading = [asyncio.create_task(stream.blocks()) for stream in opened]
        began = monotonic()
        server.signal(signal.SIGTERM)
        gone = True
        try:
            await asyncio.to_thread(server.wait)
        except Exception:
            gone = False
            for pid in {server.pid, worker}:
                os.kill(pid, signal.SIGKILL)
        took = monotonic() - began
        done = await asyncio.gather(*reading, return_exceptions=True)
    last = [
        kind_of(blocks[-1]) if isinstance(blocks, list) and blocks else "nothing"
        for blocks in done
    ]
    said = sum(kind in ("goodbye", "end") for kind in last)
    clean = sum(stream.clean for stream in opened)
    ended = lines(ends)
    all_of_them = said == clean == ended == len(opened)
    out = f"{took:.1f} s" if gone else f"alive after {took:.0f} s, killed"
    seen = f"{out}, {said}/{len(opened)} goodbyes, {ended}/{len(opened)} terminal"
    if clean < len(opened):
        seen += f", {clean} clean ends"
    return Cell(gone and took < 3 and all_of_them, seen)


async def raises(place: Place) -> Cell:
    """An actor raises after two events: the client gets them, the error, the end."""
    async with visit(place.server, "POST", place.path("failing"), given={}) as stream:
        kinds = [kind_of(block) for block in await stream.blocks()]
    expected = ["tool_call", "numbered", "numbered", "tool_call", "error"]
    expected += ["end"] if place.retained else []
    good = kinds == expected and stream.clean
    ending = "clean end" if stream.clean else "torn end"
    return Cell(good, f"2 events, error, {ending}" if good else f"{kinds}, {ending}")


async def comes_back_elsewhere(place: Place) -> Cell:
    """A client reconnects to another process: a 404, or its stream with a store."""
    assert place.second is not None
    seen = []
    for shared in (False, True):
        path = place.path("quiet", kept=True, shared=shared)
        async with visit(place.server, "POST", path, given={}) as stream:
            first = number_of(await stream.block() or b"")
            id, _, number = first.partition(":")
            again = {**SSE, "last-event-id": first}
            there = place.events(id, shared=shared)
            asked = monotonic()
            async with visit(place.second, "GET", there, headers=again) as resumed:
                took = monotonic() - asked
                if resumed.status == 200:
                    second = number_of(await resumed.block() or b"")
                    expected = f"{id}:{int(number) + 1}"
                    seen.append("resumed" if second == expected else f"got {second}")
                else:
                    await resumed.rest()
                    seen.append(f"{resumed.status} in {took * 1000:.0f} ms")
    await until(place.server, running=0)
    good = seen[0].startswith("404") and seen[1] == "resumed"
    return Cell(good, f"memory {seen[0]}, sqlite {seen[1]}")


BEHAVIOURS = {
    "idle, client leaves": "idle",
    "flood, client leaves": "flood",
    "client reads nothing": "stuck",
    "SIGTERM": "stop",
    "actor raises": "raise",
    "another process": "other",
}


async def twice(look: Callable[[], Awaitable[Cell]]) -> Cell:
    """Run a cell, and again with a mark if it is out of bounds: machines are shared."""
    first = await guarded(look())
    if first.good:
        return first
    second = await guarded(look())
    return Cell(second.good, f"{second.seen} ²")


async def guarded(behaviour: Awaitable[Cell]) -> Cell:
    """Return the cell, or what went wrong."""
    try:
        async with asyncio.timeout(120):
            return await behaviour
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        return Cell(False, f"{type(error).__name__}: {error}"[:120])
    except BaseException as error:  # pytest.fail, from tests.servers
        if isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
            raise
        return Cell(False, str(error).partition("\n")[0][:120])


def environment(folder: str, framework: str, way: str = "all") -> dict[str, str]:
    env = {"MATRIX_FRAMEWORK": framework, "MATRIX_WAY": way}
    if way == "all":
        return env | {"MATRIX_SHARED": f"{folder}/{framework}.db"}
    return env | {"MATRIX_ENDS": f"{folder}/{framework}-{way}.ends"}


WAYS_IN = {
    "EventsApp": "/mounted/quiet",
    "EventSourceResponse": "/iterable/quiet",
    "EventStreamer.response": "/own/quiet",
}

SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def is_told(kind: str, path: str, number: int) -> Cell:
    """A signal with an open stream: its terminal event, a clean end, a quick stop."""
    async with serving(kind, {}) as server:
        async with visit(server, "POST", path, given={}) as stream:
            while kind_of(await stream.block() or b"data: {}") != "numbered":
                pass
            reading = asyncio.create_task(stream.blocks())
            began = monotonic()
            server.signal(number)
            try:
                await asyncio.to_thread(server.wait)
            except Exception:
                os.kill(server.pid, signal.SIGKILL)
            took = monotonic() - began
            kinds = [kind_of(block) for block in await reading]
    told = "cancelled" if "cancelled" in kinds else "nothing"
    end = "clean" if stream.clean else "torn"
    good = (told, end) == ("cancelled", "clean") and took < 3
    return Cell(good, f"{took:.1f} s, {told}, {end} end")


async def stopping(args: argparse.Namespace) -> str:
    """Return the table of signals."""
    lines = [["server", "signal", *WAYS_IN], ["---"] * (2 + len(WAYS_IN))]
    for kind in args.servers:
        for number in SIGNALS:
            cells = [
                await twice(partial(is_told, kind, path, number))
                for path in WAYS_IN.values()
            ]
            lines.append([kind, signal.Signals(number).name, *map(str, cells)])
    return _rows(lines)


Row = tuple[str, str, str]

Report = Callable[[Row, str, Cell], None]


async def framework_on(
    kind: str,
    framework: str,
    args: argparse.Namespace,
    quiet: asyncio.Lock,
    say: Report,
) -> None:
    """Run all cells of one framework on one server."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        env = environment(folder, framework)
        async with quiet:
            server = await stack.enter_async_context(serving(kind, env))
            second = await stack.enter_async_context(serving(kind, env))
        stuck, streams = (60.0, 100) if args.full else (10.0, 50)
        for way in WAYS[framework]:
            place = Place(
                server=server,
                second=second,
                framework=framework,
                way=way,
                stuck=stuck,
                streams=streams,
            )
            row = (kind, framework, way)
            async with quiet:
                say(row, "idle", await twice(partial(leaves_idle, place)))
                say(row, "raise", await twice(partial(raises, place)))
                say(row, "other", await twice(partial(comes_back_elsewhere, place)))
                say(row, "flood", await twice(partial(leaves_flood, place)))
            say(row, "stuck", await twice(partial(reads_nothing, place, quiet)))
            async with quiet:
                say(row, "stop", await twice(partial(_stop, kind, place, folder)))


async def _stop(kind: str, place: Place, folder: str) -> Cell:
    env = environment(folder, place.framework, place.way)
    env["MATRIX_ENDS"] += secrets.token_hex(4)
    async with serving(kind, env) as server:
        stopped = Place(
            server=server,
            framework=place.framework,
            way=place.way,
            streams=place.streams,
        )
        return await is_stopped(stopped, Path(env["MATRIX_ENDS"]))


async def table(args: argparse.Namespace) -> dict[Row, dict[str, Cell]]:
    """Run every cell."""
    cells: dict[Row, dict[str, Cell]] = {}

    def say(row: Row, behaviour: str, cell: Cell) -> None:
        cells.setdefault(row, {})[behaviour] = cell
        if args.verbose:
            print(*row, behaviour, cell, flush=True)

    for kind in args.servers:
        quiet = asyncio.Lock()
        await asyncio.gather(
            *(framework_on(kind, name, args, quiet, say) for name in args.frameworks)
        )
    return cells


def markdown(cells: dict[Row, dict[str, Cell]]) -> str:
    head = ["server", "framework", "way", *BEHAVIOURS]
    lines = [head, ["---"] * len(head)]
    for row in sorted(cells, key=lambda row: list(ALL_KINDS).index(row[0])):
        found = cells[row]
        lines.append(
            [*row, *(str(found.get(key, "not run")) for key in BEHAVIOURS.values())]
        )
    return _rows(lines)


def _rows(lines: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--stopping", action="store_true")
    parser.add_argument("--servers", nargs="*", default=SERVERS, choices=ALL_KINDS)
    parser.add_argument("--frameworks", nargs="*", default=list(WAYS), choices=WAYS)
    args = parser.parse_args()
    if args.stopping:
        print(asyncio.run(stopping(args)))
        return
    cells = asyncio.run(table(args))
    packages = ["uvicorn", "hypercorn", "granian", "daphne", *WAYS]
    known = (f"{name} {version(name)}" for name in packages if name != "bare")
    print(f"{', '.join(known)}\n")
    print(markdown(cells))
    good = [cell.good for found in cells.values() for cell in found.values()]
    print(f"\n{sum(good)} of {len(good)} cells are within their bounds.")


if __name__ == "__main__":
    main()
