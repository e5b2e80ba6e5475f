"""Logs on a Redis server; each operation is one atomic script."""

import json
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

from asgi_events.exceptions import Gap, StoreError
from asgi_events.stores.contract import Ack, Grant, Page, Position
from asgi_events.stores.redis.address import check_positive, parse
from asgi_events.stores.redis.commands import Commands
from asgi_events.stores.redis.durability import confirmation
from asgi_events.stores.redis.listing import Listing, entry_of, quoted
from asgi_events.stores.redis.scripts import (
    APPEND,
    CANCEL,
    DELETE,
    MARK_WATCHED,
    OPEN,
    READ,
    REAP,
    RENEW,
    Script,
)
from asgi_events.stores.redis.server import Server
from asgi_events.stores.redis.subscriber import RedisSubscriber
from asgi_events.stores.rules import busy, ended, fenced, missing
from asgi_events.stores.watching import KeyWatch

logger = logging.getLogger(__name__)

# The bounds of one call, since the server does nothing else meanwhile.
_MAX_FRAMES = 1024
_MAX_BYTES = 1024 * 1024


class RedisStore:
    """Keeps logs in Redis 7 or Valkey.

    Args:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://``, with redis-py's options,
            and ``prefix``, ``timeout`` and ``durability``.
        prefix: What the names of all keys begin with; also an option of the URL.
        max_events: Frames kept of each log. Beyond that the oldest quarter is dropped,
            and a viewer that wants it is given a ``reset``.
        timeout: Seconds without progress, while a reply is due, after which the server
            is ``Unavailable``. 2 by default; also an option of the URL.
        durability: "replica" makes ``open`` and ``append`` wait until a replica has
            the data, too (WAIT). If that takes longer than most of the timeout, they
            raise ``Unavailable``. Also an option of the URL.

    Raises:
        StoreError: The URL is wrong.
        ValueError: An argument is wrong.
    """

    durable = True
    settle_time = 60.0

    def __init__(
        self,
        url: str,
        *,
        prefix: str | None = None,
        max_events: int = 1_000_000,
        timeout: float | None = None,
        durability: str | None = None,
    ) -> None:
        if max_events < 4:
            raise ValueError(f"max_events must be at least 4, got {max_events}")
        address = parse(url)
        self._prefix = prefix or address.prefix or "asgi_events:"
        if not _is_plain(self._prefix):
            raise ValueError(f"prefix has no braces and wildcards, got {prefix!r}")
        self._max_events = b"%d" % max_events
        self._make = address.make
        if timeout is None:
            timeout = address.timeout or 2.0
        self._timeout = check_positive("timeout", timeout)
        self._server = Server()
        self._commands = Commands(
            self._make,
            timeout=self._timeout,
            on_connect=self._server.check,
            confirmation=confirmation(durability or address.durability, self._timeout),
        )
        self._listing = Listing(self._prefix, self._commands, self._keys_of)
        self._subscriber: RedisSubscriber | None = None

    @property
    def generation(self) -> int:
        return self._server.generation

    async def open(
        self,
        key: str,
        *,
        writer: str,
        lease: float,
        ttl: float,
        meta: Mapping[str, str],
        after: int = 0,
    ) -> Grant:
        status, *values = await self._run(
            OPEN,
            key,
            writer.encode(),
            _milliseconds(lease),
            _milliseconds(ttl),
            json.dumps(dict(meta)).encode(),
            b"%d" % after,
            entry_of(key, meta),
        )
        if status == b"ENDED":
            raise ended(key)
        if status == b"BUSY":
            raise busy(key, values[0].decode())
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
        return self._ack(key, await self._run(RENEW, key, b"%d" % grant.epoch))

    async def cancel(self, key: str) -> bool:
        writer = await self._run(CANCEL, key)
        if writer is not None:
            await self._hint_writer(writer, key)
        return writer is not None

    async def mark_watched(self, key: str, seconds: float) -> None:
        await self._run(MARK_WATCHED, key, _milliseconds(seconds))

    async def reap(self, key: str, after: int, frame: bytes, *, end: str) -> bool:
        arguments = b"%d" % after, frame, end.encode()
        reaped, *suspected = await self._run(REAP, key, *arguments)
        for writer in suspected:
            await self._hint_writer(writer, key)
        return bool(reaped)

    async def read(self, key: str, after: int, limit: int) -> Page | None:
        reply = await self._run(READ, key, b"%d" % after, b"%d" % limit)
        if reply is None:
            return None
        first, last, end, alive, cancel, meta, ended_at, frames = reply
        return Page(
            first=first,
            last=last,
            end=end.decode() or None,
            alive=bool(alive),
            cancel=bool(cancel),
            frames=frames,
            meta=json.loads(meta),
            ended=int(ended_at) / 1000 if ended_at else None,
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

    async def list(
        self,
        match: Mapping[str, str | None],
        *,
        status: str | None = None,
        before: Position | None = None,
        limit: int,
    ) -> Sequence[tuple[str, Page]]:
        generation = self.generation
        if self._listing.generation != generation:
            await self._listing.build(self.keys())
            self._listing.generation = generation
        return await self._listing.page(match, status, before, limit)

    async def watch(self) -> KeyWatch:
        if self._subscriber is None:
            self._subscriber = RedisSubscriber(
                self._make,
                channel=self._log,
                inbox=self._inbox,
                timeout=self._timeout,
                on_connect=self._server.check,
            )
        return KeyWatch(self._subscriber)

    async def aclose(self) -> None:
        subscriber, self._subscriber = self._subscriber, None
        if subscriber is not None:
            await subscriber.aclose()
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
        reply = await self._run(
            APPEND,
            key,
            b"%d" % grant.epoch,
            b"%d" % after,
            b"%d" % upto,
            (end or "").encode(),
            self._max_events,
            *frames,
        )
        return self._ack(key, reply)

    def _ack(self, key: str, reply: Any) -> Ack:
        status, *values = reply
        if status == b"MISSING":
            raise missing(key)
        if status == b"FENCED":
            raise fenced(key)
        if status == b"ENDED":
            raise ended(key)
        if status == b"GAP":
            raise Gap(values[0])
        last, cancel, watched = values
        return Ack(last, bool(cancel), bool(watched))

    async def _hint_writer(self, writer: bytes, key: str) -> None:
        """Hint to a writer, in whichever process, that somebody requests something."""
        inbox = self._inbox(writer.decode())
        if self._subscriber is not None:  # it may be ours, and not subscribed yet
            self._subscriber.hint_writer(inbox, key)
        data = key.encode("utf-8", "surrogatepass")
        with suppress(StoreError):  # it learns of it when it renews its lease
            await self._commands.send(b"SPUBLISH", inbox, data)

    async def _run(self, script: Script, key: str, *args: bytes) -> Any:
        return await self._commands.run(script, self._keys_of(key), *args)

    def _keys_of(self, key: str) -> tuple[bytes, bytes]:
        tag = self._tag(key)
        return f"{tag}:frames".encode(), f"{tag}:log".encode()

    def _log(self, key: str) -> bytes:
        return f"{self._tag(key)}:log".encode()

    def _inbox(self, writer: str) -> bytes:
        return f"{self._tag(writer)}:writer".encode()

    def _tag(self, key: str) -> str:
        # A brace in a key would end the hash tag.
        return f"{self._prefix}{{{quoted(key)}}}"


def _is_plain(prefix: str) -> bool:
    return not set(prefix) & set("{}*?[]\\")


def _milliseconds(seconds: float) -> bytes:
    return b"%d" % round(seconds * 1000)


def _chunks(frames: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """The parts that one call each can carry; at least one, which may be empty."""
    start = size = 0
    for number, frame in enumerate(frames):
        size += len(frame)
        if number - start == _MAX_FRAMES or (size > _MAX_BYTES and number > start):
            yield frames[start:number]
            start, size = number, len(frame)
    yield frames[start:]
