"""The plans of answers: to look at a question, to answer it, and to decline.

To send the same answer again changes nothing: the server says that it has it. So a
request whose response was lost is sent again, until it is known what stands.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel
from pydantic_core import to_json

from asgi_events.client import requests
from asgi_events.client.about import Question
from asgi_events.client.actions import Answer, Plan, Send
from asgi_events.client.patience import Patience
from asgi_events.client.refusals import of_question
from asgi_events.client.terms import Terms, check_question


def question(terms: Terms, id: str, n: int) -> Plan[Question]:
    """Ask how a question stands."""
    send = Send(method="GET", url=_url(terms, id, n), headers=requests.JSON)
    return (yield from _told(terms, send, id, n))[1]


def waiting(terms: Terms, id: str) -> Plan[list[Question]]:
    """Ask which questions are open."""
    return list((yield from requests.about(terms, id)).waiting)


def accept(terms: Terms, id: str, n: int, content: Any) -> Plan[bool]:
    """Answer a question; see ``RemoteExecution.answer``."""
    return _answer(terms, id, n, "accept", content=_members(content))


def decline(terms: Terms, id: str, n: int) -> Plan[bool]:
    """Decline to answer a question; see ``RemoteExecution.decline``."""
    return _answer(terms, id, n, "decline")


def _answer(
    terms: Terms, id: str, n: int, action: Literal["accept", "decline"], **content: Any
) -> Plan[bool]:
    send = Send(
        method="POST",
        url=_url(terms, id, n),
        headers={**requests.JSON, "content-type": "application/json"},
        content=to_json({"action": action, **content}),
    )
    patience = Patience(terms, send.url)
    status, question = yield from _told(terms, send, id, n, patience)
    if status == 201:
        return True
    if question.answer is None or question.answer.action != action:
        answer = Answer(status=status, url=send.url)
        raise requests.another(answer, "a question with that answer")
    # It was answered so before. If a response was lost, that may have been ours.
    return patience.is_in_doubt


def _told(
    terms: Terms, send: Send, id: str, n: int, patience: Patience | None = None
) -> Plan[tuple[int, Question]]:
    return requests.told(
        terms,
        patience or Patience(terms, send.url),
        send,
        Question,
        "how a question stands",
        of_question(id, n),
    )


def _url(terms: Terms, id: str, n: int) -> str:
    check_question(n)
    return f"{requests.execution(terms, id)}/inputs/{n}"


def _members(content: Any) -> Any:
    """Return a model as JSON; a field that is None by default needs no value.

    A form has no null: who leaves such a field empty sends nothing.
    """
    if not isinstance(content, BaseModel):
        return content
    empty = {
        name
        for name, field in type(content).model_fields.items()
        if field.default is None and getattr(content, name) is None
    }
    return content.model_dump(mode="json", by_alias=True, exclude=empty)
