"""Loads a page of frames that a log has dropped, from the store."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from asgi_events.aio.backoff import Backoff
from asgi_events.stores.contract import Page
from asgi_events.wire.sse import MAX_CHUNK

ReadPage: TypeAlias = Callable[[int, int], Awaitable[Page | None]]
"""Reads the frames after a number, up to a number of bytes, from the store."""


class PageReader(Protocol):
    """Who a page is loaded for."""

    def begin_of_page(self) -> int:
        """The number of the frame after which a page is read."""

    def take_page(self, page: Page | None) -> bool:
        """Whether this is the page, or no other will come."""

    def fail_page(self, error: Exception) -> bool:
        """Whether no page will come, since the store, or ``take_page``, has failed."""


async def load_page(reader: PageReader, read_page: ReadPage) -> None:
    """Read a page until it is there, or until ``reader`` gives up."""
    backoff = Backoff()
    while not await _is_read(reader, read_page):
        await backoff.wait()


async def _is_read(reader: PageReader, read_page: ReadPage) -> bool:
    try:
        page = await read_page(reader.begin_of_page(), MAX_CHUNK)
        return reader.take_page(page)
    except Exception as error:
        return reader.fail_page(error)
