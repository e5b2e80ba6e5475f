"""Prints what a store holds, all logs or one, for ``asgi-events inspect``.

It uses only the methods of ``EventStore``, so it reads every store in the same way. It
changes no execution.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TypedDict, Unpack
from urllib.parse import urlsplit

from pydantic_core import to_json

from asgi_events.cli.lines import json_line
from asgi_events.exceptions import UnknownExecution
from asgi_events.executions.listing import (
    ANY_OWNER,
    MOST,
    AnyOwner,
    ListedExecution,
    Query,
    list_stored,
)
from asgi_events.stores.contract import CreatedOnDemand, EventStore
from asgi_events.stores.urls import open_store
from asgi_events.terminal import printable
from asgi_events.wire.frames import parse_event_id
from asgi_events.wire.sse import Decoder, ServerSentEvent

_PAGE = 256 * 1024  # bytes read at once


class Filters(TypedDict, total=False):
    """What is listed: see ``Executions.list``; all executions by default."""

    owner: str | None | AnyOwner
    thread: str | None
    status: str | None
    actor: str | None


def open_existing(url: str) -> EventStore:
    """Open the store that ``url`` names, without creating one.

    Raises:
        ValueError: There is no store of that scheme, or only one process can see it.
        StoreError: The store does not accept the URL, or there is no such file.
        ImportError: The store needs an extra that is not installed.
    """
    store = open_store(url)
    if not store.durable:
        raise ValueError(
            f"What is in {urlsplit(url).scheme}:// is only seen by the process that "
            "has it"
        )
    if isinstance(store, CreatedOnDemand):
        store.check_exists()
    return store


async def report(
    url: str,
    id: str | None,
    *,
    as_json: bool,
    limit: int | None = None,
    **filters: Unpack[Filters],
) -> AsyncGenerator[str, None]:
    """Yield the text to print: a list of executions, or the events of one.

    Raises:
        UnknownExecution: The store has no execution of that id.
        ValueError, StoreError, ImportError: See ``open_existing``. ``ValueError`` also
            for a filter that is out of its range, and ``StoreError`` if the store does
            not answer.
    """
    store = open_existing(url)
    try:
        if id is None:
            found = await listed(store, limit, **filters)
            yield table_json(found) if as_json else table(found, datetime.now(UTC))
            return
        async for event in events(store, id):
            yield line_json(event) if as_json else line(event)
    finally:
        await store.aclose()


async def listed(
    store: EventStore, limit: int | None = None, **filters: Unpack[Filters]
) -> list[ListedExecution]:
    """Return executions, the newest first.

    Args:
        store: Where they are.
        limit: How many at most; None for all.
        filters: Which.
    """
    found: list[ListedExecution] = []
    asked: Filters = {"owner": ANY_OWNER, **filters}
    after: str | None = None
    while True:
        count = MOST if limit is None else min(limit - len(found), MOST)
        query = Query(**asked, after=after, limit=count)
        page = query.page(await list_stored(store, query))
        found += page.items
        after = page.next
        if after is None or len(found) == limit:
            return found


async def find(store: EventStore, id: str) -> ListedExecution:
    """Return one execution.

    Raises:
        UnknownExecution: The store has no execution of that id.
    """
    # A key with a colon belongs to an Idempotency-Key or a thread, not to an execution.
    page = None if ":" in id else await store.read(id, 0, 0)
    if page is None:
        raise UnknownExecution(id)
    return ListedExecution.from_page(id, page)


async def events(store: EventStore, id: str) -> AsyncIterator[ServerSentEvent]:
    """Yield the events of one execution that are stored now, the oldest first.

    Raises:
        UnknownExecution: The store has no execution of that id.
    """
    last = (await find(store, id)).last
    decoder, after = Decoder(), 0
    while after < last:
        page = await store.read(id, after, _PAGE)
        if page is None or not page.frames:  # its retention has ended meanwhile
            return
        for event in decoder.feed(b"".join(page.frames)):
            yield event
        after = page.first + len(page.frames) - 1


def table(listed: Sequence[ListedExecution], now: datetime) -> str:
    """Return the executions as lines for a terminal."""
    if not listed:
        return "No executions.\n"
    rows = [("ID", "ACTOR", "STATUS", "FRAMES", "AGE")]
    rows += [
        (each.id, each.actor, each.status, str(each.last), _short(now - each.created))
        for each in listed
    ]
    *widths, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "".join(_line(row, widths) + "\n" for row in rows)


def line(event: ServerSentEvent) -> str:
    """Return an event as a line for a terminal: its number and its data."""
    return printable(f"{_number(event):>6}  {event.data or ''}") + "\n"


def table_json(listed: Sequence[ListedExecution]) -> str:
    """Return the executions as a JSON array."""
    return to_json([asdict(each) for each in listed], indent=2).decode() + "\n"


def line_json(event: ServerSentEvent) -> str:
    """Return an event as a line of JSON, with its number and its data."""
    return json_line(_number(event), event.data or "null")


def _number(event: ServerSentEvent) -> int:
    event_id = parse_event_id(event.id or "")
    return 0 if event_id is None else event_id.number


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    id, actor, status, frames, age = row
    cells = [c.ljust(w) for c, w in zip((id, actor, status), widths, strict=False)]
    return printable("  ".join([*cells, frames.rjust(widths[3]), age]))


def _short(age: timedelta) -> str:
    seconds = max(0, round(age.total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
