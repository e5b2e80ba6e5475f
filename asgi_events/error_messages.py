"""What viewers are told of an exception, by a hook that may itself fail."""

import logging
import secrets
import traceback
from collections.abc import Callable
from typing import TypeAlias

logger = logging.getLogger(__name__)

ErrorMessage: TypeAlias = Callable[[BaseException], str]
"""Says what viewers are told of an exception; ``str`` is one."""


def told(error: BaseException, hook: ErrorMessage, default: str) -> str:
    """What ``hook`` says of ``error``; ``default`` where it fails.

    An exception that can not be described must not keep its stream from ending.
    """
    try:
        message = hook(error)
        if not isinstance(message, str):
            raise TypeError(f"error_message must return a str, got {message!r}")
    except Exception:
        logger.exception("What viewers are told of an error is not known.")
        return default
    return message


def neutral(error: BaseException, where: str) -> str:
    """A sentence that says nothing, and the id under which the log says everything.

    Args:
        where: Where it was raised, for the log.
    """
    # One error passes through several actors; it is one entry of the log.
    error_id: str | None = getattr(error, "asgi_events_error_id", None)
    if error_id is None:
        error_id = secrets.token_hex(4)
        error.asgi_events_error_id = error_id  # type: ignore[attr-defined]  # our mark
        logger.error("Error %s in %s.", error_id, where, exc_info=error)
    return f"The execution failed. Error id: {error_id}"


def whole(error: BaseException) -> str:
    """The exception with its traceback."""
    return "".join(traceback.format_exception(error)).rstrip()
