"""Checks the arguments of constructors; each error names the option and the fix."""

import re
from collections.abc import Iterable
from typing import Any

from asgi_events.types import Headers


def check_seconds(
    *, required: bool = False, zero: bool = False, **options: float | None
) -> None:
    """Raise for an option that is not a positive number of seconds.

    Args:
        required: Refuse None too; otherwise None switches something off.
        zero: Allow zero.
        options: The values by the names of their options.
    """
    for name, seconds in options.items():
        if seconds is None and not required:
            continue
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise TypeError(f"{name} must be a number of seconds, got {seconds!r}")
        if 0 < seconds < float("inf") or (zero and seconds == 0):
            continue
        least = "of at least 0" if zero else "above 0"
        off = "" if required else "; None switches it off"
        raise ValueError(
            f"{name} must be a number of seconds {least}, got {seconds!r}{off}"
        )


def check_counts(*, required: bool = False, **options: int | None) -> None:
    """Raise for an option that is not a positive int; None means no limit."""
    for name, count in options.items():
        if count is None and not required:
            continue
        if isinstance(count, bool) or not isinstance(count, int):
            raise TypeError(f"{name} must be an int, got {count!r}")
        if count < 1:
            unlimited = "" if required else "; None is unlimited"
            raise ValueError(f"{name} must be at least 1, got {count!r}{unlimited}")


def check_callables(**options: Any) -> None:
    """Raise for an option that is neither None nor callable."""
    for name, value in options.items():
        if value is not None and not callable(value):
            raise TypeError(f"{name} must be callable, or None, got {value!r}")


def check_methods(*methods: str, **options: Any) -> None:
    """Raise for an option that is not None and lacks one of ``methods``."""
    for name, value in options.items():
        missing = [m for m in methods if not callable(getattr(value, m, None))]
        if value is not None and missing:
            raise TypeError(f"{name} must have {', '.join(missing)}(), got {value!r}")


def check_iterables(**options: Any) -> None:
    """Raise for an option that is a str or not iterable."""
    for name, value in options.items():
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise TypeError(f"{name} must be a list or tuple, got {value!r}")


def check_texts(**options: Any) -> None:
    """Raise for an option that is not a str."""
    for name, value in options.items():
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a str, got {value!r}")


# RFC 9110, section 7.6.1: the server sets them, and HTTP/2 forbids them.
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
    """Raise for a header that an event stream must not have.

    Raises:
        TypeError: A name or a value is not a str.
        ValueError: A name is not a token (RFC 9110) or belongs to the connection, or a
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
                f"The header {name!r} belongs to the connection: the server sets it."
            )
        if name.lower() == "content-length":
            raise ValueError("An event stream has no length: leave content-length out.")
        check_value(name, value)


def check_value(name: str, value: str) -> None:
    """Raise for a value that HTTP does not allow in a header.

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


def check_flags(**options: Any) -> None:
    """Raise for an option that is neither True nor False."""
    for name, value in options.items():
        if not isinstance(value, bool):
            raise TypeError(f"{name} must be True or False, got {value!r}")
