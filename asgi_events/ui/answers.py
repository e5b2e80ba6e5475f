"""The answers that a request of a front end brings to questions of an execution."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from asgi_events.actors.answers import errors_in
from asgi_events.events import ExecutionStatus
from asgi_events.exceptions import AnswerRefused, InvalidInput, UnknownQuestion
from asgi_events.executions.execution import Execution


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    Attributes:
        action: What is done with the question.
        content: What is accepted, as JSON.
    """

    action: Literal["accept", "decline"]
    content: Any = None


async def closed(execution: Execution) -> frozenset[int]:
    """Return the numbers of the questions of an execution that are closed.

    Raises:
        StoreError: The store does not answer.
    """
    asked = await execution.questions()
    return frozenset(each.request.n for each in asked if each.answer is not None)


async def give(
    execution: Execution, answers: Mapping[int, Answer], *, by: str | None
) -> frozenset[int]:
    """Answer the questions that are open; where another answer was first, that stands.

    Args:
        execution: What has asked.
        answers: The answers, by the numbers of the questions.
        by: Who answers.

    Returns:
        The numbers of all of its questions that are closed.

    Raises:
        UnknownQuestion: It runs, and has not asked that; nothing has changed.
        InvalidInput: An answer does not fit its question; nothing has changed.
        StoreError: The store does not answer.
    """
    asked = {
        each.request.n: each
        for each in await execution.questions()
        if not each.is_hidden
    }
    unknown = [n for n in answers if n not in asked]
    if unknown and execution.status is ExecutionStatus.STARTED:
        raise UnknownQuestion(execution.id, unknown[0])
    given = {
        n: answer
        for n, answer in answers.items()
        if n in asked and asked[n].answer is None
    }
    for n, answer in given.items():
        schema = asked[n].request.response_schema
        if answer.action == "accept" and (errors := errors_in(schema, answer.content)):
            raise InvalidInput(asked[n].request.message, errors)
    for n, answer in given.items():
        with suppress(AnswerRefused):
            if answer.action == "accept":
                await execution.answer(n, answer.content, by=by)
            else:
                await execution.decline(n, by=by)
    return frozenset(n for n in asked if n in given or asked[n].answer is not None)
