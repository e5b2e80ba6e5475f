"""The connection on which a Redis server is asked; here redis-py is imported.

All that is asked gets an answer or an error, and none is asked twice on our own: a
command whose reply was lost is ``Unavailable``, and may have been done. Only a script
that the server does not know, and so has not run, is loaded and sent again. Whoever
asks ``Commands`` sees no exception of redis-py's.
"""

import asyncio
import re
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from asgi_events.exceptions import StoreError, Unavailable
from asgi_events.stores.redis_scripts import Script

try:
    from redis import exceptions as errors
    from redis.asyncio.connection import Connection as TCPConnection
    from redis.asyncio.connection import parse_url
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError
    from redis.retry import Retry
except ImportError as error:
    raise ImportError(
        'A store in Redis or Valkey needs redis-py: pip install "asgi-events[redis]"'
    ) from error

# What is over when the server has memory or disk again, or a primary.
_PASSING = (
    OSError,
    errors.ConnectionError,
    errors.TimeoutError,
    errors.OutOfMemoryError,
    errors.ReadOnlyError,
    errors.ClusterDownError,
    errors.TryAgainError,
    errors.NoScriptError,
)
_PASSING_CODES = ("MISCONF", "NOREPLICAS", "BUSY", "UNKILLABLE")

# In a script it has no code: of Valkey's, and of Redis 7.0's.
_LACKING = re.compile("^ACL failure in script|^The user executing the script can't")

# A flush that is answered well within the timeout, whatever its commands ask for.
_MAX_COMMANDS = 128
_MAX_BYTES = 1024 * 1024


class Connection(Protocol):
    """What is used of redis-py's connections."""

    async def connect(self) -> None: ...

    async def disconnect(self, nowait: bool = False) -> None: ...

    async def send_packed_command(self, command: bytes) -> None: ...

    async def read_response(self) -> Any: ...


def parse(url: str) -> tuple[Callable[[], Connection], str | None]:
    """What makes a connection to ``url``, and its ``prefix`` option.

    Raises:
        StoreError: It is not a URL of a server.
    """
    try:
        options: dict[str, Any] = dict(parse_url(url))
        prefix = options.pop("prefix", None)
        make = options.pop("connection_class", TCPConnection)
        path = urlsplit(url).path.strip("/")
        if "path" not in options and path and not path.isdecimal():
            # NOTE: redis-py would take database 0.
            raise ValueError(f"the database is a number, not {path!r}")
        # In RESP2 what is published comes as a plain reply. Timeouts are ours, and so
        # is asking again: redis-py by default does it ten times, for up to a minute.
        options |= {
            "protocol": 2,
            "socket_timeout": None,
            "retry": Retry(NoBackoff(), 0),
            "health_check_interval": 0,
            "decode_responses": False,
        }
        make(**options)
    except (ValueError, TypeError, RedisError) as error:
        # NOTE: the URL is not shown: it may hold a password.
        raise StoreError(
            f"The store's URL is not right: {error}. It is redis://, rediss:// or "
            "unix://, for instance redis://user:password@host:6379/0?prefix=events:"
        ) from error
    return lambda: cast(Connection, make(**options)), prefix


async def connect(make: Callable[[], Connection], timeout: float) -> Connection:
    """A connection that is ready; it raises what redis-py raises."""
    connection = make()
    try:
        async with asyncio.timeout(timeout):
            await connection.connect()
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    return connection


def pack(*command: bytes) -> bytes:
    """A command as it goes on the wire; redis-py takes several times as long."""
    parts = [b"*%d\r\n" % len(command)]
    for argument in command:
        parts += (b"$%d\r\n" % len(argument), argument, b"\r\n")
    return b"".join(parts)


@dataclass(slots=True)
class _Call:
    packed: bytes
    script: Script | None
    reply: asyncio.Future[Any]


