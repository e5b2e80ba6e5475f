"""Changes or hides events before viewers get them."""

import inspect
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias
from weakref import WeakSet

from pydantic import BaseModel

from asgi_events.checks import check_callables
from asgi_events.events import (
    CancelledEvent,
    CompleteEvent,
    ErrorEvent,
    TerminalEvent,
)

logger = logging.getLogger(__name__)

Redact: TypeAlias = Callable[[Any], BaseModel | None]
"""Returns the event that viewers get instead of an event; None hides it."""

_NEUTRAL: dict[type[TerminalEvent], Callable[..., TerminalEvent]] = {
    CompleteEvent: CompleteEvent,
    ErrorEvent: partial(ErrorEvent, message="Execution failed"),
    CancelledEvent: CancelledEvent,
}


def check_redact(*, redact: Any) -> None:
    """Raise for what is neither None nor a function that returns its event."""
    check_callables(redact=redact)
    if inspect.iscoroutinefunction(redact):
        raise TypeError(
            f"redact must return an event, got the coroutine function {redact!r}: "
            "write it with def."
        )


class Redaction:
    """What a ``redact`` hook leaves of each event.

    An event with which the hook fails is hidden, since it may be a secret. The failure
    is logged, once for each type of event.
    """

    def __init__(self, hook: Redact) -> None:
        self._hook: Callable[[Any], Any] = hook  # of whatever type
        self._logged: WeakSet[type[BaseModel]] = WeakSet()

    def of(self, event: BaseModel) -> BaseModel | None:
        """Return the event to show; None for none."""
        shown = self._ask(event)
        if isinstance(shown, TerminalEvent):
            self._log(
                event, f"returned a value of type {_type(shown)}, which ends a stream"
            )
            return None
        return shown

    def of_end(self, event: TerminalEvent) -> TerminalEvent:
        """Return the terminal event to show, of the same type.

        A terminal event cannot be hidden, because a stream without it is unfinished.
        Instead of a hidden one this returns one with a neutral message and no result.
        """
        shown = self._ask(event)
        if isinstance(shown, type(event)) and _ends_alike(shown, event):
            return shown
        if shown is not None:
            self._log(
                event, f"returned a value of type {_type(shown)} that ends otherwise"
            )
        return _NEUTRAL[type(event)](timestamp=event.timestamp)

    def _ask(self, event: BaseModel) -> BaseModel | None:
        try:
            shown = self._hook(event)
        except Exception as error:
            self._log(event, f"raised {_type(error)}", error)
            return None
        if shown is None or isinstance(shown, BaseModel):
            return shown
        if inspect.iscoroutine(shown):
            shown.close()  # or Python warns that nobody awaited it
        self._log(
            event,
            f"returned a value of type {_type(shown)}, which is no pydantic model",
        )
        return None

    def _log(
        self, event: BaseModel, reason: str, error: Exception | None = None
    ) -> None:
        kind = type(event)
        if kind in self._logged:
            return
        self._logged.add(kind)
        logger.error(
            "The redact hook failed with an event of type %s, which is hidden: it %s. "
            "This is logged once for each type.",
            kind.__qualname__,
            reason,
            exc_info=error,
        )


def _type(value: object) -> str:
    return type(value).__qualname__  # its repr might raise


def _ends_alike(shown: TerminalEvent, event: TerminalEvent) -> bool:
    """Whether clients know ``shown``, perhaps a ``model_copy``, for the same end."""
    return shown.event_type == event.event_type and isinstance(shown.message, str)
