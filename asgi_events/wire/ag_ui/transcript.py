"""What the events of AG-UI add up to: the messages and the state of a client."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json

from asgi_events.wire.ag_ui.words import Members


class Transcript:
    """Adds the events of a run up, as ``@ag-ui/client`` does.

    Attributes:
        messages: The messages so far, in the form of AG-UI.
        states: The state of the run, in a list; an empty list without one.
    """

    def __init__(self) -> None:
        self.messages: list[Members] = []
        self.states: list[Any] = []

    def add(self, event: Members) -> None:
        """Take one event. The state comes in snapshots, not in patches."""
        kind = event["type"]
        if kind == "MESSAGES_SNAPSHOT":
            self.messages = [dict(message) for message in event["messages"]]
        elif kind == "STATE_SNAPSHOT":
            self.states = [event["snapshot"]]
        elif kind in ("TEXT_MESSAGE_START", "REASONING_MESSAGE_START"):
            self._append(event, id=event["messageId"], role=event["role"], content="")
        elif kind in ("TEXT_MESSAGE_CONTENT", "REASONING_MESSAGE_CONTENT"):
            self._last("id", event["messageId"])["content"] += event["delta"]
        elif kind in ("TEXT_MESSAGE_END", "REASONING_MESSAGE_END"):
            if "metadata" in event:
                message = self._last("id", event["messageId"])
                message["metadata"] = event["metadata"]
        elif kind == "TOOL_CALL_START":
            self._call(event)
        elif kind == "TOOL_CALL_ARGS":
            (call,) = self._last("id", event["toolCallId"])["toolCalls"]
            call["function"]["arguments"] += event["delta"]
        elif kind == "TOOL_CALL_RESULT":
            self._answer(event)

    def ui_messages(self) -> list[Members]:
        """Return the messages as TanStack AI shows them: ``UIMessage`` with ``parts``.

        A result becomes a part of the message that has its call, and reasoning one of
        the message that follows.
        """
        shown: list[Members] = []
        thoughts: list[Members] = []
        for message in self.messages:
            parts = _parts_of(message)
            if message["role"] == "reasoning":
                thoughts += parts
            elif message["role"] == "tool":
                _add_result(shown, message)
            elif message["role"] != "activity":
                if thoughts and message["role"] != "assistant":
                    shown.append(_ui_message(thoughts[0]["stepId"], thoughts))
                    thoughts = []
                role = "system" if message["role"] == "developer" else message["role"]
                shown.append(_ui_message(message["id"], thoughts + parts, role))
                thoughts = []
        if thoughts:
            shown.append(_ui_message(thoughts[0]["stepId"], thoughts))
        return shown

    def _append(self, event: Members, **message: Any) -> None:
        if "subagentRunId" in event:
            message["subagentRunId"] = event["subagentRunId"]
        self.messages.append(message)

    def _last(self, name: str, value: str) -> Members:
        return next(m for m in reversed(self.messages) if m.get(name) == value)

    def _call(self, event: Members) -> None:
        id, name = event["toolCallId"], event["toolCallName"]
        function = {"name": name, "arguments": ""}
        call = {"id": id, "type": "function", "function": function}
        if "metadata" in event:
            call["metadata"] = event["metadata"]
        self._append(event, id=id, role="assistant", toolCalls=[call])

    def _answer(self, event: Members) -> None:
        """Put a result behind its call and the results that the call has already."""
        call = self._last("id", event["toolCallId"])
        at = self.messages.index(call) + 1
        self._append(
            event,
            id=event["messageId"],
            role="tool",
            toolCallId=event["toolCallId"],
            content=event["content"],
            **({"metadata": event["metadata"]} if "metadata" in event else {}),
        )
        self.messages.insert(at, self.messages.pop())


def _ui_message(id: str, parts: list[Members], role: str = "assistant") -> Members:
    return {"id": id, "role": role, "parts": parts}


def _parts_of(message: Members) -> list[Members]:
    content = message.get("content")
    if message["role"] == "reasoning":
        return [{"type": "thinking", "content": content, "stepId": message["id"]}]
    parts: list[Members] = []
    if isinstance(content, str) and content:
        parts.append({"type": "text", "content": content})
    elif isinstance(content, list):
        parts += [
            {"type": "text", "content": part["text"]} if "text" in part else part
            for part in content
            if isinstance(part, dict)
        ]
    for call in message.get("toolCalls") or []:
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        part = {"type": "tool-call", "id": call["id"], "name": name}
        parts.append(part | {"arguments": arguments, "state": "input-complete"})
    return parts


def _add_result(shown: list[Members], message: Members) -> None:
    id, content = message["toolCallId"], message["content"]
    tanstack = (message.get("metadata") or {}).get("tanstack") or {}
    failed = "error" in message or tanstack.get("state") == "output-error"
    result: Members = {"type": "tool-result", "toolCallId": id, "content": content}
    result["state"] = "error" if failed else "complete"
    if failed:
        result["error"] = message.get("error") or content
    for each in reversed(shown):
        for part in each["parts"]:
            if part["type"] == "tool-call" and part["id"] == id:
                part["state"] = result["state"]
                part["output"] = (
                    {"error": result["error"]} if failed else _output(content)
                )
                each["parts"].append(result)
                return


def _output(content: Any) -> Any:
    try:
        return from_json(content) if isinstance(content, str) else content
    except ValueError:
        return content
