"""How every benchmark says what it measured, and on what."""

import os
import platform
import statistics
from importlib.metadata import version


def machine(*packages: str) -> None:
    """Print the machine and the versions."""
    print(f"{platform.platform()}, {os.cpu_count()} cores")
    print(f"Python {platform.python_version()}", end="")
    for package in ("asgi-events", *packages):
        print(f", {package} {version(package)}", end="")
    print("\n")


def milliseconds(name: str, seconds: list[float]) -> None:
    """Print the number, median, 99th percentile and maximum of some times."""
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, round(len(ordered) * 0.99))]
    figures = {"median": statistics.median(ordered), "p99": p99, "max": ordered[-1]}
    text = "  ".join(f"{key} {value * 1e3:7.2f} ms" for key, value in figures.items())
    print(f"{name:50} n={len(ordered):5}  {text}")
