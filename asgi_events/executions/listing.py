"""What runs and what has ended, in one list, page by page."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Final, TypeAlias

from asgi_events.events import ExecutionStatus
from asgi_events.executions.names import check_actor, check_owner, check_thread
from asgi_events.stores.contract import EventStore, Page, Position
from asgi_events.stores.rules import status_of

MOST = 1000
"""How many executions a page may have."""

STATUSES = (
    ExecutionStatus.STARTED,
    ExecutionStatus.COMPLETED,
    ExecutionStatus.FAILED,
    ExecutionStatus.CANCELLED,
    ExecutionStatus.LOST,
)
"""How the executions of a list may stand."""


class AnyOwner(Enum):
    """The type of ``ANY_OWNER``."""

    ANY_OWNER = "any owner"


ANY_OWNER: Final = AnyOwner.ANY_OWNER
"""In place of an owner: the executions of all owners, and those without one."""

Place: TypeAlias = tuple[str, str]
"""Where an execution stands in a list, as its cursors say it."""


class InvalidQuery(ValueError):
    """A list was asked for that there cannot be; the message names the argument."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedExecution:
    """An execution as a list has it: what was known of it at that moment.

    Attributes:
        id: The execution's id; ``Executions.get`` finds it.
        actor: The actor's name.
        owner: Who started it; None without one.
        thread: The thread that it is a turn of; None without one.
        status: ``started`` while it runs, then how it ended. ``lost`` also if its
            process has given no sign of life for half its lease, even if the log has
            not been ended yet.
        last: The number of its newest event.
        created: When it was started.
        ended: When its terminal event was stored; None if it was not.
    """

    id: str
    actor: str
    owner: str | None
    thread: str | None
    status: ExecutionStatus
    last: int
    created: datetime
    ended: datetime | None

    @classmethod
    def from_page(cls, id: str, page: Page) -> ListedExecution:
        """What a store has of it."""
        meta, ended = page.meta, page.ended
        return cls(
            id=id,
            actor=meta["actor"],
            owner=meta.get("owner"),
            thread=meta.get("thread"),
            status=ExecutionStatus(status_of(page.end, alive=page.alive)),
            last=page.last,
            created=datetime.fromisoformat(meta["created"]).astimezone(UTC),
            ended=None if ended is None else datetime.fromtimestamp(ended, UTC),
        )


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a list.

    Attributes:
        items: Executions, the newest first.
        next: The ``after`` of the next page; None if this is the last one.
    """

    items: Sequence[ListedExecution]
    next: str | None


class Query:
    """What a list has: the arguments of ``Executions.list``, checked.

    Attributes:
        match: What a store has to find in ``meta``.
        status: As given.
        before: The place of the last execution of the page before; None for the first.
        limit: As given.

    Raises:
        TypeError: An argument is of a wrong type.
        InvalidQuery: An argument is out of its range, or ``after`` is the cursor of
            another list.
    """

    def __init__(
        self,
        *,
        owner: str | None | AnyOwner,
        thread: str | None = None,
        status: ExecutionStatus | str | None = None,
        actor: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> None:
        self.match: dict[str, str | None] = {}
        with _names_checked():
            check_thread(thread)
            if not isinstance(owner, AnyOwner):
                check_owner(owner)
                self.match["owner"] = owner
            if thread is not None:
                self.match["thread"] = thread
            if actor is not None:
                check_actor(actor)
                self.match["actor"] = actor
        self.status = None if status is None else _status(status)
        self.limit = _limit(limit)
        self.before = None if after is None else self._place(after)

    def page(self, found: Sequence[tuple[Place, ListedExecution]]) -> Listing:
        """The page of what was found, of which there is one more if more follow."""
        items = [listed for _, listed in found[: self.limit]]
        if len(found) <= self.limit:
            return Listing(items, None)
        place, _ = found[self.limit - 1]
        return Listing(items, self._cursor(place))

    @property
    def _list(self) -> str:
        asked = json.dumps([self.match, self.status], sort_keys=True)
        return hashlib.sha256(asked.encode()).hexdigest()[:16]

    def _cursor(self, place: Place) -> str:
        told = json.dumps([self._list, *place]).encode()
        return base64.urlsafe_b64encode(told).decode().rstrip("=")

    def _place(self, cursor: str) -> Place:
        try:
            padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
            told = json.loads(base64.b64decode(padded, b"-_", validate=True))
            of_list, first, second = told
            if not (first + second).isascii():
                raise ValueError
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise InvalidQuery(
                "after must be the cursor of a page before, as its `next` is, got "
                f"{cursor!r:.80}"
            ) from None
        if of_list != self._list:
            raise another_list()
        return first, second


def another_list() -> InvalidQuery:
    """The error of a cursor that another list has given."""
    return InvalidQuery(
        "after is a cursor of another list: go on with the owner, thread, status and "
        "actor of the page before, or begin without a cursor"
    )


async def list_stored(
    store: EventStore, query: Query
) -> Sequence[tuple[Place, ListedExecution]]:
    """What a store has, one more than fits on a page if there are more."""
    found = await store.list(
        query.match,
        status=query.status,
        before=None if query.before is None else Position(*query.before),
        limit=query.limit + 1,
    )
    return [
        ((page.meta["created"], id), ListedExecution.from_page(id, page))
        for id, page in found
    ]


@contextmanager
def _names_checked() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise InvalidQuery(str(error)) from None


def _status(status: ExecutionStatus | str) -> str:
    if status not in STATUSES:
        known = ", ".join(STATUSES)
        raise InvalidQuery(f"status must be one of {known}, got {status!r:.80}")
    return str(status)


def _limit(limit: int) -> int:
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise TypeError(f"limit must be an int, got {limit!r}")
    if not 1 <= limit <= MOST:
        raise InvalidQuery(f"limit must be 1 to {MOST}, got {limit}")
    return limit
