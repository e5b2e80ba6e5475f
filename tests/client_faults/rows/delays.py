"""How long a client waits before it reconnects."""

from __future__ import annotations

from tests.client_faults.row import Range

SECOND: Range = (0.5, 1.0)
"""The first wait where the server has told no ``retry``."""


AT_ONCE: Range = (0.0, 0.001)
"""The first wait after ``retry: 1``."""


def first_waits(seconds: float, count: int) -> list[Range]:
    """The waits after so many failures in a row."""
    doubled = [min(seconds * 2**failures, 15) for failures in range(count)]
    return [(wait / 2, wait) for wait in doubled]
