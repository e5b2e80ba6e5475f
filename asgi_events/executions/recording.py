"""Records an execution of this process in a store, until a terminal event is there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from asgi_events.events import CANCELLED
from asgi_events.exceptions import Ended, Fenced
from asgi_events.executions.follower import Follower, SharedWatch
from asgi_events.executions.recorder import Recorder

logger = logging.getLogger(__name__)

_PATIENCE = 1.0  # seconds until it is cancelled, whyever


class Recording:
    """Records one log, and gives way should another process end it.

    Args:
        recorder: Stores the log.
        make_follower: Makes what goes on with the log should another process take it
            over.
        watch: Says that the store has news for the writer.
        on_stored: Called when the terminal event of this process is stored.
        why: Finds out why another process cancels, as viewers are told; None where
            there is nothing to find out.
    """

    def __init__(
        self,
        recorder: Recorder,
        make_follower: Callable[[], Follower],
        watch: SharedWatch,
        *,
        on_stored: Callable[[], None],
        why: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        self._recorder = recorder
        self._make_follower = make_follower
        self._shared_watch = watch
        self._on_stored = on_stored
        self._why = why
        self._asking: asyncio.Task[None] | None = None

    @property
    def watched_elsewhere(self) -> bool:
        """Whether another process has viewers, as last heard."""
        return self._recorder.watched_elsewhere

    async def run(
        self,
        *,
        on_cancel: Callable[[str], None],
        on_left: Callable[[], None],
        on_taken: Callable[[], None],
    ) -> None:
        """Record until a terminal event is stored, this process's or another one's.

        Args:
            on_cancel: Called when somebody, in any process, wants it cancelled, with
                what viewers are told.
            on_left: Called when no other process has viewers any more.
            on_taken: Called when the log is not this process's any more; nothing that
                the actor does counts from then on.
        """
        self._recorder.on_cancel = partial(self._cancel, on_cancel)
        self._recorder.on_left = on_left
        try:
            stored = await self._is_stored()
        finally:
            self._recorder.on_cancel = self._recorder.on_left = None
            if self._asking is not None:
                self._asking.cancel()
        if stored:
            self._on_stored()
            return
        # Viewers get what the store has, and nothing else.
        on_taken()
        self._recorder.log.drop_uncommitted()
        await self._make_follower().run()

    def _cancel(self, on_cancel: Callable[[str], None]) -> None:
        if self._why is None:
            on_cancel(CANCELLED)
        elif self._asking is None:  # the store says it again and again
            self._asking = asyncio.ensure_future(self._ask_why(self._why, on_cancel))

    async def _ask_why(
        self, why: Callable[[], Awaitable[str]], on_cancel: Callable[[str], None]
    ) -> None:
        message = CANCELLED
        try:
            async with asyncio.timeout(_PATIENCE):
                message = await why()
        except Exception as error:  # it is cancelled all the same
            logger.warning("Why it is cancelled is not known: %r", error)
        on_cancel(message)

    async def _is_stored(self) -> bool:
        """Record; return whether the store has all of it, written by this process."""
        id = self._recorder.key
        self._shared_watch.add_writer(id, self._recorder.renew)
        try:
            await self._recorder.run()
        except (Fenced, Ended) as error:
            logger.error("Execution %s is not ours any more, and stops: %s", id, error)
        except Exception:
            logger.exception("Execution %s cannot be recorded, and stops.", id)
        else:
            return True
        finally:
            self._shared_watch.discard_writer(id)
        return False
