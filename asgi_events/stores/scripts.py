"""What a Redis server runs for ``RedisStore``, and the connection it is asked on.

A log is two keys with one hash tag, so that every script stays in one slot:

    asgi_events:{KEY}:frames    a stream; the frame of number n has the id 0-n
    asgi_events:{KEY}:log       a hash: epoch, writer, lease, ttl, meta, first, last,
                                deadline (of the lease), end, cancel, watched

The hash says what is so, the stream only keeps the bytes. Times are milliseconds by the
server's clock. The name of the hash is also the channel on which every change is
hinted. All scripts may be repeated: a lost reply does no harm.
"""

import asyncio
import hashlib
import re
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from asgi_events.exceptions import StoreError, Unavailable

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

_PRELUDE = """
local frames, log = KEYS[1], KEYS[2]

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function keep(lease, ttl)
  redis.call('PEXPIRE', frames, lease + ttl)
  redis.call('PEXPIRE', log, lease + ttl)
end

local function hint()
  redis.call('SPUBLISH', log, '')
end
"""


class Script:
    """A Lua script, and the name the server knows it by.

    As one that may write it is refused as a whole, and not when half of it is done, by
    a server that is full, and by a replica, whose log may lack what the primary's has.
    ``even_if_full`` is for what stores no frames.
    """

    def __init__(self, body: str, *, even_if_full: bool = False) -> None:
        flags = " flags=allow-oom" if even_if_full else ""
        self.source = f"#!lua{flags}{_PRELUDE}{body}".encode()
        self.sha = hashlib.sha1(self.source, usedforsecurity=False).hexdigest().encode()


# NOTE: the first epoch is a time in microseconds: who wrote a log that has expired, or
# was deleted, is not the writer of a new log of the same key.
OPEN = Script("""
local writer, lease, ttl, meta = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local held = redis.call('HMGET', log, 'epoch', 'writer', 'end', 'last', 'lease', 'ttl')
local epoch, last = held[1], held[4]
if not epoch then
  local time = redis.call('TIME')
  epoch, last = time[1] .. string.format('%06d', time[2]), 0
  redis.call('UNLINK', frames)  -- of a log whose hash was evicted
  redis.call('HSET', log, 'epoch', epoch, 'writer', writer, 'lease', lease,
    'ttl', ttl, 'meta', meta, 'first', 1, 'last', 0)
elseif held[3] then
  return {'ENDED'}
elseif held[2] ~= writer then
  return {'BUSY', held[2]}
else
  lease, ttl = held[5], held[6]
end
redis.call('HSET', log, 'deadline', now() + lease)
keep(lease, ttl)
return {'OK', epoch, last}
""")

# A long append comes in several calls: ``upto`` is where the last of them ends.
APPEND = Script("""
local epoch, after, upto = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local ending, max = ARGV[4], tonumber(ARGV[5])
local held = redis.call('HMGET', log, 'epoch', 'last', 'end', 'cancel', 'watched',
  'lease', 'ttl', 'first')
if held[1] ~= epoch then return {'FENCED'} end
local time, last, first = now(), tonumber(held[2]), tonumber(held[8])
local watched = time < tonumber(held[5] or 0) and 1 or 0
if held[3] then
  if held[3] ~= ending or last ~= upto then return {'ENDED'} end
  return {'OK', last, held[4] and 1 or 0, watched}
end
if last < after then return {'GAP', last} end

local newest = math.max(last, after + #ARGV - 5)
for number = last + 1, newest do
  redis.call('XADD', frames, '0-' .. number, 'f', ARGV[5 + number - after])
end
redis.call('HSET', log, 'last', newest, 'deadline', time + held[6])
local ended = ending ~= '' and newest >= upto
if ended then redis.call('HSET', log, 'end', ending) end
if newest - first >= max then
  while newest - first >= max do
    first = first + math.floor((newest - first + 1) / 4)
  end
  redis.call('XTRIM', frames, 'MINID', '0-' .. first)
  redis.call('HSET', log, 'first', first)
end
keep(held[6], held[7])
if newest > last or ended then hint() end
return {'OK', newest, held[4] and 1 or 0, watched}
""")

CANCEL = Script(
    """
local held = redis.call('HMGET', log, 'epoch', 'end')
if not held[1] or held[2] then return 0 end
redis.call('HSET', log, 'cancel', 1)
hint()
return 1
""",
    even_if_full=True,
)

ATTEND = Script(
    """
local held = redis.call('HMGET', log, 'epoch', 'end', 'watched')
if not held[1] or held[2] then return end
local until_ = now() + ARGV[1]
redis.call('HSET', log, 'watched', math.max(until_, tonumber(held[3] or 0)))
""",
    even_if_full=True,
)

REAP = Script(
    """
local after, frame, ending = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local held = redis.call('HMGET', log, 'last', 'end', 'deadline', 'lease', 'ttl')
local time = now()
if not held[1] or held[2] or tonumber(held[1]) ~= after then return 0 end
if time < tonumber(held[3]) then return 0 end
redis.call('XADD', frames, '0-' .. after + 1, 'f', frame)
redis.call('HSET', log, 'last', after + 1, 'end', ending, 'deadline', time + held[4])
redis.call('HINCRBY', log, 'epoch', 1)
keep(held[4], held[5])
hint()
return 1
""",
    even_if_full=True,
)

READ = Script(
    """
local function id(entry) return tonumber(string.sub(entry[1], 3)) end

local after, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
local held = redis.call('HMGET', log, 'first', 'last', 'end', 'deadline', 'cancel',
  'meta')
if not held[1] then return false end
local first, last = math.max(after + 1, tonumber(held[1])), tonumber(held[2])
local page, size, number, count = {}, 0, first, 16
while size < limit and number <= last do
  local entries = redis.call('XRANGE', frames, '0-' .. number, '+', 'COUNT', count)
  if #page == 0 then first = entries[1] and id(entries[1]) or last + 1 end  -- evicted?
  if #entries == 0 then break end
  for _, entry in ipairs(entries) do
    local frame = entry[2][2]
    size = size + #frame
    if size > limit and #page > 0 then break end
    page[#page + 1] = frame
  end
  number, count = id(entries[#entries]) + 1, math.min(count * 4, 256)
end
local alive = held[3] or now() < tonumber(held[4])
return {first, last, held[3] or '', alive and 1 or 0, held[5] and 1 or 0, held[6], page}
""",
    even_if_full=True,
)

DELETE = Script(
    """
redis.call('UNLINK', frames, log)
hint()
""",
    even_if_full=True,
)


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
