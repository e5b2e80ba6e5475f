"""Keeps the faults of a bridge away from the run that it shows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

Method = TypeVar("Method", bound=Callable[..., Any])
P = ParamSpec("P")
R = TypeVar("R")


class Guard:
    """Runs what a bridge does; it logs the first exception, and raises none.

    Args:
        logger: The logger of the bridge.
        message: What it logs.
    """

    def __init__(self, logger: logging.Logger, message: str) -> None:
        self._logger = logger
        self._message = message
        self._has_failed = False

    def __call__(
        self, do: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R | None:
        """Return what ``do`` returns, or None if it raises an exception."""
        try:
            return do(*args, **kwargs)
        except Exception:
            if not self._has_failed:
                self._has_failed = True
                self._logger.exception(self._message)
            return None


def guarded(method: Method) -> Method:
    """Let ``self._guard`` run a method, which then returns None if it fails."""

    @wraps(method)
    def run(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        return self._guard(method, self, *args, **kwargs)

    return cast(Method, run)
