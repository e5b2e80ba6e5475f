"""The pauses between tries to reach a store: each twice the last, up to a longest."""

import asyncio

FIRST, LONGEST = 0.05, 2.0  # seconds


class Pauses:
    """How long to wait before the next try."""

    def __init__(self) -> None:
        self._next = FIRST

    async def wait(self) -> None:
        """Wait, and longer the next time."""
        await asyncio.sleep(self._next)
        self._next = min(self._next * 2, LONGEST)

    def reset(self) -> None:
        """Begin again with the shortest: a try has succeeded."""
        self._next = FIRST
