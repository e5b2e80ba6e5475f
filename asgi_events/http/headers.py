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
    named = format.media_type, format.headers
    is_native = named == (NATIVE.media_type, NATIVE.headers)
    ours = _NATIVE if is_native else _headers_of(format)
    if not given:
        return ours
    check_headers(given)
    theirs = dict(encode_headers(given))
    kept = [
        (header[0], theirs.pop(header[0])) if header[0] in theirs else header
        for header in ours
    ]
    return (*kept, *theirs.items())


def _headers_of(format: Format) -> tuple[tuple[bytes, bytes], ...]:
    media_type = format.media_type
    kind = media_type.lower()
    if kind.startswith("text/") and "charset=" not in kind:
        media_type += "; charset=utf-8"
    named = {"content-type": media_type}
    return tuple(encode_headers(named | _OURS | dict(format.headers)))


_NATIVE = _headers_of(NATIVE)  # shared by all streams
