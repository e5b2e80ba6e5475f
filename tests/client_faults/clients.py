"""The clients under test, each as something that answers questions."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import httpx

from tests.client_faults.python import LONGEST, asynchronous, synchronous
from tests.client_faults.row import Outcome, Question
from tests.clients.node import HERE, Script, node, script
from tests.servers import ROOT, require

BATCH = 64
"""Questions in one line for Node.js."""


class Client(Protocol):
    """A client that answers questions."""

    async def ask(self, questions: Sequence[Question]) -> list[Outcome]:
        """Ask all questions at the same time; return the outcomes in their order."""


class TypeScript:
    """The TypeScript client, in one process of Node.js."""

    def __init__(self, running: Script) -> None:
        self._running = running

    async def ask(self, questions: Sequence[Question]) -> list[Outcome]:
        left = iter(questions)
        outcomes: list[Outcome] = []
        while batch := list(islice(left, BATCH)):
            asked = [each.as_json() for each in batch]
            told = await self._running.ask(asked, seconds=2 * LONGEST)
            outcomes += map(_outcome, told)
        return outcomes


def _outcome(told: dict[str, Any]) -> Outcome:
    failure = told["failure"] and (told["failure"][0], told["failure"][1])
    return Outcome(**{**told, "failure": failure})


@asynccontextmanager
async def typescript(
    env: Mapping[str, str], program: str | None = None
) -> AsyncIterator[Client]:
    """The TypeScript client, as its sources are now.

    Args:
        env: Further variables of the environment of Node.js.
        program: The Node.js; by default the one of the lock file.
    """
    node()
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder) / "client.mjs"
        await asyncio.to_thread(bundle, module)
        name = str(Path(__file__).with_name("typescript.mjs"))
        async with script(name, str(module), program=program, env=env) as running:
            yield TypeScript(running)


def bundle(target: Path) -> None:
    """Write the TypeScript client as one module, with a ``setTimeout`` of its own."""
    subprocess.run(
        [
            str(HERE / "node_modules" / ".bin" / "esbuild"),
            str(ROOT / "clients" / "typescript" / "src" / "index.ts"),
            "--bundle",
            "--format=esm",
            "--define:setTimeout=impatient",
            "--log-level=error",
            f"--outfile={target}",
        ],
        check=True,
    )


def other_node() -> str:
    """The Node.js of the machine."""
    found = shutil.which("node")
    require(found, "node is not installed")
    assert found is not None
    return found


CLIENTS: dict[str, Callable[[Mapping[str, str]], AbstractAsyncContextManager[Client]]]
CLIENTS = {
    "python": lambda env: asynchronous(),
    "python-sync": lambda env: synchronous(),
    "python-httpx": lambda env: asynchronous(httpx),
    "python-sync-httpx": lambda env: synchronous(httpx),
    "typescript": typescript,
    "typescript-20": lambda env: typescript(env, other_node()),
}
"""The clients under test. They are given variables of the environment of Node.js."""
