"""Runs aiohttp-sse on aiohttp's own server, the only one it has, on uvloop.

python -m benchmarks.aiohttp_server PORT
"""

import sys
from collections.abc import Callable
from typing import Any

import uvloop
from aiohttp import web
from aiohttp_sse import sse_response

from benchmarks.drive import PATHS, Driver
from benchmarks.rivals import Queues, ticks


def application(queue: Callable[[], Any]) -> web.Application:
    async def stream(request: web.Request) -> web.StreamResponse:
        async with sse_response(request) as response:
            await response.write(b": stream-start\n\n")
            async for event in ticks(queue()):
                driver.sent += 1
                await response.send(event.model_dump_json())
        return response

    async def drive(request: web.Request) -> web.Response:
        answer = await driver.answer(request.path, request.query_string)
        return web.Response(text=answer, headers={"connection": "close"})

    app = web.Application()
    app.router.add_get("/stream", stream)
    for path in PATHS:
        app.router.add_get(path, drive)
    return app


rival = Queues(application)
driver = Driver(rival)


if __name__ == "__main__":
    web.run_app(
        rival.app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop=uvloop.new_event_loop(),
        access_log=None,
        backlog=4096,
        print=None,
    )
