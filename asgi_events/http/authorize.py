"""Who may do what: the hook that an application gives."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias

from asgi_events.aio.waiter import resolved
from asgi_events.exceptions import Unauthorized
from asgi_events.executions.execution import Execution
from asgi_events.types import Scope

Action: TypeAlias = Literal["list", "start", "read", "cancel"]

Authorize: TypeAlias = Callable[..., Awaitable[str | None] | str | None]
"""Decides who may do what, and returns the owner in whose name a request acts.

It is called as ``authorize(scope, action, execution)``, and with ``actor=`` if it has a
parameter of that name, before anything is told, started or cancelled. It may be a
coroutine function.

scope: The ASGI scope of the request.
action: ``"list"``, ``"start"``, ``"read"`` or ``"cancel"``.
execution: What it is to be done to. None to list or start, and when there is no such
    execution or the store cannot say.
actor: The name of the actor to be started, or of the execution's; None where there is
    none. Nobody has checked yet that there is an actor of that name.

It returns the owner: executions that it starts belong to them, and only theirs are
found. None, or raising ``Unauthorized``, is a 401; raising ``Forbidden`` is a 403;
anything else, a blank str too, is a 500.

A request for the stream of an execution that runs asks for "cancel" as well: a viewer
who may not cancel does not count for ``cancel_after``.

Each owner has ``Idempotency-Key``s of its own. Without this hook all share them, and a
key is a second key to its execution: it should be as random as an id.
"""


class Owners:
    """In whose name requests act.

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
        """The owner; None without a hook.

        Raises:
            AccessDenied: The request may not do that.
            TypeError: The hook returned neither None nor a name.
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
    except (TypeError, ValueError):  # it does not say
        return False
