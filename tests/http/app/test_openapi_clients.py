"""The clients that generators make of the OpenAPI document, under ``tsc --strict``."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel

from asgi_events import EventsApp, agent, tool
from asgi_events.testing import Client
from tests.clients.node import node
from tests.http.app.routes import Make
from tests.servers import ROOT, TIMEOUT, require

pytestmark = pytest.mark.node

FOLDER = ROOT / "tests" / "clients" / "openapi"
GENERATORS = {
    "openapi-typescript": [
        *("openapi-typescript", "{}", "-o", "generated.ts"),
        "--default-non-nullable=false",
    ],
    "hey-api": ["openapi-ts", "-i", "{}", "-o", "generated", "--no-log-file"],
    "orval": ["orval", "--input", "{}", "--output", "generated.ts", "--client=fetch"],
}


class Topic(BaseModel):
    topic: str
    depth: int = 1


class Report(BaseModel):
    title: str
    score: float | None = None
    tags: list[str] = []


class Chart(BaseModel):
    event_type: Literal["chart"] = "chart"
    points: list[float]


@agent(publishes=[Chart])
async def research(topic: Topic) -> Report: ...


@tool
async def count(to: int) -> int | None: ...


async def run(folder: Path, program: str, *arguments: str) -> str:
    """Run an npm program in a folder; return what it prints if it fails."""
    script = FOLDER / "node_modules" / ".bin" / program
    process = await asyncio.create_subprocess_exec(
        node(),
        str(script.resolve()),
        *arguments,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(6 * TIMEOUT):
        output, _ = await process.communicate()
    return output.decode() if process.returncode else ""


async def generate(folder: Path, name: str, app: EventsApp, version: str) -> Path:
    """Return a folder with the client that a generator makes, and what uses it."""
    folder = folder / version / name
    folder.mkdir(parents=True)
    answer = await Client(app).get(f"/openapi.json?version={version}")
    folder.joinpath("openapi.json").write_text(json.dumps(await answer.json()))
    words = [word.format("openapi.json") for word in GENERATORS[name]]
    assert await run(folder, *words) == ""
    shutil.copy(FOLDER / "sample.ts", folder)
    shutil.copy(FOLDER / f"{name}.ts", folder / "names.ts")
    return folder


def sources(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*.ts")
    }


async def test_types_every_event_status_and_problem(tmp_path: Path, make: Make) -> None:
    require(
        (FOLDER / "node_modules" / ".package-lock.json").exists(),
        "the generators are not installed (npm ci --prefix tests/clients/openapi)",
    )
    app = make(research, count)
    made = await asyncio.gather(
        *(
            generate(tmp_path, name, app, version)
            for version in ("3.1", "3.2")
            for name in GENERATORS
        )
    )
    older, newer = made[: len(GENERATORS)], made[len(GENERATORS) :]
    for old, new in zip(older, newer, strict=True):
        assert sources(new) == sources(old)

    shutil.copy(FOLDER / "tsconfig.json", tmp_path / "3.2")
    assert await run(tmp_path / "3.2", "tsc", "-p", ".") == ""
