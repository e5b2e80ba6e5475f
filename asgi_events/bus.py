"""Who hears an event: any number of plain callables.

1. ``publish`` calls every handler, in the order of subscription, before it first
   suspends; two events published one after the other reach each handler in that order.
2. A handler may return an awaitable: the publisher waits for it. That is how a full
   log holds its publisher back; nothing is ever dropped here.
   A handler that has nothing to wait for returns ``NOTHING`` or any other object.
3. A handler that raises is logged. Neither the others nor the execution notice. The
   exception is ``EventTooLarge``: it goes to the publisher, and later handlers are not
   called, so what a viewer cannot be shown was not published.
4. Everything happens on one event loop. Calls from other threads are carried there.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, NoReturn, TypeAlias

from pydantic import BaseModel

from asgi_events.aio.threads import release_slot
from asgi_events.exceptions import EventTooLarge

logger = logging.getLogger(__name__)

EventHandler: TypeAlias = Callable[[Any], Awaitable[Any] | Any]
"""Takes any pydantic model; what it returns is awaited if it can be."""

# A producer that never really waits must not starve the loop. At some 10 us an event
# this bounds what other requests wait for it to a millisecond.
_PUBLISHES_PER_YIELD = 64

# A thread that waits longer for room lets another sync actor run in its place.
_PATIENCE = 1.0  # seconds


class Nothing(Coroutine[Any, Any, None]):
    """A coroutine that is done: there is nothing to wait for.

    It can be awaited any number of times, or not at all. So a handler that returns it
    also works on the bus of another library, whether that awaits every handler, only
    coroutines, or none.
    """

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield

    def send(self, value: Any) -> NoReturn:
        """Be done."""
        raise StopIteration

    def throw(self, error: Any, *more: Any) -> NoReturn:
        """Raise it."""
        raise error

    def close(self) -> None:
        """There is nothing to close."""


NOTHING = Nothing()


class EventBus:
    """Carries events from one execution to its handlers."""

    def __init__(self) -> None:
        self._handlers: tuple[EventHandler, ...] = ()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._publishes = 0
        self._running: set[asyncio.Task[None]] = set()

    def subscribe(self, handler: EventHandler) -> Callable[[], None]:
        """Call ``handler(event)`` for every event from now on.

        Returns:
            A function that unsubscribes it; calling it twice does no harm.
        """
        if not callable(handler):
            raise TypeError(f"An event handler is a callable, got {handler!r}.")
        subscription = handler if handler not in self._handlers else _alias(handler)
        self._handlers = (*self._handlers, subscription)

        def unsubscribe() -> None:
            self._handlers = tuple(h for h in self._handlers if h is not subscription)

        return unsubscribe

    def publish(self, event: BaseModel) -> Awaitable[None]:
        """Hand an event to every handler, before this returns.

        On the bus's event loop, await the answer: it is how a full log holds its
        publisher back, and how one that never pauses lets others run. From any other
        thread it blocks until that is over, and awaiting is optional.

        Raises:
            TypeError: The event is not a pydantic model.
            EventTooLarge: It has more bytes than ``max_event_bytes`` of the streamer.
            RuntimeError: Called from a thread before the bus has seen its event loop.
        """
        if not isinstance(event, BaseModel):
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
                return asyncio.wrap_future(carried)
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
        self._publishes += 1
        yields = self._publishes % _PUBLISHES_PER_YIELD == 0
        return self._finish(waiting, yields) if waiting or yields else NOTHING

    def publish_nowait(self, event: BaseModel) -> None:
        """Hand an event to every handler without waiting for any.

        For what must be said while a task is being cancelled, so an event that is too
        large is logged and no more. On an event loop only.
        """
        asyncio.get_running_loop()
        try:
            published = self.publish(event)
        except EventTooLarge:
            logger.exception("An event was not published.")
            return
        if published is not NOTHING:
            self._leave_running([published])

    async def _finish(self, waiting: list[Awaitable[Any]], yields: bool) -> None:
        while waiting:
            try:
                await self._wait_for(waiting.pop(0))
            except BaseException:  # the publisher is cancelled, its event is not
                self._leave_running(waiting)
                raise
        if yields:
            await asyncio.sleep(0)

    async def _carried(self, event: BaseModel) -> None:
        await self.publish(event)

    def _publish_from_thread(self, event: BaseModel) -> Awaitable[None]:
        if self._loop is None:
            raise RuntimeError(
                "This EventBus has not seen its event loop yet: publish once from a "
                "coroutine, or run the execution, before publishing from a thread."
            )
        published = asyncio.run_coroutine_threadsafe(self._carried(event), self._loop)
        while True:
            try:
                published.result(timeout=_PATIENCE)
                return NOTHING
            except TimeoutError:  # a full log may take long; a stopped loop is for ever
                release_slot()
                if not self._loop.is_running():
                    published.cancel()
                    raise RuntimeError(
                        "The EventBus's event loop has stopped."
                    ) from None

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
            self._running.add(task)
            task.add_done_callback(self._running.discard)


def _alias(handler: EventHandler) -> EventHandler:
    """The same handler under another identity, so that each subscription ends alone."""
    return lambda event: handler(event)
