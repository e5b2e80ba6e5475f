"""Where a running actor stands: the state it was called with, found by itself.

Each call has a state of its own, whose parent is the state of the call that made it.
A context variable carries it, so it follows ``await``, tasks, ``asyncio.gather`` and
the threads of sync actors without anybody passing it on.
"""

from __future__ import annotations

from collections.abc import Awaitable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel

from asgi_events.aio.threads import Threads, shared
from asgi_events.bus import EventBus
from asgi_events.error_messages import ErrorMessage
from asgi_events.events import LogEvent, ProgressEvent, TextDelta

if TYPE_CHECKING:
    from asgi_events.actors.cache import CacheBackend

current: ContextVar[ExecutionState | None] = ContextVar(
    "asgi_events_state", default=None
)


def current_state() -> ExecutionState:
    """The state of the actor that is running here.

    Raises:
        RuntimeError: No actor is running here as part of an execution.
    """
    state = current.get()
    if state is None:
        raise RuntimeError(
            "No actor is running here: current_state() belongs inside a function "
            "decorated with @agent, @tool or @llm, called in an execution. In a thread "
            "of your own it is found when that was started by asyncio.to_thread; "
            "run_in_executor does not take it along."
        )
    return state


class ExecutionState:
    """One call's place in an execution, and its voice.

    The methods below publish: on the event loop await them, in a sync actor (which
    runs in a thread) just call them.

    Args:
        event_bus: Who hears the events; None for an execution that is silent.
        cache_backend: The cache of those actors that are cacheable and have no own.
        error_message: What viewers are told of an error.

    Attributes:
        address: The path of the call in the tree; empty at the root.
        cancelled: Whether the call has been told to stop. A thread can not be
            interrupted: a long sync actor looks here now and then.
        threads: Where the sync actors among the calls find a place to run.
    """

    def __init__(
        self,
        event_bus: EventBus | None = None,
        *,
        cache_backend: CacheBackend | None = None,
        error_message: ErrorMessage = str,
    ) -> None:
        self.event_bus = event_bus if event_bus is not None else EventBus()
        self.cache_backend = cache_backend
        self.error_message = error_message
        self.threads: Threads = shared
        self.address = ""
        self._parent: ExecutionState | None = None
        self._cancelled = False
        self._calls: dict[str, int] = {}

    def child(self, name: str) -> ExecutionState:
        """The state of a new call of ``name`` made from here."""
        call = self._calls[name] = self._calls.get(name, 0) + 1
        segment = name if call == 1 else f"{name}#{call}"
        state = ExecutionState(
            self.event_bus,
            cache_backend=self.cache_backend,
            error_message=self.error_message,
        )
        state.threads = self.threads
        state.address = f"{self.address}/{segment}" if self.address else segment
        state._parent = self
        return state

    @property
    def cancelled(self) -> bool:
        return self._cancelled or (self._parent is not None and self._parent.cancelled)

    def cancel(self) -> None:
        """Tell this call, and all it has called, to stop."""
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
        """Publish a line of the log."""
        return self.publish(
            LogEvent(address=self.address, level=level, message=message)
        )

    def progress(
        self, current: float, total: float | None = None, message: str | None = None
    ) -> Awaitable[None]:
        """Publish how far the actor has come."""
        return self.publish(
            ProgressEvent(
                address=self.address, current=current, total=total, message=message
            )
        )

    def text(self, delta: str) -> Awaitable[None]:
        """Publish a piece of text."""
        return self.publish(TextDelta(address=self.address, delta=delta))
