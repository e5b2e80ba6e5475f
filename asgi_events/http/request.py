"""The parts of an HTTP request that the routes use."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, quote, unquote

from asgi_events.executions.names import is_thread
from asgi_events.http.problems import Problem
from asgi_events.types import Receive, Scope
from asgi_events.wire.sse import MEDIA_TYPE

_MAX_DISCARDED = 16 * 1024 * 1024  # bytes of a refused body that are still read
_DISCARD_TIMEOUT = 5.0  # seconds in which they are read

# RFC 3986, section 3.3: the characters that a path may have unquoted. Browsers take
# "\\" for "/" and drop tabs and newlines, so "/\\evil.com" would name another host.
_PATH = "/!$&'()*+,;=:@"


class ClientGone(Exception):
    """The client left before its request was read, so nobody gets a response."""


def last_event_id(scope: Scope) -> str | None:
    """Return the id of the last event that the client has, or None.

    It is in ``Last-Event-ID``, or else in the query parameter ``last_event_id``: a new
    ``EventSource`` cannot set headers. When it reconnects, the query still has the old
    id and the header the newest one.
    """
    found = None
    for name, value in scope.get("headers", ()):
        if bytes(name).lower() == b"last-event-id":
            # Clients send UTF-8, but only the bytes are compared.
            found = bytes(value).decode("latin-1")
    if found:
        return found
    query = scope.get("query_string", b"").decode("latin-1")
    values = parse_qs(query).get("last_event_id")
    return values[-1] if values else None


class Request:
    """An HTTP request, seen from the path where the application is mounted.

    Args:
        scope: The ASGI scope.
        prefix: The path below the scope's ``root_path`` where the routes are. A
            framework may also have mounted the application there.

    Attributes:
        is_below: Whether the path is where the routes are.
        segments: The decoded parts of the path below the mount; empty at its root.
        base: The quoted path of the mount as the client knows it. It begins with one
            slash and ends without one, or is empty.
    """

    def __init__(self, scope: Scope, *, prefix: str = "") -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self._stripped, path = _split(scope)
        inner = below(path, prefix)
        if inner is None and _is_mounted_at(scope, prefix):
            inner = path
        self.is_below = inner is not None
        self.segments = [segment for segment in (inner or "").split("/") if segment]
        self.base = self._base()

    def _base(self) -> str:
        # NOTE: not every framework says where it has mounted us (Litestar strips the
        # path and leaves root_path empty), but every one passes the whole raw_path.
        raw: bytes | None = self.scope.get("raw_path")
        full = (
            quote(raw, safe=f"{_PATH}%?")
            if raw
            else quote(self.scope["path"], safe=_PATH, errors="surrogatepass")
        )
        parts = full.partition("?")[0].rstrip("/").split("/")
        left = len(self.segments)
        while left and parts:
            left -= bool(parts.pop())  # an empty part is not a segment
        base = "".join(f"/{part}" for part in parts if part)
        stripped = "".join(f"/{part}" for part in self._stripped.split("/") if part)
        if below(unquote(base), stripped) is None:
            base = quote(stripped, safe=_PATH, errors="surrogatepass") + base
        return base

    @cached_property
    def headers(self) -> dict[str, str]:
        """The headers by their names in lower case.

        If a header is repeated, the last one counts. All ``Accept`` headers count, as
        one list (RFC 9110, section 5.3).
        """
        headers: dict[str, str] = {}
        for raw_name, raw_value in self.scope["headers"]:
            name = bytes(raw_name).decode("latin-1").lower()
            value = bytes(raw_value).decode("latin-1")
            if name == "accept" and name in headers:
                value = f"{headers[name]}, {value}"
            headers[name] = value
        return headers

    @property
    def wants_stream(self) -> bool:
        """Whether ``Accept`` names an event stream; ``*/*`` does not."""
        return accepts(self.headers.get("accept", ""), MEDIA_TYPE)

    @property
    def last_event_id(self) -> str | None:
        """The id of the last event that the client has; see ``last_event_id``."""
        return last_event_id(self.scope)

    def query(self, name: str) -> str | None:
        """Return the last value of a query parameter, also an empty one, or None."""
        query = self.scope.get("query_string", b"").decode("latin-1")
        values = parse_qs(query, keep_blank_values=True).get(name)
        return values[-1] if values else None

    def thread(self) -> str | None:
        """Return the thread that the query names; None if it names none.

        It is not in a header, since browsers send headers in Latin-1 only, and not in
        the body, which is the input of the actor.

        Raises:
            Problem: 400, it cannot be the name of a thread.
        """
        query: bytes = self.scope.get("query_string", b"")
        try:
            values = parse_qs(query.decode(), True, errors="strict").get("thread", [])
        except UnicodeDecodeError:
            raise Problem(400, "The query is not UTF-8.") from None
        if not values:
            return None
        if len(values) > 1 or not is_thread(values[0]):
            raise Problem(
                400,
                "thread must be one name of 1 to 255 printable characters that are not "
                f"all blank, got {values!r:.80}. Nothing was started.",
            )
        return values[0]

    def seconds(self, name: str, longest: float) -> float:
        """Return a number of seconds from the query, at most ``longest``, or 0.

        Raises:
            Problem: 400, it is not a number of seconds.
        """
        given = self.query(name) or "0"
        try:
            seconds = float(given)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < float("inf"):
            raise Problem(400, f"{name} is a number of seconds, got {given!r}.")
        return min(seconds, longest)

    async def read_json(
        self,
        receive: Receive,
        *,
        limit: int,
        option: str | None = "max_body",
        timeout: float | None = None,
    ) -> bytes:
        """Read the body, which must be JSON; return ``{}`` if it is empty.

        Args:
            receive: The ASGI ``receive``.
            limit: Bytes that it may have.
            option: What sets that limit; None for no option.
            timeout: Seconds in which all of it must arrive; None for any time.

        Raises:
            Problem: 408, 413 or 415.
            ClientGone: The client left before the end of the body.
        """
        length = self.headers.get("content-length", "")
        if length.isascii() and length.isdigit() and int(length[:20]) > limit:
            raise _too_large(limit, option)
        media_type = (
            self.headers.get("content-type", "").partition(";")[0].strip().lower()
        )
        if media_type and not _is_json(media_type):
            raise _not_json(f"not {media_type!r}")
        try:
            async with asyncio.timeout(timeout):
                body = await _read(receive, limit, option)
        except TimeoutError:
            raise self._too_late(timeout) from None
        if body and not media_type:
            raise _not_json("and this request does not say what it has")
        return body or b"{}"

    def _too_late(self, timeout: float | None) -> Problem:
        # RFC 9110, section 15.5.9. HTTP/2 has no such header: it resets the stream.
        is_http1 = self.scope.get("http_version", "1.1").startswith("1")
        return Problem(
            408,
            f"The body did not come within {timeout} s (body_timeout).",
            headers={"connection": "close"} if is_http1 else None,
        )


class Body:
    """The body of a request that may be refused before it has been read.

    Over HTTP/2, bytes that nobody reads fill the window of the whole connection.
    hypercorn 0.18 also closes a connection when DATA arrives for a stream that has its
    response.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._more = True

    async def receive(self) -> Any:
        """Return the next message."""
        message = await self._receive()
        self._more = message.get("more_body", False)
        return message

    async def discard(self) -> None:
        """Read the rest and drop it, up to 16 MiB or 5 s."""
        left = _MAX_DISCARDED
        with suppress(TimeoutError):
            async with asyncio.timeout(_DISCARD_TIMEOUT):
                while self._more and left > 0:
                    left -= len((await self.receive()).get("body", b"")) or 1


def route_path(scope: Scope) -> str:
    """Return the path below ``root_path``, which servers and frameworks may include."""
    return _split(scope)[1]


def _split(scope: Scope) -> tuple[str, str]:
    """Return the prefix that a proxy has stripped from the path, and the route."""
    path: str = scope["path"]
    root: str = scope.get("root_path") or ""
    # Starlette keeps the part of root_path that a proxy has stripped here.
    outer: str = scope.get("app_root_path") or ""
    for stripped, prefix in (("", root), (outer, root.removeprefix(outer))):
        route = below(path, prefix)
        if route is not None:
            return stripped, route
    return root, path


def _is_mounted_at(scope: Scope, prefix: str) -> bool:
    root: str = scope.get("root_path") or ""
    return f"/{root.strip('/')}".endswith(prefix.rstrip("/"))


def below(path: str, prefix: str) -> str | None:
    """Return ``path`` without ``prefix``; None if it is not below ``prefix``."""
    prefix = prefix.rstrip("/")
    if path == prefix:
        return "/"
    if path.startswith(f"{prefix}/"):
        return path[len(prefix) :]
    return None


def accepts(header: str, media_type: str) -> bool:
    """Return whether ``Accept`` names ``media_type`` with a weight above zero."""
    for item in header.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        if name == media_type:
            weights = [p[2:] for p in parameters if p.startswith("q=")]
            return not weights or weights[0].strip("0.") != ""
    return False


def _is_json(media_type: str) -> bool:
    return media_type == "application/json" or media_type.endswith("+json")


async def _read(receive: Receive, limit: int, option: str | None) -> bytes:
    body = bytearray()
    empty = 0
    more = True
    while more:
        message: Any = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        more = message.get("more_body", False)
        body += chunk
        # HTTP/2 has empty DATA frames, which cost time, so their number is limited.
        empty += more and not chunk
        if len(body) > limit or empty > limit:
            raise _too_large(limit, option)
    return bytes(body)


def _too_large(limit: int, option: str | None) -> Problem:
    named = "" if option is None else f" ({option})"
    return Problem(413, f"The body may have {limit} bytes at most{named}.")


def _not_json(what: str) -> Problem:
    return Problem(
        415,
        f"The body must be JSON, {what}: send Content-Type: application/json.",
        headers={"accept-post": "application/json"},
    )
