"""The UI message stream of the Vercel AI SDK, for its versions 5, 6 and 7.

Spec: https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol; what decides is the
``uiMessageChunkSchema`` of the npm package ``ai``. An unknown type ends the stream of
that client with an error, so only what all three versions know is sent. Surprises:

1. There is no ``tool-input-start``: ``tool-input-available`` opens the call too. If the
   connection broke between the two, version 5 would take the call as half told, and
   resume into the message that it has: everything would be in it twice.
2. Version 5 finds the call of an output only if that chunk says ``dynamic`` too.
3. ``providerExecuted`` keeps the client from running the tool itself.
4. ``start`` must be the first chunk, since a later one renames the message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from asgi_events.wire.decoding import read_json
from asgi_events.wire.encoding import encode_json
from asgi_events.wire.formats import Reason
from asgi_events.wire.sse import KEEP_ALIVE, MEDIA_TYPE, STREAM_START
from asgi_events.wire.vercel_ai_parts import CallParts, TextParts, data_type
from asgi_events.wire.vercel_ai_questions import QuestionParts
from asgi_events.wire.waits import waiting

DONE = b"data: [DONE]\n\n"

_CALLS = ("agent_call", "tool_call", "llm_call")
_STATUS = {
    "complete": "completed",
    "error": "failed",
    "cancelled": "cancelled",
    "lost": "lost",
}


class VercelAIFormat:
    """One execution as one assistant message; see ``docs/front-ends.md``.

    Every viewer begins with the first event, but one who has answered a question: the
    message goes on after it.

    Args:
        execution_id: The id of the execution, which the message gets.
    """

    media_type = MEDIA_TYPE
    headers: Mapping[str, str] = {"x-vercel-ai-ui-message-stream": "v1"}
    greeting = STREAM_START
    heartbeat = KEEP_ALIVE

    knows_approvals = False

    def __init__(self, execution_id: str) -> None:
        self._execution = execution_id
        self._is_begun = False
        self._texts = TextParts()
        self._calls = CallParts()
        self._questions = QuestionParts(execution_id, approves=self.knows_approvals)

    def retry(self, milliseconds: int) -> bytes:
        """Return nothing: the clients do not reconnect by themselves."""
        return b""

    def frame(self, number: int, event_id: bytes, payload: bytes) -> bytes:
        """Return the chunks of one event; b"" for what the page cannot use."""
        event = read_json(payload)
        if isinstance(event, dict) and (more := self._texts.continues(event)):
            return _block(encode_json(more))  # most events are that, so it comes first
        match event:
            case {"event_type": "conversation", "thread": str(), "messages": list()}:
                return b""
        were_open = self._questions.open
        blocks = [_block(encode_json(chunk)) for chunk in self._chunks(event, number)]
        made = self._begin() + b"".join(blocks)
        are_open = self._questions.open
        return made if are_open == were_open else made + waiting(are_open)

    def reset(self, reason: str, first: int) -> bytes:
        """Return a part that says that earlier events are not kept, if any are not."""
        if first == 1:
            return b""
        chunk = {"type": "data-reset", "data": {"reason": reason, "first": first}}
        return self._begin() + _block(encode_json(chunk))

    def end(self, status: str | None) -> bytes:
        """Return the line after the last chunk."""
        return DONE

    def goodbye(self, reason: Reason) -> None:
        """Return None: the clients take any clean end for the end of the message."""

    def pause(self) -> bytes:
        """Return: the response ends, and the client may send answers."""
        finish = {"type": "finish", "finishReason": "tool-calls"}
        return _block(b'{"type":"finish-step"}') + _block(encode_json(finish)) + DONE

    def _begin(self) -> bytes:
        if self._is_begun:
            return b""
        self._is_begun = True
        start = {"type": "start", "messageId": self._execution}
        return _block(encode_json(start)) + _block(b'{"type":"start-step"}')

    def _chunks(self, event: Any, number: int) -> Iterator[dict[str, Any]]:
        told = event if isinstance(event, dict) else {}
        match told:
            case {"event_type": "text_delta", "address": str(at), "delta": str(delta)}:
                yield from self._texts.add("text", at, delta)
            case {
                "event_type": "reasoning_delta",
                "address": str(at),
                "delta": str(delta),
            }:
                yield from self._texts.add("reasoning", at, delta)
            case {
                "event_type": str(kind),
                "address": str(),
                "actor": str(),
                "execution_status": str(),
            } if kind in _CALLS:
                yield from self._call(told)
            case {
                "event_type": "input_request",
                "address": str(),
                "n": int(),
                "message": str(),
            }:
                yield from self._texts.close_all()
                yield from self._questions.ask(number, told)
            case {"event_type": "input_answer", "n": int(), "action": str()}:
                yield from self._texts.close_all()
                yield from self._questions.close(number, told)
            case {"event_type": "progress", "address": str(at), "current": _}:
                data = _members(told, "address", "current", "total", "message")
                yield {"type": "data-progress", "id": at, "data": data}
            case {"event_type": "log", "address": str(), "message": str()}:
                data = _members(told, "address", "level", "message")
                yield {"type": "data-log", "data": data, "transient": True}
            case {"event_type": "state", "address": str()}:
                yield {"type": "data-state", "id": "state", "data": told.get("state")}
            case {"event_type": "custom", "address": str(at), "name": str(name)}:
                yield from self._texts.close_at(at)
                yield {"type": data_type(name), "data": told.get("data")}
            case {"event_type": str(kind), "message": str()} if kind in _STATUS:
                yield from self._end(told)
            case _:
                yield from self._other(event)

    def _other(self, event: Any) -> Iterator[dict[str, Any]]:
        """An event of the application, as a part of its own."""
        told = event if isinstance(event, dict) else {}
        name, address = told.get("event_type"), told.get("address")
        if isinstance(address, str):
            yield from self._texts.close_at(address)
        known = isinstance(name, str) and name != ""
        yield {"type": data_type(str(name)) if known else "data-event", "data": event}

    def _call(self, event: dict[str, Any]) -> Iterator[dict[str, Any]]:
        address, status = event["address"], event["execution_status"]
        if status == "started":
            yield from self._texts.close_around(address)
        else:
            yield from self._texts.close_below(address)
        if status == "retrying":
            self._texts.void(address)
        yield from self._questions.behind(self._calls.tell(event))

    def _end(self, event: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Close all that is open, and say how the execution has ended."""
        kind, message = event["event_type"], event["message"]
        yield from self._texts.close_all()
        calls = self._calls.close_all(_STATUS[kind], message)
        yield from self._questions.behind(calls)
        yield from self._questions.close_all(message)
        metadata = {
            "execution": self._execution,
            "status": _STATUS[kind],
            **_members(event, "result", "cache_stats"),
        }
        if kind == "complete":
            result = event.get("result")
            if isinstance(result, str) and not self._texts.is_any_shown:
                yield from self._texts.add("text", self._calls.root or "", result)
                yield from self._texts.close_all()
            yield {"type": "finish-step"}
            yield {
                "type": "finish",
                "finishReason": "stop",
                "messageMetadata": metadata,
            }
            return
        yield {"type": "message-metadata", "messageMetadata": metadata}
        if kind == "cancelled":
            yield {"type": "abort", "reason": message}
        else:
            yield {"type": "error", "errorText": message}


class VercelAIApprovalsFormat(VercelAIFormat):
    """The same for clients of version 6 and later, which know approvals."""

    knows_approvals = True


def _block(json: bytes) -> bytes:
    return b"data: %b\n\n" % json


def _members(event: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: event[name] for name in names if event.get(name) is not None}
