"""How long to wait before the next try to reach a store, and when to give up."""

import asyncio
from asyncio import sleep

FIRST, LONGEST = 0.05, 2.0  # seconds
_TRIES = 4  # A process that was suspended for long has tried only once meanwhile.


class Backoff:
    """A pause that doubles with each try, up to a longest one.

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
        """Start again with the shortest pause: a try has succeeded."""
        self._next = min(FIRST, self._longest)


class Patience:
    """Decides when something has failed for so long that it will not recover.

    Args:
        seconds: How long it may fail, from the first failure on.
    """

    __slots__ = ("_seconds", "_since", "_tries")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._tries = 0
        self._since = 0.0

    def is_over(self) -> bool:
        """Count one more failure, and return whether it has failed for too long."""
        now = asyncio.get_running_loop().time()
        if not self._tries:
            self._since = now
        self._tries += 1
        return self._tries >= _TRIES and now - self._since >= self._seconds

    def reset(self) -> None:
        """Forget the failures: a try has succeeded."""
        self._tries = 0
