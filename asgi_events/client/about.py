"""What the server says about an execution, and about what it asks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from asgi_events.events import ExecutionStatus


class InputAnswer(BaseModel):
    """What has closed a question.

    Attributes:
        action: ``accept``, ``decline``, ``expired`` or ``cancelled``, or a word that
            only a later version knows.
        by: Who has answered, if the server knows.
        timestamp: When.
    """

    model_config = ConfigDict(frozen=True)

    action: str
    by: str | None = None
    timestamp: datetime | None = None


class Question(BaseModel):
    """A question that an execution asks people.

    Attributes:
        n: Its number in its execution, from 1.
        address: The call that asks.
        message: What is asked.
        response_schema: What the answer may be: a JSON Schema of one field, or of a
            flat object of fields.
        expires: When nobody is waited for any more; None for never.
        to: Who may answer besides the owner; None for nobody else.
        answer: What has closed it; None while it is open.
    """

    model_config = ConfigDict(frozen=True)

    n: int
    address: str = ""
    message: str
    response_schema: dict[str, Any]
    expires: datetime | None = None
    to: str | None = None
    answer: InputAnswer | None = None


class About(BaseModel):
    """How an execution stands, as the server has said it.

    Attributes:
        id: The execution's id.
        actor: The actor's name.
        thread: The thread that it is a turn of; None without one.
        status: ``started`` while it runs, then how it ended: one of
            ``ExecutionStatus``, or a word that only a later version knows.
        created: When it was started.
        ended: When it ended; None while it runs.
        result: What the actor has returned, as JSON.
        error: The message of an execution that has no result.
        progress: The newest progress: ``address``, ``current``, ``total``, ``message``.
        last: The number of the newest event.
        viewers: How many watch it, in the process that has answered.
        waiting: The questions that are open, the oldest first.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    actor: str
    thread: str | None = None
    status: str
    created: datetime | None = None
    ended: datetime | None = None
    result: Any = None
    error: str | None = None
    progress: dict[str, Any] | None = None
    last: int = 0
    viewers: int = 0
    waiting: list[Question] = []


def status_of(word: str) -> str:
    """Return an ``ExecutionStatus``, or the word if there is none of that name."""
    try:
        return ExecutionStatus(word)
    except ValueError:
        return word
