"""Asks the hook of the application who may do what."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias

from asgi_events.aio.awaitables import resolved
from asgi_events.exceptions import Unauthorized
from asgi_events.executions.execution import Execution
from asgi_events.types import Scope

Action: TypeAlias = Literal["list", "start", "read", "cancel", "answer"]

Authorize: TypeAlias = Callable[..., Awaitable[str | None] | str | None]
"""Decides who may do what, and returns the owner for whom a request acts.

The routes call ``authorize(scope, action, execution)`` before they send, start or
cancel anything. If it has a parameter named ``actor``, they pass it too. It may be a
coroutine function.

scope: The ASGI scope of the request.
action: ``"list"``, ``"start"``, ``"read"``, ``"cancel"`` or ``"answer"``.
execution: The ``Execution`` to read or cancel, or whose questions are looked at or
    answered. None to list or start, and if there is no such execution or the store does
    not answer.
actor: The name of the actor to start, or of the execution's actor; None if there is
    none. An actor of that name need not exist.

It returns the owner. Executions that the request starts belong to this owner, and it
finds and lists no other owner's; but of those it may answer the questions that are
``to`` this owner. If it returns None or raises ``Unauthorized``, the response is a 401;
if it raises ``Forbidden``, a 403. Anything else, also a blank str, is a 500.

A request that streams a running execution also asks for ``"cancel"``, because a viewer
who may not cancel does not count for ``cancel_after``.

Each owner has their own ``Idempotency-Key``s. Without this hook all callers share them:
a caller who knows a key can find its execution, so make a key as random as an id. And
nobody may list executions, since an id is all that is needed to read and cancel one.
"""


class Owners:
    """Finds the owner for whom a request acts.

    Args:
        authorize: The hook of the application; None lets everybody do everything.
    """

    def __init__(self, authorize: Authorize | None) -> None:
        self._authorize = authorize
        self._takes_actor = authorize is not None and _takes_actor(authorize)

    async def owner_of(
        self,
        scope: Scope,
        action: Action,
        execution: Execution | None = None,
        *,
        actor: str | None = None,
    ) -> str | None:
        """Return the owner; None without a hook.

        Raises:
            AccessDenied: The request may not do that.
            TypeError: The hook returned neither None nor a name that is not blank.
        """
        if self._authorize is None:
            return None
        more = {}
        if self._takes_actor:
            more["actor"] = actor if execution is None else execution.actor
        owner = await resolved(self._authorize(scope, action, execution, **more))
        if owner is None:
            raise Unauthorized
        if not isinstance(owner, str) or not owner.strip():
            raise TypeError(
                "authorize must return who the caller is, a str that is not blank, or "
                f"None for nobody, got {owner!r}."
            )
        return owner


def _takes_actor(hook: Callable[..., Any]) -> bool:
    try:
        return "actor" in inspect.signature(hook).parameters
    except (TypeError, ValueError):  # it has no signature
        return False
