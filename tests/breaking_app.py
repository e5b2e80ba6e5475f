"""An application whose streams end while their executions go on.

Its format has no word for that: its clients would take a clean end for success.
``BREAKING_OPTIONS`` has options of the executions, ``BREAKING_STORE`` the URL of a
store in which another process finds them.
"""

import asyncio
import json
import os
from typing import Any

from asgi_events import EventsMiddleware, Executions, current_state, tool
from asgi_events.http.viewing import ExecutionResponse
from asgi_events.types import Receive, Scope, Send
from asgi_events.wire.formats import NativeFormat, Reason


class Speechless(NativeFormat):
    """The native format without ``goodbye``."""

    def goodbye(self, reason: Reason) -> None:  # type: ignore[override]
        return None


@tool
async def endless(pace: float = 0.01, text: str = "") -> None:
    """Publish events until cancelled."""
    while True:
        await current_state().log(text)
        await asyncio.sleep(pace)


options: dict[str, Any] = {"drain_grace": 0.0}
options |= json.loads(os.environ.get("BREAKING_OPTIONS", "{}"))
if store := os.environ.get("BREAKING_STORE"):
    options["store"] = store
executions = Executions(endless, **options)


async def site(scope: Scope, receive: Receive, send: Send) -> None:
    flood = {"pace": 0, "text": "x" * 1000}
    execution = await executions.start(
        endless, flood if scope["path"] == "/flood" else {}
    )
    await ExecutionResponse(execution, format=Speechless)(scope, receive, send)


app = EventsMiddleware(site, executions=executions, prefix="/events")
