"""Records an execution of this process in a store, until a terminal event is there."""

from __future__ import annotations

import logging
from collections.abc import Callable

from asgi_events.exceptions import Ended, Fenced
from asgi_events.executions.follower import Follower, SharedWatch
from asgi_events.executions.recorder import Recorder

logger = logging.getLogger(__name__)


class Recording:
    """Records one log, and gives way should another process end it.

    Args:
        recorder: Stores the log.
        follower: Goes on with the log should another process take it over.
        watch: Says that the store has news for the writer.
        on_stored: Called when the terminal event of this process is stored.
    """

    def __init__(
        self,
        recorder: Recorder,
        follower: Follower,
        watch: SharedWatch,
        *,
        on_stored: Callable[[], None],
    ) -> None:
        self._recorder = recorder
        self._follower = follower
        self._shared_watch = watch
        self._on_stored = on_stored

    @property
    def watched_elsewhere(self) -> bool:
        """Whether another process has viewers, as last heard."""
        return self._recorder.watched_elsewhere

    async def run(
        self,
        *,
        on_cancel: Callable[[], None],
        on_left: Callable[[], None],
        on_taken: Callable[[], None],
    ) -> None:
        """Record until a terminal event is stored, this process's or another one's.

        Args:
            on_cancel: Called when somebody, in any process, wants it cancelled.
            on_left: Called when no other process has viewers any more.
            on_taken: Called when the log is not this process's any more; nothing that
                the actor does counts from then on.
        """
        self._recorder.on_cancel, self._recorder.on_left = on_cancel, on_left
        try:
            stored = await self._is_stored()
        finally:
            self._recorder.on_cancel = self._recorder.on_left = None
        if stored:
            self._on_stored()
            return
        # Viewers get what the store has, and nothing else.
        on_taken()
        self._recorder.log.drop_uncommitted()
        await self._follower.run()

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
