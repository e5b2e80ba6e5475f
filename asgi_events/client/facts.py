"""What a client for asyncio and one for threads know alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from asgi_events.client.actions import Steps
from asgi_events.client.following import Following


class ExecutionFacts:
    """What an execution is, which does not change.

    Attributes:
        id: Its name in URLs and event ids.
        actor: The actor's name; empty if the server was not asked.
    """

    __slots__ = ("actor", "id")

    def __init__(self, id: str, actor: str) -> None:
        self.id = id
        self.actor = actor

    def __repr__(self) -> str:
        of = f" of {self.actor}" if self.actor else ""
        return f"<{type(self).__name__} {self.id}{of}>"


class StreamFacts:
    """How far a stream is."""

    def __init__(self, following: Following) -> None:
        self._following = following
        self._steps = Steps(following.plan())
        self._is_read = False

    @property
    def number(self) -> int:
        """The number of the last event that was yielded: go on with ``after=`` it."""
        return self._following.number

    @property
    def status(self) -> str | None:
        """How the execution ended; None until that is known."""
        return self._following.status

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self._is_read:
            raise RuntimeError("Somebody else waits for the next event of this stream.")
        self._is_read = True
        try:
            yield
        finally:
            self._is_read = False
