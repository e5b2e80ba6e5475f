"""When a writer is alive, suspected, and dead; the same in every store.

All moments are seconds by the store's clock, which may step in either direction. A
moment that lies in the future proves a step back, and is not trusted.
"""

from typing import NamedTuple


class Suspicion(NamedTuple):
    """That a writer may be dead.

    Attributes:
        since: When it began.
        asked: When ``reap`` was last called.
    """

    since: float
    asked: float


def is_alive(now: float, sign: float, lease: float) -> bool:
    """Whether a writer whose last sign of life was at ``sign`` is above suspicion."""
    return sign <= now < sign + lease / 2


def suspect(
    now: float, lease: float, suspicion: Suspicion | None
) -> tuple[Suspicion, bool]:
    """The suspicion after a call of ``reap``, and whether the writer is dead.

    Any sign of life clears the suspicion, so it has to be None after one.
    """
    if suspicion is None or not suspicion.asked <= now <= suspicion.asked + lease / 4:
        return Suspicion(now, now), False
    return Suspicion(suspicion.since, now), now >= suspicion.since + lease / 2
