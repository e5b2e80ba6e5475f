"""Every actor of ``examples/``: its document, and what a run of it sends.

``python -m tests.bridges.examples`` runs in a process of its own, since some of the
examples change what all of a process shares. It reads ``{"hello.research": input, …}``,
and prints a JSON object with an answer for each.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from asgi_events import EventsApp
from asgi_events.testing import Client, virtual_time
from tests.servers import ROOT

EXAMPLES = ROOT / "examples"
KINDS = {"agent", "tool", "llm"}


def names() -> Iterator[str]:
    """Yield each actor of the examples as ``module.function``."""
    for file in EXAMPLES.rglob("*.py"):
        if "node_modules" in file.parts:
            continue
        for node in ast.parse(file.read_text()).body:
            for decorator in getattr(node, "decorator_list", ()):
                called = getattr(decorator, "func", decorator)
                if isinstance(called, ast.Name) and called.id in KINDS:
                    yield f"{file.stem}.{node.name}"  # type: ignore[attr-defined]


async def run(name: str, given: Any) -> dict[str, Any]:
    """Return the document of one actor, and what came of a run with an input."""
    module, _, actor = name.partition(".")
    app = EventsApp(getattr(importlib.import_module(module), actor))
    client = Client(app)
    document = await (await client.get("/openapi.json")).json()
    headers = {"accept": "text/event-stream"}
    stream = await client.post(f"/{actor}", headers=headers, json=given)
    sent = [(event.event, json.loads(event.data)) for event in await stream.events()]
    about = await client.get(stream.headers["location"])
    await app.executions.drain(0)
    return {"document": document, "sent": sent, "about": await about.json()}


async def main() -> None:
    inputs = json.load(sys.stdin)
    with virtual_time():
        print(json.dumps({name: await run(name, inputs[name]) for name in inputs}))


if __name__ == "__main__":
    os.environ["MODEL"] = ""  # the fake ones
    sys.path[:0] = [str(EXAMPLES), str(EXAMPLES / "chat")]
    asyncio.run(main())
