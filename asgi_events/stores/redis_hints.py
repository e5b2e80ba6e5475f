"""Hints of what changes in a ``RedisStore``, by the server's publish and subscribe.

However many watches there are, they have one connection, and one subscription for each
key that any of them watches. A hint is late rather than lost: while there is no
connection, and where subscribing is not allowed, the poll goes on.
"""

import asyncio
import logging
from collections.abc import Callable

from asgi_events.stores.hints import HintSet
from asgi_events.stores.redis_connection import Connection, connect, explain, pack

logger = logging.getLogger(__name__)

_POLL = 1.0  # seconds after which every watched key is hinted: a hint may get lost


class RedisWatch:
    def __init__(self, hints: "Hints") -> None:
        self._all = hints
        self._keys: set[str] = set()
        self._hints = HintSet()

    def add(self, key: str) -> None:
        self._keys.add(key)
        self._all.add(key, self)

    def discard(self, key: str) -> None:
        self._keys.discard(key)
        self._all.discard(key, self)

    def hint(self, key: str) -> None:
        self._hints.add(key)

    async def get(self) -> set[str]:
        return await self._hints.get()

    async def aclose(self) -> None:
        for key in list(self._keys):
            self.discard(key)


class Hints:
    """The hints of all watches, on one connection.

    A key is hinted when its subscription begins, so that a change between the first
    read and then is not missed, and once a second, since what is published while the
    connection is down is lost.
    """

    def __init__(
        self,
        make: Callable[[], Connection],
        channel: Callable[[str], bytes],
        timeout: float,
    ) -> None:
        self._make = make
        self._channel = channel
        self._timeout = timeout
        self._watches: dict[str, set[RedisWatch]] = {}
        self._keys: dict[bytes, str] = {}  # by channel
        self._changed: set[bytes] = set()  # channels to begin or to end
        self._woken = asyncio.Event()
        self._complaint = ""
        self._closed = False
        self._task: asyncio.Task[None] | None = None

    def add(self, key: str, watch: RedisWatch) -> None:
        watches = self._watches.setdefault(key, set())
        if not watches:
            self._keys[self._channel(key)] = key
            self._change(self._channel(key))
        watches.add(watch)

    def discard(self, key: str, watch: RedisWatch) -> None:
        watches = self._watches.get(key, set())
        watches.discard(watch)
        if not watches and self._watches.pop(key, None) is not None:
            del self._keys[self._channel(key)]
            self._change(self._channel(key))

    async def aclose(self) -> None:
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _change(self, channel: bytes) -> None:
        self._changed.add(channel)
        self._woken.set()
        if self._task is None and not self._closed:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except* Exception as trouble:  # whatever it is, the poll goes on
                self._complain(trouble.exceptions[0])
            self._hint_all()
            await asyncio.sleep(_POLL)

    async def _follow(self) -> None:
        connection = await connect(self._make, self._timeout)
        self._changed = set(self._keys)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(connection))
                tasks.create_task(self._speak(connection))
        finally:
            await connection.disconnect(nowait=True)

    async def _listen(self, connection: Connection) -> None:
        while True:
            # There is a PING to be answered each time the poll is due.
            async with asyncio.timeout(_POLL + self._timeout):
                message = await connection.read_response()
            if not isinstance(message, list):
                continue
            kind, channel, *_ = message
            if channel not in self._keys:
                continue
            if kind == b"sunsubscribe":  # added again meanwhile, or its slot has moved
                self._change(channel)
            else:
                self._complaint = ""
                self._hint(self._keys[channel])

    async def _speak(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        poll_at = loop.time() + _POLL
        while True:
            self._woken.clear()
            # NOTE: one channel per command, since a cluster wants one slot per command.
            commands = [self._subscription(channel) for channel in self._changed]
            self._changed.clear()
            if loop.time() >= poll_at:
                poll_at = loop.time() + _POLL
                self._hint_all()
                commands.append(pack(b"PING"))
            if commands:
                async with asyncio.timeout(self._timeout):
                    await connection.send_packed_command(b"".join(commands))
            try:
                async with asyncio.timeout_at(poll_at):
                    await self._woken.wait()
            except TimeoutError:
                pass

    def _subscription(self, channel: bytes) -> bytes:
        verb = b"SSUBSCRIBE" if channel in self._keys else b"SUNSUBSCRIBE"
        return pack(verb, channel)

    def _hint_all(self) -> None:
        for key in self._watches:
            self._hint(key)

    def _hint(self, key: str) -> None:
        for watch in self._watches[key]:
            watch.hint(key)

    def _complain(self, error: Exception) -> None:
        complaint = str(explain(error))
        if complaint != self._complaint:
            logger.warning("No hints, so logs are looked at each second: %s", complaint)
            self._complaint = complaint
