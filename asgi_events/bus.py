"""Who hears an event: any number of plain callables.

1. ``publish`` calls every handler, in the order of subscription, before it first
   suspends; two events published one after the other reach each handler in that order.
2. A handler may return an awaitable: the publisher waits for it. That is how a full
   log holds its publisher back; nothing is ever dropped here.
3. A handler that raises is logged. Neither the others nor the execution notice.
4. Everything happens on one event loop. Calls from other threads are carried there.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeAlias

from pydantic import BaseModel

logger = logging.getLogger(__name__)

EventHandler: TypeAlias = Callable[[Any], Awaitable[Any] | Any]
"""Takes any pydantic model; what it returns is awaited if it can be."""

# A producer that never really waits must not starve the loop. At some 10 us an event
# this bounds what other requests wait for it to a millisecond.
_PUBLISHES_PER_YIELD = 64


class _Published:
    """The answer to a publisher in a thread: it has been done, awaiting is optional."""

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield


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
        """Hand an event to every handler.

        On the bus's event loop, await it. From any other thread it blocks until every
        handler has taken the event, and there is nothing left to await.

        Raises:
            TypeError: The event is not a pydantic model.
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
        if self._loop is None or self._loop.is_closed():
            self._loop = loop
        if loop is self._loop:
            return self._publish(event)
        return asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(self._publish(event), self._loop)
        )

    def publish_nowait(self, event: BaseModel) -> None:
        """Hand an event to every handler without waiting for any.

        For what must be said while a task is being cancelled. On an event loop only.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not None and loop is not self._loop:
            self._loop.call_soon_threadsafe(self.publish_nowait, event)
            return
        self._leave_running(self._hand_over(event))

    async def _publish(self, event: BaseModel) -> None:
        waiting = self._hand_over(event)
        while waiting:
            try:
                await self._wait_for(waiting.pop(0))
            except BaseException:  # the publisher is cancelled, its event is not
                self._leave_running(waiting)
                raise
        self._publishes += 1
        if self._publishes % _PUBLISHES_PER_YIELD == 0:
            await asyncio.sleep(0)

    def _publish_from_thread(self, event: BaseModel) -> Awaitable[None]:
        if self._loop is None:
            raise RuntimeError(
                "This EventBus has not seen its event loop yet: publish once from a "
                "coroutine, or run the execution, before publishing from a thread."
            )
        published = asyncio.run_coroutine_threadsafe(self._publish(event), self._loop)
        while True:
            try:
                published.result(timeout=1.0)
                return _Published()
            except TimeoutError:  # a full log may take long; a stopped loop is for ever
                if not self._loop.is_running():
                    published.cancel()
                    raise RuntimeError(
                        "The EventBus's event loop has stopped."
                    ) from None

    def _hand_over(self, event: BaseModel) -> list[Awaitable[Any]]:
        waiting = []
        for handler in self._handlers:
            try:
                answer = handler(event)
            except Exception:
                logger.exception(
                    "The event handler %r failed; the others go on.", handler
                )
            else:
                if answer is not None and isinstance(answer, Awaitable):
                    waiting.append(answer)
        return waiting

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
