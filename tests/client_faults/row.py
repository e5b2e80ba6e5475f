"""One row of the matrix: what a client meets, and what its user must have seen."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from tests.client_faults.answers import is_rising
from tests.client_faults.log import Log
from tests.client_faults.place import Answer, Place

Seen: TypeAlias = tuple[str, Any, Any]
"""``("event", number, JSON)`` or ``("reset", reason, first)``."""

Range: TypeAlias = tuple[float, float]
"""The least and the greatest number of seconds."""


class _Any:
    """What is equal to everything."""

    def __eq__(self, other: object) -> bool:
        return True

    def __repr__(self) -> str:
        return "any"


ANY = _Any()
"""What is not compared."""

AS_IN_THE_LOG = "as in the log"


@dataclass(frozen=True, slots=True)
class Failure:
    """The error that a user gets.

    Attributes:
        kind: The name of its class in Python, or several of them after ``or``.
        words: What its message says, among other words.
    """

    kind: str
    words: tuple[str, ...] = ()

    def is_of(self, kind: str) -> bool:
        """Whether an error of that class is right."""
        return kind in self.kind.split(" or ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a client is asked to do.

    Attributes:
        verb: ``follow``, ``result``, ``start``, ``about``, ``cancel``, ``answer``:
            accept question 1 with true, or ``count``: follow, and note the number of
            events and the growth of the memory alone.
        base: The URL of the place.
        execution: The id; for ``start`` it is in the answer.
        after: The number of the event that the user has already.
        count: How many events there are, for ``count``.
        leave: The number of events after which the user leaves; None to stay.
        waiting: Whether the user leaves while it waits for the next event.
        stall: Seconds without a byte after which a connection is dead; None for the
            default.
        give_up: Seconds without a connection after which the client gives up.
        auth: Whether each request carries a new token.
        trust: The file with the certificates that are trusted; None for those that
            are trusted anyway.
        own: Whether the client makes its own connections; otherwise it may be given
            what makes them, which takes long to make.
        announce: A port to which the client connects when it has waited twice.
    """

    verb: str = "follow"
    base: str = ""
    execution: str = ""
    after: int = 0
    count: int = 0
    leave: int | None = None
    waiting: bool = False
    stall: float | None = None
    give_up: float | None = None
    auth: bool = True
    trust: str | None = None
    announce: int | None = None
    own: bool = False

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a client has told its user.

    Attributes:
        seen: The events and resets, in order.
        status: How the execution has ended, as the client knows it.
        failure: The class and the message of the error.
        waits: The seconds that it wanted to wait before each reconnect.
        value: What the verb has returned.
    """

    seen: list[Seen] = field(default_factory=list)
    status: str | None = None
    failure: tuple[str, str] | None = None
    waits: list[float] = field(default_factory=list)
    value: Any = None


def grown(events: int, bytes: int) -> dict[str, int]:
    """The ``value`` of ``count``.

    Args:
        events: How many were seen.
        bytes: How much more memory is in use at the last one than at a quarter of them.
    """
    return {"events": events, "bytes": bytes}


def all_events(log: Log) -> list[Seen]:
    """Every event once."""
    return events(log, 1, log.last)


def events(log: Log, first: int, last: int) -> list[Seen]:
    """Some events, once and in order."""
    return [("event", n, log.value(n)) for n in range(first, last + 1)]


def resets(reason: str, first: int) -> list[Seen]:
    """One reset."""
    return [("reset", reason, first)]


Check: TypeAlias = Callable[[Place, Outcome], str | None]
"""Returns what is wrong; None if nothing is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row.

    Attributes:
        name: What the client meets.
        ask: What it is asked.
        log: What is changed in the recorded log.
        plan: The answers to its requests for events; the usual one follows.
        others: The answers to its other requests, by their kind.
        seen: What its user must have seen.
        status: How the execution has ended; by default as in the log.
        failure: The error that the user must get.
        value: What the verb must return.
        ids: The ``Last-Event-ID`` of each request for events: a number, the text, or
            None.
        waits: How long it must want to wait before each reconnect.
        check: What else must hold.
        late: Whether the server listens only when the client has waited twice.
        running: Whether the execution runs until its stream was sent.
        judged: Whether other clients than ours can survive it and are asked too.
    """

    name: str
    ask: Question = field(default_factory=Question)
    log: Callable[[Log], Log] = lambda log: log
    plan: tuple[Answer, ...] = ()
    others: dict[str, tuple[Answer, ...]] = field(default_factory=dict)
    seen: Callable[[Log], list[Seen]] | object = all_events
    status: object = AS_IN_THE_LOG
    failure: Failure | None = None
    value: Callable[[Log], Any] | None = None
    ids: Callable[[Log], list[int | str | None]] | list[int | str | None] | None = None
    waits: list[Range] | None = None
    check: Check | None = None
    late: bool = False
    running: bool = False
    judged: bool = False

    def place(self, log: Log) -> Place:
        """What is behind the place where this row is asked."""
        plan = {"events": deque(self.plan)}
        plan |= {kind: deque(answers) for kind, answers in self.others.items()}
        return Place(log=self.log(log), plan=plan, running=self.running)

    def complaints(self, place: Place, outcome: Outcome) -> list[str]:
        """What is wrong with what a client has done; empty if nothing is."""
        log = place.log
        found = [
            self._of_failure(outcome),
            self._of_seen(log, outcome),
            self._of_ids(log, place),
            self._of_waits(outcome),
            _of_tokens(place) if self.ask.auth else None,
            _of_headers(place) if self.ask.auth else None,
            self.check(place, outcome) if self.check is not None else None,
        ]
        if self.failure is None and self.ask.verb == "follow":
            status = log.status if self.status is AS_IN_THE_LOG else self.status
            found.append(_unlike("status", outcome.status, status))
        if self.value is not None:
            found.append(_unlike("value", outcome.value, self.value(log)))
        return [complaint for complaint in found if complaint is not None]

    def _of_failure(self, outcome: Outcome) -> str | None:
        if outcome.failure is None or self.failure is None:
            wanted = None if self.failure is None else self.failure.kind
            return _unlike("error", outcome.failure, wanted)
        kind, message = outcome.failure
        if not self.failure.is_of(kind):
            return f"error {kind} ({message}), not {self.failure.kind}"
        missing = [word for word in self.failure.words if word not in message]
        return f"the message lacks {missing}: {message}" if missing else None

    def _of_seen(self, log: Log, outcome: Outcome) -> str | None:
        if not callable(self.seen) or self.ask.verb not in ("follow", "start"):
            return None
        wanted = self.seen(log)
        got = [tuple(each) for each in outcome.seen]
        if got == wanted:
            return None
        heads = [each[:2] for each in got], [each[:2] for each in wanted]
        if heads[0] != heads[1]:
            return f"saw {_short(heads[0])}, not {_short(heads[1])}"
        pairs = zip(got, wanted, strict=True)
        return next(f"saw {a}, not {b}" for a, b in pairs if a != b)

    def _of_ids(self, log: Log, place: Place) -> str | None:
        if self.ids is None:
            return None
        given = self.ids(log) if callable(self.ids) else self.ids
        wanted = [log.id(each) if isinstance(each, int) else each for each in given]
        got = [request.last_event_id for request in place.of("events")]
        return _unlike("Last-Event-ID", got, wanted)

    def _of_waits(self, outcome: Outcome) -> str | None:
        if self.waits is None:
            return None
        waits = [round(seconds, 6) for seconds in outcome.waits]
        good = len(waits) == len(self.waits) and all(
            low <= seconds <= high
            for seconds, (low, high) in zip(waits, self.waits, strict=True)
        )
        return None if good else f"wanted to wait {waits}, not {self.waits}"


def _unlike(what: str, got: Any, wanted: Any) -> str | None:
    if got == wanted:
        return None
    return f"{what} {got!r}, not {wanted!r}"


def _short(heads: list[tuple[str, Any]]) -> str:
    """``event 1, event 2`` as ``1 2``."""
    return " ".join(str(n) if kind == "event" else f"{kind} {n}" for kind, n in heads)


def _of_tokens(place: Place) -> str | None:
    """Whether ``auth`` was asked anew before every request."""
    own = [request for request in place.requests if request.kind != "other"]
    tokens = [request.token for request in own]
    numbers = [int((token or "Bearer 0").rpartition(" ")[2]) for token in tokens]
    if 0 in numbers or not is_rising(numbers):
        return f"the requests had the tokens {tokens}"
    return None


def _of_headers(place: Place) -> str | None:
    for request in place.of("events"):
        if request.headers.get("accept") != "text/event-stream":
            return f"accept was {request.headers.get('accept')!r}"
    keys = {request.headers.get("idempotency-key") for request in place.of("start")}
    if len(keys) > 1:
        return f"one start had {len(keys)} keys"
    if None in keys:
        return "a start had no key"
    return None
