"""What may stand in a response's headers; checked where they are given.

A wrong header is refused by some servers and not by others, and only when the answer
has begun. By then a viewer has a seat and an execution runs.
"""

import re

from asgi_events.types import Headers

# RFC 9110, section 7.6.1: they belong to the server, and are illegal in HTTP/2.
_CONNECTION = {
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def check_headers(headers: Headers) -> None:
    """Raise for a header that a stream cannot have.

    Raises:
        TypeError: A name or a value is not a str.
        ValueError: A name is no token (RFC 9110) or belongs to the connection, or a
            value has control characters or is not in Latin-1.
    """
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"A header is a str and a str, got {name!r}: {value!r}")
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"A header's name has letters, digits and !#$%&'*+.^_`|~-, got {name!r}"
            )
        if name.lower() in _CONNECTION:
            raise ValueError(
                f"The header {name!r} belongs to the connection, which is the server's."
            )
        if name.lower() == "content-length":
            raise ValueError("An event stream has no length: leave content-length out.")
        check_value(name, value)


def check_value(name: str, value: str) -> None:
    """Raise for a value that no header can have.

    Raises:
        ValueError: It has control characters or is not in Latin-1.
    """
    if _CONTROL.search(value):
        raise ValueError(
            f"The header {name!r} contains CR, LF, NUL or another control character: "
            f"{value!r}"
        )
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(
            f"The header {name!r} is not in Latin-1, which is all that HTTP carries: "
            f"percent-encode it, got {value!r}"
        ) from None


def encode_headers(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI wants them, the names in lower case."""
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in headers.items()
    ]
