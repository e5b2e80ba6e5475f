"""What a feed says: events about whole executions, one for each change.

They are idempotent: who gets one twice knows no more than before.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from asgi_events.events import InputAction


class _FeedEvent(BaseModel):
    """What they have in common; a later version may have more members."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    execution: str
    timestamp: datetime


class ExecutionStarted(_FeedEvent):
    """An execution has started, at ``timestamp``.

    Attributes:
        actor: The actor's name.
        thread: The thread that it is a turn of; None without one.
    """

    event_type: Literal["started"] = "started"
    actor: str
    thread: str | None = None


class ExecutionWaiting(_FeedEvent):
    """An execution asks a question; see ``InputRequestEvent``.

    Attributes:
        n: The number of the question in its execution.
        address: The call that asks.
        message: What is asked.
        response_schema: What the answer may be.
        expires: When nobody is waited for any more; None for never.
        to: Who may answer besides the owner; None for nobody else.
    """

    event_type: Literal["waiting"] = "waiting"
    n: int
    address: str
    message: str
    response_schema: dict[str, Any]
    expires: datetime | None = None
    to: str | None = None


class ExecutionAnswered(_FeedEvent):
    """A question is closed; see ``InputAnswerEvent``.

    Attributes:
        n: The number of the question in its execution.
        action: What has closed it.
        by: Who has answered, if the server knows.
    """

    event_type: Literal["answered"] = "answered"
    n: int
    action: InputAction
    by: str | None = None


class ExecutionEnded(_FeedEvent):
    """An execution has ended, at ``timestamp``, and with it all its questions.

    Attributes:
        actor: The actor's name.
        thread: The thread that it is a turn of; None without one.
        created: When it was started.
        status: How it ended: ``completed``, ``failed``, ``cancelled`` or ``lost``.
    """

    event_type: Literal["ended"] = "ended"
    actor: str
    thread: str | None = None
    created: datetime
    status: str


FeedEvent: TypeAlias = (
    ExecutionStarted | ExecutionWaiting | ExecutionAnswered | ExecutionEnded
)
"""An event of a feed."""

FEED_EVENTS: tuple[type[FeedEvent], ...] = (
    ExecutionStarted,
    ExecutionWaiting,
    ExecutionAnswered,
    ExecutionEnded,
)
"""Their models."""
