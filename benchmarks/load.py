"""Loads the server of one rival, and measures the CPU time of the server.

The reader is ``reader.c``. It is not the bottleneck while its CPU time is far below the
server's. ``measure`` checks that and raises if it is not.
"""

import contextlib
import json
import os
import re
import resource
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.builds import ROOT, compiled
from benchmarks.client import launched

RIVALS = (
    "hand-written",
    "sse-starlette",
    "fastapi",
    "litestar",
    "quart",
    "django",
    "aiohttp-sse",
)
OURS = ("asgi-events", "retained", "compiled", "compiled retained")
"""Bare and retained, of both builds."""

ALL = (*RIVALS, *OURS)
MANY = ("hand-written", "quart", "sse-starlette", "fastapi", *OURS)
"""Those measured with an execution for each viewer."""

SIZES = {"": 0, "_400": 400}
"""Names and bytes of the events: of about 100 bytes, and of those of a real agent."""

NAP = 500  # microseconds between two reads of the reader; see reader.c


class Server:
    """A rival's server process."""

    def __init__(self, rival: str, kind: str, pid: int, port: int) -> None:
        self.rival, self.kind, self.pid, self.port = rival, kind, pid, port

    def cpu(self) -> float:
        """Return the CPU seconds, user and system, of a process and its children."""
        return sum(_cpu(pid) for pid in self._pids())

    def rss(self) -> int:
        """Return the resident memory in bytes."""
        text = "".join(Path(f"/proc/{p}/status").read_text() for p in self._pids())
        return sum(int(kib) * 1024 for kib in re.findall(r"VmRSS:\s+(\d+)", text))

    def get(self, path: str) -> str:
        """Return the body of a response."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}") as answer:
            return str(answer.read().decode())

    def _pids(self) -> list[int]:
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [self.pid, *(int(pid) for pid in listed.split())]


def _cpu(pid: int) -> float:
    """Read the clock of the scheduler: /proc/<pid>/stat ticks only every 10 ms."""
    return time.clock_gettime(~pid << 3 | 2)  # clock_getcpuclockid(3), on Linux


@contextlib.contextmanager
def servers(rivals: Sequence[str], kind: str = "uvicorn") -> Iterator[list[Server]]:
    """Start a server for each rival; idle servers cost nothing."""
    with contextlib.ExitStack() as stack:
        running = []
        for rival in rivals:
            own = "aiohttp" if rival == "aiohttp-sse" else kind  # it has no other
            running.append(stack.enter_context(_server(rival, own)))
        yield running


@contextlib.contextmanager
def _server(rival: str, kind: str) -> Iterator[Server]:
    package, is_compiled = None, rival.startswith("compiled")
    if rival in OURS:
        package = compiled() if is_compiled else ROOT
    name = {"compiled": OURS[0], "compiled retained": OURS[1]}.get(rival, rival)
    with launched("benchmarks.drive:app", kind, {"RIVAL": name}, package) as process:
        server = Server(rival, kind, *process)
        if package is not None and server.get("/compiled") != str(is_compiled):
            raise RuntimeError(f"The server of {rival!r} runs the other build.")
        yield server


@contextlib.contextmanager
def reading(
    server: Server,
    viewers: int,
    seconds: float,
    pause: float = 0.3,
    nap: int = 0,
    streams: int = 1,
) -> Iterator[Any]:
    """Yield the process of the reader, once all its streams have begun."""
    path = server.get(f"/open?streams={streams}")
    command = [str(_reader()), str(server.port), path]
    process = subprocess.Popen(
        [*command, str(viewers), str(seconds), str(nap)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"Not all streams of {server.rival} have begun.")
        time.sleep(pause)  # all are subscribed
        yield process
    finally:
        process.kill()
        process.wait()


def measure(
    server: Server,
    viewers: int,
    query: str,
    *,
    seconds: float = 60,
    pause: float = 0.3,
    nap: int = 0,
    streams: int = 1,
) -> dict[str, float]:
    """Return the reader's figures, and ``rate``: events per CPU second of the server.

    Args:
        viewers: The viewers of one stream, or of as many ``streams`` with one each.
    """
    with reading(server, viewers, seconds, pause, nap, streams) as process:
        before, began = server.cpu(), time.monotonic()
        server.get(f"/go?{query}")
        result: dict[str, float] = json.loads(process.stdout.readline())
        result["server"] = server.cpu() - before
        result["wall"] = time.monotonic() - began
        result["end"] = result["end"] / 1e9 - float(server.get("/finished"))
    if result["ended"] < viewers or result["fewest"] != result["most"]:
        raise RuntimeError(f"{server.rival} has lost events: {result}")
    if result["cpu"] > 0.9 * result["server"] + 0.03:
        raise RuntimeError(f"The reader was the bottleneck: {result}")
    result["rate"] = result["events"] / max(result["server"], 0.01)
    return result


def compare(
    rivals: Sequence[str],
    viewers: int,
    query: str,
    rounds: int,
    kind: str,
    pause: float = 0.3,
) -> dict[str, dict[str, Any]]:
    """Measure the rivals in turn, after a round that does not count; print ratios.

    Returns:
        For each rival its ``rates`` and ``ratios``, and the medians ``p50`` and ``p99``
        in seconds.
    """
    results: dict[str, list[dict[str, float]]] = {rival: [] for rival in rivals}
    with servers(rivals, kind) as running:
        for number in range(rounds + 1):
            for server in running:
                result = measure(server, viewers, query, pause=pause, nap=NAP)
                if number:
                    results[server.rival].append(result)
    base = [result["rate"] for result in results[rivals[0]]]
    figures: dict[str, dict[str, Any]] = {}
    for rival, runs in results.items():
        rates = [run["rate"] for run in runs]
        ratios = [rate / other for rate, other in zip(rates, base, strict=True)]
        print(
            f"  {rival:14} {spread(rates, '9,.0f')} /s   × {spread(ratios, '5.2f')}"
            f"   p50 {median(runs, 'p50') * 1e3:8.2f} ms"
            f"   p99 {median(runs, 'p99') * 1e3:8.2f} ms"
            f"   {median(runs, 'events') / median(runs, 'reads'):5.1f} /read"
            f"   reader {median(runs, 'cpu') / median(runs, 'server'):4.0%}",
            flush=True,
        )
        latency = {key: median(runs, key) for key in ("p50", "p99")}
        figures[rival] = {"rates": rates, "ratios": ratios, **latency}
    return figures


def bound(kind: str) -> tuple[str, ...]:
    """Return ``bound`` unless ``send`` suspends (granian), where it loses events."""
    return () if kind == "granian" else ("bound",)


def many_files() -> None:
    """Allow this process and the servers that it starts as many sockets as possible."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def median(runs: Sequence[Mapping[str, float]], key: str) -> float:
    return statistics.median(run[key] for run in runs)


def spread(values: Sequence[float], form: str) -> str:
    """Return the median and the range as text."""
    middle = statistics.median(values)
    return f"{middle:{form}} ({min(values):{form}} … {max(values):{form}})"


def _reader() -> Path:
    source = Path(__file__).with_name("reader.c")
    program = Path(tempfile.gettempdir(), f"asgi-events-reader-{os.getuid()}")
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["cc", "-O2", "-o", program, source], check=True)
    return program


def versions(kind: str) -> tuple[str, ...]:
    """Return the packages whose versions are printed."""
    rivals = ("starlette", "sse-starlette", "fastapi", "litestar", "quart", "django")
    beside = ("aiohttp-sse", "aiohttp", "pydantic", "uvloop", "httptools")
    return (*rivals, *beside, kind)
