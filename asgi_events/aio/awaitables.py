"""Coroutines around what is awaited."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import markcoroutinefunction


async def resolved(value: Any) -> Any:
    """Return ``value``, awaited first if it is awaitable."""
    return await value if isinstance(value, Awaitable) else value


async def wait_for(future: asyncio.Future[None]) -> None:
    """Wait for ``future``: the buses of some libraries await only coroutines."""
    await future


def mark_coroutine_function(handler: Callable[[Any], Any]) -> None:
    """Let ``iscoroutinefunction`` be true of an object, because some buses ask it."""
    markcoroutinefunction(handler)
    if sys.version_info < (3, 12):
        # There inspect accepts only functions, and objects with the same attributes.

        async def take(event: Any) -> None: ...

        for name in ("__name__", "__code__", "__defaults__", "__kwdefaults__"):
            setattr(handler, name, getattr(take, name))
