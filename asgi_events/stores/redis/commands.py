"""The commands of a store, which share one connection.

Every command is answered: with a reply or with an error. None is sent twice: a command
whose reply was lost is ``Unavailable``, and the server may have run it. The exception
is a script that the server does not know and so has not run: it is loaded and sent
again. No exception of redis-py leaves this module.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from asgi_events.exceptions import Unavailable
from asgi_events.stores.redis.driver import Connection, connect, exceptions, pack
from asgi_events.stores.redis.durability import Confirmation
from asgi_events.stores.redis.errors import explain
from asgi_events.stores.redis.link import Link, OnConnect
from asgi_events.stores.redis.scripts import Script

# The bounds of one flush, so that the next commands do not wait for its replies long.
_MAX_COMMANDS = 128
_MAX_BYTES = 1024 * 1024


@dataclass(slots=True)
class _Command:
    packed: bytes
    script: Script | None
    reply: asyncio.Future[Any]

    @property
    def stores(self) -> bool:
        return self.script is not None and self.script.stores

    def settle(self, reply: Any) -> None:
        """Answer the caller, unless it was answered or has gone."""
        if self.reply.done():
            return
        if isinstance(reply, Exception):
            self.reply.set_exception(explain(reply))
        else:
            self.reply.set_result(reply)


class Commands:
    """One connection, on which all commands that wait are sent together.

    While one flush is on its way the next commands gather. So a busy process sends
    large flushes, and an idle one does not wait. If a flush fails, each of its commands
    that has no reply yet is ``Unavailable``, and the next flush connects again.

    Args:
        make: Makes a connection.
        timeout: Seconds to connect in, and seconds without progress that end a flush.
        on_connect: Looks at a new connection before the first command is sent.
        confirmation: Is sent with each flush that stores frames. The commands that
            store are answered when it is.
    """

    def __init__(
        self,
        make: Callable[[], Connection],
        *,
        timeout: float,
        on_connect: OnConnect,
        confirmation: Confirmation | None = None,
    ) -> None:
        self._make = make
        self._timeout = timeout
        self._on_connect = on_connect
        self._confirmation = confirmation
        self._connected_before = False
        self._demoted = False
        self._link: Link | None = None
        self._waiting: list[_Command] = []
        self._task: asyncio.Task[None] | None = None

    async def run(self, script: Script, keys: Sequence[bytes], *args: bytes) -> Any:
        """Run ``script`` and return its result; raises what ``send`` raises."""
        packed = pack(b"EVALSHA", script.sha, b"%d" % len(keys), *keys, *args)
        return await self._send(packed, script)

    async def send(self, *command: bytes) -> Any:
        """Send ``command`` and return its reply.

        Raises:
            Unavailable: There was no reply, or the server cannot do it now.
            StoreError: The server refuses it.
        """
        return await self._send(pack(*command), None)

    async def aclose(self) -> None:
        """Close the connection; commands without a reply are ``Unavailable``."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        for command in self._waiting:
            command.settle(Unavailable("The store was closed."))
        self._waiting.clear()
        await self._drop(nowait=False)

    async def _send(self, packed: bytes, script: Script | None) -> Any:
        loop = asyncio.get_running_loop()
        command = _Command(packed, script, loop.create_future())
        self._waiting.append(command)
        if self._task is None:
            self._task = loop.create_task(self._run())
        return await command.reply

    async def _run(self) -> None:
        try:
            while self._waiting:
                # NOTE: once nothing at all was written, the transports of some versions
                # of Python (3.12.1) never close.
                if commands := self._next_flush():
                    await self._flush(commands)
        finally:
            self._task = None

    def _next_flush(self) -> list[_Command]:
        count = size = 0
        for command in self._waiting[:_MAX_COMMANDS]:
            size += len(command.packed)
            if count and size > _MAX_BYTES:
                break
            count += 1
        commands = self._waiting[:count]
        del self._waiting[:count]
        return [command for command in commands if not command.reply.cancelled()]

    async def _flush(self, commands: list[_Command]) -> None:
        try:
            link = await self._connected()
            unknown = await self._exchange(link, commands)
            if unknown:  # the server is new, was restarted, or has flushed its scripts
                await self._load(link, {command.script for command in unknown})
                for command in await self._exchange(link, unknown):
                    command.settle(Unavailable("The store forgets its scripts."))
            if self._demoted:  # its name may lead to the new primary
                self._demoted = False
                await self._drop()
        except asyncio.CancelledError:
            for command in commands:
                command.settle(Unavailable("The store was closed."))
            raise
        except Exception as error:  # whatever it is, no command may wait for ever
            await self._drop()
            for command in commands:
                command.settle(error)

    async def _connected(self) -> Link:
        if self._link is None:
            connection = await connect(self._make, self._timeout)
            link = self._link = Link(connection, self._timeout)
            await self._on_connect(link, self._connected_before)
            self._connected_before = True
        return self._link

    async def _exchange(self, link: Link, commands: list[_Command]) -> list[_Command]:
        """Settle ``commands``; return those whose script the server does not know."""
        confirmation = self._confirmation
        if confirmation is not None and not any(each.stores for each in commands):
            confirmation = None
        packed = [command.packed for command in commands]
        if confirmation is not None:
            packed.append(confirmation.packed)
        replies: list[Any] = []
        try:
            await link.exchange(packed, replies)
        finally:  # a command that has its reply gets it, whatever happens to the others
            unknown = self._deliver(commands, replies, confirmation)
        return unknown

    def _deliver(
        self,
        commands: list[_Command],
        replies: list[Any],
        confirmation: Confirmation | None,
    ) -> list[_Command]:
        unknown: list[_Command] = []
        confirmed = replies[len(commands) :]
        for command, reply in zip(commands, replies, strict=False):
            if isinstance(reply, exceptions.NoScriptError):
                unknown.append(command)
            elif isinstance(reply, Exception):
                self._demoted |= isinstance(reply, exceptions.ReadOnlyError)
                command.settle(reply)
            elif confirmation is None or not command.stores:
                command.settle(reply)
            elif confirmed:
                command.settle(confirmation.failure(confirmed[0]) or reply)
        return unknown

    async def _load(self, link: Link, scripts: set[Script | None]) -> None:
        loads = [pack(b"SCRIPT", b"LOAD", s.source) for s in scripts if s is not None]
        for reply in await link.ask(*loads):
            if isinstance(reply, Exception):
                raise reply

    async def _drop(self, *, nowait: bool = True) -> None:
        link, self._link = self._link, None
        if link is not None:
            with suppress(Exception):  # it is given up, whatever it says
                await link.connection.disconnect(nowait=nowait)
