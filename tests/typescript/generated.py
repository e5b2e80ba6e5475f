"""The types of the TypeScript client that are made of what the server says.

``python -m tests.typescript.generated`` writes them into the package: the events, of
the document of no actor at all, and the paths of the actors here, for its type tests.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel

from asgi_events import EventsApp, agent, tool
from tests.typescript.npm import PACKAGE, run


class Chart(BaseModel):
    event_type: Literal["chart"] = "chart"
    points: list[float]


class Report(BaseModel):
    title: str


@agent(publishes=[Chart])
async def research(topic: str, depth: int = 2) -> Report: ...  # type: ignore[empty-body]


@agent
async def hello(name: str = "you") -> str | None: ...


@tool
async def anything(given: dict[str, Any]): ...  # type: ignore[no-untyped-def]


def document() -> dict[str, Any]:
    """Return the document of the actors in an API that has more routes."""
    api = FastAPI()

    @api.post("/orders", status_code=202)
    def order(count: int) -> str: ...  # type: ignore[empty-body]

    events = EventsApp(research, hello, anything)
    return events.openapi("/api/events", into=api.openapi())


def files() -> dict[str, str]:
    """Return what each file of the package has to be."""
    documents = {"events": EventsApp().openapi(), "paths": document()}
    made: dict[str, str] = json.loads(
        run("scripts/types.mjs", input=json.dumps(documents))
    )
    return made


if __name__ == "__main__":
    for name, text in files().items():
        (PACKAGE / name).write_text(text, encoding="utf-8")
