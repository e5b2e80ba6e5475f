"""Prints what every benchmark has measured, and on which machine."""

import os
import platform
import statistics
import sys
from importlib.metadata import version

SERVERS = ("uvicorn", "hypercorn", "granian")


def server_asked_for() -> str:
    """Return the server that the command line names."""
    return sys.argv[1] if len(sys.argv) > 1 else SERVERS[0]


def machine(*packages: str) -> str:
    """Print the machine and the versions, and return them."""
    parts = [f"asgi-events {version('asgi-events')}"]
    parts += [f"{package} {version(package)}" for package in packages]
    text = (
        f"{platform.platform()}, {os.cpu_count()} cores\n"
        f"Python {platform.python_version()}, {', '.join(parts)}\n"
    )
    print(text, flush=True)
    return text


def milliseconds(name: str, seconds: list[float]) -> dict[str, float]:
    """Print the number, median, 99th percentile and maximum of some times."""
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, round(len(ordered) * 0.99))]
    figures = {"median": statistics.median(ordered), "p99": p99, "max": ordered[-1]}
    text = "  ".join(f"{key} {value * 1e3:7.2f} ms" for key, value in figures.items())
    print(f"{name:50} n={len(ordered):5}  {text}", flush=True)
    return figures
