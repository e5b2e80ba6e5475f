"""Our own events, told apart from those of an application."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_CALL = {"address": str, "actor": str, "execution_status": str}
_NEEDED: Mapping[str, Mapping[str, type]] = {
    "agent_call": _CALL,
    "tool_call": _CALL,
    "llm_call": _CALL,
    "text_delta": {"address": str, "delta": str},
    "reasoning_delta": {"address": str, "delta": str},
    "state": {"address": str},
    "conversation": {"thread": str, "run": str, "messages": list},
    "log": {"address": str, "message": str},
    "progress": {"address": str},
    "custom": {"address": str, "name": str},
    "input_request": {"address": str, "n": int, "message": str},
    "input_answer": {"address": str, "n": int, "action": str},
    "complete": {"message": str},
    "error": {"message": str},
    "cancelled": {"message": str},
    "lost": {"message": str},
}
"""Our own events, and what they need to be ours and not those of an application."""

TERMINAL = ("complete", "error", "cancelled", "lost")
"""Those of which one is the last event."""


def kind_of(event: Any) -> str | None:
    """Return the type of an event of ours; None for one of an application."""
    if not isinstance(event, dict):
        return None
    kind = event.get("event_type")
    needed = _NEEDED.get(kind) if isinstance(kind, str) else None
    if needed is None:
        return None
    for name, type in needed.items():
        if not isinstance(event.get(name), type):
            return None
    return kind
