"""Hints at changes in a ``RedisStore``, by the server's publish and subscribe.

All watches of a store share one connection, with one subscription for each watched key
and for each writer. A hint may be late, but is not lost: while there is no connection,
and where the user may not subscribe, every watched key is hinted at once a second.
"""

import asyncio
import logging
from collections.abc import Callable

from asgi_events.stores.redis.driver import Connection, connect, pack
from asgi_events.stores.redis.errors import explain
from asgi_events.stores.redis.link import Link, OnConnect
from asgi_events.stores.watching import KeyWatch

logger = logging.getLogger(__name__)

_POLL = 1.0  # seconds between two hints at every watched key: messages get lost


class RedisSubscriber:
    """Subscribes to the channels of all watches, on one connection.

    A key is hinted at when its subscription begins, since it may have changed after its
    first read. It is also hinted at once a second, since the server does not keep what
    it publishes while the connection is down. A message to a writer is the key of its
    log. If it is lost, the writer learns of the request when it renews its lease.

    Args:
        make: Makes a connection.
        channel: The channel that changes of a key are published on.
        inbox: The channel that requests to a writer are published on.
        timeout: Seconds to connect in, and for the answer to a ping.
        on_connect: Looks at a new connection before the first subscription.
    """

    def __init__(
        self,
        make: Callable[[], Connection],
        *,
        channel: Callable[[str], bytes],
        inbox: Callable[[str], bytes],
        timeout: float,
        on_connect: OnConnect,
    ) -> None:
        self._make = make
        self._channel = channel
        self._inbox = inbox
        self._timeout = timeout
        self._on_connect = on_connect
        self._connected_before = False
        self._watches: dict[bytes, set[KeyWatch]] = {}  # by channel
        self._keys: dict[bytes, str] = {}  # by channel; an inbox has many keys
        self._changed: set[bytes] = set()  # channels to subscribe to or unsubscribe
        self._wake = asyncio.Event()
        self._warned = ""
        self._closed = False
        self._task: asyncio.Task[None] | None = None

    def add(self, key: str, watch: KeyWatch) -> None:
        channel = self._channel(key)
        self._keys[channel] = key
        self._subscribe(channel, watch)

    def discard(self, key: str, watch: KeyWatch) -> None:
        channel = self._channel(key)
        self._unsubscribe(channel, watch)
        if channel not in self._watches:
            self._keys.pop(channel, None)

    def add_writer(self, writer: str, watch: KeyWatch) -> None:
        self._subscribe(self._inbox(writer), watch)

    def discard_writer(self, writer: str, watch: KeyWatch) -> None:
        self._unsubscribe(self._inbox(writer), watch)

    def hint_writer(self, inbox: bytes, key: str) -> None:
        """Hint at ``key`` to the watches of a writer in this process."""
        if inbox in self._watches:
            self._hint(inbox, key)

    async def aclose(self) -> None:
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _subscribe(self, channel: bytes, watch: KeyWatch) -> None:
        watches = self._watches.setdefault(channel, set())
        if not watches:
            self._change(channel)
        watches.add(watch)

    def _unsubscribe(self, channel: bytes, watch: KeyWatch) -> None:
        watches = self._watches.get(channel, set())
        watches.discard(watch)
        if not watches and self._watches.pop(channel, None) is not None:
            self._change(channel)

    def _change(self, channel: bytes) -> None:
        self._changed.add(channel)
        self._wake.set()
        if self._task is None and not self._closed:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        # NOTE: a task group that fails loses a cancellation of the same moment.
        while not self._closed:
            try:
                await self._serve()
            except* Exception as trouble:  # whatever it is, go on polling
                self._warn(trouble.exceptions[0])
            if not self._closed:
                self._hint_all()
                await asyncio.sleep(_POLL)

    async def _serve(self) -> None:
        connection = await connect(self._make, self._timeout)
        try:
            link = Link(connection, self._timeout)
            await self._on_connect(link, self._connected_before)
            self._connected_before = True
            self._changed = set(self._watches)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._receive(connection))
                tasks.create_task(self._send(connection))
        finally:
            await connection.disconnect(nowait=True)

    async def _receive(self, connection: Connection) -> None:
        while True:
            # The server answers a PING once per poll.
            async with asyncio.timeout(_POLL + self._timeout):
                message = await connection.read_response()
            if not isinstance(message, list):
                continue
            kind, channel, *data = message
            if channel not in self._watches:
                continue
            if kind == b"sunsubscribe":  # added again meanwhile, or its slot moved
                self._change(channel)
                continue
            self._warned = ""
            if channel in self._keys:
                self._hint(channel, self._keys[channel])
            elif kind == b"smessage":
                self._hint(channel, data[0].decode("utf-8", "surrogatepass"))

    async def _send(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        poll_at = loop.time() + _POLL
        while True:
            self._wake.clear()
            # NOTE: one channel per command: in a cluster they must be in one slot.
            commands = [self._command(channel) for channel in self._changed]
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
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _command(self, channel: bytes) -> bytes:
        verb = b"SSUBSCRIBE" if channel in self._watches else b"SUNSUBSCRIBE"
        return pack(verb, channel)

    def _hint_all(self) -> None:
        for channel, key in self._keys.items():
            self._hint(channel, key)

    def _hint(self, channel: bytes, key: str) -> None:
        for watch in self._watches[channel]:
            watch.hint(key)

    def _warn(self, error: Exception) -> None:
        warning = str(explain(error))
        if warning != self._warned:
            logger.warning("No hints, so logs are looked at each second: %s", warning)
            self._warned = warning
