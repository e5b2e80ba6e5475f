"""Hints of what changes in a ``RedisStore``, by the server's publish and subscribe.

However many watches there are, they have one connection, and one subscription for each
key that any of them watches, and for each writer. A hint is late rather than lost:
while there is no connection, and where subscribing is not allowed, the poll goes on.
"""

import asyncio
import logging
from collections.abc import Callable

from asgi_events.stores.redis.connection import (
    Connection,
    Link,
    Meet,
    connect,
    explain,
    pack,
)
from asgi_events.stores.watching import PendingKeys

logger = logging.getLogger(__name__)

_POLL = 1.0  # seconds after which every watched key is hinted: a hint may get lost


class RedisWatch:
    def __init__(self, subscriber: "RedisSubscriber") -> None:
        self._subscriber = subscriber
        self._keys: set[str] = set()
        self._writers: set[str] = set()
        self._pending = PendingKeys()

    def add(self, key: str) -> None:
        self._keys.add(key)
        self._subscriber.add(key, self)

    def discard(self, key: str) -> None:
        self._keys.discard(key)
        self._subscriber.discard(key, self)

    def add_writer(self, writer: str) -> None:
        self._writers.add(writer)
        self._subscriber.add_writer(writer, self)

    def hint(self, key: str) -> None:
        self._pending.add(key)

    async def get(self) -> set[str]:
        return await self._pending.get()

    async def aclose(self) -> None:
        for key in list(self._keys):
            self.discard(key)
        for writer in self._writers:
            self._subscriber.discard_writer(writer, self)
        self._writers.clear()


class RedisSubscriber:
    """The hints of all watches, on one connection.

    A key is hinted when its subscription begins, so that a change between the first
    read and then is not missed, and once a second, since what is published while the
    connection is down is lost. A message to a writer is the key of its log; one that
    gets lost costs time only, until the writer renews its lease.

    Args:
        make: Makes a connection.
        channel: The channel on which changes of a key are published.
        inbox: The channel on which a writer is told of its keys.
        timeout: Seconds for connecting, and for the answer to a ping.
        meet: Looks at the server of a new connection.
    """

    def __init__(
        self,
        make: Callable[[], Connection],
        *,
        channel: Callable[[str], bytes],
        inbox: Callable[[str], bytes],
        timeout: float,
        meet: Meet,
    ) -> None:
        self._make = make
        self._channel = channel
        self._inbox = inbox
        self._timeout = timeout
        self._meet = meet
        self._connected_before = False
        self._watches: dict[bytes, set[RedisWatch]] = {}  # by channel
        self._keys: dict[bytes, str] = {}  # by channel; an inbox has many
        self._changed: set[bytes] = set()  # channels to begin or to end
        self._woken = asyncio.Event()
        self._complaint = ""
        self._closed = False
        self._task: asyncio.Task[None] | None = None

    def add(self, key: str, watch: RedisWatch) -> None:
        channel = self._channel(key)
        self._keys[channel] = key
        self._join(channel, watch)

    def discard(self, key: str, watch: RedisWatch) -> None:
        channel = self._channel(key)
        self._leave(channel, watch)
        if channel not in self._watches:
            self._keys.pop(channel, None)

    def add_writer(self, writer: str, watch: RedisWatch) -> None:
        self._join(self._inbox(writer), watch)

    def discard_writer(self, writer: str, watch: RedisWatch) -> None:
        self._leave(self._inbox(writer), watch)

    def tell(self, inbox: bytes, key: str) -> None:
        """Hint to the watches of a writer in this process."""
        if inbox in self._watches:
            self._hint(inbox, key)

    async def aclose(self) -> None:
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _join(self, channel: bytes, watch: RedisWatch) -> None:
        watches = self._watches.setdefault(channel, set())
        if not watches:
            self._change(channel)
        watches.add(watch)

    def _leave(self, channel: bytes, watch: RedisWatch) -> None:
        watches = self._watches.get(channel, set())
        watches.discard(watch)
        if not watches and self._watches.pop(channel, None) is not None:
            self._change(channel)

    def _change(self, channel: bytes) -> None:
        self._changed.add(channel)
        self._woken.set()
        if self._task is None and not self._closed:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        # NOTE: a group of tasks that fails loses a cancellation of the same moment.
        while not self._closed:
            try:
                await self._follow()
            except* Exception as trouble:  # whatever it is, the poll goes on
                self._complain(trouble.exceptions[0])
            if not self._closed:
                self._hint_all()
                await asyncio.sleep(_POLL)

    async def _follow(self) -> None:
        connection = await connect(self._make, self._timeout)
        try:
            await self._meet(Link(connection, self._timeout), self._connected_before)
            self._connected_before = True
            self._changed = set(self._watches)
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
            kind, channel, *data = message
            if channel not in self._watches:
                continue
            if kind == b"sunsubscribe":  # added again meanwhile, or its slot has moved
                self._change(channel)
                continue
            self._complaint = ""
            if channel in self._keys:
                self._hint(channel, self._keys[channel])
            elif kind == b"smessage":
                self._hint(channel, data[0].decode("utf-8", "surrogatepass"))

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
        verb = b"SSUBSCRIBE" if channel in self._watches else b"SUNSUBSCRIBE"
        return pack(verb, channel)

    def _hint_all(self) -> None:
        for channel, key in self._keys.items():
            self._hint(channel, key)

    def _hint(self, channel: bytes, key: str) -> None:
        for watch in self._watches[channel]:
            watch.hint(key)

    def _complain(self, error: Exception) -> None:
        complaint = str(explain(error))
        if complaint != self._complaint:
            logger.warning("No hints, so logs are looked at each second: %s", complaint)
            self._complaint = complaint
