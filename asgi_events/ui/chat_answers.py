"""The answers that the AI SDK posts: in the message that has asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asgi_events.ui.answers import Answer
from asgi_events.ui.chat_request import ChatRequest, UIMessage
from asgi_events.wire.vercel_ai_questions import question_number


@dataclass(frozen=True, slots=True)
class Continuation:
    """A message that has questions, and goes on.

    Attributes:
        execution: The id of the execution that makes it.
        event: The number of the last event that the client has of it.
        answers: What is answered, by the numbers of the questions.
    """

    execution: str
    event: int
    answers: Mapping[int, Answer]

    @classmethod
    def of(cls, chat: ChatRequest) -> Continuation | None:
        """Return what a request continues; None if it asks for another message."""
        message = _continued(chat)
        match message.metadata if message is not None else None:
            case {"status": _}:  # it is whole
                return None
            case {"execution": str(execution), "event": int(event)} if event > 0:
                assert message is not None
                return cls(execution, event, _answers(message, execution))
        return None


def _continued(chat: ChatRequest) -> UIMessage | None:
    """The message of the assistant that goes on, if there is one."""
    named = [each for each in chat.messages if each.id == chat.message_id]
    message = [*chat.messages, *named][-1]
    is_continued = message.role == "assistant" and chat.trigger == "submit-message"
    return message if is_continued else None


def _answers(message: UIMessage, execution: str) -> dict[int, Answer]:
    found: dict[int, Answer] = {}
    for part in message.parts:
        members = part.model_extra or {}
        n = question_number(execution, members.get("toolCallId"))
        if n is not None and (answer := _answer(members)) is not None:
            found[n] = answer
    return found


def _answer(members: Mapping[str, Any]) -> Answer | None:
    match members:
        case {"state": "approval-responded", "approval": {"approved": True}}:
            return Answer("accept", True)
        case {"state": "approval-responded" | "output-denied" | "output-error"}:
            return Answer("decline")
        case {"state": "output-available", "output": output}:
            return Answer("accept", output)
    return None
