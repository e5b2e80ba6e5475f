"""The store of many processes: logs in Redis 7 or Valkey.

What a frame survives is the server's to say. With ``appendfsync always`` all that was
acknowledged survives; with ``everysec`` the last second or two may be lost with the
power, or with a server process that is killed while its disk is slow; without
``appendonly`` everything is. A writer that is still there sends again what is missing,
as it does when a replica takes over that had not got the newest frames.

A process has two connections to the server, however many logs it writes and watches.
The server may be one in cluster mode, if it has all slots. With access control lists
this user will do, and where the database is not 0, ``+select``::

    ACL SETUSER asgi_events on >password resetkeys ~asgi_events:* resetchannels
        &asgi_events:* -@all +info +evalsha +script|load +hmget +hset +hincrby +xadd
        +xrange +xtrim +unlink +pexpire +time +spublish +ssubscribe +sunsubscribe
        +ping +scan

Without ``+info`` the server is not checked for its version and its eviction policy.
redis-py tells its name with ``client|setinfo``, and does not mind when it may not.
"""

import json
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

from asgi_events.exceptions import Busy, Ended, Fenced, Gap, StoreError
from asgi_events.stores import Ack, Grant, Page
from asgi_events.stores.redis_connection import Commands, explain, parse
from asgi_events.stores.redis_hints import Hints, RedisWatch
from asgi_events.stores.redis_scripts import (
    APPEND,
    ATTEND,
    CANCEL,
    DELETE,
    OPEN,
    READ,
    REAP,
    Script,
)

logger = logging.getLogger(__name__)

_OLDEST = 7  # the first with SPUBLISH; Valkey says 7 as well
_SAFE_POLICIES = ("noeviction", "volatile-ttl")

# Of one call, since the server does nothing else meanwhile.
_MAX_FRAMES = 1000
_MAX_BYTES = 1024 * 1024


