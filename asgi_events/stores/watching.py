"""What all watches have in common: hints that wait until somebody gets them."""

import asyncio


class HintSet:
    """The keys hinted at since they were last got.

    Hints at one key become one, so no more of them wait than keys were watched. A
    ``get`` that is cancelled loses none.
    """

    def __init__(self) -> None:
        self._keys: set[str] = set()
        self._hinted = asyncio.Event()

    def add(self, *keys: str) -> None:
        """Hint at ``keys``, one at least; on the event loop of who gets them."""
        self._keys.update(keys)
        self._hinted.set()

    async def get(self) -> set[str]:
        """Wait for hints; all that wait, which are then forgotten."""
        await self._hinted.wait()
        self._hinted.clear()
        keys, self._keys = self._keys, set()
        return keys
