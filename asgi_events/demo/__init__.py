"""The demo: the routes of one actor, and a page to watch it with."""

from importlib.resources import files
from pathlib import Path
from typing import Unpack

from asgi_events.answers import send_bytes
from asgi_events.app import EventsApp
from asgi_events.demo.survey import make_survey
from asgi_events.executions import ExecutionsOptions
from asgi_events.request import Request, accepts
from asgi_events.types import Receive, Scope, Send

_FILES = {
    "index.html": "text/html; charset=utf-8",
    "demo.css": "text/css; charset=utf-8",
    "demo.js": "text/javascript; charset=utf-8",
}

_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "vary": "accept",
    "x-content-type-options": "nosniff",
}


class Demo:
    """An ASGI application that surveys the tree below ``root`` and shows how.

    Args:
        root: The folder; nothing outside it is read.
        options: The options of ``Executions``.

    Raises:
        FileNotFoundError: There is no such folder.
    """

    def __init__(self, root: Path, **options: Unpack[ExecutionsOptions]) -> None:
        self.events = EventsApp(make_survey(root), **options)
        static = files(__package__) / "static"
        self._files = {name: (static / name).read_bytes() for name in _FILES}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = self._file(Request(scope)) if scope["type"] == "http" else None
        if name is None:
            await self.events(scope, receive, send)
            return
        await send_bytes(
            send,
            200,
            self._files[name],
            {"content-type": _FILES[name], **_HEADERS},
            head=scope["method"] == "HEAD",
        )

    def _file(self, request: Request) -> str | None:
        """The file that is asked for; None for what the routes answer."""
        if request.method not in ("GET", "HEAD"):
            return None
        match request.segments:
            case [] if accepts(request.headers.get("accept", ""), "text/html"):
                return "index.html"
            case ["static", name] if name in self._files:
                return name
        return None
