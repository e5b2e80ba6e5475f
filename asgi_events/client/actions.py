"""What a plan asks for, one thing at a time, and what it is told.

A plan is a generator: it yields an action, and is sent the outcome. It does no I/O
itself; a driver performs the actions, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

from asgi_events.wire.decoding import AnyEvent

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Authorize:
    """Ask ``auth``. The outcome: headers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send a request, and wait for the head of its response.

    The outcome: an ``Answer`` or ``Broken``.

    Attributes:
        timeout: Seconds that there are for it, until it is a stream; None for any time.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Follow:
    """Send the request to which the response redirects. The outcome is as of ``Send``.

    Attributes:
        private: The names of the headers that no other origin may see.
    """

    private: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Read:
    """Read on. The outcome: bytes, ``Broken``, or None at the end of the response."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the response. The outcome: None."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait. The outcome: None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Emit:
    """Give the user an event. The outcome: None, once the user wants the next one."""

    event: AnyEvent


@dataclass(frozen=True, slots=True)
class Done:
    """The plan is over. It is what ``Steps`` have last.

    Attributes:
        value: What the plan has returned.
        is_abandoned: Whether it ended before its time.
    """

    value: Any = None
    is_abandoned: bool = False


Action: TypeAlias = Authorize | Send | Follow | Read | Close | Sleep | Emit


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The head of a response.

    Attributes:
        status: The HTTP status.
        headers: By names in lower case.
        url: Who has answered.
        redirect: The method of the request to which it redirects; None if it does not.
    """

    status: int
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    redirect: str | None = None

    @property
    def media_type(self) -> str:
        """What the body is, in lower case; empty if the response does not say."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Broken:
    """There is no connection, or no more.

    Attributes:
        reason: Why, for people.
        error: What the HTTP library has raised.
        is_final: Whether it makes no sense to try again.
    """

    reason: str
    error: Exception | None = None
    is_final: bool = False


Outcome: TypeAlias = Mapping[str, str] | Answer | Broken | bytes | None

Plan: TypeAlias = Generator[Action, Any, T]


class Steps(Generic[T]):
    """A plan, step by step. A step that was interrupted is there to be done again."""

    def __init__(self, plan: Plan[T]) -> None:
        self._plan = plan
        self._current: Action | Done | None = None

    def begin(self) -> Action | Done:
        """The action to perform now."""
        if self._current is None or isinstance(self._current, Emit):
            return self.done(None)
        return self._current

    def done(self, outcome: Outcome) -> Action | Done:
        """Tell the outcome of the current action; return the next one."""
        current, self._current = self._current, Done()
        try:
            if current is None:
                self._current = next(self._plan)
            else:
                self._current = self._plan.send(outcome)
        except StopIteration as end:
            self._current = Done(end.value)
        return self._current

    def abandon(self) -> Done:
        """End before its time."""
        self._plan.close()
        self._current = over = Done(is_abandoned=True)
        return over


def value_of(last: Emit | Done) -> Any:
    """Return what a plan has returned that emits nothing.

    Raises:
        RuntimeError: It was abandoned.
    """
    if isinstance(last, Emit) or last.is_abandoned:
        raise RuntimeError("The client was closed before there was an answer.")
    return last.value
