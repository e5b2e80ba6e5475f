"""A model of pydantic-ai that says what a test wants, and what viewers saw of a run."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

from pydantic import BaseModel
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import (
    AgentInfo,
    DeltaThinkingPart,
    DeltaToolCall,
    FunctionModel,
)

from asgi_events import ExecutionEvent
from asgi_events.events import LogEvent, ReasoningDelta, TextDelta

Seen = tuple[str, ...]
"""An address and what happened there."""


def calls(*tools: str, **arguments: str) -> dict[int, DeltaToolCall]:
    """What a model streams to call tools; ``arguments`` are JSON, by tool."""
    return {
        n: DeltaToolCall(tool, arguments.get(tool, "{}"), tool_call_id=f"id-{n}")
        for n, tool in enumerate(tools)
    }


def thinks(content: str) -> dict[int, DeltaThinkingPart]:
    return {0: DeltaThinkingPart(content=content)}


def scripted(*turns: Iterable[Any], name: str = "model") -> FunctionModel:
    """A model that streams the n-th turn as its n-th answer of a run.

    A piece of a turn is text, ``calls(…)``, ``thinks(…)``, an exception to raise, or
    something to await.
    """

    async def stream(
        messages: list[ModelMessage], info: AgentInfo
    ) -> AsyncIterator[Any]:
        for piece in turns[_number_of_answers(messages)]:
            if isinstance(piece, Exception):
                raise piece
            if hasattr(piece, "__await__"):
                await piece
            else:
                yield piece

    return FunctionModel(stream_function=stream, model_name=name)


def answers(*turns: Any, name: str = "model") -> FunctionModel:
    """A model that cannot stream: a turn is text, the name of a tool, or an error."""

    async def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        turn = turns[_number_of_answers(messages)]
        if isinstance(turn, Exception):
            raise turn
        is_tool = any(tool.name == turn for tool in info.function_tools)
        part = ToolCallPart(turn, {}) if is_tool else TextPart(turn)
        return ModelResponse(parts=[part])

    return FunctionModel(answer, model_name=name)


def _number_of_answers(messages: list[ModelMessage]) -> int:
    return sum(isinstance(message, ModelResponse) for message in messages)


def seen(events: Iterable[BaseModel]) -> list[Seen]:
    """What viewers saw, in order."""
    return [_seen(event) for event in events]


def _seen(event: Any) -> Seen:
    match event:
        case ExecutionEvent():
            kind = event.event_type.removesuffix("_call")
            why = [event.message] if event.message is not None else []
            return (event.address, kind, str(event.execution_status), *why)
        case TextDelta():
            return (event.address, "says", event.delta)
        case ReasoningDelta():
            return (event.address, "thinks", event.delta)
        case LogEvent():
            return (event.address, "logs", event.message)
    raise AssertionError(f"unexpected: {event!r}")
