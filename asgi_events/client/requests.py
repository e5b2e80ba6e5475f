"""The plans of requests that are not streams, and what they share with streams.

Each request asks for its headers anew, and is sent again until it has an answer that
counts, or until it is time to give up.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic_core import to_json

from asgi_events.checks import check_texts
from asgi_events.client.about import About
from asgi_events.client.actions import (
    Answer,
    Authorize,
    Broken,
    Close,
    Follow,
    Plan,
    Read,
    Send,
)
from asgi_events.client.patience import Patience, retry_after
from asgi_events.client.refusals import (
    MAX_BODY,
    Explain,
    Refusal,
    general,
    of_execution,
    of_start,
    read_refusal,
)
from asgi_events.client.terms import Terms
from asgi_events.exceptions import RequestFailed, UnknownExecution, Unreachable
from asgi_events.wire.decoding import read_json

REPEATED = frozenset({408, 425, 429, 500, 502, 503, 504})
"""The statuses after which a request is sent again that changes nothing twice."""

REPEATED_START = frozenset({429, 502, 503, 504})
"""Those after which a start is sent again, with the same ``Idempotency-Key``."""

UNDONE = frozenset({425, 429})
"""Those that say that nothing was done."""

MAX_REDIRECTS = 20

_ASTRAY = Broken("there are too many redirects", is_final=True)

JSON = {"accept": "application/json"}

T = TypeVar("T", bound=BaseModel)


def start(
    terms: Terms, actor: str, input: Any, key: str | None, thread: str | None = None
) -> Plan[About]:
    """Start an actor, once."""
    key = secrets.token_hex(16) if key is None else key
    send = Send(
        method="POST",
        url=terms.actor(actor, thread),
        headers={**JSON, "content-type": "application/json", "idempotency-key": key},
        content=_encoded(input),
    )
    explain = of_start(actor, key, thread)
    return (yield from _about(terms, send, explain, REPEATED_START))[1]


def about(terms: Terms, id: str) -> Plan[About]:
    """Ask how an execution stands."""
    send = Send(method="GET", url=execution(terms, id), headers=JSON)
    return (yield from _about(terms, send, of_execution(id)))[1]


def cancel(terms: Terms, id: str) -> Plan[bool]:
    """Cancel an execution; whether it was running."""
    send = Send(method="DELETE", url=execution(terms, id), headers=JSON)
    return (yield from _about(terms, send, of_execution(id)))[0] == 202


def answered(
    terms: Terms,
    patience: Patience,
    send: Send,
    explain: Explain = general,
    repeated: frozenset[int] = REPEATED,
) -> Plan[Answer]:
    """Send a request, again and again, until its answer is a success.

    Args:
        terms: What all requests have in common.
        patience: When to try again, and when to give up.
        send: The request, without the headers of ``auth``.
        explain: Makes an exception of a refusal.
        repeated: The statuses after which to try again.

    Raises:
        Unreachable, AsgiEventsError: There is none; see ``explain``.
    """
    was_refused = False
    while True:
        headers = yield Authorize()
        outcome = yield from _sent(replace(send, timeout=patience.left()), headers)
        if isinstance(outcome, Broken):
            was_refused = False
            yield from lost(patience, outcome, send.url)
        elif outcome.status == 401 and not was_refused:
            was_refused = True
            yield Close()
        elif 200 <= outcome.status < 300:
            return outcome
        else:
            was_refused = False
            refusal = yield from _read_refusal(terms, outcome)
            yield Close()
            if outcome.status not in repeated:
                raise explain(refusal)
            patience.is_in_doubt |= outcome.status not in UNDONE
            yield from patience.pause(
                refusal.reason, error=explain(refusal), asked=refusal.retry_after
            )


def lost(patience: Patience, broken: Broken, url: str) -> Plan[None]:
    """Wait after a connection that has broken.

    Raises:
        Unreachable: It makes no sense to try again, or has made none for too long.
    """
    if broken.is_final:
        raise Unreachable(url, broken.reason) from broken.error
    patience.is_in_doubt = True  # the response may be all that was lost
    yield from patience.pause(broken.reason, error=broken.error)


def told(
    terms: Terms,
    patience: Patience,
    send: Send,
    model: type[T],
    what: str,
    explain: Explain,
    repeated: frozenset[int] = REPEATED,
) -> Plan[tuple[int, T]]:
    """Send a request until it has an answer, and return its status and its body.

    Args:
        terms: What all requests have in common.
        patience: When to try again, and when to give up.
        send: The request, without the headers of ``auth``.
        model: What the body is.
        what: The same in words.
        explain: Makes an exception of a refusal.
        repeated: The statuses after which to try again.

    Raises:
        RequestFailed: The body is something else.
        Unreachable, AsgiEventsError: There is no answer; see ``explain``.
    """
    while True:
        answer = yield from answered(terms, patience, send, explain, repeated)
        body = bytearray()
        while isinstance(chunk := (yield Read()), bytes):
            body += chunk
            terms.check_size("answer", len(body))
        yield Close()
        if chunk is None:
            try:
                return answer.status, model.model_validate(read_json(bytes(body)))
            except ValueError:  # ValidationError too
                raise another(answer, what) from None
        yield from lost(patience, chunk, send.url)


def another(answer: Answer, what: str) -> RequestFailed:
    """Return the exception for an answer that is something else than it should be."""
    kind = answer.media_type or "no content type"
    detail = f"this is not {what} ({kind}): is it the URL of an EventsApp?"
    return RequestFailed(answer.status, detail, url=answer.url, problem={})


def execution(terms: Terms, id: str) -> str:
    """Return the URL of an execution; see ``checked_id``."""
    return terms.execution(checked_id(id))


def checked_id(id: str) -> str:
    """Return an id that an execution can have.

    Raises:
        TypeError: The id is no str.
        UnknownExecution: No execution can have that id.
    """
    check_texts(id=id)
    if id in ("", ".", ".."):  # which a URL cannot have as a segment
        raise UnknownExecution(id)
    return id


def _about(
    terms: Terms, send: Send, explain: Explain, repeated: frozenset[int] = REPEATED
) -> Plan[tuple[int, About]]:
    patience = Patience(terms, send.url)
    what = "how an execution stands"
    return (yield from told(terms, patience, send, About, what, explain, repeated))


def _sent(send: Send, headers: Mapping[str, str]) -> Plan[Answer | Broken]:
    """Send a request with the headers of ``auth``, and go where it is redirected.

    It stays the same request: a redirect that makes a ``GET`` of another method is an
    answer like any other.
    """
    private = frozenset(name.lower() for name in headers)
    outcome: Answer | Broken
    outcome = yield replace(send, headers=_merged(send.headers, headers))
    for _ in range(MAX_REDIRECTS):
        if isinstance(outcome, Broken) or outcome.redirect != send.method:
            return outcome
        outcome = yield Follow(private)
    yield Close()
    return _ASTRAY


def _read_refusal(terms: Terms, answer: Answer) -> Plan[Refusal]:
    body = bytearray()
    while len(body) < MAX_BODY and isinstance(chunk := (yield Read()), bytes):
        body += chunk
    asked = retry_after(answer.headers, terms.now())
    return read_refusal(answer, bytes(body), asked)


def _merged(ours: Mapping[str, str], theirs: Mapping[str, str]) -> dict[str, str]:
    return {**{name.lower(): value for name, value in theirs.items()}, **ours}


def _encoded(input: Any) -> bytes:
    if isinstance(input, bytes):
        return input
    if input is None:
        return b"{}"
    if isinstance(input, BaseModel):
        return input.model_dump_json(by_alias=True).encode()
    return to_json(input)
