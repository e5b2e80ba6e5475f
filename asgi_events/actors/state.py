"""The state of a running call, which every actor finds without being given it.

Each call has a state of its own, whose parent is the state of the call that made it.
A context variable carries it, so it follows ``await``, tasks, ``asyncio.gather`` and
the threads of sync actors.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

from pydantic import BaseModel

from asgi_events.aio.threads import Threads, shared
from asgi_events.bus import EventBus
from asgi_events.error_messages import ErrorMessage
from asgi_events.events import (
    ExecutionResult,
    LogEvent,
    ProgressEvent,
    TextDelta,
    runnable,
)

if TYPE_CHECKING:
    from asgi_events.actors.cache import CacheBackend

P = ParamSpec("P")
R = TypeVar("R")

current: ContextVar[ExecutionState | None] = ContextVar(
    "asgi_events_state", default=None
)


def current_state() -> ExecutionState:
    """Return the state of the actor that is running here.

    Raises:
        RuntimeError: No actor is running here as part of an execution.
    """
    state = current.get()
    if state is None:
        raise RuntimeError(
            "No actor is running here: call current_state() inside a function that is "
            "decorated with @agent, @tool or @llm and runs in an execution. In a "
            "thread, start the function with asyncio.to_thread, which passes the "
            "state on; run_in_executor does not."
        )
    return state


class ExecutionState:
    """The state of one call in an execution; its methods publish under its address.

    On the event loop, await these methods. In a sync actor, which runs in a thread,
    call them without ``await``.

    Args:
        event_bus: Where events are published; by default a bus that nobody hears.
        cache_backend: The cache of cacheable actors that have none of their own.
        error_message: Turns an exception into the message that viewers see.
        execution_id: The id of the execution, if an ``Executions`` runs it.
        owner: The owner of the execution, if it has one.

    Attributes:
        address: The path of the call in the tree; empty at the root.
        cancelled: Whether the call was cancelled. Nothing can interrupt a thread, so
            a long sync actor should check this now and then.
        execution_id: The id of the execution; None if no ``Executions`` runs it.
        owner: The owner of the execution; None without one.
        threads: The slots for the sync actors among the calls.
    """

    def __init__(
        self,
        event_bus: EventBus | None = None,
        *,
        cache_backend: CacheBackend | None = None,
        error_message: ErrorMessage = str,
        execution_id: str | None = None,
        owner: str | None = None,
    ) -> None:
        self.event_bus = event_bus if event_bus is not None else EventBus()
        self.cache_backend = cache_backend
        self.error_message = error_message
        self.execution_id = execution_id
        self.owner = owner
        self.threads: Threads = shared
        self.address = ""
        self._parent: ExecutionState | None = None
        self._cancelled = False
        self._calls: dict[str, int] = {}

    def child(self, name: str) -> ExecutionState:
        """Return the state of a new call of ``name`` made from here."""
        call = self._calls[name] = self._calls.get(name, 0) + 1
        segment = name if call == 1 else f"{name}#{call}"
        state = ExecutionState(
            self.event_bus,
            cache_backend=self.cache_backend,
            error_message=self.error_message,
            execution_id=self.execution_id,
            owner=self.owner,
        )
        state.threads = self.threads
        state.address = f"{self.address}/{segment}" if self.address else segment
        state._parent = self
        return state

    def run(
        self,
        actor: Callable[P, Awaitable[R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Coroutine[Any, Any, ExecutionResult[R]]:
        """Run an actor as a call made from here: ``await state.run(search, "tea")``.

        Returns:
            A coroutine of the result. It does not raise what the actor raised: check
            ``ok`` and ``error_message``.

        Raises:
            TypeError: ``actor`` is not decorated with ``@agent``, ``@tool`` or
                ``@llm``.
        """
        return runnable(actor).run(self, args, kwargs)

    @property
    def cancelled(self) -> bool:
        return self._cancelled or (self._parent is not None and self._parent.cancelled)

    def cancel(self) -> None:
        """Mark this call, and all calls made from it, as cancelled."""
        self._cancelled = True

    def publish(self, event: BaseModel) -> Awaitable[None]:
        """Publish any pydantic model."""
        return self.event_bus.publish(event)

    def log(
        self,
        message: str,
        *,
        level: Literal["debug", "info", "warning", "error"] = "info",
    ) -> Awaitable[None]:
        """Publish a log line."""
        return self.publish(
            LogEvent(address=self.address, level=level, message=message)
        )

    def progress(
        self, current: float, total: float | None = None, message: str | None = None
    ) -> Awaitable[None]:
        """Publish progress: ``current`` of ``total``, None if that is not known."""
        return self.publish(
            ProgressEvent(
                address=self.address, current=current, total=total, message=message
            )
        )

    def text(self, delta: str) -> Awaitable[None]:
        """Publish a piece of text."""
        return self.publish(TextDelta(address=self.address, delta=delta))
