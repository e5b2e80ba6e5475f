"""Keeps ended logs for as long as their store may still lose them.

A store may acknowledge a frame and lose it a moment later, when a replica takes over
that does not have it, or when a server restarts that had not written it to disk. The
recorder of a running execution notices that and sends again. Ended logs are kept here
for ``settle_time``. If the store loses their end, they are written again with the same
terminal frame, so no execution ends twice.

The marker of an ``Idempotency-Key`` is kept for as long as its execution runs or is
kept, so no key starts a second execution. So is the turn of a thread: without it the
thread would be free while its newest execution runs, and an older one would be found.

Who answers a question is told that the answer counts. So what has closed a question is
kept for ``settle_time``, too, where it was answered and where it was asked.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from asgi_events.exceptions import Busy, Ended
from asgi_events.executions.follower import SharedWatch
from asgi_events.executions.question_log import ClosedQuestion
from asgi_events.executions.recorder import Opening
from asgi_events.executions.thread_log import Turn
from asgi_events.log.log import Log
from asgi_events.stores.contract import EventStore, Grant

logger = logging.getLogger(__name__)

_CHUNK = 256 * 1024  # bytes written at once
_MOST_ANSWERS = 1000  # that are kept; the oldest is dropped when there are more


@dataclass(frozen=True, slots=True)
class Kept:
    """A log that has ended.

    Attributes:
        opening: How it is opened again.
        end: How the execution ended; of a marker, the name of the starter.
        first: The number of the first of ``frames``.
        frames: The frames that are held; the last one is the terminal frame. A marker
            has none.
        size: Bytes of the frames.
        until: The loop's time at which ``settle_time`` is over.
    """

    opening: Opening
    end: str
    first: int = 1
    frames: Sequence[bytes] = ()
    size: int = 0
    until: float = float("inf")

    @property
    def last(self) -> int:
        """The number of the terminal frame."""
        return self.first + len(self.frames) - 1


class Keeper:
    """Keeps the ended logs of one store, and writes them again if it loses them.

    Args:
        store: May lose what it has acknowledged. If its ``settle_time`` is 0, it never
            does, and nothing is kept.
        watch: Says when the store suspects the writer of a log that is kept here.
        lease: Seconds. Three times in a lease the keeper checks the store.

    Attributes:
        held_bytes: Bytes of all frames that are kept.
    """

    def __init__(self, store: EventStore, watch: SharedWatch, *, lease: float) -> None:
        self._store = store
        self._settle_time: float = store.settle_time
        self._shared_watch = watch
        self._interval = lease / 3
        self._kept: dict[str, Kept] = {}
        self._marks: dict[str, Kept] = {}  # by the id of the execution
        self._turns: dict[str, Turn] = {}  # likewise
        # By log and number, each with when ``settle_time`` is over.
        self._answers: dict[tuple[str, int], tuple[ClosedQuestion, float]] = {}
        self._generation = 0
        self._suspected = False
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False
        self.held_bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, opening: Opening, log: Log) -> None:
        """Keep a log whose terminal frame has just been stored."""
        if self._is_closed or self._settle_time <= 0 or log.end is None:
            self._drop_marks(opening.key)
            return
        frames = log.since(log.first - 1)
        size = sum(map(len, frames))
        time = min(self._settle_time, opening.ttl)  # then the log expires
        until = asyncio.get_running_loop().time() + time
        self._begin()
        self._kept[opening.key] = Kept(opening, log.end, log.first, frames, size, until)
        self.held_bytes += size
        self._shared_watch.add_writer(opening.key, self._verify_soon)

    def keep_mark(self, id: str, marker: Opening, end: str) -> None:
        """Keep the marker of an execution that is about to run, as long as the log."""
        if self._store.durable and not self._is_closed:
            self._begin()
            self._marks[id] = Kept(marker, end)

    def keep_turn(self, turn: Turn) -> None:
        """Keep the turn of an execution that is about to run, as long as the log."""
        if self._store.durable and not self._is_closed:
            self._begin()
            self._turns[turn.id] = turn

    def keep_answer(self, closed: ClosedQuestion) -> None:
        """Keep a question that has just been closed."""
        place = (closed.log.key, closed.request.n)
        if self._is_closed or self._settle_time <= 0 or place in self._answers:
            return
        self._begin()
        until = asyncio.get_running_loop().time() + self._settle_time
        self._answers[place] = (closed, until)
        if len(self._answers) > _MOST_ANSWERS:
            del self._answers[next(iter(self._answers))]

    def discard_mark(self, id: str) -> None:
        """Drop the marker and turn of an ended execution, unless its log is kept."""
        if id not in self._kept:
            self._drop_marks(id)

    def discard(self, key: str) -> None:
        """Drop a log, and the marker and turn of its execution."""
        self._drop_marks(key)
        kept = self._kept.pop(key, None)
        if kept is not None:
            self.held_bytes -= kept.size
            self._shared_watch.discard_writer(key)

    def drop_oldest(self) -> None:
        """Drop the log that ended first; there must be one."""
        self.discard(next(iter(self._kept)))

    def reopen(self) -> None:
        """Keep again what is given, after ``aclose``."""
        self._is_closed = False

    async def aclose(self) -> None:
        """Drop all, and keep nothing more."""
        self._is_closed = True
        for key in list(self._kept):
            self.discard(key)
        self._marks.clear()
        self._turns.clear()
        self._answers.clear()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def _drop_marks(self, id: str) -> None:
        self._marks.pop(id, None)
        self._turns.pop(id, None)

    def _begin(self) -> None:
        """Begin to check the store, unless that is going on."""
        if not self._keeps_any:
            self._generation = self._get_generation()
        if self._task is None or self._task.done():
            self._woken = asyncio.Event()
            self._task = asyncio.ensure_future(self._watch())

    @property
    def _keeps_any(self) -> bool:
        return bool(self._kept or self._marks or self._turns or self._answers)

    def _get_generation(self) -> int:
        return self._store.generation

    def _verify_soon(self) -> None:
        self._suspected = True
        self._woken.set()

    async def _watch(self) -> None:
        while self._keeps_any:
            self._woken.clear()
            try:
                async with asyncio.timeout(self._interval):
                    await self._woken.wait()
            except TimeoutError:
                pass
            self._drop_settled()
            try:
                await self._look()
            except Exception as error:  # it may pass
                logger.warning("The ended logs cannot be checked now: %r", error)

    def _drop_settled(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._kept and next(iter(self._kept.values())).until <= now:
            self.drop_oldest()
        for place, (_, until) in list(self._answers.items()):
            if until <= now:
                del self._answers[place]

    async def _look(self) -> None:
        """Verify all that is kept, if the store may have lost something."""
        turns = list(self._turns.values())
        answers = [closed for closed, _ in self._answers.values()]
        logs = [*self._marks.values(), *self._kept.values()]
        openings = [each.opening for group in (turns, answers, logs) for each in group]
        if not openings:
            return
        # The store notices that its server is another one when it gets a call. The same
        # server may have been emptied.
        if await self._store.read(openings[-1].key, 0, 0) is None:
            self._suspected = True
        generation = self._get_generation()
        if generation == self._generation and not self._suspected:
            return
        failures = []
        for verify in [
            *(partial(self._verify_turn, turn) for turn in turns),
            *(partial(self._verify_answer, closed) for closed in answers),
            *(partial(self._verify, log) for log in logs),
        ]:
            try:
                await verify()
            except Exception as error:  # the others are still verified
                failures.append(error)
        if failures:
            raise failures[0]
        self._generation = generation
        self._suspected = False

    async def _verify_turn(self, turn: Turn) -> None:
        if turn.id in self._turns and not await turn.restore():
            logger.error(
                "The thread of the execution %s may have run another one at the same "
                "time, since the store had lost its turn.",
                turn.id,
            )
            self._turns.pop(turn.id, None)

    async def _verify_answer(self, closed: ClosedQuestion) -> None:
        place = (closed.log.key, closed.request.n)
        if place in self._answers and not await closed.restore():
            logger.error(
                "Question %s in %s has another answer than it had, since the store had "
                "lost the first one.",
                closed.request.n,
                closed.log.key,
            )
            self._answers.pop(place, None)

    async def _verify(self, kept: Kept) -> None:
        key = kept.opening.key
        if kept.frames and key not in self._kept:  # dropped meanwhile
            return
        page = await self._store.read(key, kept.last, 0)
        if page is not None and page.end is not None:
            if (page.last, page.end) != (kept.last, kept.end):
                self._give_up(kept, page.end)
            return
        logger.warning("The store has lost the end of %s; sending it again.", key)
        try:
            await self._write_again(kept)
        except (Busy, Ended) as error:
            self._give_up(kept, str(error))

    async def _write_again(self, kept: Kept) -> None:
        grant = await kept.opening.open(after=kept.first - 1)
        if grant.last + 1 < kept.first:  # the frames between are not held any more
            await self._store.delete(kept.opening.key)
            grant = await kept.opening.open(after=kept.first - 1)
        after = grant.last + await self._append(kept, grant, grant.last)
        while after < kept.last:
            after += await self._append(kept, grant, after)

    async def _append(self, kept: Kept, grant: Grant, after: int) -> int:
        """Write some of the frames; return how many."""
        frames = kept.frames[after + 1 - kept.first :]
        frames = frames[: _count_of(frames)]
        end = kept.end if after + len(frames) == kept.last else None
        key = kept.opening.key
        await self._store.append(key, grant, after, frames, end=end)
        return len(frames)

    def _give_up(self, kept: Kept, end: str) -> None:
        if not kept.frames:
            id = kept.opening.meta["id"]
            logger.error(
                "The Idempotency-Key of the execution %s may have started another one, "
                "since the store had lost its marker; that is now: %s",
                id,
                end,
            )
            self._marks.pop(id, None)
            return
        logger.error(
            "The execution %s has ended here as %s, but in the store as: %s",
            kept.opening.key,
            kept.end,
            end,
        )
        self.discard(kept.opening.key)


def _count_of(frames: Sequence[bytes]) -> int:
    """How many of ``frames`` one call writes: at least one."""
    size = 0
    for count, frame in enumerate(frames):
        size += len(frame)
        if count and size > _CHUNK:
            return count
    return len(frames)
