"""Actors that do as files tell them, for jobs that run in other processes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from asgi_events import tool
from tests.processes.sharing import until


@tool
async def told(path: Path) -> str:
    """Add a line to a file, and return when there is a file ``PATH.go``."""
    with path.open("a") as file:
        file.write(f"{os.getpid()}\n")
    while not path.with_suffix(".go").exists():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return "told"


@tool
def unsteady(path: Path) -> int:
    """Raise twice, and then return how often it ran."""
    with path.open("a") as file:
        file.write("ran\n")
    runs = len(path.read_text().splitlines())
    if runs < 3:
        raise OSError(5, "no line")
    return runs


def ran(path: Path) -> list[int]:
    """The processes that have run ``told``."""
    return [int(line) for line in path.read_text().split()] if path.exists() else []


async def started(path: Path, times: int = 1) -> int:
    """The process that runs ``told``, once it does."""
    await until(lambda: len(ran(path)) == times)
    return ran(path)[-1]
