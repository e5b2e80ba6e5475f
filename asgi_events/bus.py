"""The event bus: carries the events of an execution to any number of handlers.

1. ``publish`` calls every handler, in the order of subscription, before it returns. So
   two events published one after the other reach each handler in that order.
2. A handler may return an awaitable, and the publisher waits for it. That is how a full
   log slows its publisher down; the bus drops nothing. A handler without anything to
   wait for returns ``NOTHING`` or any other object.
3. If a handler raises, the error is logged; the other handlers and the execution go
   on. ``EventTooLarge`` is the exception: it is raised at the publisher, and later
   handlers are not called, so nobody sees an event that viewers cannot be shown.
4. Everything happens on one event loop. Calls from other threads are carried there.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator
from concurrent.futures import Future
from functools import partial
from inspect import getattr_static
from types import FunctionType, MethodType
from typing import (
    Any,
    NoReturn,
    Protocol,
    TypeAlias,
    TypeVar,
    cast,
    runtime_checkable,
)

from pydantic import BaseModel

from asgi_events.aio.threads import release_slot
from asgi_events.exceptions import EventTooLarge

logger = logging.getLogger(__name__)

T = TypeVar("T")

EventHandler: TypeAlias = Callable[[Any], Awaitable[Any] | Any]
"""Takes any pydantic model; if it returns an awaitable, that is awaited."""


@runtime_checkable
class HandlerFactory(Protocol):
    """Makes a handler for each execution, so that it knows whose events it gets.

    ``Executions(handlers=[…])`` asks it when an execution starts. The handler gets the
    events of that execution only, and its terminal event last.
    """

    def for_execution(
        self, execution_id: str, *, actor: str, owner: str | None
    ) -> EventHandler:
        """Return the handler for one execution.

        Args:
            execution_id: The id of the execution.
            actor: The name of the actor that it runs.
            owner: Its owner, as ``authorize`` returned it; None without one.
        """


# What isinstance() asks of most classes. Of a pydantic model it asks the registry of
# its ABC, which takes three times as long.
is_instance = type.__instancecheck__

# A publisher that never has to wait must not starve the loop. At about 10 us an event,
# other tasks wait for it no longer than a millisecond.
_PUBLISHES_PER_YIELD = 64

# A thread that waits longer than this lets another sync actor run.
_PATIENCE = 1.0  # seconds


# Handlers that nobody waits for: a loop holds no tasks.
_running: set[asyncio.Task[None]] = set()


class Nothing(Coroutine[Any, Any, None]):
    """A coroutine that is done.

    It can be awaited any number of times, or not at all. So a handler that returns it
    also works on the bus of another library, whether that bus awaits all handlers, only
    coroutines, or nothing.
    """

    # Every publisher awaits it: a generator would take nearly twice as long.
    __await__ = cast(Callable[[Any], Generator[Any, None, None]], ().__iter__)

    def send(self, value: Any) -> NoReturn:
        """Return at once."""
        raise StopIteration

    def throw(self, error: Any, *more: Any) -> NoReturn:
        """Raise ``error``."""
        raise error

    def close(self) -> None:
        """Do nothing."""


NOTHING = Nothing()


class EventBus:
    """Carries events from one execution to its handlers."""

    def __init__(self) -> None:
        self._handlers: tuple[EventHandler, ...] = ()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._until_yield = _PUBLISHES_PER_YIELD

    def subscribe(self, handler: EventHandler) -> Callable[[], None]:
        """Call ``handler(event)`` for every event from now on.

        Returns:
            A function that unsubscribes it; it may be called more than once.
        """
        if not callable(handler):
            raise TypeError(f"An event handler is a callable, got {handler!r}.")
        call = _method(handler)
        subscription = call if call not in self._handlers else _alias(call)
        self._handlers = (*self._handlers, subscription)

        def unsubscribe() -> None:
            self._handlers = tuple(h for h in self._handlers if h is not subscription)

        return unsubscribe

    def discard(self, handler: object) -> None:
        """Do not call ``handler`` any more, nor a method of it."""
        self._handlers = tuple(
            h
            for h in self._handlers
            if h is not handler and getattr(h, "__self__", None) is not handler
        )

    def subscribe_for(
        self,
        handler: EventHandler | HandlerFactory,
        execution_id: str,
        *,
        actor: str,
        owner: str | None,
    ) -> Callable[[], None]:
        """Subscribe ``handler``, or the handler that it makes for one execution.

        A factory that raises, or returns something that is not callable, is logged:
        it must not keep the execution from starting.

        Returns:
            A function that unsubscribes the handler.

        Raises:
            TypeError: ``handler`` is neither callable nor a ``HandlerFactory``.
        """
        if not isinstance(handler, HandlerFactory):
            return self.subscribe(handler)
        try:
            return self.subscribe(
                handler.for_execution(execution_id, actor=actor, owner=owner)
            )
        except Exception:
            logger.exception(
                "%r made no handler for execution %r, which runs without it.",
                handler,
                execution_id,
            )
            return _nothing_to_undo

    def publish(self, event: BaseModel) -> Awaitable[None]:
        """Hand an event to every handler, before this returns.

        On the bus's event loop, ``await`` the result, or make a task of it: so a full
        log slows its publisher down, coroutine handlers run, and a publisher that never
        pauses lets other tasks run. Where none of this is needed ``await`` costs
        nothing; where it is and you forget it, Python warns that the coroutine
        ``EventBus.publish`` was never awaited. ``publish_nowait`` never waits.

        In any other thread, this blocks until the handlers are done, and ``await`` is
        optional.

        Raises:
            TypeError: The event is not a pydantic model.
            EventTooLarge: It has more bytes than ``max_event_bytes`` of the streamer.
            RuntimeError: Called from a thread before the bus has seen its event loop.
        """
        if not is_instance(BaseModel, event):
            raise TypeError(
                f"An event is an instance of a pydantic model, got {event!r}."
            )
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return self._publish_from_thread(event)
        if loop is not self._loop:
            if self._loop is not None and not self._loop.is_closed():
                carried = asyncio.run_coroutine_threadsafe(
                    self._carried(event), self._loop
                )
                return _arrive(carried)
            self._loop = loop
        waiting: list[Awaitable[Any]] = []
        for handler in self._handlers:
            try:
                answer = handler(event)
            except EventTooLarge:
                self._leave_running(waiting)
                raise
            except Exception:
                logger.exception(
                    "The event handler %r failed; the others go on.", handler
                )
            else:
                if answer is NOTHING or answer is None:
                    continue
                if isinstance(answer, Awaitable):
                    waiting.append(answer)
        self._until_yield -= 1
        if self._until_yield and not waiting:
            return NOTHING
        yields = not self._until_yield
        self._until_yield = self._until_yield or _PUBLISHES_PER_YIELD
        return self._finish(waiting, yields)

    def publish_nowait(
        self,
        event: BaseModel,
        *,
        too_large: Callable[[BaseModel, EventTooLarge], BaseModel | None] | None = None,
    ) -> None:
        """Hand an event to every handler, and let those that wait run in tasks.

        Use this where you cannot ``await``: in a callback, or while a task is being
        cancelled. A full log does not slow you down here, so do not publish many events
        this way. An event that is too large is logged and dropped.

        In another thread than that of the bus's event loop this returns at once, and
        the loop hands the event over; its order among those of the thread is kept.

        Args:
            event: A pydantic model.
            too_large: Makes what is published in place of an event that is too large;
                None for nothing.

        Raises:
            RuntimeError: Called from a thread before the bus has seen its event loop,
                or after that has closed.
        """
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            if self._loop is None:
                raise
            here = None
        if here is not self._loop and self._loop is not None:
            if here is None or not self._loop.is_closed():
                hand_over = partial(self.publish_nowait, event, too_large=too_large)
                self._loop.call_soon_threadsafe(hand_over)
                return
        try:
            published = self.publish(event)
        except EventTooLarge as error:
            smaller = None if too_large is None else too_large(event, error)
            if smaller is not None:
                self.publish_nowait(smaller)
                return
            logger.exception("An event was not published.")
            return
        if published is not NOTHING:
            self._leave_running([published])

    def call(self, coroutine: Coroutine[Any, Any, T]) -> Awaitable[T]:
        """Return ``coroutine``; in a thread run it, and return its result.

        In a thread with an event loop of its own, it runs on that of the bus.

        Raises:
            RuntimeError: Called from a thread, and the bus has seen no event loop yet,
                or that has stopped.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            if self._loop is None:
                coroutine.close()
                raise
            return cast(Awaitable[T], _wait_in_thread(coroutine, self._loop))
        if self._loop is None or self._loop is loop or self._loop.is_closed():
            return coroutine
        release_slot()  # the wait may be long
        return _arrive(asyncio.run_coroutine_threadsafe(coroutine, self._loop))

    async def _finish(self, waiting: list[Awaitable[Any]], yields: bool) -> None:
        while waiting:
            try:
                await self._wait_for(waiting.pop(0))
            except BaseException:  # only the publisher is cancelled, not its event
                self._leave_running(waiting)
                raise
        if yields:
            await asyncio.sleep(0)

    # What Python names in its warning, if nobody awaits it.
    _finish.__qualname__ = "EventBus.publish"

    async def _carried(self, event: BaseModel) -> None:
        await self.publish(event)

    def _publish_from_thread(self, event: BaseModel) -> Awaitable[None]:
        if self._loop is None:
            raise RuntimeError(
                "This EventBus has not seen its event loop yet: publish once from a "
                "coroutine, or run the execution, before publishing from a thread."
            )
        _wait_in_thread(self._carried(event), self._loop)
        return NOTHING

    async def _wait_for(self, answer: Awaitable[Any]) -> None:
        try:
            await answer
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            logger.exception("An event handler failed; the others go on.")
        except Exception:
            logger.exception("An event handler failed; the others go on.")

    def _leave_running(self, waiting: list[Awaitable[Any]]) -> None:
        for answer in waiting:
            task = asyncio.ensure_future(self._wait_for(answer))
            _running.add(task)
            task.add_done_callback(_running.discard)


async def _arrive(carried: Future[T]) -> T:
    return await asyncio.wrap_future(carried)


_arrive.__qualname__ = "EventBus.publish"  # as above


def _wait_in_thread(
    coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop
) -> T:
    """Run ``coroutine`` on the event loop, and wait in a thread for its result."""
    running = asyncio.run_coroutine_threadsafe(coroutine, loop)
    while True:
        try:
            return running.result(timeout=_PATIENCE)
        except TimeoutError:
            if running.done():  # just now, or it is what the coroutine has raised
                return running.result()
            # The wait is long, or the loop has stopped.
            release_slot()
            if not loop.is_running():
                running.cancel()
                raise RuntimeError("The EventBus's event loop has stopped.") from None


def _method(handler: EventHandler) -> EventHandler:
    """Return the ``__call__`` of an object, which is faster to call than the object."""
    call = getattr_static(type(handler), "__call__")
    return MethodType(call, handler) if isinstance(call, FunctionType) else handler


def _alias(handler: EventHandler) -> EventHandler:
    """Wrap a handler, so that each of its subscriptions can be ended alone."""
    return lambda event: handler(event)


def _nothing_to_undo() -> None:
    """End a subscription that was never made."""
