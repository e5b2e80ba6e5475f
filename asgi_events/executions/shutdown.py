"""How the executions of a process end when the process is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from asgi_events.aio.grace import Grace
from asgi_events.events import SHUTTING_DOWN
from asgi_events.executions.held import Held
from asgi_events.executions.viewers import Viewing

_LAST_WORD = 1.0  # seconds that viewers have to take the terminal event


class Shutdown:
    """Ends what runs, once, without losing anything.

    Args:
        held: The executions.
        viewing: What their viewers share.
        release: Called when everything has ended; releases what is left.

    Attributes:
        begun: Whether the process has been told to stop.
    """

    def __init__(
        self,
        held: Held,
        viewing: Viewing,
        release: Callable[[], Awaitable[None]],
    ) -> None:
        self._held = held
        self._viewing = viewing
        self._release = release
        self._drained: asyncio.Task[None] | None = None
        self._grace: Grace | None = None
        self._launching = 0
        self._launched: asyncio.Future[None] | None = None

    @property
    def stops(self) -> bool:
        """Whether nothing may start any more."""
        return self._viewing.draining

    @property
    def begun(self) -> bool:
        """Whether the process has been told to stop."""
        return self._drained is not None

    @property
    def is_grace_over(self) -> bool:
        """Whether what runs is being cancelled."""
        return self._grace is not None and self._grace.is_over

    @contextmanager
    def launching(self) -> Iterator[None]:
        """In this block something starts, which the end of the process waits for."""
        self._launching += 1
        try:
            yield
        finally:
            self._launching -= 1
            if self._launched is not None and not self._launched.done():
                self._launched.set_result(None)

    def reopen(self) -> bool:
        """Begin anew after a drain; False when there was none, or it goes on."""
        if self._drained is None or not self._drained.done():
            return False
        self._drained = self._grace = None
        self._viewing.draining = False
        self._viewing.unread.go_on()
        return True

    def begin(self, grace: float) -> asyncio.Task[None]:
        """Begin, unless that was done; the task that is done when all has ended.

        Args:
            grace: Seconds executions may run on.
        """
        self._viewing.draining = True
        if self._drained is None:
            self._grace = Grace(grace)
            self._drained = asyncio.ensure_future(self._drain(self._grace))
        return self._drained

    def shorten(self, grace: float) -> None:
        """Let executions run on for ``grace`` seconds at most, from now."""
        if self._grace is not None:
            self._grace.shorten(grace)

    async def _drain(self, grace: Grace) -> None:
        viewing, here = self._viewing, self._held.here
        if viewing.returns:
            self._dismiss_all()
        await self._wait_for_all(grace)
        for execution in list(here.values()):
            await execution.cancel(SHUTTING_DOWN)
        # The second more is for the store to take the terminal events.
        timeout = viewing.options["cancel_timeout"] + 1.0
        await self._wait_for_all(Grace(timeout))
        for execution in list(here.values()):
            execution.abandon()
        if not viewing.returns:
            self._held.feeds.dismiss()  # they would stay for ever
            await Grace(_LAST_WORD).wait_for([viewing.capacity.emptied()])
            self._dismiss_all()
        viewing.unread.give_up()
        await self._release()

    async def _wait_for_all(self, grace: Grace) -> None:
        await grace.wait_for([self._end_of_all()])

    async def _end_of_all(self) -> None:
        while self._launching:
            self._launched = asyncio.get_running_loop().create_future()
            await self._launched
        await self._held.started()
        for execution in list(self._held.here.values()):
            await execution.wait()

    def _dismiss_all(self) -> None:
        self._held.feeds.dismiss()
        for execution in self._held:
            execution.dismiss()
