"""Whole HTTP responses: JSON, an empty one, and problems (RFC 9457)."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from asgi_events.exceptions import (
    AccessDenied,
    AlreadyAnswered,
    EventTooLarge,
    Gone,
    IdempotencyConflict,
    InvalidInput,
    QuestionClosed,
    Refused,
    StoreError,
    ThreadBusy,
    Unauthorized,
    UnknownActor,
    UnknownExecution,
    UnknownQuestion,
)
from asgi_events.types import Headers, Receive, Scope, Send
from asgi_events.wire.encoding import encode_json

logger = logging.getLogger(__name__)


class Problem(Exception):
    """An error as the client sees it, and the response that says so.

    Args:
        status: The HTTP status.
        detail: What was wrong and what to do.
        headers: Further response headers.
        extensions: Further members of the problem.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: Headers | None = None,
        **extensions: Any,
    ) -> None:
        self.status = status
        self.detail = detail
        self.headers = headers or {}
        self.extensions = extensions
        super().__init__(detail)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the problem."""
        body = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            **self.extensions,
        }
        await send_json(
            send,
            self.status,
            body,
            headers=self.headers,
            media_type="application/problem+json",
            head=scope["method"] == "HEAD",
        )


async def send_json(
    send: Send,
    status: int,
    body: Mapping[str, Any],
    *,
    headers: Headers | None = None,
    media_type: str = "application/json",
    head: bool = False,
) -> None:
    """Send a response of JSON; only its headers for a HEAD request."""
    ours = {
        "content-type": media_type,
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }
    content = encode_json(dict(body))
    await send_bytes(send, status, content, ours | dict(headers or {}), head=head)


async def send_bytes(
    send: Send, status: int, body: bytes, headers: Headers, *, head: bool = False
) -> None:
    """Send a response of ``body``; only its headers for a HEAD request."""
    fields = [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in headers.items()
    ]
    if status != HTTPStatus.NO_CONTENT:
        fields.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": b"" if head else body})


async def send_nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Send a 204, which stops an ``EventSource``."""
    await send_bytes(send, HTTPStatus.NO_CONTENT, b"", {"cache-control": "no-store"})


def problem_of(error: Exception) -> Problem:
    """Return the problem that the client gets for an exception."""
    match error:
        case InvalidInput():
            malformed = any(item["type"] == "json_invalid" for item in error.errors)
            if malformed:
                return Problem(400, f"The body is not JSON: {error.errors[0]['msg']}.")
            return Problem(422, "The input is not valid.", errors=error.errors)
        case UnknownActor() | UnknownExecution():
            return Problem(404, str(error))
        case UnknownQuestion():
            return Problem(404, str(error), n=error.n)
        case IdempotencyConflict():
            return Problem(422, str(error))
        case EventTooLarge():
            return Problem(413, str(error))
        case Gone():
            return Problem(410, str(error), execution=error.id)
        case AlreadyAnswered():
            return Problem(409, str(error), action=error.action, by=error.by)
        case QuestionClosed():
            return Problem(410, str(error), action=error.action)
        case Unauthorized():
            return Problem(
                401, str(error), headers={"www-authenticate": error.challenge}
            )
        case AccessDenied():
            return Problem(403, str(error))
        case ThreadBusy():
            return Problem(error.status, str(error), execution=error.execution_id)
        case Refused():
            return Problem(
                error.status,
                str(error),
                headers={"retry-after": str(error.retry_after)},
            )
        case StoreError():
            logger.error("The store failed.", exc_info=error)
            return Problem(
                503, "The store does not answer.", headers={"retry-after": "5"}
            )
    logger.error("A request failed.", exc_info=error)
    return Problem(500, "Something failed on the server; its log knows more.")
