"""Responses that say no, as exceptions: the server's own where they fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeAlias

from asgi_events.client.actions import Answer
from asgi_events.exceptions import (
    AlreadyAnswered,
    AsgiEventsError,
    Forbidden,
    Gone,
    IdempotencyConflict,
    InvalidInput,
    QuestionClosed,
    Refused,
    RequestFailed,
    ThreadBusy,
    Unauthorized,
    UnknownActor,
    UnknownExecution,
    UnknownQuestion,
)
from asgi_events.wire.decoding import read_json

MAX_BODY = 64 * 1024
"""Bytes of a refusal that are read; the rest says nothing that anybody needs."""

_PROBLEM = "application/problem+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A response that says no.

    Attributes:
        answer: Its head.
        detail: Its words: ``detail`` or ``title`` of the problem (RFC 9457), or what
            the status means.
        members: The members of the problem; those of any other JSON object, too.
        retry_after: Seconds after which to ask again; None if it does not say.
    """

    answer: Answer
    detail: str
    members: dict[str, Any] = field(default_factory=dict)
    retry_after: float | None = None

    @property
    def is_problem(self) -> bool:
        """Whether it is a problem document, and no page of a proxy."""
        return self.answer.media_type == _PROBLEM

    @property
    def reason(self) -> str:
        """What it says, in a line."""
        return f"{self.answer.status} {self.detail}"


Explain: TypeAlias = Callable[[Refusal], AsgiEventsError]


def read_refusal(answer: Answer, body: bytes, retry_after: float | None) -> Refusal:
    """Return a response that says no; ``body`` may be the beginning of its body."""
    members: Any = None
    if "json" in answer.media_type:
        try:
            members = read_json(body)
        except ValueError:  # UnicodeDecodeError too
            pass
    if not isinstance(members, dict):
        members = {}
    words = [members.get("detail"), members.get("title"), _phrase(answer.status)]
    detail = next(word for word in words if isinstance(word, str) and word)
    return Refusal(
        answer=answer, detail=detail, members=members, retry_after=retry_after
    )


def general(refusal: Refusal) -> AsgiEventsError:
    """Return the exception for a refusal of any request."""
    answer, detail = refusal.answer, refusal.detail
    match answer.status:
        case 401:
            challenge = answer.headers.get("www-authenticate", "")
            return _unauthorized(detail, challenge)
        case 403:
            return Forbidden(detail)
        case 429 | 503 if refusal.is_problem:
            return _refused(refusal)
    errors = refusal.members.get("errors")
    words = f"{detail} {errors}" if errors else detail
    if answer.redirect is not None:
        words += f" (it redirects to a {answer.redirect}, which is another request)"
    return RequestFailed(answer.status, words, url=answer.url, problem=refusal.members)


def of_execution(id: str) -> Explain:
    """Return what explains a refusal of a request for an execution."""

    def explain(refusal: Refusal) -> AsgiEventsError:
        if refusal.answer.status == 404 and refusal.is_problem:
            return _worded(UnknownExecution(id), refusal)
        return general(refusal)

    return explain


def of_question(id: str, n: int) -> Explain:
    """Return what explains a refusal of a request for a question, or of an answer."""

    def explain(refusal: Refusal) -> AsgiEventsError:
        if not refusal.is_problem:
            return general(refusal)
        match refusal.answer.status, refusal.members:
            case 404, {"n": _}:
                return _worded(UnknownQuestion(id, n), refusal)
            case 409, {"action": str(action), "by": str() | None as by}:
                return _worded(AlreadyAnswered(id, n, action, by), refusal)
            case 410, {"action": str(action)}:
                return _worded(QuestionClosed(id, n, action), refusal)
            case 422, {"errors": list(errors)}:
                return InvalidInput(f"question {n}", errors)
        return of_execution(id)(refusal)

    return explain


def of_start(actor: str, key: str, thread: str | None = None) -> Explain:
    """Return what explains a refusal of a request that starts an actor."""

    def explain(refusal: Refusal) -> AsgiEventsError:
        if not refusal.is_problem:
            return general(refusal)
        match refusal.answer.status, refusal.members:
            case 404, _:
                return _worded(UnknownActor(actor, []), refusal)
            case 409, {"execution": str(id)}:
                return _worded(ThreadBusy(thread or "", id), refusal)
            case 410, {"execution": str(id)}:
                return _worded(Gone(key, id), refusal)
            case 422, {"errors": list(errors)}:
                return InvalidInput(actor, errors)
            case 422, _:
                return _worded(IdempotencyConflict(key), refusal)
        return general(refusal)

    return explain


def _worded(error: AsgiEventsError, refusal: Refusal) -> AsgiEventsError:
    """Give an exception the words of the server, which knows more."""
    error.args = (refusal.detail,)
    return error


def _unauthorized(detail: str, challenge: str) -> Unauthorized:
    try:
        return Unauthorized(detail, challenge=challenge)
    except ValueError:
        return Unauthorized(detail)


def _refused(refusal: Refusal) -> Refused:
    error = Refused(refusal.detail)
    error.status = refusal.answer.status
    if refusal.retry_after is not None:
        error.retry_after = round(refusal.retry_after)
    return error


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"HTTP status {status}"
