"""Executions without a store: each log keeps its own frames, within bounds."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count, islice

from asgi_events.actors.when_busy import WhenBusy
from asgi_events.aio.leftovers import Leftovers
from asgi_events.aio.timers import Timer, timers
from asgi_events.events import ExecutionStatus
from asgi_events.exceptions import UnknownExecution
from asgi_events.executions.execution import Execution, Run
from asgi_events.executions.facts import Facts
from asgi_events.executions.feeds import Feeds
from asgi_events.executions.follower import SharedWatch
from asgi_events.executions.held import Begin, Claim, Opened
from asgi_events.executions.listing import (
    ListedExecution,
    Place,
    Query,
    another_list,
)
from asgi_events.executions.names import new_id
from asgi_events.executions.options import ExecutionsOptions
from asgi_events.executions.question_log import QuestionLog
from asgi_events.executions.questions import Questioning, Questions
from asgi_events.executions.turns import check_turn, replaced_by
from asgi_events.executions.viewers import Viewing
from asgi_events.log.log import Bounds, Log
from asgi_events.stores.memory import MemoryStore
from asgi_events.wire.window import trim_largest

# Bytes of memory, measured with tracemalloc (Python 3.11): an execution that has ended,
# without its frames, and a key.
_EXECUTION = 2304
_KEY = 512

_ENOUGH = 0.95  # of the bound of all logs, once it is reached
_AT_ONCE = 1024 * 1024  # bytes that are freed below the bound: this takes 0.3 ms
_FORGOTTEN = 100  # executions whose time is over, forgotten in one turn of the loop
_KEYS = 0.25  # of that bound, for keys


class HeldInMemory:
    """What runs here, and what has ended, in the memory of this process only.

    All logs together take about ``max_retained_bytes``. Beyond that the executions that
    ended first are forgotten; their viewers are given a ``reset`` and the terminal
    event. Then the oldest frames of the largest logs go. Each log keeps its newest
    frame.

    Args:
        options: How long, and how many bytes.
        key_ttl: Seconds a key is known.
        viewing: What the viewers of a process share.

    Attributes:
        here: By id, what runs here and what has ended, the oldest first.
        feeds: The feeds of their owners.
        held_bytes: About how many bytes of memory all of them take.
    """

    def __init__(
        self, options: ExecutionsOptions, *, key_ttl: float, viewing: Viewing
    ) -> None:
        self.here: dict[str, Execution] = {}
        self.held_bytes = 0
        self._options = options
        self._key_ttl = key_ttl
        self._limit = options["max_retained_bytes"]
        self._max_keys = max(int(self._limit * _KEYS) // _KEY, 1)
        # Of keys: (owner, key). Of what was started in threads: (owner, thread, id).
        self._keys: dict[tuple[str | None, ...], tuple[str, float]] = {}
        self._newest: dict[tuple[str | None, str], str] = {}  # of each thread
        self._unfinished: dict[tuple[str | None, str], list[Execution]] = {}
        self._retained: dict[str, float] = {}  # until when, the oldest first
        self._name = secrets.token_hex(8)  # in the cursors of lists
        self._numbers = count()
        self._number: dict[str, int] = {}  # the order of the list
        self._retaining: Timer | None = None
        self._leftovers = Leftovers()
        self._asked = MemoryStore(max_retained_bytes=self._limit)
        self._questioning = Questioning(
            partial(
                QuestionLog,
                self._asked,
                lease=options["lease"],
                ttl=options["retention"],
            ),
            max_event_bytes=options["max_event_bytes"],
        )
        # One for all: a bound method takes 64 bytes, and a log is long-lived.
        self._on_growth: Callable[[Log, int], None] = self._grown
        self._bounds = Bounds(options["max_events"], options["max_bytes"])
        watch = SharedWatch(self._asked, lambda: self._name)
        self.feeds = Feeds(self._asked, options, viewing, watch)

    def __iter__(self) -> Iterator[Execution]:
        return iter(list(self.here.values()))

    async def by_key(self, owner: str | None, key: str, begin: Begin) -> Execution:
        now = asyncio.get_running_loop().time()
        id, until = self._keys.get((owner, key), ("", now))
        if until > now:
            return await self.find(id)
        # NOTE: nothing suspends until the execution is ``here``, so nobody else begins.
        execution = await begin(new_id())
        self._remember((owner, key), execution.id, now)
        return execution

    async def by_id(self, id: str, begin: Begin) -> Execution:
        return self.here.get(id) or await begin(id)

    async def newest(self, owner: str | None, thread: str) -> Execution | None:
        return self.here.get(self._newest.get((owner, thread), ""))

    async def find(self, id: str) -> Execution:
        if id not in self.here:
            raise UnknownExecution(id)
        return self.here[id]

    async def list(self, query: Query) -> Sequence[tuple[Place, ListedExecution]]:
        before = None if query.before is None else self._number_of(query.before)
        found: list[tuple[Place, ListedExecution]] = []
        for id in reversed(self.here):
            number = self._number[id]
            execution = self.here[id]
            if before is not None and number >= before:
                continue
            if _matches(execution, query):
                found.append(((self._name, str(number)), _listed(execution)))
                if len(found) > query.limit:
                    break
        return found

    def _number_of(self, place: Place) -> int:
        name, number = place
        if name != self._name or not number.isdecimal():
            raise another_list()
        return int(number)

    async def open(
        self, facts: Facts, claim: Claim | None, when_busy: WhenBusy
    ) -> Opened:
        turn = None
        if facts.thread is not None:
            behind = self._behind(facts, facts.thread, when_busy)
            message = replaced_by(facts.id) if when_busy == "replace" else None
            turn = partial(_over, behind, message)
        log = Log(
            facts.id,
            keeps="newest",
            bounds=self._bounds,
            on_growth=self._on_growth,
        )
        return Opened(log, Questions(facts, self._questioning), turn=turn)

    async def discard(self, id: str) -> None:
        pass  # nothing is held before it runs

    def add(self, execution: Execution) -> None:
        self.here[execution.id] = execution
        self._number[execution.id] = next(self._numbers)
        self._grown(execution.log, _EXECUTION)
        if execution.thread is not None:
            owner, thread, id = execution.owner, execution.thread, execution.id
            self._newest[owner, thread] = id
            self._unfinished.setdefault((owner, thread), []).append(execution)
            now = asyncio.get_running_loop().time()
            self._remember((owner, thread, id), id, now)

    def retain(self, execution: Execution, run: Run) -> None:
        execution.end(run)
        if execution.thread is not None:
            self._leave(execution, (execution.owner, execution.thread))
        if execution.id not in self.here:  # a drain has forgotten it
            return
        until = asyncio.get_running_loop().time() + self._options["retention"]
        self._retained[execution.id] = until
        if self._retaining is None:
            self._retaining = timers().start(self._forget_old, until)

    async def started(self) -> None:
        pass  # a start takes one turn of the loop

    def reopen(self) -> None:
        self.feeds.reopen()

    async def aclose(self) -> None:
        if self._retaining is not None:
            self._retaining.stop()
            self._retaining = None
        for execution in self.here.values():
            execution.log.on_growth = None
        self.here.clear()
        self._number.clear()
        self._retained.clear()
        self._keys.clear()
        self._newest.clear()
        self._unfinished.clear()
        self.held_bytes = 0
        await self._questioning.aclose()
        await self.feeds.aclose()
        await self._asked.aclose()

    def _behind(
        self, facts: Facts, thread: str, when_busy: WhenBusy
    ) -> Sequence[Execution]:
        """Those that a new execution of a thread has to wait for."""
        owner, id = facts.owner, facts.id
        _, until = self._keys.get((owner, thread, id), ("", 0.0))
        if until > asyncio.get_running_loop().time():
            raise UnknownExecution(id)
        all = self._unfinished.get((owner, thread), ())
        behind = [each for each in all if each.status is ExecutionStatus.STARTED]
        ids = [each.id for each in behind]
        check_turn(facts, when_busy, ids, self._options["max_queued"])
        return behind

    def _leave(self, execution: Execution, thread: tuple[str | None, str]) -> None:
        """Take an execution that has ended out of its thread."""
        unfinished = self._unfinished.get(thread, [])
        if execution in unfinished:
            unfinished.remove(execution)
        if not unfinished:
            self._unfinished.pop(thread, None)

    def _remember(self, key: tuple[str | None, ...], id: str, now: float) -> None:
        """Remember a key; forget the oldest if it is over or too many are known."""
        self._keys.pop(key, None)
        self._keys[key] = id, now + self._key_ttl
        oldest = next(iter(self._keys))
        if len(self._keys) > self._max_keys or self._keys[oldest][1] <= now:
            del self._keys[oldest]

    def _forget_old(self, now: float) -> float | None:
        """Forget what has been retained for long enough; say when to look again."""
        for id, until in list(islice(self._retained.items(), _FORGOTTEN)):
            if until > now:
                return until
            self._forget(id)
        if self._retained:
            return now
        self._retaining = None
        return None

    def _forget(self, id: str) -> None:
        del self._retained[id]
        execution = self.here.pop(id)
        del self._number[id]
        if execution.thread is not None:
            turn = execution.owner, execution.thread
            if self._newest.get(turn) == id:
                del self._newest[turn]
        log = execution.log
        # A viewer that is still there holds the log. The newest block goes first: the
        # allocator gives back the end of its memory, and at the end it would be all.
        for block in reversed(log.keep_newest()):
            self._leftovers.add(block, len(block.frames))
        log.on_growth = None
        self.held_bytes -= _EXECUTION + log.held_bytes

    def _grown(self, log: Log, grown: int) -> None:
        self.held_bytes += grown
        if grown > 0 and self.held_bytes > self._limit:
            self._make_room()

    def _make_room(self) -> None:
        while self.held_bytes > self._limit and self._retained:
            self._forget(next(iter(self._retained)))
        if self.held_bytes <= self._limit:
            return
        # Somewhat more than has to go, so that the next search comes later.
        enough = max(self._limit * _ENOUGH, self._limit - _AT_ONCE)
        for _ in trim_largest(execution.log for execution in self.here.values()):
            if self.held_bytes <= enough:  # each log has reported what it freed
                break


async def _over(behind: Sequence[Execution], message: str | None) -> None:
    """Wait for the ends of executions, which a message cancels."""
    if message is not None:
        for execution in behind:
            await execution.cancel(message)
    for execution in behind:
        await execution.wait()


def _matches(execution: Execution, query: Query) -> bool:
    if query.status not in (None, execution.status):
        return False
    return all(getattr(execution, fact) == value for fact, value in query.match.items())


def _listed(execution: Execution) -> ListedExecution:
    return ListedExecution(
        id=execution.id,
        actor=execution.actor,
        owner=execution.owner,
        thread=execution.thread,
        status=execution.status,
        last=execution.log.last,
        created=execution.created,
        ended=execution.ended,
    )
