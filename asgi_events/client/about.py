"""What the server says about an execution."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from asgi_events.events import ExecutionStatus


class About(BaseModel):
    """How an execution stands, as the server has said it.

    Attributes:
        id: The execution's id.
        actor: The actor's name.
        status: ``started`` while it runs, then how it ended: one of
            ``ExecutionStatus``, or a word that only a later version knows.
        created: When it was started.
        ended: When it ended; None while it runs.
        result: What the actor has returned, as JSON.
        error: The message of an execution that has no result.
        progress: The newest progress: ``address``, ``current``, ``total``, ``message``.
        last: The number of the newest event.
        viewers: How many watch it, in the process that has answered.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    actor: str
    status: str
    created: datetime | None = None
    ended: datetime | None = None
    result: Any = None
    error: str | None = None
    progress: dict[str, Any] | None = None
    last: int = 0
    viewers: int = 0


def status_of(word: str) -> str:
    """Return an ``ExecutionStatus``, or the word if there is none of that name."""
    try:
        return ExecutionStatus(word)
    except ValueError:
        return word
