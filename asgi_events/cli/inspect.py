"""Prints what a store holds, all logs or one, for ``asgi-events inspect``.

It uses only the methods of ``EventStore``, so it reads every store in the same way. It
changes no execution.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from pydantic_core import to_json

from asgi_events.cli.lines import json_line
from asgi_events.events import ExecutionStatus
from asgi_events.exceptions import UnknownExecution
from asgi_events.stores.contract import CreatedOnDemand, EventStore, Page
from asgi_events.stores.urls import open_store
from asgi_events.terminal import printable
from asgi_events.wire.frames import parse_event_id
from asgi_events.wire.sse import Decoder, ServerSentEvent

_PAGE = 256 * 1024  # bytes read at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An execution whose log is in the store.

    Attributes:
        id: The execution's id.
        actor: The actor's name.
        owner: Who started it; None without ``authorize``.
        status: ``started`` while it runs, then how it ended. ``lost`` also if its
            writer has given no sign of life for half its lease, even if nobody has
            ended the log yet.
        frames: How many frames it has had; the store may have dropped the oldest.
        created: When it was started.
    """

    id: str
    actor: str
    owner: str | None
    status: ExecutionStatus
    frames: int
    created: datetime

    def age(self, now: datetime) -> timedelta:
        """Return how long ago it was started."""
        return now - self.created


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
    url: str, id: str | None, *, as_json: bool
) -> AsyncGenerator[str, None]:
    """Yield the text to print: all executions, or the events of the execution ``id``.

    Raises:
        UnknownExecution: The store has no execution of that id.
        ValueError, StoreError, ImportError: See ``open_existing``. ``StoreError`` also
            if the store does not answer.
    """
    store = open_existing(url)
    try:
        if id is None:
            listed = await held(store)
            yield table_json(listed) if as_json else table(listed, datetime.now(UTC))
            return
        async for event in events(store, id):
            yield line_json(event) if as_json else line(event)
    finally:
        await store.aclose()


async def held(store: EventStore) -> list[Held]:
    """Return all executions, the newest first."""
    # A key with a colon belongs to an Idempotency-Key or a thread, not to an execution.
    keys = [key async for key in store.keys() if ":" not in key]
    pages = [(key, await store.read(key, 0, 0)) for key in keys]
    found = [_held(key, page) for key, page in pages if page is not None]
    return sorted(found, key=lambda each: (each.created, each.id), reverse=True)


async def find(store: EventStore, id: str) -> Held:
    """Return one execution.

    Raises:
        UnknownExecution: The store has no execution of that id.
    """
    page = None if ":" in id else await store.read(id, 0, 0)
    if page is None:
        raise UnknownExecution(id)
    return _held(id, page)


async def events(store: EventStore, id: str) -> AsyncIterator[ServerSentEvent]:
    """Yield the events of one execution that are stored now, the oldest first.

    Raises:
        UnknownExecution: The store has no execution of that id.
    """
    last = (await find(store, id)).frames
    decoder, after = Decoder(), 0
    while after < last:
        page = await store.read(id, after, _PAGE)
        if page is None or not page.frames:  # its retention has ended meanwhile
            return
        for event in decoder.feed(b"".join(page.frames)):
            yield event
        after = page.first + len(page.frames) - 1


def table(listed: Sequence[Held], now: datetime) -> str:
    """Return the executions as lines for a terminal."""
    if not listed:
        return "No executions.\n"
    rows = [("ID", "ACTOR", "STATUS", "FRAMES", "AGE")]
    rows += [
        (each.id, each.actor, each.status, str(each.frames), _short(each.age(now)))
        for each in listed
    ]
    *widths, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "".join(_line(row, widths) + "\n" for row in rows)


def line(event: ServerSentEvent) -> str:
    """Return an event as a line for a terminal: its number and its data."""
    return printable(f"{_number(event):>6}  {event.data or ''}") + "\n"


def table_json(listed: Sequence[Held]) -> str:
    """Return the executions as a JSON array."""
    return to_json([asdict(each) for each in listed], indent=2).decode() + "\n"


def line_json(event: ServerSentEvent) -> str:
    """Return an event as a line of JSON, with its number and its data."""
    return json_line(_number(event), event.data or "null")


def _number(event: ServerSentEvent) -> int:
    event_id = parse_event_id(event.id or "")
    return 0 if event_id is None else event_id.number


def _held(id: str, page: Page) -> Held:
    status = ExecutionStatus.STARTED if page.alive else ExecutionStatus.LOST
    return Held(
        id=id,
        actor=page.meta["actor"],
        owner=page.meta.get("owner"),
        status=status if page.end is None else ExecutionStatus(page.end),
        frames=page.last,
        created=datetime.fromisoformat(page.meta["created"]).astimezone(UTC),
    )


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
