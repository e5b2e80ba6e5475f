"""Words: the events of AG-UI that one event of ours becomes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

Members = dict[str, Any]
"""The members of an event, as JSON."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Words:
    """Collects the events of AG-UI that one event of ours becomes.

    Args:
        execution: The id of the execution, with which all ids begin.
    """

    def __init__(self, execution: str) -> None:
        self.execution = execution
        self.said: list[Members] = []
        self._at: int | None = None

    def begin(self, event: Any) -> None:
        """Begin with a new event of ours, whose time all that is said has."""
        self.said = []
        self._at = milliseconds(event)

    def say(self, type: str, agent: str | None = None, **members: Any) -> None:
        """Add an event of AG-UI, for the agent at an address; None is the root."""
        said = {"type": type, **members}
        if agent is not None:
            said["subagentRunId"] = self.id(agent)
        if self._at is not None:
            said["timestamp"] = self._at
        self.said.append(said)

    def id(self, address: str, suffix: str = "") -> str:
        """Return the id of what is at an address."""
        return f"{self.execution}/{address}{suffix}"


def given(**members: Any) -> Members:
    """Return the members that are there: in AG-UI null is no word for an absent one."""
    return {
        name: value for name, value in members.items() if value not in (None, {}, "")
    }


def milliseconds(event: Any) -> int | None:
    """Return the time of an event in milliseconds; None if it has none."""
    try:
        return (datetime.fromisoformat(event["timestamp"]) - _EPOCH) // _MILLISECOND
    except (KeyError, TypeError, ValueError):
        return None  # a model of the application
