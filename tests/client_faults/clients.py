"""The clients under test, each as something that answers questions."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from tests.client_faults.row import Outcome, Question
from tests.clients.node import HERE, Script, node, script
from tests.servers import ROOT, require

MOST = 16
"""Questions at the same time."""

LONGEST = 20.0
"""Seconds that a question may take."""


class Client(Protocol):
    """A client that answers questions."""

    async def ask(self, questions: Sequence[Question]) -> list[Outcome]:
        """Ask all questions at the same time; return the outcomes in their order."""


class TypeScript:
    """The TypeScript client, in one process of Node.js."""

    def __init__(self, running: Script) -> None:
        self._running = running

    async def ask(self, questions: Sequence[Question]) -> list[Outcome]:
        told = await self._running.ask([each.as_json() for each in questions])
        return [Outcome(**{**each, "failure": _pair(each["failure"])}) for each in told]


def _pair(failure: list[str] | None) -> tuple[str, str] | None:
    return None if failure is None else (failure[0], failure[1])


@asynccontextmanager
async def typescript(
    program: str | None = None, env: dict[str, str] | None = None
) -> AsyncIterator[Client]:
    """The TypeScript client, as its sources are now.

    Args:
        program: The Node.js; by default the one of the lock file.
        env: Further variables of its environment.
    """
    node()
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder) / "client.mjs"
        await asyncio.to_thread(bundle, module)
        name = str(Path(__file__).with_name("typescript.mjs"))
        async with script(name, str(module), program=program, env=env) as running:
            yield TypeScript(running)


def bundle(target: Path) -> None:
    """Write the TypeScript client as one module."""
    subprocess.run(
        [
            str(HERE / "node_modules" / ".bin" / "esbuild"),
            str(ROOT / "clients" / "typescript" / "src" / "index.ts"),
            "--bundle",
            "--format=esm",
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


Make: TypeAlias = Callable[[], Any]
"""Makes a context manager whose value is a ``Client``."""

CLIENTS: dict[str, Make] = {
    "typescript": typescript,
    "typescript-20": lambda: typescript(other_node()),
}
"""The clients under test."""


def announce(port: int) -> None:
    """Say that a client has waited twice."""
    with socket.create_connection(("127.0.0.1", port)):
        pass
