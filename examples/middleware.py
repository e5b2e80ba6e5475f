"""The middleware around an application that you have, and a page that watches.

    pip install "asgi-events[server]" starlette
    hypercorn --workers 0 middleware:app

Open http://localhost:8000/ and reload while it runs.
"""

from pathlib import Path

from hello import research
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from asgi_events import EventsMiddleware


async def index(request: Request) -> Response:
    return FileResponse(Path(__file__).with_name("reconnect.html"))


async def start(request: Request) -> Response:
    """Start an execution from a view."""
    executions = request.scope["asgi_events"]
    execution = await executions.start("research", {"topic": "tea"})
    return JSONResponse({"events": f"/events/executions/{execution.id}/events"})


app = EventsMiddleware(
    Starlette(routes=[Route("/", index), Route("/start", start, methods=["POST"])]),
    actors=[research],
    prefix="/events",
)
