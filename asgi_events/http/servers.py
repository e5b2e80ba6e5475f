"""How ASGI servers differ where the ASGI scope has no field for it."""

import asyncio
from contextlib import suppress
from typing import Any

from asgi_events.types import Scope

_INTERNAL_ERROR = 2  # https://www.rfc-editor.org/rfc/rfc9113#section-7
_FLUSH_TIMEOUT = 1.0  # seconds for a client to take what was sent before the break


def waits_for_what_it_cancels(scope: Scope) -> bool:
    """Return whether the server cancels its applications as soon as it stops.

    NOTE: daphne does, and then waits for as long as they take; it names no
    spec_version. Other servers cancel only what has taken too long.
    """
    return "spec_version" not in scope.get("asgi", {})


def holds_back(scope: Scope) -> bool:
    """Return whether the server's ``send`` waits for a client that does not read.

    NOTE: the scope does not say. daphne never waits; it names no spec_version. Of the
    servers with HTTP/2 only granian waits, and it costs little to end a stream early.
    """
    return scope.get("http_version") != "2" and "spec_version" in scope.get("asgi", {})


async def break_off(send: Any) -> None:
    """Break off a response whose body has not ended; then the application returns.

    ASGI has no message for that. Most servers do it when an application returns too
    early. daphne, and hypercorn over HTTP/2, leave the response open, so this uses what
    is behind their ``send``. A middleware that replaces ``send`` prevents that.
    """
    arguments = getattr(send, "args", ())  # daphne's is a functools.partial
    channel: Any = getattr(arguments[0], "channel", None) if arguments else None
    if hasattr(channel, "loseConnection"):
        channel.loseConnection()
        return
    stream: Any = getattr(send, "__self__", None)  # hypercorn's, which has a method
    protocol: Any = getattr(getattr(stream, "send", None), "__self__", None)
    if hasattr(getattr(protocol, "connection", None), "reset_stream"):
        with suppress(Exception):  # the stream is gone, or hypercorn has changed
            with suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH_TIMEOUT):
                    await protocol.stream_buffers[stream.stream_id].drain()
            protocol.connection.reset_stream(stream.stream_id, _INTERNAL_ERROR)
            await protocol._flush()
