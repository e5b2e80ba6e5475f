"""What the watches of all stores share: the keys whose hints nobody has taken yet."""

import asyncio


class PendingKeys:
    """The keys that were hinted at since the last ``get``.

    Several hints at one key count once, so at most as many keys wait as are watched. A
    ``get`` that is cancelled loses none of them.
    """

    def __init__(self) -> None:
        self._keys: set[str] = set()
        self._hinted = asyncio.Event()

    def add(self, *keys: str) -> None:
        """Add ``keys``, at least one; call it on the event loop of ``get``."""
        self._keys.update(keys)
        self._hinted.set()

    async def get(self) -> set[str]:
        """Wait until there are keys; return all of them, and keep none."""
        await self._hinted.wait()
        self._hinted.clear()
        keys, self._keys = self._keys, set()
        return keys
