"""What a start does while another execution of its thread runs."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, cast, get_args

WhenBusy: TypeAlias = Literal["reject", "queue", "replace"]
"""``reject``: it is refused; ``queue``: it waits for its turn; ``replace``: it cancels
what runs and what waits."""


def checked_when_busy(when_busy: Any) -> WhenBusy:
    """Return it, if there is such a way.

    Raises:
        ValueError: There is none.
    """
    if when_busy not in (known := get_args(WhenBusy)):
        raise ValueError(
            f"when_busy must be one of {', '.join(map(repr, known))}, got {when_busy!r}"
        )
    return cast(WhenBusy, when_busy)