class Commands:
    """One connection, on which all commands that wait go out together.

    While a flush is on its way the next commands gather, so a busy process sends large
    flushes, and an idle one does not wait. After trouble every command of the flush is
    ``Unavailable``, and the next flush connects again.

    Args:
        make: Makes a connection.
        timeout: Seconds for connecting, and for a flush to be answered.
        check: Looks at the reply to INFO before the first command is sent.
    """

    def __init__(
        self,
        make: Callable[[], Connection],
        *,
        timeout: float,
        check: Callable[[Any], None],
    ) -> None:
        self._make = make
        self._timeout = timeout
        self._check = check
        self._checked = False
        self._connection: Connection | None = None
        self._waiting: list[_Call] = []
        self._pump: asyncio.Task[None] | None = None

    async def run(self, script: Script, keys: Sequence[bytes], *args: bytes) -> Any:
        """What ``script`` returns; it raises what ``send`` raises."""
        packed = pack(b"EVALSHA", script.sha, b"%d" % len(keys), *keys, *args)
        return await self._send(packed, script)

    async def send(self, *command: bytes) -> Any:
        """The reply to ``command``.

        Raises:
            Unavailable: There was none, or the server cannot do it now.
            StoreError: The server refuses it.
        """
        return await self._send(pack(*command), None)

    async def aclose(self) -> None:
        """Close the connection; what waits for a reply is ``Unavailable``."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.wait([self._pump])
            self._pump = None
        for call in self._waiting:
            _settle(call, Unavailable("The store was closed."))
        self._waiting.clear()
        self._checked = False
        await self._drop(nowait=False)

    async def _send(self, packed: bytes, script: Script | None) -> Any:
        loop = asyncio.get_running_loop()
        call = _Call(packed, script, loop.create_future())
        self._waiting.append(call)
        if self._pump is None:
            self._pump = loop.create_task(self._run())
        return await call.reply

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._flush(self._take())
        finally:
            self._pump = None

    def _take(self) -> list[_Call]:
        count = size = 0
        for call in self._waiting[:_MAX_COMMANDS]:
            size += len(call.packed)
            if count and size > _MAX_BYTES:
                break
            count += 1
        calls = self._waiting[:count]
        del self._waiting[:count]
        return [call for call in calls if not call.reply.cancelled()]

    async def _flush(self, calls: list[_Call]) -> None:
        try:
            replies = await self._exchange(calls)
        except asyncio.CancelledError:
            for call in calls:
                _settle(call, Unavailable("The store was closed."))
            raise
        except Exception as error:  # whatever it is, nobody may wait for ever
            await self._drop()
            replies = [error] * len(calls)
        if any(isinstance(reply, errors.ReadOnlyError) for reply in replies):
            await self._drop()  # a primary no longer: its name may lead to the new one
        for call, reply in zip(calls, replies, strict=True):
            _settle(call, explain(reply) if isinstance(reply, Exception) else reply)

    async def _exchange(self, calls: list[_Call]) -> list[Any]:
        if self._connection is None:
            self._connection = await connect(self._make, self._timeout)
        if not self._checked:
            self._check((await self._ask([pack(b"INFO")]))[0])
            self._checked = True
        replies = await self._ask([call.packed for call in calls])
        unknown = [
            number
            for number, reply in enumerate(replies)
            if isinstance(reply, errors.NoScriptError)
        ]
        if unknown:  # the server is new, was restarted, or has flushed its scripts
            await self._load({calls[number].script for number in unknown})
            again = await self._ask([calls[number].packed for number in unknown])
            for number, reply in zip(unknown, again, strict=True):
                replies[number] = reply
        return replies

    async def _load(self, scripts: set[Script | None]) -> None:
        loads = [pack(b"SCRIPT", b"LOAD", s.source) for s in scripts if s is not None]
        for reply in await self._ask(loads):
            if isinstance(reply, Exception):
                raise reply

    async def _ask(self, commands: list[bytes]) -> list[Any]:
        connection = self._connection
        assert connection is not None
        async with asyncio.timeout(self._timeout):
            await connection.send_packed_command(b"".join(commands))
            return [await _reply(connection) for _ in commands]

    async def _drop(self, *, nowait: bool = True) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # it is of no use any more, whatever it says
                await connection.disconnect(nowait=nowait)


async def _reply(connection: Connection) -> Any:
    try:
        return await connection.read_response()
    except errors.ResponseError as error:
        return error


def _settle(call: _Call, reply: Any) -> None:
    if call.reply.done():  # whoever asked has gone
        return
    if isinstance(reply, Exception):
        call.reply.set_exception(reply)
    else:
        call.reply.set_result(reply)


def explain(error: Exception) -> Exception:
    """``error`` in our own words: ``Unavailable`` if it may pass, else StoreError."""
    if isinstance(error, (errors.AuthenticationError, errors.AuthorizationError)):
        return StoreError(
            f"The store does not let us in: {error}. "
            "Look at the user and the password in its URL."
        )
    if isinstance(error, errors.NoPermissionError) or _LACKING.search(str(error)):
        return StoreError(
            f"The store's user lacks a permission: {error}. "
            "asgi_events.stores.redis says which it needs."
        )
    if isinstance(error.__context__, ssl.SSLCertVerificationError):
        return StoreError(
            f"This machine does not trust the store's server: {error} "
            "Name its authority in the URL: rediss://…?ssl_ca_certs=/path/to/ca.pem"
        )
    if isinstance(error, errors.AskError):  # and MovedError
        return StoreError(
            "The store's URL leads to one node of a cluster that has several, and this "
            "log is on another one; use a server without cluster mode, or a proxy."
        )
    if isinstance(error, TimeoutError) and not str(error):
        return Unavailable("The store did not answer in time.")
    if isinstance(error, _PASSING) or str(error).startswith(_PASSING_CODES):
        return Unavailable(f"The store cannot answer now: {error}")
    if isinstance(error, RedisError):
        return StoreError(f"The store refused: {error}")
    return error
