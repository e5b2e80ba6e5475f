"""The demo: the routes of two actors, and a page that watches them and answers."""

import re
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from typing import Unpack

from asgi_events.cli.demo.booking import book
from asgi_events.cli.demo.survey import make_survey
from asgi_events.executions.options import ExecutionsOptions
from asgi_events.http.app import EventsApp
from asgi_events.http.problems import Problem, send_bytes
from asgi_events.http.request import Request, accepts
from asgi_events.types import Receive, Scope, Send

_FILES = {
    "index.html": "text/html; charset=utf-8",
    "demo.css": "text/css; charset=utf-8",
    "demo.js": "text/javascript; charset=utf-8",
    "questions.js": "text/javascript; charset=utf-8",
    "form.js": "text/javascript; charset=utf-8",
    "client.js": "text/javascript; charset=utf-8",
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


_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:@/]+)(?::[0-9]+)?")
_WILDCARDS = {"0.0.0.0", "::"}


class Demo:
    """An ASGI application that surveys the tree below ``root``, and books trips.

    It answers only requests to its own hosts. Another site could make its own name lead
    to this machine (DNS rebinding), and its pages would then be of the same origin.

    Args:
        root: The folder; nothing outside it is read.
        host: The name or address at which it is served, besides those of the loopback.
            With a wildcard any address is accepted, because only names can be rebound.
        options: The options of ``Executions``.

    Raises:
        FileNotFoundError: There is no such folder.
    """

    def __init__(
        self,
        root: Path,
        *,
        host: str = "127.0.0.1",
        **options: Unpack[ExecutionsOptions],
    ) -> None:
        self._hosts = {"localhost", "127.0.0.1", "[::1]", _bracketed(host.lower())}
        self._any_address = host in _WILDCARDS
        self.events = EventsApp(make_survey(root), book, **options)
        static = files(__package__) / "static"
        self._files = {name: (static / name).read_bytes() for name in _FILES}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.events(scope, receive, send)
            return
        request = Request(scope)
        if not self._is_addressed(request.headers.get("host")):
            problem = Problem(421, "The demo is not served here: see its --host.")
            await problem(scope, receive, send)
            return
        name = self._file(request)
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

    def _is_addressed(self, host: str | None) -> bool:
        if host is None:  # HTTP/1.0, so no browser
            return True
        found = _HOST.fullmatch(host.lower())
        if found is None:
            return False
        name = found[1]
        return name in self._hosts or (self._any_address and _is_address(name))

    def _file(self, request: Request) -> str | None:
        """Return the name of the requested file; None if the routes answer."""
        if request.method not in ("GET", "HEAD"):
            return None
        match request.segments:
            case [] if accepts(request.headers.get("accept", ""), "text/html"):
                return "index.html"
            case ["static", name] if name in self._files:
                return name
        return None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_address(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
