"""The page of ``tests/clients/react-page.jsx``, with the client's sources."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.clients.node import HERE, node
from tests.servers import ROOT, Server, require

SOURCES = ROOT / "clients" / "typescript" / "src"
REACTS = {"react19": HERE, "react18": HERE / "react18"}


def bundle(
    react: str,
    folder: Path,
    *options: str,
    entry: str = "react-page.jsx",
    mode: str = "development",
) -> Path:
    """Write ``<react>.js`` into a folder: a page, by default, with that React."""
    modules = REACTS[react] / "node_modules"
    require(
        (modules / ".package-lock.json").exists(),
        f"React is not installed (npm ci --prefix {REACTS[react].relative_to(ROOT)})",
    )
    made = folder / f"{react}.js"
    command = [
        str(HERE / "node_modules" / ".bin" / "esbuild"),
        str(HERE / entry),
        "--bundle",
        "--jsx=automatic",
        f'--define:process.env.NODE_ENV="{mode}"',
        f"--alias:@asgi-events/client/react={SOURCES / 'react.ts'}",
        f"--alias:@asgi-events/client={SOURCES / 'index.ts'}",
        f"--alias:react={modules / 'react'}",
        f"--alias:react-dom={modules / 'react-dom'}",
        f"--outfile={made}",
        "--log-level=warning",
        *options,
    ]
    path = f"{Path(node()).parent}:{os.environ['PATH']}"
    subprocess.run(command, check=True, cwd=HERE, env={"PATH": path}, timeout=60)
    return made


def site_of(folder: Path) -> Server:
    """Return a server of ``tests.typescript.react_app`` with the pages of a folder."""
    env = {"PAGES": str(folder)}
    return Server("tests.typescript.react_app:app", "uvicorn", env=env)
