"""The applications that the real servers of the tests of AG-UI run.

They share ``ASGI_EVENTS_STORE`` if there is one. An execution of ``chat`` is served to
the clients of AG-UI, to the AI SDK and natively. ``PAGE`` is the folder of the scripts
of a page, which begins with ``page.js``.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from asgi_events import EventsApp, Executions, agent, begin, call, current_state
from asgi_events.http.problems import send_bytes
from asgi_events.types import Receive, Scope, Send
from asgi_events.ui import AGUIApp, VercelAIApp

LEASE = 1.0  # seconds
PACE = 0.03  # seconds between two words, if the user wants it slow


@agent
async def chat(text: str) -> dict[str, Any]:
    """Answer, or fail, or go on for ever, as the user says."""
    if "endless" in text:
        await _talk()
    if "ask" in text:
        await _ask(text)
    await _answer(text, PACE if "slow" in text else 0.0)
    if "fail" in text:
        raise ValueError("It broke")
    return {"said": text}


async def _ask(text: str) -> None:
    """Ask one or two things in a tool, and say what came of it."""
    state = current_state()
    await state.reasoning("May I?")
    await state.text("I have to ask.")
    async with call("agent", "clerk"), call("tool", "book", input={}) as book:
        questions = [book.ask("Book it?")]
        if "both" in text:
            questions.append(book.ask("Who goes?", str))
        made = await asyncio.gather(*questions, return_exceptions=True)
    for each in made:
        await state.text(f"{each}. ".replace("\n", " "))


async def _talk() -> None:
    """Talk until cancelled, and print when that was."""
    state = current_state()
    look = begin("tool", "look")
    try:
        for number in range(1_000_000):
            await state.text(f"{number} ")
            await asyncio.sleep(0.005)
    finally:
        look.fail("stopped")
        print(f"stopped at {time.time()}", flush=True)


async def _until_let_go(text: str) -> None:
    """Wait until the test makes a file of that name in ``GATES``."""
    while not (Path(os.environ["GATES"]) / text).exists():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def _answer(text: str, pace: float) -> None:
    """Publish one run with parallel tools, a nested agent and text, in one order."""
    root = current_state()
    async with call("llm", "gpt") as model:
        await model.reasoning("They want ")
        await model.reasoning("to know.")
        for word in ("Let ", "me ", "look."):
            await model.text(word)
            await asyncio.sleep(pace)
        model.usage(input_tokens=3, output_tokens=5)
    await root.snapshot({"looked": []})
    first = begin("tool", "look", input={"place": "Bonn"}, detail="Bonn")
    second = begin("tool", "look", input={"place": "K\u00f6ln"})
    async with call("agent", "expert", input={"about": "both"}) as expert:
        await expert.text("I know. ")
        if "held" in text:
            await _until_let_go(text)
        await asyncio.sleep(pace)
        second.fail("not found")
        await expert.custom("chart", {"bars": [1, 2, 3]})
        await expert.text("That is all.")
    await root.snapshot({"looked": ["Bonn"]})
    first.end(output={"warm": True})
    await asyncio.sleep(pace)
    for word in ("It ", "is ", "warm \u2028 there."):
        await root.text(word)
        await asyncio.sleep(pace)


def _options() -> dict[str, Any]:
    store = os.environ.get("ASGI_EVENTS_STORE")
    longest = os.environ.get("MAX_STREAM_DURATION")
    return {
        **({"store": store} if store else {}),
        "max_stream_duration": float(longest) if longest else None,
        "error_message": str,
        "drain_grace": float(os.environ.get("DRAIN_GRACE", "0.1")),
        "heartbeat_interval": 0.2,
        "lease": LEASE,
    }


_executions = Executions(chat, **_options())
_ag_ui = AGUIApp(_executions, chat)
_ai_sdk = VercelAIApp(_executions, chat)
_native = EventsApp(executions=_executions)


_HTML = """<!doctype html><meta charset="utf-8"><div id="root"></div>
<script type="module" src="/page/page.js"></script>"""


async def _page(scope: Scope, receive: Receive, send: Send) -> None:
    name = scope["path"].rpartition("/")[2]
    body, kind = _HTML.encode(), "text/html"
    if name.endswith(".js"):
        body = (Path(os.environ["PAGE"]) / name).read_bytes()
        kind = "text/javascript"
    await send_bytes(send, 200, body, {"content-type": kind})


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve all formats, and the page."""
    parts = {"/ag-ui": _ag_ui, "/api/chat": _ai_sdk, "/page": _page}
    path = scope.get("path", "")
    found = [part for prefix, part in parts.items() if path.startswith(prefix)]
    await (found[0] if found else _native)(scope, receive, send)
