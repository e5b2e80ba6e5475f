"""The names that a caller gives: of owners, threads and actors."""

from __future__ import annotations

_LONGEST = 255  # characters


def check_owner(owner: str | None) -> None:
    """Raise ``ValueError`` for an owner that nothing may belong to."""
    if owner is not None and not owner.strip():
        raise ValueError(
            "owner must be None or a str that is not blank: executions of a blank "
            f"owner would belong to everybody who has no name, got {owner!r}"
        )


def check_thread(thread: str | None) -> None:
    """Raise ``ValueError`` for a name that no thread may have."""
    if thread is not None and not is_thread(thread):
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
