"""Coroutines around what is awaited."""

import asyncio
from collections.abc import Awaitable
from typing import Any


async def resolved(value: Any) -> Any:
    """Return ``value``, awaited first if it is awaitable."""
    return await value if isinstance(value, Awaitable) else value


async def wait_for(future: asyncio.Future[None]) -> None:
    """Wait for ``future``: the buses of some libraries await only coroutines."""
    await future
