"""The package in clients/typescript, and a Node.js that runs its scripts."""

from __future__ import annotations

import subprocess

from tests.clients.node import node
from tests.servers import ROOT, require

PACKAGE = ROOT / "clients" / "typescript"


def run(*arguments: str, input: str = "", program: str | None = None) -> str:
    """Return what a script of the package prints.

    Args:
        arguments: The path of the script in the package, and its arguments.
        input: What it reads.
        program: The Node.js; by default that of the lock file of tests/clients.
    """
    require(
        (PACKAGE / "node_modules" / ".package-lock.json").exists(),
        "the TypeScript client has no packages (npm ci --prefix clients/typescript)",
    )
    done = subprocess.run(
        [program or node(), *arguments],
        cwd=PACKAGE,
        input=input.encode(),
        capture_output=True,
        timeout=60,
    )
    printed = done.stdout.decode()
    assert done.returncode == 0, printed[-20_000:] + done.stderr.decode()
    assert done.stderr == b""
    return printed
