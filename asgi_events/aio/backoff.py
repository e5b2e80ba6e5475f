"""The pauses between tries to reach a store, and for how long to try."""

import asyncio
from asyncio import sleep

FIRST, LONGEST = 0.05, 2.0  # seconds
_TRIES = 4  # at least: a process that was stopped has tried once, however long it was


class Pauses:
    """How long to wait before the next try: each time twice as long, up to a longest.

    Args:
        longest: Seconds.
    """

    def __init__(self, longest: float = LONGEST) -> None:
        self._longest = min(longest, LONGEST)
        self._next = min(FIRST, self._longest)

    async def wait(self) -> None:
        """Wait, and longer the next time."""
        await sleep(self._next)
        self._next = min(self._next * 2, self._longest)

    def reset(self) -> None:
        """Begin again with the shortest: a try has succeeded."""
        self._next = min(FIRST, self._longest)


class Patience:
    """How long something may go wrong until it is taken to be wrong for good.

    Args:
        seconds: Since it first went wrong.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._tries = 0
        self._since = 0.0

    def is_over(self) -> bool:
        """Whether it has gone wrong, now once more, for too long."""
        now = asyncio.get_running_loop().time()
        if not self._tries:
            self._since = now
        self._tries += 1
        return self._tries >= _TRIES and now - self._since >= self._seconds

    def reset(self) -> None:
        """It went right."""
        self._tries = 0
