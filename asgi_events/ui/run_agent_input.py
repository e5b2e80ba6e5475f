"""What a client of AG-UI posts: the input of a run, with the messages of its thread.

Spec: ``RunAgentInput`` of AG-UI 1.0; the clients before it send the same.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from asgi_events.executions.names import is_thread


class _Model(BaseModel):
    """Frozen; unknown members are kept."""

    model_config = ConfigDict(
        frozen=True, extra="allow", alias_generator=to_camel, populate_by_name=True
    )


class Part(_Model):
    """A part of a message: a text, or anything else, whose members are kept."""

    type: str
    text: str | None = None


class Function(_Model):
    """The name of a tool, and its arguments: JSON, as text."""

    name: str
    arguments: str


class ToolCall(_Model):
    """A call that a message of the assistant makes."""

    id: str
    function: Function


class SystemMessage(_Model):
    """Instructions."""

    id: str
    role: Literal["developer", "system"]
    content: str


class UserMessage(_Model):
    """What the user says."""

    id: str
    role: Literal["user"]
    content: str | list[Part]

    @property
    def text(self) -> str:
        """What its text says."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text or "" for part in self.content if part.type == "text")


class AssistantMessage(_Model):
    """What the agent says, or which tools it calls."""

    id: str
    role: Literal["assistant"]
    content: str | None = None
    tool_calls: list[ToolCall] | None = None


class ToolMessage(_Model):
    """What a tool has returned."""

    id: str
    role: Literal["tool"]
    content: str | list[Part]
    tool_call_id: str


class ActivityMessage(_Model):
    """Something that the page shows among the messages."""

    id: str
    role: Literal["activity"]
    activity_type: str
    content: dict[str, Any]


class ReasoningMessage(_Model):
    """What a model has said that it thinks."""

    id: str
    role: Literal["reasoning"]
    content: str


AGUIMessage: TypeAlias = Annotated[
    SystemMessage
    | UserMessage
    | AssistantMessage
    | ToolMessage
    | ActivityMessage
    | ReasoningMessage,
    Field(discriminator="role"),
]


class Tool(_Model):
    """A tool of the page."""

    name: str
    description: str = ""
    parameters: Any = None


class Context(_Model):
    """Something about the page that the agent should know."""

    description: str
    value: str


class Resume(_Model):
    """The answer to an interrupt."""

    interrupt_id: str
    status: Literal["resolved", "cancelled"]
    payload: Any = None


class RunAgentInput(_Model):
    """A request of a client of AG-UI for a run.

    Attributes:
        thread_id: The id of the conversation.
        run_id: The id that the client gives the run.
        messages: All messages that the client has, the oldest first.
        protocol_version: The version of AG-UI; None before 1.0.
        parent_run_id: The run that it branches from.
        state: The state that the client has.
        tools: The tools of the page.
        context: What the page knows.
        forwarded_props: Anything that the application of the client adds.
        resume: Answers to interrupts.
    """

    thread_id: str
    run_id: str = Field(min_length=1, max_length=255)
    messages: list[AGUIMessage]
    protocol_version: str | None = None
    parent_run_id: str | None = None
    state: Any = None
    tools: list[Tool] = Field(default_factory=list)
    context: list[Context] = Field(default_factory=list)
    forwarded_props: Any = None
    resume: list[Resume] | None = None

    @field_validator("thread_id")
    @classmethod
    def _is_a_thread(cls, id: str) -> str:
        if not is_thread(id):
            raise ValueError("An id is 1 to 255 printable characters, not all blank")
        return id

    @field_validator("messages")
    @classmethod
    def _has_the_call_of_each_result(
        cls, messages: list[AGUIMessage]
    ) -> list[AGUIMessage]:
        calls = {
            call.id
            for message in messages
            if isinstance(message, AssistantMessage)
            for call in message.tool_calls or []
        }
        unknown: list[InitErrorDetails] = [
            {
                "type": PydanticCustomError(
                    "unknown_tool_call", "No message has a tool call of this id"
                ),
                "loc": (index, "toolCallId"),
                "input": message.tool_call_id,
            }
            for index, message in enumerate(messages)
            if isinstance(message, ToolMessage) and message.tool_call_id not in calls
        ]
        if unknown:
            raise ValidationError.from_exception_data("messages", unknown)
        return messages

    @property
    def text(self) -> str:
        """The text of the newest message of the user; empty without one."""
        for message in reversed(self.messages):
            if isinstance(message, UserMessage):
                return message.text
        return ""

    def messages_as_json(self) -> list[dict[str, Any]]:
        """Return all messages as the client sent them."""
        return [
            message.model_dump(mode="json", by_alias=True, exclude_unset=True)
            for message in self.messages
        ]
