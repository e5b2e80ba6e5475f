"""An example of pydantic-ai whose model waits in the middle of each answer.

``EXAMPLE`` names the module of the ``app``, and ``AGENT`` the one of its agent
``guide`` and the model ``fake``. A ``POST /go-on`` lets one answer go on, and
``POST /fail`` lets one fail.
"""

import asyncio
import importlib
import os
from collections.abc import AsyncIterator
from typing import Any

from pydantic_ai.models.function import FunctionModel

example = importlib.import_module(os.environ["EXAMPLE"])
agent = importlib.import_module(os.environ["AGENT"])
may_go_on: asyncio.Queue[bool] = asyncio.Queue()


async def fake(messages: Any, info: Any) -> AsyncIterator[Any]:
    words = 0
    async for piece in agent.fake(messages, info):
        yield piece
        words += isinstance(piece, str)
        if words == 4 and not await may_go_on.get():
            raise RuntimeError("The model has failed.")


agent.WORD = 0.01
agent.guide.model = FunctionModel(stream_function=fake, model_name="fake")


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope.get("path") not in ("/go-on", "/fail"):
        await example.app(scope, receive, send)
        return
    may_go_on.put_nowait(scope["path"] == "/go-on")
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})
