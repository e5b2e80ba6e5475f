"""What the AI SDK posts: a chat, with all of its messages.

Spec: ``HttpChatTransport`` and ``UIMessage`` of the npm package ``ai``.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

from asgi_events.executions.names import is_thread


class UIPart(BaseModel):
    """A part of a message: a text, or anything else, whose members are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str
    text: str | None = None


class UIMessage(BaseModel):
    """A message as the AI SDK shows it; unknown members are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str
    role: Literal["system", "user", "assistant"]
    parts: list[UIPart]
    metadata: Any = None

    @property
    def text(self) -> str:
        """What its text parts say."""
        texts = [part.text or "" for part in self.parts if part.type == "text"]
        return "".join(texts)


class ChatRequest(BaseModel):
    """A request of the AI SDK for the next message of a chat.

    Attributes:
        id: The id of the chat, which is the thread of its executions.
        messages: All messages that the client has, the oldest first.
        trigger: Why it asks: for an answer, or for another answer in place of one.
        message_id: The message that is answered anew or was edited, if it says so.
    """

    model_config = ConfigDict(
        frozen=True, extra="allow", alias_generator=to_camel, populate_by_name=True
    )

    id: str
    messages: list[UIMessage] = Field(min_length=1)
    trigger: Literal["submit-message", "regenerate-message"] = "submit-message"
    message_id: str | None = None

    @field_validator("id")
    @classmethod
    def _is_a_thread(cls, id: str) -> str:
        if not is_thread(id):
            raise ValueError("An id is 1 to 255 printable characters, not all blank")
        return id

    @property
    def text(self) -> str:
        """The text of the newest message of the user; empty without one."""
        for message in reversed(self.messages):
            if message.role == "user":
                return message.text
        return ""

    @property
    def body(self) -> dict[str, Any]:
        """The other members of the request: the ``body`` that the client adds."""
        return dict(self.model_extra or {})

    def messages_as_json(self) -> list[dict[str, Any]]:
        """Return all messages as the client sent them."""
        return [
            message.model_dump(mode="json", exclude_unset=True)
            for message in self.messages
        ]

    def conversation(self) -> list[dict[str, Any]]:
        """Return the texts of all messages, in the form of AG-UI."""
        return [
            {"id": message.id, "role": message.role, "content": message.text}
            for message in self.messages
        ]
