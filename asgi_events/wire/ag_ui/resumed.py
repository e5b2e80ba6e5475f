"""The rest of an execution as a run of its own, which begins with answers."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from asgi_events.wire.ag_ui.kinds import TERMINAL, kind_of
from asgi_events.wire.ag_ui.run import AGUIRun
from asgi_events.wire.ag_ui.transcript import Transcript
from asgi_events.wire.ag_ui.words import Members


class ResumedRun:
    """Says what follows the questions that a client answers.

    It begins with all messages and the state so far, so a client that has more, because
    it runs this run again, or because the run before it went on for a moment, has
    everything once.

    Args:
        run: The whole run.
        run_id: The ``runId`` of the rest.
        answers: The numbers of the questions, one at least.
    """

    def __init__(self, run: AGUIRun, run_id: str, answers: Collection[int]) -> None:
        self._run = run
        self._run_id = run_id
        self._answers = answers
        self._awaited = set(answers)
        self._before = Transcript()

    @property
    def waits(self) -> bool:
        """Whether it waits for an answer to another question."""
        return not self._awaited and self._run.questions.are_open

    def take(self, event: Any, execution: str = "") -> list[Members]:
        """Return what one event becomes; nothing up to the last of the questions."""
        kind = kind_of(event)
        if self._awaited and kind in TERMINAL:  # the log has lost a question
            self._begin()
        is_before = bool(self._awaited)
        said = self._run.take(event, execution)
        if not is_before:
            return said
        for each in said:
            self._before.add(each)
        if kind == "input_request":
            self._awaited.discard(event["n"])
            if not self._awaited:
                self._begin()
        return []

    def continues(self, event: Members) -> Members | None:
        """See ``AGUIRun.continues``."""
        return None if self._awaited else self._run.continues(event)

    def pause(self) -> list[Members]:
        """See ``AGUIRun.pause``."""
        return self._run.pause()

    def begin_at(self, first: int) -> list[Members]:
        """See ``AGUIRun.begin_at``."""
        self._begin()
        return self._run.begin_at(first)

    def _begin(self) -> None:
        self._awaited.clear()
        self._run.questions.answered = self._answers
        self._run.go_on_as(self._run_id, self._before.messages)
