"""The events: frozen pydantic models, all with ``event_type`` and ``address``.

An address is the path of a call in the execution's tree, ``survey/measure#2``: the
second call of ``measure`` made by ``survey``. It is unique within an execution.
"""

import inspect
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_serializer,
    model_serializer,
    model_validator,
)

from asgi_events.runnables import runnable

T = TypeVar("T")


class EventType(StrEnum):
    """The ``event_type`` of every event on the wire."""

    AGENT_CALL = "agent_call"
    TOOL_CALL = "tool_call"
    LLM_CALL = "llm_call"
    LOG = "log"
    TEXT_DELTA = "text_delta"
    REASONING_DELTA = "reasoning_delta"
    PROGRESS = "progress"
    STATE = "state"
    CONVERSATION = "conversation"
    CUSTOM = "custom"
    INPUT_REQUEST = "input_request"
    INPUT_ANSWER = "input_answer"
    COMPLETE = "complete"
    ERROR = "error"
    CANCELLED = "cancelled"
    LOST = "lost"


class ExecutionStatus(StrEnum):
    """The status of a call, or of a whole execution.

    ``retrying``: the call has failed and starts anew (calls only). ``recovered``: the
    result came from a cache. ``lost``: the process died (whole executions only).
    """

    STARTED = "started"
    RETRYING = "retrying"
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
    """A message of a conversation, the usual input of an agent."""

    model_config = ConfigDict(frozen=True)

    content: str
    author: AuthorType = AuthorType.USER


class ExecutionResult(BaseModel, Generic[T]):
    """The outcome of one call.

    Attributes:
        result: What the actor returned; None when it failed.
        execution_time: Seconds.
        ok: False when the actor raised.
        error_message: The message that viewers see for the error.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    result: T | None = None
    execution_time: float | None = None
    ok: bool = True
    error_message: str | None = None


def has_failed(result: Any) -> bool:
    """Return whether ``result``, of any class, has an ``ok`` that is False."""
    try:
        return getattr(result, "ok", None) is False
    except Exception:  # a property of another library may raise anything
        return False


def _now() -> datetime:
    return datetime.now(UTC)


class Event(BaseModel):
    """The base of our own events; any other pydantic model can be published too."""

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


class ReasoningDelta(Event):
    """A piece of what a model says that it thinks; not part of its text."""

    event_type: Literal[EventType.REASONING_DELTA] = EventType.REASONING_DELTA
    delta: str


class CustomEvent(Event):
    """An event with a name of its own and any JSON."""

    event_type: Literal[EventType.CUSTOM] = EventType.CUSTOM
    name: str
    data: Any = None


class ProgressEvent(Event):
    """Progress: ``current`` of ``total``, None if the total is not known."""

    event_type: Literal[EventType.PROGRESS] = EventType.PROGRESS
    current: float
    total: float | None = None
    message: str | None = None


class StateEvent(Event):
    """The whole state that a call shares with its viewers, as it is now."""

    event_type: Literal[EventType.STATE] = EventType.STATE
    state: Any = None


class ConversationEvent(Event):
    """What an execution continues, so that every viewer can show all of it.

    Attributes:
        thread: The id of the conversation.
        run: The id that the client has given the execution.
        messages: The messages so far, in the form of AG-UI: objects with ``id``,
            ``role`` and, most of them, ``content``.
    """

    event_type: Literal[EventType.CONVERSATION] = EventType.CONVERSATION
    thread: str
    run: str
    messages: list[dict[str, Any]]


class InputRequestEvent(Event):
    """A call asks people something, and waits for the answer.

    Attributes:
        n: The number of the question in its execution, from 1.
        message: What is asked.
        response_schema: What the answer may be: a JSON Schema of one field, or of a
            flat object of fields, in MCP's subset for elicitation.
        expires: When nobody is waited for any more; None for never.
        to: Who may answer besides the owner; None for nobody else.
    """

    event_type: Literal[EventType.INPUT_REQUEST] = EventType.INPUT_REQUEST
    n: int
    message: str
    response_schema: dict[str, Any]
    expires: datetime | None = None
    to: str | None = None


InputAction: TypeAlias = Literal["accept", "decline", "expired", "cancelled"]


class InputAnswerEvent(Event):
    """A question is closed, exactly once.

    Attributes:
        n: The number of the question.
        action: ``accept`` and ``decline`` are what somebody has answered. ``expired``:
            nobody has in time. ``cancelled``: the call does not wait any more.
        by: Who has answered, if the server knows.
        content: The answer, if the call shows it to viewers.
    """

    event_type: Literal[EventType.INPUT_ANSWER] = EventType.INPUT_ANSWER
    n: int
    action: InputAction
    by: str | None = None
    content: Any = None


class TerminalEvent(BaseModel):
    """The last event of every stream, exactly once.

    Attributes:
        message: A sentence for people.
        address: Empty, because the event is about the whole execution.
        timestamp: When the execution ended; for ``lost``, when that was discovered.
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


class Usage(BaseModel):
    """What the calls of models took; None for what is not known.

    The names are those of the OpenTelemetry conventions for generative AI.
    """

    model_config = ConfigDict(frozen=True)

    input_tokens: int | None = None
    output_tokens: int | None = None


class ExecutionEvent(Event, Generic[T]):
    """A call of an actor: published at each change of status, and callable itself.

    ``await ExecutionEvent[Report](actor=research)(message, "", state)`` runs the actor
    and returns an ``ExecutionResult``. It does not raise what the actor raised: check
    ``ok``. Nothing checks the type in brackets at run time. The short form is
    ``await state.run(research, message)``.

    Attributes:
        actor: The actor, in an event that you make to call it. The actor's name, in
            events that are published.
        execution_time: Seconds, once the call is over.
        detail: What the actor's ``detail`` option returned for this call.
        message: The message that viewers see for the error of a failed call.
        from_cache: The result came from the cache.
        input: What the call was given, when it starts, if viewers may see it.
        output: What it returned, at its end, if viewers may see it.
        usage: The tokens it took, at its end, if they are known.
        attempt: Of a call that starts anew, the number of the attempt that failed.
        delay: Seconds until the next attempt.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    event_type: EventType = EventType.AGENT_CALL  # replaced by the actor's
    actor: Any
    execution_status: ExecutionStatus = ExecutionStatus.STARTED
    execution_time: float | None = None
    detail: str | None = None
    message: str | None = None
    from_cache: bool = False
    input: Any = None
    output: Any = None
    usage: Usage | None = None
    attempt: int | None = None
    delay: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _take_the_type_of_the_actor(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "event_type" in values:
            return values
        try:
            actor = runnable(values.get("actor"))
        except TypeError as error:
            raise ValueError(str(error)) from None
        return {**values, "event_type": actor.event_type}

    @field_serializer("actor")
    def _name(self, actor: Any) -> str:
        return actor if isinstance(actor, str) else runnable(actor).name

    async def __call__(
        self, input_data: Any, extra_context: Any, execution_state: Any
    ) -> ExecutionResult[T]:
        """Run the actor with as many of the three arguments as it takes."""
        if isinstance(self.actor, str):
            raise TypeError(
                f"This event was read from the wire and has only the name of its "
                f"actor, {self.actor!r}: it cannot be run."
            )
        actor = runnable(self.actor)
        given = (input_data, extra_context, execution_state)
        takes = _count_positional(actor.signature)
        result: ExecutionResult[T] = await actor.run(execution_state, given[:takes])
        return result


def _count_positional(signature: inspect.Signature) -> int:
    parameters = signature.parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 3
    return sum(
        p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters
    )
