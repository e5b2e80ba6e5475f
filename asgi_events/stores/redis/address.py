"""The URL of a ``RedisStore``: what it says, and what is refused."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from typing import Any, cast
from urllib.parse import urlsplit

from asgi_events.exceptions import StoreError
from asgi_events.stores.redis.driver import (
    Connection,
    NoBackoff,
    Retry,
    TCPConnection,
    TLSConnection,
    parse_url,
)
from asgi_events.stores.redis.durability import check_durability

# redis-py 5 checks none of these.
_NUMBERS: dict[str, Callable[[float], float]] = {
    "socket_connect_timeout": float,
    "socket_read_size": int,
    "ssl_min_version": int,
}


@dataclass(frozen=True, slots=True)
class Address:
    """What the URL of a store says.

    Attributes:
        make: Makes a connection to the server, which is not connected yet.
        prefix: What the names of all keys begin with; None if the URL does not say.
        timeout: Seconds; None if the URL does not say.
        durability: What an acknowledgement waits for; None if the URL does not say.
    """

    make: Callable[[], Connection]
    prefix: str | None
    timeout: float | None
    durability: str | None


def parse(url: str) -> Address:
    """Parse the URL of a store.

    Raises:
        StoreError: It is not the URL of a server, or an option of it is wrong. The
            message does not show the URL.
    """
    try:
        return _parse(url)
    except Exception as error:  # redis-py raises many kinds
        reason = str(error)
    # NOTE: neither the URL nor the cause is shown: they may hold a password.
    raise StoreError(
        f"The store's URL is not right: {reason}. It is redis://, rediss:// or "
        "unix://, for instance redis://user:password@host:6379/0?prefix=events:"
    )


def _parse(url: str) -> Address:
    _check_place(url)
    options: dict[str, Any] = dict(parse_url(url))
    prefix = options.pop("prefix", None)
    timeout = options.pop("timeout", None)
    durability = options.pop("durability", None)
    check_durability(durability)
    make = options.pop("connection_class", TCPConnection)
    if make is TLSConnection and options.get("ssl_cert_reqs") != "none":
        options.setdefault("ssl_check_hostname", True)  # redis-py 5 does not by default
    for name, kind in _NUMBERS.items():
        if name in options:
            options[name] = kind(check_positive(name, options[name]))
    # In RESP2 published messages arrive as plain replies. The store has time-outs and
    # retries of its own; redis-py by default retries ten times, for up to a minute.
    options |= {
        "protocol": 2,
        "socket_timeout": None,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        "decode_responses": False,
    }
    make(**options)  # raises if an option is wrong
    return Address(
        lambda: cast(Connection, make(**options)),
        prefix,
        None if timeout is None else check_positive("timeout", timeout),
        durability,
    )


def _check_place(url: str) -> None:
    """Check the port and the database.

    redis-py would show a wrong port, which may be part of a password, in its message,
    and would take a wrong database for 0.
    """
    parts = urlsplit(url)
    try:
        parts.port  # noqa: B018
    except ValueError:
        raise ValueError(
            "the port is a number up to 65535 (in a password / is %2F, ? is %3F and "
            "# is %23)"
        ) from None
    database = parts.path.strip("/")
    if parts.scheme != "unix" and database and not database.isdecimal():
        raise ValueError("the database is a number; it follows the host")


def check_positive(name: str, value: Any) -> float:
    """``value`` as a number.

    Raises:
        ValueError: It is not a finite number above 0.
    """
    with suppress(ValueError, TypeError):
        number = float(value)
        if 0 < number and isfinite(number):
            return number
    raise ValueError(f"{name} is a number greater than 0")
