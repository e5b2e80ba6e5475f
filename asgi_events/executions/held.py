"""The executions that a process has at hand: where they start, stay and are found."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from asgi_events.actors.when_busy import WhenBusy
from asgi_events.executions.execution import Execution, Run
from asgi_events.executions.facts import Facts
from asgi_events.executions.feeds import Feeds
from asgi_events.executions.listing import ListedExecution, Place, Query
from asgi_events.executions.questions import Questions
from asgi_events.executions.recording import Recording
from asgi_events.executions.viewers import Viewers
from asgi_events.log.log import Log
from asgi_events.log.pages import ReadPage
from asgi_events.stores.contract import Grant

OpenLog: TypeAlias = Callable[[], Coroutine[Any, Any, Grant]]
"""Opens the log of an execution that is about to start."""

Claim: TypeAlias = Callable[[OpenLog], Coroutine[Any, Any, Grant]]
"""Opens that log, and returns only if the actor may then be run."""

Begin: TypeAlias = Callable[..., Coroutine[Any, Any, Execution]]
"""Starts an execution, given its id and, where there is a store, a ``Claim``.

It raises ``Busy`` or ``Ended`` if there is one of that id, ``UnknownExecution`` if
there was one in its thread, and ``Refused`` if nothing may start."""


Turn: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
"""Waits until an execution may run."""


class Make(Protocol):
    """Makes an execution of this process or of another one."""

    def __call__(
        self,
        facts: Facts,
        opened: Opened,
        make_run: Callable[[Viewers], Run],
        /,
    ) -> Execution: ...


@dataclass(frozen=True, slots=True)
class Opened:
    """Where the events of one execution go.

    Attributes:
        log: Its frames in this process.
        questions: What it asks.
        recording: Carries them into the store; None where the log is all there is, or
            where another process does that.
        turn: Waits until it is its turn in its thread; None without a thread.
        read_page: Reads what the log has dropped; None where nobody has it.
    """

    log: Log
    questions: Questions
    recording: Recording | None = None
    turn: Turn | None = None
    read_page: ReadPage | None = None


class Held(Protocol):
    """What runs here, and what has ended and is retained.

    Attributes:
        here: By id, what runs here and what has ended and is retained in memory, the
            oldest first.
        feeds: The feeds of their owners.
    """

    here: dict[str, Execution]
    feeds: Feeds

    def __iter__(self) -> Iterator[Execution]:
        """All of them, and those of other processes that are watched here."""

    async def by_key(self, owner: str | None, key: str, begin: Begin) -> Execution:
        """The execution of an ``Idempotency-Key``, which is started if it is new.

        Raises:
            UnknownExecution: It was started, is over, and no longer kept.
        """

    async def by_id(self, id: str, begin: Begin) -> Execution:
        """The execution of an id, which is started if there is none.

        Raises:
            UnknownExecution: It was started, is over, and no longer kept.
        """

    async def newest(self, owner: str | None, thread: str) -> Execution | None:
        """The newest execution of an owner's thread, if it is kept.

        Raises:
            Unavailable: The store does not answer.
        """

    async def find(self, id: str) -> Execution:
        """What is not ``here``.

        Raises:
            UnknownExecution: There is none.
            Unavailable: The store does not answer.
        """

    async def list(self, query: Query) -> Sequence[tuple[Place, ListedExecution]]:
        """What ``query`` asks for, one more than fits on a page if there are more.

        Raises:
            ValueError: The cursor is of another list.
            Unavailable: The store does not answer.
        """

    async def open(
        self, facts: Facts, claim: Claim | None, when_busy: WhenBusy
    ) -> Opened:
        """Open the log of an execution that is about to start, and take its turn.

        Raises:
            ThreadBusy, LimitReached: Others of the thread run or wait; see
                ``check_turn``.
            UnknownExecution: The thread had one of that id, which is no longer kept.
        """

    async def discard(self, id: str) -> None:
        """Undo ``open``: the execution does not start."""

    def add(self, execution: Execution) -> None:
        """Hold what has just started."""

    def retain(self, execution: Execution, run: Run) -> None:
        """Keep what has ended here until its retention is over.

        Args:
            execution: What has ended.
            run: What is behind it from now on.
        """

    async def started(self) -> None:
        """Wait until nothing is being started."""

    def reopen(self) -> None:
        """Begin anew, after ``aclose``."""

    async def aclose(self) -> None:
        """Forget all, since the process stops."""
