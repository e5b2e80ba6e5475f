"""The questions of an execution as the interrupts of AG-UI.

Spec: https://docs.ag-ui.com/spec/1.0/basic/patterns/interrupt-resume
"""

from __future__ import annotations

from collections.abc import Collection

from asgi_events.wire.ag_ui.calls import Calls
from asgi_events.wire.ag_ui.words import Members, Words, given


class Questions:
    """The questions that are open where a run stands.

    Args:
        words: Makes the ids.
        calls: Those in which the questions are asked.

    Attributes:
        answered: The numbers of questions that are closed, whether the log says so yet
            or not.
    """

    def __init__(self, words: Words, calls: Calls) -> None:
        self.answered: Collection[int] = ()
        self._words = words
        self._calls = calls
        self._open: dict[int, Members] = {}

    @property
    def are_open(self) -> bool:
        """Whether any is."""
        return any(n not in self.answered for n in self._open)

    def ask(self, request: Members) -> None:
        """Open a question."""
        self._open[request["n"]] = request

    def close(self, answer: Members) -> None:
        """Close a question, if it was asked."""
        self._open.pop(answer["n"], None)

    def interrupts(self) -> list[Members]:
        """Return those that are open, the oldest first."""
        return [
            self._interrupt(n, request)
            for n, request in self._open.items()
            if n not in self.answered
        ]

    def _interrupt(self, n: int, request: Members) -> Members:
        address, schema = request["address"], request.get("response_schema")
        is_yes_or_no = isinstance(schema, dict) and schema.get("type") == "boolean"
        tool, agent = self._calls.tool_of(address), self._calls.agent_of(address)
        return {
            "id": interrupt_id(self._words.execution, n),
            # Not "tool_call": pages take the answer to that for the tool's result.
            "reason": "confirmation" if is_yes_or_no else "input_required",
            "message": request["message"],
            **given(
                toolCallId=tool and self._words.id(tool),
                subagentRunId=agent and self._words.id(agent),
                responseSchema=schema,
                expiresAt=request.get("expires"),
                metadata=given(address=address, to=request.get("to")),
            ),
        }


def interrupt_id(execution: str, n: int) -> str:
    """Return the id of the interrupt for a question."""
    return f"{execution}/{n}"


def parse_interrupt_id(id: str) -> tuple[str, int] | None:
    """Return the execution and the question of an id; None if it is not one of ours."""
    execution, _, n = id.rpartition("/")
    is_number = n.isascii() and n.isdecimal() and n[0] != "0" and len(n) <= 9
    return (execution, int(n)) if execution and is_number else None
