"""Who may do what: the hook that an application gives."""

from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

from asgi_events.executions.execution import Execution
from asgi_events.types import Scope

Action: TypeAlias = Literal["list", "start", "read", "cancel"]

Authorize: TypeAlias = Callable[
    [Scope, Action, Execution | None], Awaitable[str | None] | str | None
]
"""Says on whose behalf a request acts, before anything is told, started or cancelled.

Takes the ASGI scope, what is to be done, and the execution it is to be done to: None to
list or start, and when there is no such execution or the store cannot say. Returns the
owner: executions it starts belong to them, and only theirs are found. None, or raising
``Unauthorized``, is a 401; raising ``Forbidden`` a 403; anything else, a blank str too,
a 500. May be a coroutine function.

Whoever opens the stream of an execution that runs is asked for "cancel" as well: a
viewer who may not cancel does not count for ``cancel_after``.

Each owner has ``Idempotency-Key``s of its own. Without this hook all share them, and a
key is a second key to its execution: it should be as random as an id.
"""
