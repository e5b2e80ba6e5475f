"""The routes of the questions that an execution asks."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from asgi_events.events import ExecutionStatus, InputRequestEvent
from asgi_events.exceptions import InvalidInput, UnknownExecution, UnknownQuestion
from asgi_events.executions.answers import give_answer
from asgi_events.executions.execution import Execution
from asgi_events.executions.question_log import Asked, Question
from asgi_events.http.exchange import Exchange
from asgi_events.http.problems import Problem
from asgi_events.types import ASGIApp

_MOST = 64 * 1024  # bytes of an answer


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    action: Literal["accept", "decline"]
    content: Any = None


async def answer_input(exchange: Exchange, id: str, number: str) -> ASGIApp:
    """Take an answer, or say how a question stands."""
    exchange.allow("GET", "HEAD", "POST")
    execution, asked, question, owner = await _find(exchange, id, number)
    if exchange.request.method != "POST":
        return exchange.json(200, _about(question, execution))
    body = await exchange.read_json(_MOST)
    try:
        given = _Body.model_validate_json(body)
    except ValidationError as error:
        raise InvalidInput.of("the answer", error) from None
    if given.action == "decline" and given.content is not None:
        raise Problem(422, "Who declines gives no content.")
    question, is_first = await give_answer(
        execution.asking,
        execution.status,
        question.request.n,
        given.action,
        given.content,
        by=owner,
        asked=asked,
    )
    return exchange.json(201 if is_first else 200, _about(question, execution))


def about_waiting(request: InputRequestEvent) -> dict[str, Any]:
    """Return what a viewer has to know of an open question."""
    return {
        "n": request.n,
        "address": request.address,
        "message": request.message,
        "response_schema": request.response_schema,
        "expires": request.expires,
        "to": request.to,
    }


async def _find(
    exchange: Exchange, id: str, number: str
) -> tuple[Execution, Asked, Question, str | None]:
    """The question, and who asks for it: the owner, or whom the question is to.

    Raises:
        UnknownExecution: There is none, or the caller may not know it.
        UnknownQuestion: It has asked no such question.
    """
    execution, owner = await exchange.look_up(id, "answer")
    if execution is None:
        raise UnknownExecution(id)
    asked = await execution.asking.read()
    shown = {str(n): each for n, each in asked.questions.items() if not each.is_hidden}
    question = shown.get(number)
    may = {execution.owner}
    if question is not None and question.request.to is not None:
        may.add(question.request.to)
    if owner not in may:
        raise UnknownExecution(id)
    if question is None:
        raise UnknownQuestion(id, number)
    return execution, asked, question, owner


def _about(question: Question, execution: Execution) -> dict[str, Any]:
    request, answer = question.request, question.answer
    closed: dict[str, Any] | None = None
    if answer is not None:
        closed = {
            "action": answer.action,
            "by": answer.by,
            "timestamp": answer.timestamp,
        }
    elif execution.status is not ExecutionStatus.STARTED:  # its process has died
        closed = {
            "action": "cancelled",
            "by": None,
            "timestamp": execution.ended or request.timestamp,
        }
    return {**about_waiting(request), "answer": closed}
