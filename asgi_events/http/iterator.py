"""Makes a source of frames of any async iterable.

The other source is ``Cursor``, the place of a viewer in a log.
"""

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable
from functools import cache
from typing import Any

from pydantic import BaseModel

from asgi_events.error_messages import ErrorMessage, describe
from asgi_events.events import ErrorEvent
from asgi_events.log.source import FrameSource, Last
from asgi_events.wire.encoding import encode_json
from asgi_events.wire.frames import json_block
from asgi_events.wire.sse import MAX_CHUNK, ServerSentEvent

logger = logging.getLogger(__name__)

_CLOSE_TIMEOUT = 10.0  # seconds for the cleanup of an iterable whose client has gone


_FIELDS = {"data", "event", "id", "retry", "comment"}


def _looks_like_an_event(item: dict[Any, Any]) -> bool:
    return "data" in item and len(item) > 1 and item.keys() <= _FIELDS


@cache
def _warn_of(fields: tuple[str, ...]) -> None:
    logger.warning(
        "A dict of %s was sent as the JSON of an event's data, as all dicts are. To "
        "send the fields of an event, yield ServerSentEvent(…); see docs/migration.md. "
        "This is said once.",
        ", ".join(fields),
    )


def source_of(
    content: FrameSource | AsyncIterable[Any],
    *,
    error_message: ErrorMessage | None = None,
) -> FrameSource:
    """Return the source of a response's content, which may be one already.

    Raises:
        TypeError: ``content`` is neither a source nor an async iterable.
    """
    if isinstance(content, FrameSource):
        return content
    if isinstance(content, AsyncIterable):
        return IteratorSource(content, error_message=error_message)
    raise TypeError(
        "content must be an async iterable of events, "
        f"got {type(content).__name__}{_cure(content)}"
    )


def _cure(content: object) -> str:
    """Return what to do about content that is nearly right."""
    if inspect.isroutine(content):
        return ": call it"
    if inspect.iscoroutine(content):
        content.close()
        return ": await it, and give what it returns"
    if isinstance(content, Iterable) and not isinstance(content, str | bytes):
        return ": yield its items in an async generator"
    return ""


def encode_item(item: Any) -> bytes:
    """Return an item of an iterable as a block; bytes are blocks already.

    Raises:
        TypeError: The item is of another type than those below.
    """
    match item:
        case bytes():
            return item
        case ServerSentEvent():
            return item.encode()
        case str():
            return ServerSentEvent(data=item).encode()
        case BaseModel() | dict():
            if isinstance(item, dict) and _looks_like_an_event(item):
                _warn_of(tuple(sorted(item)))
            return json_block(encode_json(item))
    raise TypeError(
        "An event stream takes ServerSentEvent, pydantic models, dict, str or bytes, "
        f"got {type(item).__name__}."
    )


class IteratorSource:
    """Encodes the items of an async iterable; a ``FrameSource``.

    One task iterates. It starts when somebody first waits for an item, and it waits
    while it is ``MAX_CHUNK`` bytes ahead of the client.
    """

    def __init__(
        self,
        content: AsyncIterable[Any],
        *,
        error_message: ErrorMessage | None = None,
    ) -> None:
        self._iterator = aiter(content)
        self._error_message = error_message
        self._ready: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._wake: Callable[[], None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._taken: asyncio.Future[None] | None = None
        self._has_begun = False

    def take(self, limit: int = MAX_CHUNK) -> bytes | None:
        """Return items that are ready; see ``FrameSource``."""
        if not self._ready:
            return None if self._ended else b""
        chunk = self._ready.popleft()
        if self._ready:
            parts = [chunk]
            size = len(chunk)
            while self._ready and size + len(self._ready[0]) <= limit:
                parts.append(self._ready.popleft())
                size += len(parts[-1])
            chunk = b"".join(parts)
        self._size -= len(chunk)
        if self._taken is not None and not self._taken.done():
            self._taken.set_result(None)
        return Last(chunk) if self._ended and not self._ready else chunk

    def on_ready(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` when there are items, or when there will be no more."""
        self._wake = wake
        if self._task is None:
            self._task = asyncio.ensure_future(self._iterate())

    def dismiss(self, farewell: bytes | None) -> None:
        """Give the items that are ready, then ``farewell``, then nothing more."""
        if not self._ended:
            self._end(farewell or b"")
            if self._task is not None:
                self._task.cancel()

    async def aclose(self) -> None:
        """Stop the iterable, and wait up to 10 s for its cleanup."""
        self.dismiss(None)  # once: another cancellation would cut its cleanup short
        if self._task is not None and not self._task.done():
            _, pending = await asyncio.wait({self._task}, timeout=_CLOSE_TIMEOUT)
            if pending:
                logger.warning(
                    "The iterable of an event stream is still cleaning up %s s after "
                    "its client has gone.",
                    _CLOSE_TIMEOUT,
                )
        if not self._has_begun:  # a task that is cancelled at once never does
            await self._close_iterator()

    async def _iterate(self) -> None:
        last, self._has_begun = b"", True
        try:
            async for item in self._iterator:
                if self._ended:
                    break
                await self._offer(encode_item(item))
        except Exception as error:
            last = self._say_error(error)
        finally:
            self._end(last)
            await self._close_iterator()

    async def _offer(self, block: bytes) -> None:
        if not block:  # ``take`` returns b"" for "nothing yet", so drop empty blocks
            return
        self._ready.append(block)
        self._size += len(block)
        if self._wake is not None:
            self._wake()
        while self._size >= MAX_CHUNK:
            self._taken = asyncio.get_running_loop().create_future()
            await self._taken

    def _say_error(self, error: Exception) -> bytes:
        logger.error("The iterable of an event stream failed.", exc_info=error)
        message = "The stream failed."
        if self._error_message is not None:
            message = describe(error, self._error_message, message)
        return json_block(encode_json(ErrorEvent(message=message)))

    def _end(self, last: bytes) -> None:
        if self._ended:
            return
        self._ended = True
        if last:
            self._ready.append(last)
            self._size += len(last)
        if self._wake is not None:
            self._wake()

    async def _close_iterator(self) -> None:
        aclose = getattr(self._iterator, "aclose", None)
        if aclose is not None:
            await aclose()
