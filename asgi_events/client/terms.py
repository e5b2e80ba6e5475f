"""What all requests of a client have in common."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from inspect import iscoroutinefunction
from typing import Any, TypeAlias
from urllib.parse import quote, urlsplit

from asgi_events.checks import (
    check_callables,
    check_counts,
    check_seconds,
    check_texts,
    check_value,
)
from asgi_events.exceptions import EventTooLarge

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2

STALL_TIMEOUT = 45.0  # seconds: three heartbeats of a server that has its defaults
GIVE_UP_AFTER = 120.0  # seconds
MAX_EVENT_BYTES = 64 * 1024 * 1024

RequestHeaders: TypeAlias = Mapping[str, str]
"""Headers of a request."""

Auth: TypeAlias = RequestHeaders | Callable[[], RequestHeaders | None]
"""Headers, or what returns them; it is asked anew before each request."""

AsyncAuth: TypeAlias = (
    RequestHeaders
    | Callable[[], RequestHeaders | None]
    | Callable[[], Awaitable[RequestHeaders | None]]
)
"""The same for ``Client``, where it may be a coroutine function."""

OnReconnect: TypeAlias = Callable[[str, float], object]
"""Is told why there is no connection, and how many seconds later the next try is."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The options of a client, and what it asks of the world.

    Attributes:
        base: The URL of the routes, without a slash at its end.
        stall_timeout: Seconds without a byte after which a connection is broken; None
            for any time.
        give_up_after: Seconds without a connection after which to give up; None to try
            for ever.
        max_event_bytes: Bytes that an event, or the body of an answer, may have; None
            for any number.
        on_reconnect: Is called before each pause.
        clock: Seconds that only grow.
        now: The time of day, for a ``Retry-After`` that is a date.
        dice: A random number from 0 to 1.
    """

    base: str
    stall_timeout: float | None = STALL_TIMEOUT
    give_up_after: float | None = GIVE_UP_AFTER
    max_event_bytes: int | None = MAX_EVENT_BYTES
    on_reconnect: OnReconnect | None = None
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = _now
    dice: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        check_seconds(
            stall_timeout=self.stall_timeout, give_up_after=self.give_up_after
        )
        check_counts(max_event_bytes=self.max_event_bytes)
        check_callables(on_reconnect=self.on_reconnect)
        if iscoroutinefunction(self.on_reconnect):
            raise TypeError("on_reconnect is called, not awaited: give a function")

    def check_size(self, kind: str, size: int) -> None:
        """Raise ``EventTooLarge`` for what takes too much memory."""
        if self.max_event_bytes is not None and size > self.max_event_bytes:
            raise EventTooLarge(kind, size, self.max_event_bytes)

    def execution(self, id: str) -> str:
        """The URL of an execution."""
        return f"{self.base}/executions/{quote(id, safe='')}"

    def actor(self, name: str, thread: str | None = None) -> str:
        """The URL of an actor, and of the thread in which it is started."""
        query = "" if thread is None else f"?thread={quote(thread, safe='')}"
        return f"{self.base}/{quote(name, safe='')}{query}"


def base_of(url: str) -> str:
    """Return the URL of the routes, without a slash at its end.

    Raises:
        TypeError: It is no str.
        ValueError: It has no scheme, no host, or more than an address: a password say.
    """
    check_texts(url=url)
    parts = urlsplit(url)
    if "@" in parts.netloc or (not parts.netloc and "@" in url):
        raise ValueError("url must have no user name and no password: give auth=")
    if parts.scheme not in ("http", "https"):
        raise ValueError(
            f"url must begin with http:// or https://, got {url!r}: write "
            "https://example.com/events."
        )
    if not parts.hostname:
        raise ValueError(f"url must have a host, got {url!r}")
    if " " in url or not url.isprintable() or parts.port == 0:  # or it raises
        raise ValueError(f"url must be an address, got {url!r}")
    if parts.query or parts.fragment:
        raise ValueError(
            "url must have no query and no fragment: it is the address of the routes."
        )
    return url.rstrip("/")


def check_start(actor: str, key: str | None, thread: str | None) -> None:
    """Raise for a name, a key or a thread that no request can have."""
    check_texts(actor=actor)
    if thread is not None:
        check_texts(thread=thread)
        if not (len(thread) <= 255 and thread.isprintable() and thread.strip()):
            raise ValueError(
                "thread must have 1 to 255 printable characters that are not all "
                f"blank, got {thread!r}"
            )
    if key is None:
        return
    check_texts(key=key)
    if not (0 < len(key) <= 255 and key.isascii() and key.isprintable()):
        raise ValueError(f"key must have 1 to 255 printable characters, got {key!r}")


def check_after(after: int) -> None:
    """Raise for what is no number of an event."""
    if isinstance(after, bool) or not isinstance(after, int):
        raise TypeError(f"after must be the number of an event, got {after!r}")
    if after < 0:
        raise ValueError(f"after must be at least 0, for all events, got {after}")


def check_question(n: int) -> None:
    """Raise for what is no number of a question."""
    if isinstance(n, bool) or not isinstance(n, int):
        raise TypeError(f"n must be the number of a question, got {n!r}")


def check_auth(auth: Any, *, awaits: bool) -> Any:
    """Return ``auth`` if it is headers, or what may return them.

    Raises:
        TypeError: It is neither, or must be awaited where nothing is.
        ValueError: A header cannot have such a value.
    """
    if not callable(auth):
        return checked_headers(auth)
    if not awaits and iscoroutinefunction(auth):
        raise TypeError("auth must not be a coroutine function here: use Client")
    return auth


def checked_headers(headers: Any) -> RequestHeaders:
    """Return the headers that ``auth`` has given; none for None.

    Raises:
        TypeError: It is no mapping of str to str.
        ValueError: A header cannot have such a value.
    """
    if headers is None:
        return {}
    if not isinstance(headers, Mapping):
        # Without the value, which is a secret.
        raise TypeError(
            f"auth must give a mapping of headers, got a {type(headers).__name__}: "
            'write {"Authorization": "Bearer …"}, or a function that returns it.'
        )
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError("auth: the name and the value of a header must be a str")
        if not _TOKEN.fullmatch(name):
            # Without the name: it may be a whole header with its value.
            raise ValueError(
                "auth: a header has a name that HTTP does not allow: write "
                '{"Authorization": "Bearer …"}'
            )
        try:
            check_value(name, value)
        except ValueError:
            raise ValueError(
                f"auth: the value of the header {name!r} has characters that HTTP does "
                "not allow"
            ) from None
    return headers
