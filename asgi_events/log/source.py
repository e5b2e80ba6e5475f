"""What a response pulls its bytes from."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from asgi_events.wire.sse import MAX_CHUNK


class BrokenOff(Exception):
    """The connection is to be broken off: its client would take an end for success."""


class Last(bytes):
    """The last bytes of a source: nothing follows them.

    A response sends them with the end of its body, in one message.
    """


@runtime_checkable
class FrameSource(Protocol):
    """Whole frames, pulled when the client can take them."""

    def take(self, limit: int = MAX_CHUNK) -> bytes | None:
        """Frames that are ready, at least one, joined to about ``limit`` bytes.

        Empty: nothing yet. None: nothing any more. A source that knows which bytes are
        its last may return them as ``Last``; ``take`` is not called again.

        Raises:
            BrokenOff: Nothing any more, and there is no word for that.
        """

    def on_ready(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` as soon as ``take`` may return something else."""

    def dismiss(self, farewell: bytes | None) -> None:
        """Give ``farewell`` next, and then nothing any more; None breaks it off."""

    async def aclose(self) -> None:
        """Release everything; ``take`` is not called again."""
