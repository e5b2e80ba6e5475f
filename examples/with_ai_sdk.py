"""A page with useChat of the AI SDK: answers survive a reload, and Stop stops them.

pip install "asgi-events[server]" starlette pydantic-ai-slim
npm ci --prefix ai_sdk && npm run build --prefix ai_sdk
hypercorn --workers 0 with_ai_sdk:app

Open http://localhost:8000/ and ask. Meanwhile reload the page, open its address in a
second tab, press Stop there, or stop the server and start it again. ai_sdk/ has the
page, and trip.py the agent. There is no login: everybody who knows the address of a
chat can read and stop it. chat/ has a login.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from trip import chat

from asgi_events import Executions
from asgi_events.ui import VercelAIApp

STORE = os.environ.get("STORE", "sqlite:///events.db")
KEPT = 24 * 3600.0  # seconds in which a page can fetch an answer that it has missed
PAGE = Path(__file__).parent / "ai_sdk" / "dist"

if not PAGE.exists():
    build = "npm ci --prefix ai_sdk && npm run build --prefix ai_sdk"
    raise SystemExit(f"The page is not built. Run this in examples/: {build}")

executions = Executions(chat, store=STORE, retention=KEPT)
chats = VercelAIApp(executions, chat, prefix="/chat", linger=KEPT, sdk_version=7)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with executions:  # at the end, what runs has a few seconds to end too
        yield


app = Starlette(
    lifespan=lifespan,
    routes=[
        Mount("/api", chats),  # POST /api/chat
        Mount("/", StaticFiles(directory=PAGE, html=True)),
    ],
)
