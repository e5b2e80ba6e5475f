"""What the watches of several stores share."""

import asyncio
from typing import Protocol


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


class HintSource(Protocol):
    """Where the watches of one store get their hints from."""

    def add(self, key: str, watch: "KeyWatch") -> None:
        """Give ``watch`` hints at ``key``."""

    def discard(self, key: str, watch: "KeyWatch") -> None:
        """Give it no more hints at ``key``; harmless when it gets none."""

    def add_writer(self, writer: str, watch: "KeyWatch") -> None:
        """Give it hints at logs of ``writer``, see ``Watch.add_writer``."""

    def discard_writer(self, writer: str, watch: "KeyWatch") -> None:
        """Give it no more hints at logs of ``writer``."""


class KeyWatch:
    """A ``Watch`` whose ``hint`` its source calls, on the event loop of both."""

    def __init__(self, source: HintSource) -> None:
        self._source = source
        self._keys: set[str] = set()
        self._writers: set[str] = set()
        self._pending = PendingKeys()
        self.hint = self._pending.add

    def add(self, key: str) -> None:
        self._keys.add(key)
        self._source.add(key, self)

    def discard(self, key: str) -> None:
        self._keys.discard(key)
        self._source.discard(key, self)

    def add_writer(self, writer: str) -> None:
        self._writers.add(writer)
        self._source.add_writer(writer, self)

    async def get(self) -> set[str]:
        return await self._pending.get()

    async def aclose(self) -> None:
        for key in list(self._keys):
            self.discard(key)
        for writer in self._writers:
            self._source.discard_writer(writer, self)
        self._writers.clear()
