"""The connection on which a Redis server is asked; here redis-py is imported.

All that is asked gets an answer or an error, and none is asked twice on our own: a
command whose reply was lost is ``Unavailable``, and may have been done. Only a script
that the server does not know, and so has not run, is loaded and sent again. Whoever
asks ``Commands`` sees no exception of redis-py's.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from math import isfinite
from struct import unpack
from typing import Any, Protocol, TypeAlias, cast
from urllib.parse import urlsplit

from asgi_events.exceptions import StoreError, Unavailable
from asgi_events.stores.redis.scripts import Script

try:
    from redis import exceptions as errors
    from redis.asyncio.connection import Connection as TCPConnection
    from redis.asyncio.connection import SSLConnection as TLSConnection
    from redis.asyncio.connection import parse_url
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError
    from redis.retry import Retry
except ImportError as error:
    raise ImportError(
        'A store in Redis or Valkey needs redis-py: pip install "asgi-events[redis]"'
    ) from error

try:
    from fcntl import ioctl
    from termios import TIOCOUTQ
except ImportError:  # Windows
    ioctl = None  # type: ignore[assignment]

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
_PASSING_CODES = (
    "MISCONF",
    "NOREPLICAS",
    "BUSY",
    "UNKILLABLE",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
)

# In a script it has no code: of Valkey's, and of Redis 7.0's.
_LACKING = re.compile("^ACL failure in script|^The user executing the script can't")

_NUMBERS: dict[str, Callable[[float], float]] = {
    "socket_connect_timeout": float,
    "socket_read_size": int,
    "ssl_min_version": int,
}

# What is not in a certificate: the host's name, and its IP address.
_MISMATCHES = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH

# A flush whose replies do not keep what comes next waiting for long.
_MAX_COMMANDS = 128
_MAX_BYTES = 1024 * 1024


class Connection(Protocol):
    """What is used of redis-py's connections."""

    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter

    async def connect(self) -> None: ...

    async def disconnect(self, nowait: bool = False) -> None: ...

    async def send_packed_command(self, command: bytes) -> None: ...

    async def read_response(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Address:
    """What the URL of a store says.

    Attributes:
        make: Makes a connection to the server.
        prefix: What the names of all keys begin with.
        timeout: Seconds.
        durability: What an acknowledgement waits for.
    """

    make: Callable[[], Connection]
    prefix: str | None
    timeout: float | None
    durability: str | None


def parse(url: str) -> Address:
    """What ``url`` says.

    Raises:
        StoreError: It is not a URL of a server.
    """
    try:
        return _parse(url)
    except Exception as error:  # redis-py raises many kinds
        reason = str(error)
    # NOTE: the URL is not shown: it may hold a password. Nor is the cause.
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
    confirm_by(durability, timeout=1.0)
    make = options.pop("connection_class", TCPConnection)
    if make is TLSConnection and options.get("ssl_cert_reqs") != "none":
        options.setdefault("ssl_check_hostname", True)  # not before redis-py 6
    for name, kind in _NUMBERS.items():  # of which redis-py 5 checks none
        if name in options:
            options[name] = kind(check_positive(name, options[name]))
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
    return Address(
        lambda: cast(Connection, make(**options)),
        prefix,
        None if timeout is None else check_positive("timeout", timeout),
        durability,
    )


def _check_place(url: str) -> None:
    """Check the port and the database, which redis-py would show, or take for 0."""
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
        ValueError: It is not one, or not greater than 0.
    """
    with suppress(ValueError, TypeError):
        number = float(value)
        if 0 < number and isfinite(number):
            return number
    raise ValueError(f"{name} is a number greater than 0")


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


class Link:
    """A connection on which to ask, for as long as something moves on it.

    What takes long because it is large, or because the network is slow, arrives: the
    time is up only when no byte has gone or come for ``timeout`` seconds.
    """

    def __init__(self, connection: Connection, timeout: float) -> None:
        self.connection = connection
        self._timeout = timeout
        self._received = 0
        # NOTE: no public way leads from redis-py's connections to their bytes.
        self._transport = connection._writer.transport
        reader = connection._reader
        feed = reader.feed_data

        def feed_data(data: Any) -> None:
            self._received += len(data)
            feed(data)

        reader.feed_data = feed_data  # type: ignore[method-assign]

    async def ask(self, *commands: bytes) -> list[Any]:
        """The replies, errors among them, to ``commands``.

        Raises:
            TimeoutError: There was no progress in time.
        """
        replies: list[Any] = []
        await self.exchange(commands, replies)
        return replies

    async def exchange(self, commands: Sequence[bytes], replies: list[Any]) -> None:
        """Add each reply to ``replies`` as it arrives; raises what ``ask`` raises."""
        async with self._patience():
            await self.connection.send_packed_command(b"".join(commands))
            for _ in commands:
                replies.append(await _reply(self.connection))

    @asynccontextmanager
    async def _patience(self) -> AsyncIterator[None]:
        async with asyncio.timeout(self._timeout) as limit:
            loop = asyncio.get_running_loop()
            pause = self._timeout / 8
            moved = self._moved()
            timer = loop.call_later(pause, lambda: look())

            def look() -> None:
                nonlocal moved, timer
                before, moved = moved, self._moved()
                if moved != before:
                    limit.reschedule(loop.time() + self._timeout)
                timer = loop.call_later(pause, look)

            try:
                yield
            finally:
                timer.cancel()

    def _moved(self) -> tuple[int, int, int]:
        """What is different when a byte has gone or come."""
        buffered = self._transport.get_write_buffer_size()
        return self._received, buffered, _unsent(self._transport)


def _unsent(transport: asyncio.WriteTransport) -> int:
    """The bytes that the system still has to send, where it says so."""
    if ioctl is not None:
        with suppress(OSError, ValueError):  # it is closed, or does not know
            descriptor = transport.get_extra_info("socket").fileno()
            return int(unpack("i", ioctl(descriptor, TIOCOUTQ, bytes(4)))[0])
    return 0


Meet: TypeAlias = Callable[[Link, bool], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Confirm:
    """A command that waits until what was stored would survive the server.

    Attributes:
        packed: The command.
        what: What it waits for, for the message when it has waited in vain.
    """

    packed: bytes
    what: str

    def doubt(self, reply: Any) -> StoreError | None:
        """Why ``reply`` does not confirm what was stored; None when it does."""
        if isinstance(reply, Exception):
            return StoreError(f"The store cannot wait for {self.what}: {reply}")
        if reply:
            return None
        return Unavailable(f"The store has waited in vain for {self.what}.")


def confirm_by(durability: str | None, timeout: float) -> Confirm | None:
    """How ``durability`` is confirmed within ``timeout`` seconds.

    Raises:
        ValueError: There is no such durability.
    """
    patience = b"%d" % max(timeout * 800, 1)  # ms; its answer is to come in time
    # NOTE: no "aof": with appendfsync everysec, Valkey 9.1 was seen (strace) to answer
    # 20 WAITAOF after 20 writes with one fdatasync.
    if durability is None:
        return None
    if durability == "replica":
        return Confirm(pack(b"WAIT", b"1", patience), "a replica")
    raise ValueError("durability is 'replica', or not given")


@dataclass(slots=True)
class _Call:
    packed: bytes
    script: Script | None
    reply: asyncio.Future[Any]

    @property
    def stores(self) -> bool:
        return self.script is not None and self.script.stores


class Commands:
    """One connection, on which all commands that wait go out together.

    While a flush is on its way the next commands gather, so a busy process sends large
    flushes, and an idle one does not wait. After trouble every command of the flush
    that has no reply is ``Unavailable``, and the next flush connects again.

    Args:
        make: Makes a connection.
        timeout: Seconds for connecting, and without progress for a flush.
        meet: Looks at the server of a new connection before the first command is sent;
            it is told whether there was a connection before.
        confirm: Follows in each flush that stores frames, and is to be answered with
            one at least before their senders hear of it.
    """

    def __init__(
        self,
        make: Callable[[], Connection],
        *,
        timeout: float,
        meet: Meet,
        confirm: Confirm | None = None,
    ) -> None:
        self._make = make
        self._timeout = timeout
        self._meet = meet
        self._confirm = confirm
        self._connected_before = False
        self._demoted = False
        self._link: Link | None = None
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
            link = await self._connected()
            unknown = await self._exchange(link, calls)
            if unknown:  # the server is new, was restarted, or has flushed its scripts
                await self._load(link, {call.script for call in unknown})
                for call in await self._exchange(link, unknown):
                    _settle(call, Unavailable("The store forgets its scripts."))
            if self._demoted:  # its name may lead to the new primary
                self._demoted = False
                await self._drop()
        except asyncio.CancelledError:
            for call in calls:
                _settle(call, Unavailable("The store was closed."))
            raise
        except Exception as error:  # whatever it is, nobody may wait for ever
            await self._drop()
            for call in calls:
                _settle(call, error)

    async def _connected(self) -> Link:
        if self._link is None:
            connection = await connect(self._make, self._timeout)
            link = self._link = Link(connection, self._timeout)
            await self._meet(link, self._connected_before)
            self._connected_before = True
        return self._link

    async def _exchange(self, link: Link, calls: list[_Call]) -> list[_Call]:
        """Settle ``calls``; those whose script the server does not know are left."""
        confirm = self._confirm
        if confirm is not None and not any(call.stores for call in calls):
            confirm = None
        commands = [call.packed for call in calls]
        if confirm is not None:
            commands.append(confirm.packed)
        replies: list[Any] = []
        try:
            await link.exchange(commands, replies)
        finally:  # who has a reply gets it, whatever becomes of the others
            unknown = self._hand_out(calls, replies, confirm)
        return unknown

    def _hand_out(
        self, calls: list[_Call], replies: list[Any], confirm: Confirm | None
    ) -> list[_Call]:
        unknown: list[_Call] = []
        confirmed = replies[len(calls) :]
        for call, reply in zip(calls, replies, strict=False):
            if isinstance(reply, errors.NoScriptError):
                unknown.append(call)
            elif isinstance(reply, Exception):
                self._demoted |= isinstance(reply, errors.ReadOnlyError)
                _settle(call, reply)
            elif confirm is None or not call.stores:
                _settle(call, reply)
            elif confirmed:
                _settle(call, confirm.doubt(confirmed[0]) or reply)
        return unknown

    async def _load(self, link: Link, scripts: set[Script | None]) -> None:
        loads = [pack(b"SCRIPT", b"LOAD", s.source) for s in scripts if s is not None]
        for reply in await link.ask(*loads):
            if isinstance(reply, Exception):
                raise reply

    async def _drop(self, *, nowait: bool = True) -> None:
        link, self._link = self._link, None
        if link is not None:
            with suppress(Exception):  # it is of no use any more, whatever it says
                await link.connection.disconnect(nowait=nowait)


async def _reply(connection: Connection) -> Any:
    try:
        return await connection.read_response()
    except errors.ResponseError as error:
        return error


def _settle(call: _Call, reply: Any) -> None:
    if call.reply.done():  # whoever asked has gone
        return
    if isinstance(reply, Exception):
        call.reply.set_exception(explain(reply))
    else:
        call.reply.set_result(reply)


def lacks(reply: Any) -> bool:
    """Whether a reply is the error that a permission is lacking."""
    return isinstance(reply, errors.NoPermissionError) or (
        isinstance(reply, Exception) and bool(_LACKING.search(str(reply)))
    )


def explain(error: Exception) -> Exception:
    """``error`` in our own words: ``Unavailable`` if it may pass, else StoreError.

    A password that is changed, and a permission that is not given yet, may pass.
    """
    if isinstance(error, (errors.AuthenticationError, errors.AuthorizationError)):
        return Unavailable(
            f"The store does not let us in: {error}. "
            "Look at the user and the password in its URL."
        )
    if lacks(error):
        return Unavailable(
            f"The store's user lacks a permission: {error}. "
            "asgi_events.stores.redis says which it needs."
        )
    if isinstance(error.__context__, ssl.SSLCertVerificationError):
        if error.__context__.verify_code in _MISMATCHES:
            return StoreError(
                f"The store's server is not the one its URL names: {error} "
                "Name it as its certificate does."
            )
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
