"""A strict reader of the AI SDK's UI message stream: its rules, and a few more."""

from __future__ import annotations

import json
import re
from typing import Any

START = b"data: "
DONE = "[DONE]"

FIELDS: dict[str, tuple[set[str], set[str]]] = {
    "start": ({"messageId"}, set()),
    "start-step": (set(), set()),
    "finish-step": (set(), set()),
    "finish": ({"finishReason", "messageMetadata"}, set()),
    "message-metadata": ({"messageMetadata"}, set()),
    "abort": ({"reason"}, set()),
    "error": ({"errorText"}, set()),
    "text-start": ({"id", "providerMetadata"}, set()),
    "text-delta": ({"id", "delta"}, set()),
    "text-end": ({"id"}, set()),
    "reasoning-start": ({"id", "providerMetadata"}, set()),
    "reasoning-delta": ({"id", "delta"}, set()),
    "reasoning-end": ({"id"}, set()),
    "tool-input-available": (
        {"toolCallId", "toolName", "input", "dynamic"},
        {"providerMetadata", "providerExecuted"},
    ),
    "tool-approval-request": ({"approvalId", "toolCallId"}, set()),
    "tool-output-denied": ({"toolCallId"}, set()),
    "tool-output-available": (
        {"toolCallId", "output", "dynamic"},
        {"providerExecuted"},
    ),
    "tool-output-error": (
        {"toolCallId", "errorText", "dynamic"},
        {"providerExecuted"},
    ),
}
"""What every chunk has, and what it may have beside that."""


def chunks(stream: bytes) -> list[Any]:
    """The chunks of a stream, which is nothing but blocks of one line of JSON.

    Between them are comments that say where a response may end.
    """
    stream = re.sub(rb"^: waiting[ 0-9]*\n", b"", stream, flags=re.MULTILINE)
    assert stream.endswith(b"\n\n") or not stream
    blocks = stream.removesuffix(b"\n\n").split(b"\n\n") if stream else []
    assert all(b.startswith(START) and b"\n" not in b for b in blocks)
    lines = [block.removeprefix(START).decode() for block in blocks]
    assert DONE not in lines[:-1]
    return [DONE if line == DONE else json.loads(line) for line in lines]


class Acceptor:
    """Accepts the chunks of one message, in order, or fails."""

    def __init__(self) -> None:
        self._count = 0
        self._open: set[tuple[str, str]] = set()
        self._tools: set[str] = set()
        self._running: set[str] = set()
        self._asked: set[str] = set()
        self._is_in_step = False
        self._ended = ""

    def accept(self, chunk: Any) -> None:
        if chunk == DONE:
            assert self._ended in ("finish", "abort", "error")
            self._ended = "done"
            return
        self._count += 1
        type = chunk.pop("type")
        assert not self._ended, f"{type} after {self._ended}"
        assert self._count > 2 or type == ["start", "start-step"][self._count - 1]
        assert self._count <= 2 or type != "start"
        if type in ("start-step", "finish-step"):
            assert self._is_in_step is (type == "finish-step")
            self._is_in_step = type == "start-step"
        else:
            assert self._is_in_step is (type not in ("start", "finish"))
        if type.startswith("data-"):
            assert {"data"} <= set(chunk) <= {"data", "id", "transient"}
            return
        required, optional = FIELDS[type]
        assert required <= set(chunk) <= required | optional
        kind, _, verb = type.rpartition("-")
        if kind in ("text", "reasoning"):
            self._part(kind, verb, chunk)
        elif kind.startswith("tool"):
            self._tool(type, chunk)
        elif type in ("finish", "abort", "error"):
            is_open = self._open or self._running or self._asked
            assert not is_open, "something is open at the end"
            self._ended = type

    def _part(self, kind: str, verb: str, chunk: Any) -> None:
        part = (kind, chunk["id"])
        if verb == "start":
            assert part not in self._open
            self._open.add(part)
        elif verb == "delta":
            assert part in self._open and chunk["delta"]
        else:
            self._open.remove(part)

    def _tool(self, type: str, chunk: Any) -> None:
        id = chunk["toolCallId"]
        assert chunk.get("dynamic", True) is True
        if "/inputs/" in id:
            self._question(type, id, chunk)
            return
        assert chunk["providerExecuted"] is True
        if type == "tool-input-available":
            assert not self._asked, "a tool is in the step of the questions"
            assert id not in self._running
            self._tools.add(id)
            self._running.add(id)
        else:
            assert id in self._tools
            self._running.remove(id)

    def _question(self, type: str, id: str, chunk: Any) -> None:
        assert "providerExecuted" not in chunk
        if type == "tool-input-available":
            assert chunk["toolName"] == "ask" and not self._open
            assert id not in self._tools
            self._tools.add(id)
            self._asked.add(id)
        elif type == "tool-approval-request":
            assert chunk["approvalId"] == id and id in self._asked
        else:
            self._asked.remove(id)


def accept(stream: bytes) -> None:
    """Fail unless ``stream`` is one whole message."""
    acceptor = Acceptor()
    read = chunks(stream)
    for chunk in read:
        acceptor.accept(chunk)
    assert read[-1] == DONE
