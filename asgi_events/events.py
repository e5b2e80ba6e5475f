"""What is published: frozen pydantic models, all with ``event_type`` and ``address``.

An address is the path of a call in the execution's tree, ``survey/measure#2``: the
second call of ``measure`` made by ``survey``. It is unique within an execution.
"""

from collections.abc import Awaitable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Generic, Literal, Protocol, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_serializer,
    model_serializer,
    model_validator,
)

T = TypeVar("T")


class EventType(StrEnum):
    """The ``event_type`` of every event on the wire."""

    AGENT_CALL = "agent_call"
    TOOL_CALL = "tool_call"
    LLM_CALL = "llm_call"
    LOG = "log"
    TEXT_DELTA = "text_delta"
    PROGRESS = "progress"
    COMPLETE = "complete"
    ERROR = "error"
    CANCELLED = "cancelled"
    LOST = "lost"


class ExecutionStatus(StrEnum):
    """Where a call, or a whole execution, stands.

    ``recovered``: the result came from a cache. ``lost``: the process died (whole
    executions only).
    """

    STARTED = "started"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RECOVERED = "recovered"
    LOST = "lost"


class AuthorType(StrEnum):
    """Who wrote a message."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"
    TOOL = "tool"


class Message(BaseModel):
    """A message of a conversation, the customary input of an agent."""

    model_config = ConfigDict(frozen=True)

    content: str
    author: AuthorType = AuthorType.USER


class ExecutionResult(BaseModel, Generic[T]):
    """What became of one call.

    Attributes:
        result: What the actor returned; None when it failed.
        execution_time: Seconds.
        ok: False when the actor raised.
        error_message: What viewers were told of the error.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    result: T | None = None
    execution_time: float | None = None
    ok: bool = True
    error_message: str | None = None


def has_failed(result: Any) -> bool:
    """Whether it is a result that is not ok, of our class or of any other.

    Nothing but ``ok`` counts, and it must be False itself.
    """
    try:
        return getattr(result, "ok", None) is False
    except Exception:  # a property of somebody else's
        return False


def _now() -> datetime:
    return datetime.now(UTC)


class Event(BaseModel):
    """What our own events share; any other pydantic model may be published too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_type: EventType
    address: str = ""
    timestamp: datetime = Field(default_factory=_now)


class LogEvent(Event):
    """One line of an actor's log."""

    event_type: Literal[EventType.LOG] = EventType.LOG
    level: Literal["debug", "info", "warning", "error"] = "info"
    message: str


class TextDelta(Event):
    """A piece of text; the pieces of one address make up its text."""

    event_type: Literal[EventType.TEXT_DELTA] = EventType.TEXT_DELTA
    delta: str


class ProgressEvent(Event):
    """How far an actor has come: ``current`` of ``total``, None when nobody knows."""

    event_type: Literal[EventType.PROGRESS] = EventType.PROGRESS
    current: float
    total: float | None = None
    message: str | None = None


class TerminalEvent(BaseModel):
    """The last event of every stream, exactly once.

    Attributes:
        message: What is shown to people.
        address: Empty: it is about the whole execution.
        timestamp: When the execution ended; of ``lost``, when that was found out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_type: EventType
    message: str
    address: str = ""
    timestamp: datetime = Field(default_factory=_now)

    @model_serializer(mode="wrap")
    def _leave_out_none(
        self, serialize: SerializerFunctionWrapHandler
    ) -> dict[str, Any]:
        # Not exclude_none, which would reach into the user's result.
        return {
            name: value for name, value in serialize(self).items() if value is not None
        }


class CompleteEvent(TerminalEvent):
    """The execution returned."""

    event_type: Literal[EventType.COMPLETE] = EventType.COMPLETE
    message: str = "Execution completed successfully"
    cache_stats: Any = None
    result: Any = None


class ErrorEvent(TerminalEvent):
    """The execution raised, or returned an ``ExecutionResult`` that is not ok."""

    event_type: Literal[EventType.ERROR] = EventType.ERROR


CANCELLED = "Execution cancelled"
SHUTTING_DOWN = f"{CANCELLED}: the server is shutting down"


class CancelledEvent(TerminalEvent):
    """The execution was cancelled; ``message`` says why."""

    event_type: Literal[EventType.CANCELLED] = EventType.CANCELLED
    message: str = CANCELLED


class LostEvent(TerminalEvent):
    """The process that ran the execution died."""

    event_type: Literal[EventType.LOST] = EventType.LOST
    message: str = "The process that ran this execution died"


class Runnable(Protocol):
    """What an ``ExecutionEvent`` needs of its actor."""

    @property
    def name(self) -> str: ...

    @property
    def event_type(self) -> EventType: ...

    def execute(
        self, input_data: Any, extra_context: Any, state: Any
    ) -> Awaitable[ExecutionResult[Any]]: ...


class ExecutionEvent(Event, Generic[T]):
    """A call of an actor: published at each change of status, and itself the call.

    ``await ExecutionEvent[Report](actor=research)(message, "", state)`` runs the actor
    and returns an ``ExecutionResult[Report]``. It does not raise what the actor
    raised: look at ``ok``.

    Attributes:
        actor: The actor, of an event that is made to be called. Its name, of one that
            is published: handlers on the bus and viewers get that.
        execution_time: Seconds, once the call is over.
        detail: What the actor's ``detail`` option says of this call.
        message: Of a failed call, what viewers are told of the error.
        from_cache: The result came from the cache.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    event_type: EventType = EventType.AGENT_CALL  # in truth the actor's
    actor: Any
    execution_status: ExecutionStatus = ExecutionStatus.STARTED
    execution_time: float | None = None
    detail: str | None = None
    message: str | None = None
    from_cache: bool = False

    @model_validator(mode="before")
    @classmethod
    def _take_the_type_of_the_actor(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "event_type" in values:
            return values
        event_type = getattr(values.get("actor"), "event_type", None)
        if event_type is None:
            raise ValueError(
                f"actor must be decorated with @agent, @tool or @llm, got "
                f"{values.get('actor')!r}"
            )
        return {**values, "event_type": event_type}

    @field_serializer("actor")
    def _name(self, actor: Any) -> str:
        return actor if isinstance(actor, str) else str(actor.name)

    async def __call__(
        self, input_data: Any, extra_context: Any, execution_state: Any
    ) -> ExecutionResult[T]:
        """Run the actor with as many of the three arguments as it takes."""
        if isinstance(self.actor, str):
            raise TypeError(
                f"This event was read from the wire and knows only the name "
                f"{self.actor!r} of its actor: it can not be run."
            )
        actor: Runnable = self.actor
        return await actor.execute(input_data, extra_context, execution_state)
