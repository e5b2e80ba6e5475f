"""Tries a call again that fails, as an ``AsyncRetrying`` of tenacity says.

The object is the user's, so nothing is imported from tenacity here. Each call has a
copy of it, because an ``AsyncRetrying`` keeps the state of one call at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Protocol

from asgi_events.actors.runners import Runner
from asgi_events.actors.state import ExecutionState
from asgi_events.aio.awaitables import resolved


class AsyncRetrying(Protocol):
    """What is used of a ``tenacity.AsyncRetrying``."""

    @property
    def retry(self) -> Any:
        """Says of an attempt whether another one follows; sync or async."""

    @property
    def before_sleep(self) -> Any:
        """Called before the pause until the next attempt, unless it is None."""

    def copy(self, *args: Any, **kwargs: Any) -> Any:
        """Return a copy with some of its arguments changed."""


_REFUSED = "The result was not accepted"

_CLASS = ("tenacity.asyncio", "AsyncRetrying")  # before 8.4 its module has another name


def check_retry(retry: Any) -> None:
    """Raise for what is neither None nor an ``AsyncRetrying`` of tenacity."""
    kinds = [(kind.__module__, kind.__name__) for kind in type(retry).__mro__]
    if retry is not None and _CLASS not in kinds:
        raise TypeError(
            "retry must be an AsyncRetrying of tenacity, version 8.4.2 or later, got "
            f"{retry!r}: write retry=AsyncRetrying(stop=stop_after_attempt(3), "
            "wait=wait_exponential(max=10))."
        )


def retried(
    run: Runner, function: Callable[..., Any], retrying: AsyncRetrying
) -> Runner:
    """Return a runner that calls ``run`` again when it fails.

    It raises what the last attempt raised. A call that is cancelled is not tried again,
    whatever ``retrying`` says.

    Args:
        run: Makes one attempt.
        function: What it runs, as the callbacks of ``retrying`` see it.
        retrying: Says when another attempt follows.
    """

    async def run_until_done(
        state: ExecutionState | None, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        async def attempt() -> Any:
            return await run(state, args, kwargs)

        async def is_retried(attempted: Any) -> bool:
            error = attempted.outcome.exception()
            # NOTE: retry_if_not_exception_type(ValueError) matches CancelledError too.
            if error is not None and not isinstance(error, Exception):
                return False
            if state is not None and state.cancelled:
                return False
            return bool(await resolved(retrying.retry(attempted)))

        async def before_sleep(attempted: Any) -> None:
            error = attempted.outcome.exception()
            call = None if state is None else state.open_calls.get(state.address)
            if call is not None:
                call.retry(
                    _REFUSED if error is None else error,
                    attempt=attempted.attempt_number,
                    delay=float(attempted.next_action.sleep),
                )
            if retrying.before_sleep is not None:
                await resolved(retrying.before_sleep(attempted))

        attempts = retrying.copy(
            reraise=True, retry=is_retried, before_sleep=before_sleep
        )
        return await attempts(update_wrapper(attempt, function))

    return run_until_done
