"""The list of executions on a Redis server, read page by page, and built once."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import Any, TypeAlias
from urllib.parse import quote, unquote

from asgi_events.stores.contract import Page, Position
from asgi_events.stores.redis.commands import Commands
from asgi_events.stores.redis.scripts import ADD_TO_LIST, LIST, UNLISTED
from asgi_events.stores.rules import STARTED, ends_of, is_listed

_Row: TypeAlias = tuple[bytes, Page]

_plain = re.compile(r"[\w.~-]+", re.ASCII).fullmatch
_moment = re.compile(r"[\w.~:+-]+", re.ASCII).fullmatch
_AT_ONCE = 200  # logs that are looked at in one round trip


def entry_of(key: str, meta: Mapping[str, str]) -> bytes:
    """What the list has of an execution that runs; empty if it is not listed."""
    if not is_listed(key, meta):
        return b""
    sets = [_set("owner", meta.get("owner"))]
    sets += [_set(fact, meta[fact]) for fact in ("actor", "thread") if fact in meta]
    return f"{_member(Position(meta['created'], key))} {' '.join(sets)} end:".encode()


class Listing:
    """The list of one store.

    Args:
        prefix: What the names of all keys begin with.
        commands: The connection of the store.
        keys_of: The two keys of a log.

    Attributes:
        generation: Of the server that is known to have a complete list; -1 for none.
    """

    def __init__(
        self,
        prefix: str,
        commands: Commands,
        keys_of: Callable[[str], tuple[bytes, bytes]],
    ) -> None:
        self.generation = -1
        self._prefix = prefix.encode()
        self._built = f"{prefix}list:built".encode()
        self._commands = commands
        self._keys_of = keys_of

    async def page(
        self,
        match: Mapping[str, str | None],
        status: str | None,
        before: Position | None,
        limit: int,
    ) -> Sequence[tuple[str, Page]]:
        """A page of the list; see ``EventStore.list``."""
        sets = [_set(fact, value) for fact, value in match.items()]
        walks = (
            self._walk(each, before, limit, wanted)
            for each, wanted in _walks(sets, status)
        )
        rows = merge(*await asyncio.gather(*walks), reverse=True, key=itemgetter(0))
        return [(_key(member), page) for member, page in islice(rows, limit)]

    async def build(self, keys: AsyncIterator[str]) -> None:
        """Add the logs of earlier versions, unless that was done."""
        [built] = await self._commands.send(b"HMGET", self._built, b"logs")
        if built is not None:
            return
        found = [key async for key in keys if ":" not in key]
        for start in range(0, len(found), _AT_ONCE):
            some = found[start : start + _AT_ONCE]
            names = (self._keys_of(key)[1] for key in some)
            unlisted = await self._commands.run(UNLISTED, (), *names)
            await asyncio.gather(*(self._add(some[n - 1]) for n in unlisted))
        await self._commands.send(b"HSET", self._built, b"logs", b"%d" % len(found))

    async def _add(self, key: str) -> None:
        keys = self._keys_of(key)
        [meta] = await self._commands.send(b"HMGET", keys[1], b"meta")
        if meta is not None:
            entry = entry_of(key, json.loads(meta))
            if entry:
                await self._commands.run(ADD_TO_LIST, keys, entry)

    async def _walk(
        self, sets: Sequence[str], before: Position | None, limit: int, wanted: bytes
    ) -> list[_Row]:
        """Executions that are in all of ``sets``, the newest first."""
        begin = b"" if before is None else _member(before).encode()
        names = [name.encode() for name in sets]
        rows: list[_Row] = []
        while True:
            count = b"%d" % (limit - len(rows))
            begin, found = await self._commands.run(
                LIST, (), self._prefix, begin, count, wanted, *names
            )
            rows += map(_row, found)
            if not begin:
                return rows


def _walks(sets: list[str], status: str | None) -> Iterator[tuple[list[str], bytes]]:
    """The sets to walk through, and whether writers have to be alive."""
    if status is None:
        yield sets, b""
        return
    for end in ends_of(status):
        wanted = b"" if end is not None else b"1" if status == STARTED else b"0"
        yield [*sets, f"end:{quoted(end or '')}"], wanted


def _row(found: Sequence[Any]) -> _Row:
    member, first, last, end, alive, cancel, meta, ended = found
    page = Page(
        first=int(first),
        last=int(last),
        end=end.decode() or None,
        alive=alive == b"1",
        cancel=bool(cancel),
        frames=[],
        meta=json.loads(meta),
        ended=int(ended) / 1000 if ended else None,
    )
    return member, page


def _member(position: Position) -> str:
    created = position.created
    if not _moment(created):  # what stays has the order of the moments
        created = quote(created, safe=":+")
    return f"{created} {quoted(position.key)}"


def _key(member: bytes) -> str:
    return unquote(member.partition(b" ")[2].decode(), errors="surrogatepass")


def _set(fact: str, value: str | None) -> str:
    return fact if value is None else f"{fact}:{quoted(value)}"


def quoted(text: str) -> str:
    """A text as part of the name of a key, and as a word of the list."""
    # Most texts need it not, and ``quote`` is slow.
    return text if _plain(text) else quote(text, safe="", errors="surrogatepass")
