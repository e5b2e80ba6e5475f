"""The names of executions, which are made here, and those that a caller gives."""

from __future__ import annotations

import re
import secrets
from base64 import b64encode

from asgi_events.checks import check_texts

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DIGITS = 22  # of 62 each: no fewer have 128 random bits
_LONGEST = 255  # characters


def new_id() -> str:
    """Return a random id for an execution, 22 letters and digits.

    It has no ``-``: on a command line an id that begins with one would be an option.
    """
    digits = b64encode(secrets.token_bytes(33)).translate(None, b"+/")  # about 42
    return digits[:_DIGITS].decode()


def is_id(id: str) -> bool:
    """Whether an execution may have that id."""
    return _ID.fullmatch(id) is not None


def check_owner(owner: str | None) -> None:
    """Raise for an owner that nothing may belong to."""
    if owner is None:
        return
    check_texts(owner=owner)
    if not owner.strip():
        raise ValueError(
            "owner must be None or a str that is not blank: executions of a blank "
            f"owner would belong to everybody who has no name, got {owner!r}"
        )


def check_thread(thread: str | None) -> None:
    """Raise for a name that no thread may have."""
    if thread is None:
        return
    check_texts(thread=thread)
    if not is_thread(thread):
        raise ValueError(
            f"thread must be None or 1 to {_LONGEST} printable characters that are not "
            f"all blank, got {thread!r:.80}"
        )


def is_thread(thread: str) -> bool:
    """Whether a thread may have that name."""
    return len(thread) <= _LONGEST and thread.isprintable() and bool(thread.strip())


def check_actor(actor: str) -> None:
    """Raise for what no actor may be called."""
    if not isinstance(actor, str):
        raise TypeError(f"actor must be the name of an actor, got {actor!r}")
    if not actor.strip() or len(actor) > _LONGEST or not actor.isprintable():
        raise ValueError(f"actor must be the name of an actor, got {actor!r:.80}")
