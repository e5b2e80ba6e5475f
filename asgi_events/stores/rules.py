"""Decisions that are the same in every store: who may write a log, who is dead, and
what is listed.

All moments are seconds by the store's clock, which may step in either direction. A
moment in the future proves a step back, and is not trusted.
"""

from collections.abc import Mapping
from typing import NamedTuple

from asgi_events.exceptions import Busy, Ended, Fenced, Missing

STARTED, LOST = "started", "lost"
"""The status of an execution that has not ended: its writer is alive, or is not."""


def missing(key: str) -> Missing:
    """The error of a writer whose log is gone."""
    return Missing(f"There is no log {key!r}: it has expired, was deleted or was lost.")


def fenced(key: str) -> Fenced:
    """The error of a writer whose log belongs to another one."""
    return Fenced(f"The log {key!r} is another writer's.")


def ended(key: str) -> Ended:
    """The error of a writer whose log has its terminal frame."""
    return Ended(f"The log {key!r} has ended.")


def busy(key: str, holder: str) -> Busy:
    """The error of a writer whose log ``holder`` writes."""
    return Busy(f"The log {key!r} is written by {holder!r}.")


def check_open(key: str, writer: str, *, holder: str, end: str | None) -> None:
    """Check that ``writer`` may open a log that exists.

    Nobody else continues a log, even if its writer is dead: such a log is reaped.

    Args:
        key: The log.
        writer: Who opens it.
        holder: Who wrote it so far.
        end: How it ended; None while it runs.

    Raises:
        Ended: The log has its terminal frame.
        Busy: Another writer holds it.
    """
    if end is not None:
        raise ended(key)
    if writer != holder:
        raise busy(key, holder)


def check_repeats(key: str, *, same_end: bool, same_frames: bool) -> None:
    """Check that an append to an ended log is the one that ended it, made again.

    Args:
        key: The log.
        same_end: Whether the append has the end that is stored.
        same_frames: Whether its last frame has the number of the terminal frame.

    Raises:
        Ended: It is another append.
    """
    if not (same_end and same_frames):
        raise ended(key)


class Suspicion(NamedTuple):
    """The suspicion that a writer is dead.

    Attributes:
        since: When it began.
        asked: When ``reap`` was last called.
    """

    since: float
    asked: float


def is_alive(now: float, sign: float, lease: float) -> bool:
    """Whether a writer that gave its last sign of life at ``sign`` is not suspected."""
    return sign <= now < sign + lease / 2


def suspect(
    now: float, lease: float, suspicion: Suspicion | None
) -> tuple[Suspicion, bool]:
    """The suspicion after a call of ``reap``, and whether the writer is dead.

    Args:
        now: The moment of the call.
        lease: Seconds.
        suspicion: The one after the previous call; None if there was a sign of life
            since then.
    """
    if suspicion is None or not suspicion.asked <= now <= suspicion.asked + lease / 4:
        return Suspicion(now, now), False
    return Suspicion(suspicion.since, now), now >= suspicion.since + lease / 2


def is_listed(key: str, meta: Mapping[str, str]) -> bool:
    """Whether a log is that of an execution, which ``list`` has."""
    return "created" in meta and ":" not in key


def status_of(end: str | None, *, alive: bool) -> str:
    """The status of an execution, as ``list`` takes it."""
    if end is not None:
        return end
    return STARTED if alive else LOST


def ends_of(status: str) -> tuple[str | None, ...]:
    """The ends that logs of a status may have; None for those without an end."""
    if status == STARTED:
        return (None,)
    return (LOST, None) if status == LOST else (status,)
