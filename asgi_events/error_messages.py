"""Turns an exception into the message that viewers see."""

import logging
import secrets
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeAlias

logger = logging.getLogger(__name__)

ErrorMessage: TypeAlias = Callable[[BaseException], str]
"""Returns the message that viewers see for an exception; ``str`` is one."""

described: ContextVar[dict[str, BaseException] | None] = ContextVar(
    "asgi_events_described", default=None
)
"""If a dict is set, ``describe`` leaves the newest exception in it, by its message."""


def describe(error: BaseException, hook: ErrorMessage, default: str) -> str:
    """Return what ``hook`` makes of ``error``, or ``default`` if the hook fails.

    A hook that fails must not keep a stream from ending: the failure is logged.
    """
    try:
        message = hook(error)
        if not isinstance(message, str):
            raise TypeError(f"error_message must return a str, got {message!r}")
    except Exception:
        logger.exception(
            "The error_message hook failed; viewers are shown %r.", default
        )
        message = default
    if (held := described.get()) is not None:
        held.clear()
        held[message] = error
    return message


def redacted(error: BaseException, where: str) -> str:
    """Log ``error`` under an id, and return a message that has only the id.

    Args:
        where: Where the error was raised; only the log has it.
    """
    # Several actors may pass one error on; it is logged once.
    error_id: str | None = getattr(error, "asgi_events_error_id", None)
    if error_id is None:
        error_id = secrets.token_hex(4)
        error.asgi_events_error_id = error_id  # type: ignore[attr-defined]  # our mark
        logger.error("Error %s in %s.", error_id, where, exc_info=error)
    return f"The execution failed. Error id: {error_id}"


def with_traceback(error: BaseException) -> str:
    """Return the exception with its traceback."""
    return "".join(traceback.format_exception(error)).rstrip()
