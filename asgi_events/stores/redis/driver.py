"""redis-py, which is imported nowhere else, and what is used of its connections."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

try:
    from redis import exceptions
    from redis.asyncio.connection import Connection as TCPConnection
    from redis.asyncio.connection import SSLConnection as TLSConnection
    from redis.asyncio.connection import parse_url
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ImportError as error:
    raise ImportError(
        'A store in Redis or Valkey needs redis-py: pip install "asgi-events[redis]"'
    ) from error

__all__ = [
    "Connection",
    "NoBackoff",
    "Retry",
    "TCPConnection",
    "TLSConnection",
    "connect",
    "exceptions",
    "pack",
    "parse_url",
]


class Connection(Protocol):
    """What the store uses of a connection of redis-py."""

    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter

    async def connect(self) -> None: ...

    async def disconnect(self, nowait: bool = False) -> None: ...

    async def send_packed_command(self, command: bytes) -> None: ...

    async def read_response(self) -> Any: ...


async def connect(make: Callable[[], Connection], timeout: float) -> Connection:
    """Make a connection that is ready; raises what redis-py raises.

    Args:
        make: Makes a connection that is not connected yet.
        timeout: Seconds.
    """
    connection = make()
    try:
        async with asyncio.timeout(timeout):
            await connection.connect()
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    return connection


def pack(*command: bytes) -> bytes:
    """Encode a command for the wire; redis-py takes several times as long."""
    parts = [b"*%d\r\n" % len(command)]
    for argument in command:
        parts += (b"$%d\r\n" % len(argument), argument, b"\r\n")
    return b"".join(parts)
