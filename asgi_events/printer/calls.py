"""Calls as they are printed, whichever library made their events."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Call:
    """The parts of a call that are printed.

    Attributes:
        name: Its address, its actor, or both.
        status: One of our statuses, or the word of another library.
        seconds: How long it took, if the event says so.
        attempt: The number of the attempt that failed, of a call that starts anew.
        delay: Seconds until the next attempt.
    """

    name: str
    address: str
    status: str
    detail: str | None
    message: str | None
    from_cache: bool
    seconds: float | None
    attempt: float | None
    delay: float | None


def call_of(event: BaseModel, *, whole: bool) -> Call | None:
    """Return the call that an event of any class describes, or None.

    Args:
        whole: Name the call by its whole address.
    """
    actor = _text_of(event, "actor") or _text_of(_part(event, "actor"), "name")
    status = _text_of(event, "execution_status") or _text_of(event, "status")
    address = address_of(event)
    if not actor or not status or not hasattr(event, "address"):
        return None
    last = address.rpartition("/")[2]
    if last.partition("#")[0] == actor:
        name = address if whole else last
    else:  # addresses of other libraries may not name the actor
        name = f"{actor} {address}" if whole and address else actor
    return Call(
        name=name,
        address=address,
        status=status.lower(),
        detail=_text_of(event, "detail"),
        message=_text_of(event, "message"),
        from_cache=_part(event, "from_cache") is True,
        seconds=_number_of(event, "execution_time"),
        attempt=_number_of(event, "attempt"),
        delay=_number_of(event, "delay"),
    )


def _part(value: Any, name: str) -> Any:
    try:
        return getattr(value, name, None)
    except Exception:  # a property may raise anything
        return None


def _number_of(value: Any, name: str) -> float | None:
    part = _part(value, name)
    return part if isinstance(part, int | float) else None


def _text_of(value: Any, name: str) -> str | None:
    """Return an attribute that is text, or an enum of text."""
    part = _part(value, name)
    if isinstance(part, Enum):
        part = part.value if isinstance(part.value, str) else part.name
    return part if isinstance(part, str) else None


def address_of(event: BaseModel) -> str:
    address = _part(event, "address")
    if isinstance(address, list | tuple):
        return "/".join(map(str, address))
    return "" if address is None else str(address)


def depth(address: str, deeper: int) -> int:
    return address.count("/") + deeper if address else 0
