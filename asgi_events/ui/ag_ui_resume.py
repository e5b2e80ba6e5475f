"""The answers that a request of AG-UI brings to the questions of an execution.

Spec: https://docs.ag-ui.com/spec/1.0/basic/patterns/interrupt-resume
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from asgi_events.exceptions import InvalidInput, UnknownQuestion
from asgi_events.executions.execution import Execution
from asgi_events.ui.answers import Answer, give
from asgi_events.ui.run_agent_input import Resume
from asgi_events.wire.ag_ui import parse_interrupt_id


class BadResume(Exception):
    """Answers that nobody has asked for; nothing has changed.

    Attributes:
        code: ``unknown_interrupt`` or ``invalid_payload``.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Resumption:
    """Answers to questions of one execution.

    Attributes:
        execution: Its id.
        entries: The answers, by the numbers of the questions.
    """

    execution: str
    entries: Mapping[int, Resume]

    @classmethod
    def of(cls, resume: Sequence[Resume]) -> Resumption:
        """Return what a request has.

        Raises:
            BadResume: An id is none of ours, or the ids are not of one execution.
        """
        entries: dict[int, Resume] = {}
        executions = set()
        for entry in resume:
            found = parse_interrupt_id(entry.interrupt_id)
            if found is None:
                raise _unknown(entry)
            executions.add(found[0])
            entries[found[1]] = entry
        if len(executions) != 1:
            raise BadResume("unknown_interrupt", "The interrupts are of several runs.")
        return cls(executions.pop(), entries)

    async def answer(self, execution: Execution, by: str | None) -> None:
        """Answer the questions; where another answer was first, that stands.

        Args:
            execution: What has asked.
            by: Who answers.

        Raises:
            BadResume: A question was not asked, or an answer does not fit it.
            StoreError: The store does not answer.
        """
        answers = {
            n: Answer("accept", entry.payload)
            if entry.status == "resolved"
            else Answer("decline")
            for n, entry in self.entries.items()
        }
        try:
            await give(execution, answers, by=by)
        except UnknownQuestion as unknown:
            raise _unknown(self.entries[int(unknown.n)]) from None
        except InvalidInput as invalid:
            raise BadResume("invalid_payload", _told(invalid)) from None


def _told(invalid: InvalidInput) -> str:
    error = invalid.errors[0]
    where = ".".join(map(str, error["loc"]))
    return f"{invalid.actor} {where + ': ' if where else ''}{error['msg']}"


def _unknown(entry: Resume) -> BadResume:
    message = f"No run of this thread has asked {entry.interrupt_id!r}."
    return BadResume("unknown_interrupt", message)
