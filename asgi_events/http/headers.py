"""Response headers, encoded for ASGI."""

from __future__ import annotations

from asgi_events.checks import check_headers
from asgi_events.types import Headers
from asgi_events.wire.formats import NATIVE, Format

_OURS = {
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
    "x-content-type-options": "nosniff",
}


def encode_headers(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return the headers as ASGI takes them, with names in lower case."""
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in headers.items()
    ]


def stream_headers(
    format: Format, given: Headers | None
) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers of a stream: ours, the format's, and those given.

    Raises:
        TypeError, ValueError: A header that a stream cannot have; see
            ``check_headers``.
    """
    if not given and format is NATIVE:
        return _NATIVE
    return _made(format, given or {})


def _made(format: Format, given: Headers) -> tuple[tuple[bytes, bytes], ...]:
    check_headers(given)
    named = {"content-type": f"{format.media_type}; charset=utf-8"}
    named |= _OURS | dict(format.headers)
    return tuple(encode_headers(named | {n.lower(): v for n, v in given.items()}))


_NATIVE = _made(NATIVE, {})  # shared by all streams that ask for no others
