"""Answers to questions: which ones are taken, and which one counts."""

from __future__ import annotations

import secrets
from typing import Any

from asgi_events.actors.answers import errors_in
from asgi_events.checks import check_texts
from asgi_events.events import ExecutionStatus, InputAction
from asgi_events.exceptions import (
    AlreadyAnswered,
    InvalidInput,
    QuestionClosed,
    UnknownQuestion,
)
from asgi_events.executions.question_log import Answer, Asked, Question
from asgi_events.executions.questions import Questions


async def give_answer(
    questions: Questions,
    status: ExecutionStatus,
    n: int,
    action: InputAction,
    content: Any = None,
    *,
    by: str | None = None,
    asked: Asked | None = None,
) -> tuple[Question, bool]:
    """Answer a question of an execution; see ``Execution.answer``.

    Args:
        questions: What it asks.
        status: How it stands.
        n: The number of the question.
        action: ``accept`` or ``decline``.
        content: What is accepted, as JSON.
        by: Who answers.
        asked: What the caller has read of ``questions``.

    Returns:
        The question as it is then, and whether this is the answer that counts.

    Raises:
        TypeError: ``n`` is no int, or ``by`` no str.
        AsgiEventsError: It is not answered; see ``Execution.answer``.
    """
    if isinstance(n, bool) or not isinstance(n, int):
        raise TypeError(f"n must be the number of a question, got {n!r}")
    if by is not None:
        check_texts(by=by)
    if asked is None:
        asked = await questions.read()
    question = asked.questions.get(n)
    if question is None:
        raise UnknownQuestion(questions.id, n)
    request, stands = question.request, question.answer
    if action == "accept":
        errors = errors_in(request.response_schema, content)
        if errors:
            raise InvalidInput(f"question {n}", errors)
    token = secrets.token_hex(8)
    if stands is None:
        if status is not ExecutionStatus.STARTED or not await questions.is_awaited():
            raise QuestionClosed(questions.id, n, "cancelled")
        answer = Answer(
            address=request.address,
            n=n,
            action=action,
            content=content,
            by=by,
            token=token,
        )
        stands = await questions.settle(request, answer, asked)
    if stands.action in ("expired", "cancelled"):
        raise QuestionClosed(questions.id, n, stands.action)
    if stands.token != token and (stands.action, stands.content) != (action, content):
        raise AlreadyAnswered(questions.id, n, stands.action, stands.by)
    return Question(request, stands), stands.token == token
