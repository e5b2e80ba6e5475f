"""Typed events from the JSON on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict
from pydantic_core import from_json

from asgi_events.event_types import check_models, event_type_of
from asgi_events.events import (
    CancelledEvent,
    CompleteEvent,
    ConversationEvent,
    CustomEvent,
    ErrorEvent,
    EventType,
    ExecutionEvent,
    InputAnswerEvent,
    InputRequestEvent,
    LogEvent,
    LostEvent,
    ProgressEvent,
    ReasoningDelta,
    StateEvent,
    TextDelta,
)
from asgi_events.wire.sse import ServerSentEvent


class ResetEvent(BaseModel):
    """The earlier events are void, or are not kept any more.

    Attributes:
        reason: ``trimmed``: the oldest events are not kept. ``future``, ``foreign``,
            ``malformed``: there is nothing to continue from.
        first: The number of the event that follows.
    """

    model_config = ConfigDict(frozen=True)

    event_type: Literal["reset"] = "reset"
    reason: str
    first: int


AnyEvent: TypeAlias = BaseModel | dict[str, Any]
"""An event of ours, a model of the application, or the JSON of any other event."""

_CALL = ExecutionEvent[Any]

OURS: dict[str, type[BaseModel]] = {
    EventType.AGENT_CALL: _CALL,
    EventType.TOOL_CALL: _CALL,
    EventType.LLM_CALL: _CALL,
    EventType.LOG: LogEvent,
    EventType.TEXT_DELTA: TextDelta,
    EventType.REASONING_DELTA: ReasoningDelta,
    EventType.PROGRESS: ProgressEvent,
    EventType.STATE: StateEvent,
    EventType.CONVERSATION: ConversationEvent,
    EventType.CUSTOM: CustomEvent,
    EventType.INPUT_REQUEST: InputRequestEvent,
    EventType.INPUT_ANSWER: InputAnswerEvent,
    EventType.COMPLETE: CompleteEvent,
    EventType.ERROR: ErrorEvent,
    EventType.CANCELLED: CancelledEvent,
    EventType.LOST: LostEvent,
}
"""The models of our own events by their ``event_type``."""

_MODELS = frozenset(OURS.values())


def read_json(payload: bytes | str) -> Any:
    """Return the value of one line of JSON.

    Raises:
        ValueError: It is not JSON, or is nested some thousand times.
    """
    try:
        return from_json(payload)
    except ValueError:  # also if it is nested deeper than this parser goes
        pass
    try:
        return json.loads(payload)
    except RecursionError:
        raise ValueError("This JSON is nested deeper than Python reads.") from None


class EventDecoder:
    """Turns the JSON and the named events of a stream into typed events.

    Args:
        types: Models of the application. Each needs a field ``event_type`` whose
            default, or only value, is its name on the wire.

    Raises:
        TypeError: ``types`` is no list of models, or one has no such field.
    """

    def __init__(self, types: Iterable[type[BaseModel]] = ()) -> None:
        models = check_models("types", types)
        self._types = OURS | {event_type_of(model): model for model in models}

    def from_json(self, payload: bytes | str) -> AnyEvent:
        """Return the event of one line of JSON.

        If no model has its ``event_type``, or it does not validate, it stays a dict.
        An event of ours may have members that only a later version knows.
        """
        data = read_json(payload)
        if not isinstance(data, dict):
            return {"value": data}
        model = self._types.get(str(data.get("event_type")))
        if model is None:
            return data
        try:
            return model.model_validate(data)
        except ValueError:
            known = {name: data[name] for name in data if name in model.model_fields}
        try:
            return model.model_validate(known) if model in _MODELS else data
        except ValueError:  # another library's event of the same name
            return data

    def from_sse(self, event: ServerSentEvent) -> AnyEvent | None:
        """Return the event of a block; None for ``end`` and ``goodbye``."""
        if event.event is None:
            return self.from_json(event.data or "null")
        if event.event == "reset":
            return ResetEvent.model_validate_json(event.data or "{}")
        return None
