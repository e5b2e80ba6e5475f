"""The list of the executions in a SQLite file, within a transaction.

The index ``log_owner`` has all that decides which executions are on a page. It is read
in the order of the list for one owner and one end. So the executions of an owner are
merged from as many ranges as there are ends. Those of all owners are searched in the
whole index, which takes 0.3 us each.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from heapq import merge
from itertools import islice
from typing import NamedTuple, TypeAlias

from asgi_events.stores.contract import Page, Position
from asgi_events.stores.rules import ends_of, is_alive, is_listed, status_of

Facts: TypeAlias = tuple[str | bytes | None, ...]

_UNLISTED: Facts = ("", None, None, None)
_FIND_UNKNOWN = """
SELECT id, key, meta FROM log INDEXED BY log_unknown
WHERE created IS NULL AND key IS NOT NULL LIMIT ?
"""
_BATCH = 1000  # logs of an earlier version in one transaction
_MOST = 4096  # candidates at once


def facts_of(key: str, meta: Mapping[str, str]) -> Facts:
    """What a log says of itself in the list: created, owner, actor and thread."""
    if not is_listed(key, meta):
        return _UNLISTED
    owner, actor, thread = meta.get("owner"), meta.get("actor"), meta.get("thread")
    return meta["created"], _storable(owner), _storable(actor), _storable(thread)


def add_unknown(db: sqlite3.Connection) -> None:
    """List some of the logs that an earlier version has written."""
    for id, key, meta in db.execute(_FIND_UNKNOWN, (_BATCH,)).fetchall():
        db.execute(
            "UPDATE log SET created = ?, owner = ?, actor = ?, thread = ? WHERE id = ?",
            (*facts_of(key, json.loads(meta)), id),
        )


def listed(
    db: sqlite3.Connection,
    match: Mapping[str, str | None],
    status: str | None,
    before: Position | None,
    limit: int,
    now: float,
) -> list[tuple[str, Page]] | None:
    """A page of the list, see ``EventStore.list``; None if there are unknown logs."""
    if db.execute(_FIND_UNKNOWN, (1,)).fetchone() is not None:
        return None
    where = {fact: _storable(value) for fact, value in match.items()}
    ends: tuple[str | None, ...] | None = None if status is None else ends_of(status)
    if "thread" in match or "owner" not in match:
        ranges = [_Range(where, ends)]
    else:
        of_owner = _ends(db, where["owner"]) if ends is None else ends
        ranges = [_Range(where, (end,)) for end in of_owner]
    each_of = (each.rows(db, before, now, limit) for each in ranges)
    found = merge(*each_of, reverse=True)
    rows = (row for row in found if status in (None, row.status(now)))
    return [(row.key, row.page(now)) for row in islice(rows, limit)]


class _Row(NamedTuple):
    created: str
    key: str
    first: int
    last: int
    end: str | None
    sign: float
    lease: float
    cancel: int
    meta: str
    ended: float | None

    def status(self, now: float) -> str:
        return status_of(self.end, alive=is_alive(now, self.sign, self.lease))

    def page(self, now: float) -> Page:
        return Page(
            first=self.first,
            last=self.last,
            end=self.end,
            alive=self.end is not None or is_alive(now, self.sign, self.lease),
            cancel=bool(self.cancel),
            frames=[],
            meta=json.loads(self.meta),
            ended=self.ended,
        )


_COLUMNS = ", ".join(f'"{column}"' for column in _Row._fields)


class _Range:
    """Executions that match, of some ends; None for all ends."""

    def __init__(
        self,
        where: Mapping[str, str | bytes | None],
        ends: tuple[str | None, ...] | None,
    ) -> None:
        index = "log_thread" if where.get("thread") is not None else "log_owner"
        conditions = ["created > ''", "key IS NOT NULL"]
        conditions += [f"{fact} IS ?" for fact in where]
        self._values: list[object] = list(where.values())
        if index == "log_thread":
            conditions.append("thread IS NOT NULL")
        if ends is not None:
            each = " OR ".join(['"end" IS ?'] * len(ends))
            conditions.append(f"({each})")
            self._values += ends
        self._select = (
            f"SELECT id, created, key FROM log INDEXED BY {index} "
            f"WHERE {' AND '.join(conditions)}"
        )

    def rows(
        self, db: sqlite3.Connection, before: Position | None, now: float, count: int
    ) -> Iterator[_Row]:
        """Them, the newest first, without those that have expired.

        At first ``count`` are looked at; each next time twice as many.
        """
        while True:
            select, values = self._select, list(self._values)
            if before is not None:
                select += " AND created <= ? AND (created, key) < (?, ?)"
                values += [before.created, *before]
            # First the index alone, for all candidates, then the rows of a few.
            candidates = db.execute(
                f"{select} ORDER BY created DESC, key DESC LIMIT ?", (*values, count)
            ).fetchall()
            for id, *_ in candidates:
                row = db.execute(
                    f"SELECT {_COLUMNS} FROM log WHERE id = ? "
                    'AND ("end" IS NULL OR due > ?)',
                    (id, now),
                ).fetchone()
                if row is not None:
                    yield _Row._make(row)
            if len(candidates) < count:
                return
            before = Position._make(candidates[-1][1:])
            count = min(count * 2, _MOST)


def _ends(db: sqlite3.Connection, owner: str | bytes | None) -> Iterator[str | None]:
    """All ends of executions of an owner, each found in one step; and None."""
    yield None
    end = ""
    while True:
        row = db.execute(
            "SELECT \"end\" FROM log INDEXED BY log_owner WHERE created > '' "
            'AND owner IS ? AND "end" > ? ORDER BY "end" LIMIT 1',
            (owner, end),
        ).fetchone()
        if row is None:
            return
        (end,) = row
        yield end


def _storable(value: str | None) -> str | bytes | None:
    """A text as SQLite keeps it; one that is not Unicode as bytes."""
    if value is None or value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")
    return value
