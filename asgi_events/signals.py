"""Hears that the server is told to stop, without taking the signal from the server.

No server tells its applications before their streams have ended, and most wait for the
streams for ever. So, where it is asked for, SIGTERM and SIGINT are heard here first and
then handed to the handler that was there.

Only a handler that is a Python callable is chained. Over SIG_DFL the signal would be
swallowed, and SIG_IGN is there for a reason (a worker whose master gets the signal).
"""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class SignalChain:
    """Calls ``told`` on the event loop when the process is told to stop."""

    def __init__(self, told: Callable[[], object]) -> None:
        self._told = told
        self._previous: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def install(self) -> None:
        """Hear signals from now on, on the running loop; again does no harm."""
        if self._previous:  # below others' handlers, perhaps from an earlier loop
            if threading.current_thread() is threading.main_thread():
                self._loop = asyncio.get_running_loop()
            return
        if threading.current_thread() is not threading.main_thread():
            logger.warning("Signals reach the main thread only; none is heard here.")
            return
        self._loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            previous = signal.getsignal(number)
            if callable(previous):
                self._previous[number] = previous
                signal.signal(number, self._hear)
        if signal.SIGTERM not in self._previous:
            logger.warning(
                "This server handles SIGTERM in another process, or not at all, so it "
                "is not heard here: bound streams by max_stream_duration."
            )

    def restore(self) -> None:
        """Put back the handlers that were there, unless others have come since."""
        for number, previous in list(self._previous.items()):
            # NOTE: == and not `is`: each look at a method makes a new object.
            if signal.getsignal(number) == self._hear:
                signal.signal(number, previous)
                del self._previous[number]

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._told)
        self._previous[number](number, frame)
