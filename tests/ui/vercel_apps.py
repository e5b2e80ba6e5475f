"""A chat server of the AI SDK, whose store ``ASGI_EVENTS_STORE`` names."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

from asgi_events import Executions, agent, begin, call, current_state
from asgi_events.http.problems import send_bytes
from asgi_events.types import Receive, Scope, Send
from asgi_events.ui import ChatRequest, VercelAIApp

Pause: TypeAlias = Callable[[], Awaitable[None]]

RETRY = 20  # milliseconds
LEASE = 1.0  # seconds


_released: set[str] = set()  # the chats that need not wait any more


@agent
async def chat(request: ChatRequest) -> dict[str, Any]:
    """Do what ``mode`` in the body says.

    answer: Answer. fail: Answer, and fail then. endless: Talk until cancelled.
    held: Wait in the middle of the answer for ``/go/<chat>``. drained: Wait in the same
    place until the process is told to stop.
    """
    mode = request.body.get("mode", "answer")
    if mode == "endless":
        await _talk()

    async def pause() -> None:
        await asyncio.sleep(request.body.get("pace", 0.0))

    async def hold() -> None:
        while (mode == "held" and request.id not in _released) or (  # noqa: ASYNC110
            mode == "drained" and not app.executions.draining
        ):
            await asyncio.sleep(0.01)

    await _answer(request.text, pause, hold)
    if mode == "fail":
        raise ValueError("broken")
    return {"said": request.text}


async def _talk() -> None:
    """Talk until cancelled, and print when that was."""
    try:
        for number in range(1_000_000):
            await current_state().text(f"{number} ")
            await asyncio.sleep(0.005)
    finally:
        print(f"stopped at {time.time()}", flush=True)


async def _answer(text: str, pause: Pause, hold: Pause) -> None:
    """Publish one run with parallel tools, a nested agent and text, in one order."""
    root = current_state()
    async with call("llm", "gpt") as model:
        await model.reasoning("They said ")
        await model.reasoning(f"{text}.")
        for word in ("Let ", "me ", "look."):
            await model.text(word)
            await pause()
        model.usage(input_tokens=3, output_tokens=5)
    first = begin("tool", "look", input={"place": "Bonn"}, detail="Bonn")
    second = begin("tool", "look", input={"place": "K\u00f6ln"})
    async with call("agent", "expert", input={"about": text}) as expert:
        await expert.text("I know. ")
        await expert.progress(1, 2)
        await pause()
        await hold()
        second.fail("not found")
        await expert.progress(2, 2)
        await expert.custom("chart", {"bars": [1, 2, 3]})
        await expert.text("That is all.")
    await root.log("half of it is done")
    await root.snapshot({"looked": ["Bonn"]})
    first.end(output={"warm": True})
    await pause()
    for word in ("It ", "is ", "warm \u2028 in ", f"{text}."):
        await root.text(word)
        await pause()


def _options() -> dict[str, Any]:
    store = os.environ.get("ASGI_EVENTS_STORE")
    longest = os.environ.get("MAX_STREAM_DURATION")
    return {
        **({"store": store} if store else {}),
        "max_stream_duration": float(longest) if longest else None,
        "error_message": str,
        "drain_grace": float(os.environ.get("DRAIN_GRACE", "0.1")),
        "heartbeat_interval": 0.2,
        "retry": RETRY,
        "lease": LEASE,
    }


app = VercelAIApp(Executions(chat, **_options()), chat)

_PAGE = """<!doctype html>
<title>chat</title>
<div id="root"></div>
<script src="/{}.js"></script>
"""


async def site(scope: Scope, receive: Receive, send: Send) -> None:
    """The chat, pages at ``/ai5``, ``/ai6`` and ``/ai7``, and ``/go/<chat>``."""
    if scope["type"] != "http" or scope["path"].startswith("/api/"):
        await app(scope, receive, send)
        return
    name = scope["path"][1:]
    if name.startswith("go/"):
        _released.add(name[3:])
    await page(scope, receive, send)


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    """The page of a version, and its script."""
    name = scope["path"][1:]
    if name.endswith(".js"):
        kind, body = "text/javascript", (Path(os.environ["PAGES"]) / name).read_bytes()
    else:
        kind, body = "text/html", _PAGE.format(name).encode()
    headers = {"content-type": f"{kind}; charset=utf-8"}
    await send_bytes(send, 200, body, headers)
