"""Waits on one future that several things may complete."""

import asyncio
from collections.abc import Callable


def _nobody(wake: Callable[[], None]) -> None:
    """The source of a waiter that has none: it never wakes."""


class Waiter:
    """Waits until its source has something, or until somebody calls ``wake``.

    Args:
        on_ready: Registers a callback with the source, which calls it once when it
            has something. Without it only ``wake`` ends the sleep.
    """

    __slots__ = ("_loop", "_on_ready", "_wake", "_woken")

    def __init__(
        self, on_ready: Callable[[Callable[[], None]], None] = _nobody
    ) -> None:
        self._on_ready = on_ready
        self._wake = self.wake  # each sleep passes it on
        self._loop = asyncio.get_running_loop()
        self._woken: asyncio.Future[None] | None = None

    def sleep(self) -> asyncio.Future[None]:
        """Return a future that ``wake`` completes."""
        self._woken = woken = self._loop.create_future()
        self._on_ready(self._wake)
        return woken

    @property
    def asleep(self) -> bool:
        """Whether there is a future of ``sleep`` that is not done yet."""
        return self._woken is not None and not self._woken.done()

    def wake(self) -> None:
        """End the sleep, if there is one."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)
