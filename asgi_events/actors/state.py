"""The state of a running call, which every actor finds without being given it.

Each call has a state of its own, whose parent is the state of the call that made it.
A context variable carries it, so it follows ``await``, tasks, ``asyncio.gather`` and
the threads of sync actors.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextvars import ContextVar
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from pydantic import BaseModel

from asgi_events.actors.asking import Questions, ask
from asgi_events.actors.publisher import Publisher
from asgi_events.actors.shown import shown
from asgi_events.aio.threads import Threads, shared
from asgi_events.bus import NOTHING, EventBus
from asgi_events.error_messages import ErrorMessage
from asgi_events.events import (
    EventType,
    ExecutionResult,
    Usage,
)
from asgi_events.runnables import runnable

if TYPE_CHECKING:
    from asgi_events.actors.cache import CacheBackend

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

current: ContextVar[ExecutionState | None] = ContextVar(
    "asgi_events_state", default=None
)


def running_state() -> ExecutionState | None:
    """Return the state of the call that runs here; None outside executions."""
    state = current.get()
    while state is not None and state.is_left:
        state = state.outer
    return state


def current_state() -> ExecutionState:
    """Return the state of the actor that is running here.

    Raises:
        RuntimeError: No actor is running here as part of an execution.
    """
    state = running_state()
    if state is None:
        raise RuntimeError(
            "No actor is running here: call current_state() inside a function that is "
            "decorated with @agent, @tool or @llm and runs in an execution. In a "
            "thread, start the function with asyncio.to_thread, which passes the "
            "state on; run_in_executor does not."
        )
    return state


class ExecutionState(Publisher[Awaitable[None]]):
    """The state of one call in an execution; its methods publish under its address.

    On the event loop, await these methods. In a sync actor, which runs in a thread,
    call them without ``await``.

    Args:
        event_bus: Where events are published; by default a bus that nobody hears.
        cache_backend: The cache of cacheable actors that have none of their own.
        error_message: Turns an exception into the message that viewers see.
        execution_id: The id of the execution, if an ``Executions`` runs it.
        owner: The owner of the execution, if it has one.
        open_calls: As the attribute; by default the call begins an execution.

    Attributes:
        address: The path of the call in the tree; empty at the root.
        cancelled: Whether the call was cancelled. Nothing can interrupt a thread, so
            a long sync actor should check this now and then.
        execution_id: The id of the execution; None if no ``Executions`` runs it.
        owner: The owner of the execution; None without one.
        parent: The state of the call that made this one; None at the root.
        threads: The slots for the sync actors among the calls.
        questions: Where what the calls ask waits for answers; None where nobody can
            answer.
        open_calls: The calls of the execution that have not ended, by their addresses,
            in the order of their starts.
        ends_with: The fields of the event that ends the call: ``output``, ``usage``.
        offered: The kind and name of the actor that runs as this call, if a framework
            calls one, so that the actor is not a call in a call.
        is_left: The context variable may still have this state, but its call is over.
        outer: The state that ran in the context where this one was entered.
    """

    # Few calls have any of these, so they are set where they are needed.
    ends_with: Mapping[str, Any] = MappingProxyType({})
    offered: tuple[EventType, str] | None = None
    outer: ExecutionState | None = None
    is_left = False
    _cancelled = False

    def __init__(
        self,
        event_bus: EventBus | None = None,
        *,
        cache_backend: CacheBackend | None = None,
        error_message: ErrorMessage = str,
        execution_id: str | None = None,
        owner: str | None = None,
        open_calls: dict[str, Any] | None = None,
    ) -> None:
        self.event_bus = event_bus if event_bus is not None else EventBus()
        self.cache_backend = cache_backend
        self.error_message = error_message
        self.execution_id = execution_id
        self.owner = owner
        self.threads: Threads = shared
        self.questions: Questions | None = None
        self.address = ""
        self.parent: ExecutionState | None = None
        self._calls: dict[str, count[int]] = {}
        self.open_calls: dict[str, Any] = {} if open_calls is None else open_calls

    def child(self, name: str) -> ExecutionState:
        """Return the state of a new call of ``name`` made from here."""
        # In one step, since threads may make calls from the same state.
        call = next(self._calls.setdefault(name, count(1)))
        segment = name if call == 1 else f"{name}#{call}"
        state = ExecutionState(
            self.event_bus,
            cache_backend=self.cache_backend,
            error_message=self.error_message,
            execution_id=self.execution_id,
            owner=self.owner,
            open_calls=self.open_calls,
        )
        state.threads = self.threads
        state.questions = self.questions
        state.address = f"{self.address}/{segment}" if self.address else segment
        state.parent = self
        return state

    def contains(self, other: ExecutionState) -> bool:
        """Return whether ``other`` is a call of this execution, made from this one."""
        prefix = f"{self.address}/" if self.address else ""
        # All states of an execution have its bus.
        return other.event_bus is self.event_bus and other.address.startswith(prefix)

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
        return self._cancelled or (self.parent is not None and self.parent.cancelled)

    def cancel(self) -> None:
        """Mark this call, and all calls made from it, as cancelled."""
        self._cancelled = True

    def publish(self, event: BaseModel) -> Awaitable[None]:
        """Publish any pydantic model."""
        return self.event_bus.publish(event)

    @overload
    def ask(
        self,
        message: str,
        type: type[T],
        *,
        timeout: float | None = None,
        to: str | None = None,
        echo: bool = False,
    ) -> Awaitable[T]: ...
    @overload
    def ask(
        self,
        message: str,
        type: Any = bool,
        *,
        timeout: float | None = None,
        to: str | None = None,
        echo: bool = False,
    ) -> Awaitable[Any]: ...

    def ask(
        self,
        message: str,
        type: Any = bool,
        *,
        timeout: float | None = None,
        to: str | None = None,
        echo: bool = False,
    ) -> Awaitable[Any]:
        """Ask people something, and wait for the answer: ``await state.ask("Book?")``.

        Viewers see the question, also after a reload, and one of them answers, once.
        While it is open ``cancel_after`` does not count.

        Args:
            message: What is asked.
            type: What the answer is: a ``bool``, ``str``, ``int``, ``float``, a date,
                a ``Literal`` or ``Enum`` of strings, or a flat pydantic model of these.
            timeout: Seconds after which nobody is waited for any more; None for any
                time.
            to: Who may answer besides the owner, as ``authorize`` returns it.
            echo: Viewers are shown the answer, too, unless the event is too large.

        Returns:
            The answer; in a sync actor the value itself, elsewhere what to await.

        Raises:
            InputDeclined: Somebody has declined.
            InputExpired: Nobody has answered in time.
            TypeError: There is no form for ``type``; the message names the field.
            ValueError: A validator of ``type`` does not take what was answered; or
                ``timeout`` is not positive.
            EventTooLarge: The question has more bytes than ``max_event_bytes``.
            RuntimeError: Nobody can answer: no ``Executions`` runs this.
        """
        asking = ask(self, message, type, timeout=timeout, to=to, echo=echo)
        return self.event_bus.call(asking)

    @property
    def nowait(self) -> Publisher[None]:
        """The same methods for callbacks of any thread: they wait for nothing."""
        return _Nowait(self)

    def output(self, value: Any) -> None:
        """Show ``value`` to viewers when this call ends; see ``shown`` for its form."""
        self.end_with(output=shown(value))

    def usage(
        self, *, input_tokens: int | None = None, output_tokens: int | None = None
    ) -> None:
        """Show when this call ends how many tokens it took."""
        usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
        self.end_with(usage=usage)

    def end_with(self, **fields: Any) -> None:
        """Give the event that ends this call more fields."""
        self.ends_with = {**self.ends_with, **fields}


class _Nowait(Publisher[None]):
    """Publishes under the address of a state, and waits for nothing."""

    def __init__(self, state: ExecutionState) -> None:
        self.address = state.address
        self._bus = state.event_bus

    def publish(self, event: BaseModel) -> None:
        self._bus.publish_nowait(event)


class _Unheard(ExecutionState):
    """The state of calls outside executions: what they publish is not even made."""

    def child(self, name: str) -> ExecutionState:
        return ExecutionState().child(name)

    def _ignore(self, *args: Any, **kwargs: Any) -> Any:
        return NOTHING

    publish = text = reasoning = log = progress = custom = snapshot = _ignore
    output = usage = _ignore


UNHEARD = _Unheard()
