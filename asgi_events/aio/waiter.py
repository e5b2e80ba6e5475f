"""Waiting for what somebody else gives, on one future."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


def _nobody(wake: Callable[[], None]) -> None:
    """What a waiter without a source is woken by."""


class Waiter:
    """Waits on one future, which its source, if it has one, or anybody may wake.

    Args:
        on_ready: Takes what is to be called when the source has something.
    """

    def __init__(
        self, on_ready: Callable[[Callable[[], None]], None] = _nobody
    ) -> None:
        self._on_ready = on_ready
        self._loop = asyncio.get_running_loop()
        self._woken: asyncio.Future[None] | None = None

    def sleep(self) -> asyncio.Future[None]:
        """Done when ``wake`` is called, by the source or by anybody else."""
        self._woken = woken = self._loop.create_future()
        self._on_ready(self.wake)
        return woken

    @property
    def asleep(self) -> bool:
        """Whether somebody sleeps who has not been woken yet."""
        return self._woken is not None and not self._woken.done()

    def wake(self) -> None:
        """End the sleep, if there is one."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)


async def resolved(value: Any) -> Any:
    """``value``, awaited if it can be."""
    return await value if isinstance(value, Awaitable) else value
