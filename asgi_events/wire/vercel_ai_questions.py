"""The questions of an execution, as calls of a tool ``ask`` that the page answers.

The AI SDK sends answers when the response has ended, and by itself only if the last
step of the message has nothing but what is answered or has ended. Hence:

1. Questions that are open are in one step, the last one. A tool that starts meanwhile
   is held back until they are closed.
2. Then another step begins. Without it the client would send the same answers at the
   end of the response, again and again.
3. The id has the execution in it: the client finds the part of an answer by the id
   alone, in all messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

Chunk: TypeAlias = dict[str, Any]

TOOL = "ask"
"""The name of the tool."""

_NEW_STEP: tuple[Chunk, ...] = ({"type": "finish-step"}, {"type": "start-step"})

_MOST_HELD = 100  # chunks; with more of them, the page has to send its answers itself

_SHOWN = ("n", "message", "response_schema", "expires", "to")
_CLOSED = {
    "expired": "Nobody has answered in time",
    "cancelled": "Nobody waits for the answer any more",
}


def question_id(execution: str, n: int) -> str:
    """Return the ``toolCallId`` of a question, which is also its ``approvalId``."""
    return f"{execution}/inputs/{n}"


def question_number(execution: str, id: Any) -> int | None:
    """Return the number of the question of an id; None if it is not such an id."""
    if not isinstance(id, str) or not id.startswith(f"{execution}/inputs/"):
        return None
    n = id.removeprefix(f"{execution}/inputs/")
    return int(n) if n.isascii() and n.isdecimal() and len(n) < 10 else None


class QuestionParts:
    """The questions that are open.

    Args:
        execution: The id of the execution.
        approves: Whether the client knows approvals: it is asked for one where the
            answer is yes or no.
    """

    def __init__(self, execution: str, *, approves: bool) -> None:
        self._execution = execution
        self._approves = approves
        self._open: dict[int, Chunk] = {}
        self._held: list[Chunk] = []

    @property
    def open(self) -> list[int]:
        """The numbers of those that are open."""
        return list(self._open)

    def ask(self, number: int, event: Chunk) -> Iterator[Chunk]:
        """Yield a question, the event of that number."""
        yield self._place(number)
        if not self._open:
            yield from _NEW_STEP
        n = event["n"]
        self._open[n] = event
        id, of = question_id(self._execution, n), {"address": event["address"], "n": n}
        yield {
            "type": "tool-input-available",
            "toolCallId": id,
            "toolName": TOOL,
            "input": {name: event[name] for name in _SHOWN if name in event},
            "dynamic": True,
            "providerMetadata": {"asgi-events": of},
        }
        if self._is_approval(event):
            yield {"type": "tool-approval-request", "approvalId": id, "toolCallId": id}

    def close(self, number: int, event: Chunk) -> Iterator[Chunk]:
        """Yield how a question was closed, by the event of that number."""
        asked = self._open.pop(event["n"], None)
        if asked is None:
            return
        if self._open:
            yield self._place(number)
        yield self._output(asked, event)
        if not self._open:
            yield from self._leave()

    def behind(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """Yield what is said of calls, without the tools that are held back."""
        for chunk in chunks:
            if self._open and self._is_held(chunk):
                self._held.append(chunk)
            else:
                yield chunk

    def close_all(self, message: str) -> Iterator[Chunk]:
        """Close those that nobody waits for any more: the execution has ended."""
        if not self._open:
            return
        for n in self._open:
            yield _failure(question_id(self._execution, n), message)
        self._open.clear()
        yield from self._leave()

    def _place(self, number: int) -> Chunk:
        """What tells the client up to which event it has the message.

        It comes first of what an event becomes, so that nobody can have a question but
        not its place.
        """
        metadata = {"execution": self._execution, "event": number}
        return {"type": "message-metadata", "messageMetadata": metadata}

    def _leave(self) -> Iterator[Chunk]:
        yield from _NEW_STEP
        yield from self._held
        self._held.clear()

    def _is_held(self, chunk: Chunk) -> bool:
        if len(self._held) >= _MOST_HELD:
            return False
        id = chunk.get("toolCallId")
        starts = chunk["type"] == "tool-input-available"
        return starts or any(id == held["toolCallId"] for held in self._held)

    def _output(self, asked: Chunk, event: Chunk) -> Chunk:
        id, action = question_id(self._execution, event["n"]), event["action"]
        by, content = event.get("by"), event.get("content")
        if self._is_approval(asked) and (action == "decline" or content is False):
            return {"type": "tool-output-denied", "toolCallId": id}
        if action == "accept":
            shown = [name for name in ("action", "by", "content") if name in event]
            output = {name: event[name] for name in shown}
            about = {"toolCallId": id, "output": output, "dynamic": True}
            return {"type": "tool-output-available", **about}
        declined = "Declined" if by is None else f"Declined by {by}"
        return _failure(id, _CLOSED.get(action, declined))

    def _is_approval(self, asked: Chunk) -> bool:
        schema = asked.get("response_schema")
        is_yes_or_no = isinstance(schema, dict) and schema.get("type") == "boolean"
        return self._approves and is_yes_or_no


def _failure(id: str, message: str) -> Chunk:
    return {
        "type": "tool-output-error",
        "toolCallId": id,
        "errorText": message,
        "dynamic": True,
    }