class RedisStore:
    """Keeps logs in Redis 7 or Valkey.

    Args:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://``, with redis-py's options,
            and ``prefix``.
        prefix: What the names of all keys begin with; also an option of the URL.
        max_events: Frames kept of each log; beyond it the oldest quarter goes, and who
            still wants them is given a ``reset``.
        timeout: Seconds after which a server that does not answer is ``Unavailable``.

    Raises:
        StoreError: The URL is not right.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str | None = None,
        max_events: int = 1_000_000,
        timeout: float = 2.0,
    ) -> None:
        if max_events < 4:
            raise ValueError(f"max_events must be at least 4, got {max_events}")
        self._make, found = parse(url)
        self._prefix = prefix or found or "asgi_events:"
        if not _is_plain(self._prefix):
            raise ValueError(f"prefix has no braces and wildcards, got {prefix!r}")
        self._max_events = b"%d" % max_events
        self._timeout = timeout
        self._commands = Commands(self._make, timeout=timeout, check=_check)
        self._hints: Hints | None = None

    async def open(
        self,
        key: str,
        *,
        writer: str,
        lease: float,
        ttl: float,
        meta: Mapping[str, str],
    ) -> Grant:
        status, *values = await self._run(
            OPEN,
            key,
            writer.encode(),
            _milliseconds(lease),
            _milliseconds(ttl),
            json.dumps(dict(meta)).encode(),
        )
        if status == b"ENDED":
            raise Ended(f"The log {key!r} has ended.")
        if status == b"BUSY":
            # Nobody goes on where a dead writer stopped: its log is reaped.
            raise Busy(f"The log {key!r} is written by {values[0].decode()!r}.")
        epoch, last = values
        return Grant(int(epoch), int(last))

    async def append(
        self,
        key: str,
        grant: Grant,
        after: int,
        frames: Sequence[bytes],
        *,
        end: str | None = None,
    ) -> Ack:
        upto = after + len(frames)
        for chunk in _chunks(frames):
            ack = await self._append(key, grant, after, upto, end, chunk)
            after += len(chunk)
        return ack

    async def renew(self, key: str, grant: Grant) -> Ack:
        return await self._append(key, grant, 0, 0, None, ())

    async def cancel(self, key: str) -> bool:
        return bool(await self._run(CANCEL, key))

    async def attend(self, key: str, seconds: float) -> None:
        await self._run(ATTEND, key, _milliseconds(seconds))

    async def reap(self, key: str, after: int, frame: bytes, *, end: str) -> bool:
        return bool(await self._run(REAP, key, b"%d" % after, frame, end.encode()))

    async def read(self, key: str, after: int, limit: int) -> Page | None:
        reply = await self._run(READ, key, b"%d" % after, b"%d" % limit)
        if reply is None:
            return None
        first, last, end, alive, cancel, meta, frames = reply
        return Page(
            first=first,
            last=last,
            end=end.decode() or None,
            alive=bool(alive),
            cancel=bool(cancel),
            frames=frames,
            meta=json.loads(meta),
        )

    async def delete(self, key: str) -> None:
        await self._run(DELETE, key)

    async def keys(self) -> AsyncIterator[str]:
        begin, end = f"{self._prefix}{{", "}:log"
        pattern = f"{begin}*{end}".encode()
        seen: set[bytes] = set()  # SCAN may give a name twice
        cursor = b"0"
        while True:
            cursor, names = await self._commands.send(
                b"SCAN", cursor, b"MATCH", pattern, b"COUNT", b"500"
            )
            for name in set(names) - seen:
                yield unquote(name.decode()[len(begin) : -len(end)])
            seen.update(names)
            if cursor == b"0":
                return

    async def watch(self) -> RedisWatch:
        if self._hints is None:
            self._hints = Hints(self._make, self._log, self._timeout)
        return RedisWatch(self._hints)

    async def aclose(self) -> None:
        hints, self._hints = self._hints, None
        if hints is not None:
            await hints.aclose()
        await self._commands.aclose()

    async def _append(
        self,
        key: str,
        grant: Grant,
        after: int,
        upto: int,
        end: str | None,
        frames: Sequence[bytes],
    ) -> Ack:
        status, *values = await self._run(
            APPEND,
            key,
            b"%d" % grant.epoch,
            b"%d" % after,
            b"%d" % upto,
            (end or "").encode(),
            self._max_events,
            *frames,
        )
        if status == b"FENCED":
            raise Fenced(f"The log {key!r} is another writer's, or was deleted.")
        if status == b"ENDED":
            raise Ended(f"The log {key!r} has ended.")
        if status == b"GAP":
            raise Gap(values[0])
        last, cancel, watched = values
        return Ack(last, bool(cancel), bool(watched))

    async def _run(self, script: Script, key: str, *args: bytes) -> Any:
        frames = f"{self._tag(key)}:frames".encode()
        return await self._commands.run(script, (frames, self._log(key)), *args)

    def _log(self, key: str) -> bytes:
        return f"{self._tag(key)}:log".encode()

    def _tag(self, key: str) -> str:
        # A brace in a key would end the hash tag.
        return f"{self._prefix}{{{quote(key, safe='', errors='surrogatepass')}}}"


def _is_plain(prefix: str) -> bool:
    return not set(prefix) & set("{}*?[]\\")


def _milliseconds(seconds: float) -> bytes:
    return b"%d" % round(seconds * 1000)


def _chunks(frames: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Parts that one call can carry; at least one, though it may be empty."""
    start = size = 0
    for number, frame in enumerate(frames):
        size += len(frame)
        if number - start == _MAX_FRAMES or (size > _MAX_BYTES and number > start):
            yield frames[start:number]
            start, size = number, len(frame)
    yield frames[start:]


def _check(info: Any) -> None:
    """Refuse a server that would not keep our promises.

    Raises:
        StoreError: It is too old, or evicts keys.
    """
    if isinstance(info, Exception):
        logger.warning("The store's server was not checked: %s", explain(info))
        return
    lines = (line.partition(":") for line in info.decode().splitlines())
    values = {name: value for name, _, value in lines}
    version = values["redis_version"]
    if int(version.partition(".")[0]) < _OLDEST:
        raise StoreError(
            f"The store's server is Redis {version}; it has to be Redis {_OLDEST}.0 or "
            "newer, or Valkey."
        )
    policy = values.get("maxmemory_policy", "noeviction")
    if values.get("maxmemory", "0") != "0" and policy not in _SAFE_POLICIES:
        raise StoreError(
            f"The store's server would evict logs, since its maxmemory-policy is "
            f"{policy}; CONFIG SET maxmemory-policy noeviction, or volatile-ttl."
        )
