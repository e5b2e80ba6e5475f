"""Loads the server of one rival, and measures what the server spent on it.

The reader is ``reader.c``. It is never the bottleneck as long as its CPU time stays far
below the server's, which ``measure`` looks at: it raises when it does not.
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
ALL = (*RIVALS, "asgi-events")
MANY = ("hand-written", "quart", "sse-starlette", "fastapi", "asgi-events", "retained")
"""Those measured with an execution for each viewer."""

NAP = 500  # microseconds between two looks of the reader; see reader.c


class Server:
    """A rival's server process."""

    def __init__(self, rival: str, kind: str, pid: int, port: int) -> None:
        self.rival, self.kind, self.pid, self.port = rival, kind, pid, port

    def cpu(self) -> float:
        """Seconds of CPU it and its children have used, user and system."""
        return sum(_cpu(pid) for pid in self._pids())

    def rss(self) -> int:
        """Bytes of memory it has resident."""
        text = "".join(Path(f"/proc/{p}/status").read_text() for p in self._pids())
        return sum(int(kib) * 1024 for kib in re.findall(r"VmRSS:\s+(\d+)", text))

    def get(self, path: str) -> str:
        """The body of an answer."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}") as answer:
            return str(answer.read().decode())

    def _pids(self) -> list[int]:
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [self.pid, *(int(pid) for pid in listed.split())]


def _cpu(pid: int) -> float:
    """By the scheduler's own clock: that of /proc/<pid>/stat ticks every 10 ms."""
    return time.clock_gettime(~pid << 3 | 2)  # clock_getcpuclockid(3), on Linux


@contextlib.contextmanager
def servers(rivals: Sequence[str], kind: str = "uvicorn") -> Iterator[list[Server]]:
    """A server for each; those that are not loaded cost nothing."""
    with contextlib.ExitStack() as stack:
        running = []
        for rival in rivals:
            own = "aiohttp" if rival == "aiohttp-sse" else kind  # it has no other
            process = launched("benchmarks.drive:app", own, {"RIVAL": rival})
            running.append(Server(rival, own, *stack.enter_context(process)))
        yield running


@contextlib.contextmanager
def reading(
    server: Server,
    viewers: int,
    seconds: float,
    pause: float = 0.3,
    nap: int = 0,
    streams: int = 1,
) -> Iterator[Any]:
    """The reader's process, once all its streams have begun."""
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
    """What the reader says, and ``rate``: events per CPU second of the server.

    Args:
        viewers: Of one stream, or one of each of as many ``streams``.
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
    if result["cpu"] > 0.9 * result["server"] + 0.1:
        raise RuntimeError(f"The reader was the bottleneck: {result}")
    result["rate"] = result["events"] / max(result["server"], 0.01)
    return result


def compare(
    rivals: Sequence[str], viewers: int, query: str, rounds: int, kind: str
) -> dict[str, dict[str, Any]]:
    """The rivals by turns, after a round that does not count; prints ratios.

    Returns:
        Of each rival its ``rates`` and ``ratios``, and the medians ``p50`` and ``p99``
        in seconds.
    """
    results: dict[str, list[dict[str, float]]] = {rival: [] for rival in rivals}
    with servers(rivals, kind) as running:
        for number in range(rounds + 1):
            for server in running:
                result = measure(server, viewers, query, nap=NAP)
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
    """It loses events where ``send`` suspends, as granian's does."""
    return () if kind == "granian" else ("bound",)


def many_files() -> None:
    """Allow this process, and the servers it starts, as many sockets as may be."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def median(runs: Sequence[Mapping[str, float]], key: str) -> float:
    return statistics.median(run[key] for run in runs)


def spread(values: Sequence[float], form: str) -> str:
    """Median and range."""
    middle = statistics.median(values)
    return f"{middle:{form}} ({min(values):{form}} … {max(values):{form}})"


def _reader() -> Path:
    source = Path(__file__).with_name("reader.c")
    program = Path(tempfile.gettempdir(), f"asgi-events-reader-{os.getuid()}")
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["cc", "-O2", "-o", program, source], check=True)
    return program


def versions(kind: str) -> tuple[str, ...]:
    """The packages whose versions matter."""
    rivals = ("starlette", "sse-starlette", "fastapi", "litestar", "quart", "django")
    beside = ("aiohttp-sse", "aiohttp", "pydantic", "uvloop", "httptools")
    return (*rivals, *beside, kind)
