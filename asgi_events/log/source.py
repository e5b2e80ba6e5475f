"""What a response pulls its frames from."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from asgi_events.wire.sse import MAX_CHUNK


@runtime_checkable
class FrameSource(Protocol):
    """Whole frames, pulled when the client can take them."""

    def take(self, limit: int = MAX_CHUNK) -> bytes | None:
        """Frames that are ready, at least one, joined to about ``limit`` bytes.

        Empty: nothing yet. None: nothing any more.
        """

    def on_ready(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` as soon as ``take`` may answer something else."""

    def dismiss(self, farewell: bytes) -> None:
        """Give ``farewell`` next, and then nothing any more."""

    async def aclose(self) -> None:
        """Let go of everything; ``take`` is not called again."""
