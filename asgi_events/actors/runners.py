"""Runs every kind of function in the same way, as a coroutine function.

Coroutine functions run as they are. Sync functions run in a thread, through asgiref.
Generators, async or sync, stream: each str they yield is published as a text delta,
each pydantic model as itself, and their result is the whole text.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from typing import Any, ParamSpec, TypeAlias, TypeVar, cast

from asgiref.sync import sync_to_async
from pydantic import BaseModel

from asgi_events.actors.state import ExecutionState
from asgi_events.aio.threads import executor, shared, slot

P = ParamSpec("P")
R = TypeVar("R")

Runner: TypeAlias = Callable[
    [ExecutionState | None, tuple[Any, ...], dict[str, Any]], Awaitable[Any]
]
"""Calls one function with args and kwargs; the state is None outside executions."""


def runner(function: Callable[..., Any]) -> Runner:
    """Return the way to run ``function``."""
    if _is(inspect.isasyncgenfunction, function):

        async def run_async_generator(
            state: ExecutionState | None, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            return await _stream(function(*args, **kwargs), state)

        return run_async_generator

    if _is(inspect.isgeneratorfunction, function):
        stream_in_thread = _in_thread(_stream_sync)

        async def run_generator(
            state: ExecutionState | None, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            with slot(shared if state is None else state.threads):
                return await stream_in_thread(function(*args, **kwargs), state)

        return run_generator

    if _is(inspect.iscoroutinefunction, function):
        return lambda _, args, kwargs: function(*args, **kwargs)

    in_thread = _in_thread(function)

    async def run_sync(
        state: ExecutionState | None, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        with slot(shared if state is None else state.threads):
            return await in_thread(*args, **kwargs)

    return run_sync


def is_generator(function: Callable[..., Any]) -> bool:
    """Whether ``function`` is a generator function, async or sync."""
    return _is(inspect.isasyncgenfunction, function) or _is(
        inspect.isgeneratorfunction, function
    )


def _is(kind: Callable[[Any], bool], function: Callable[..., Any]) -> bool:
    """Whether a function, or the ``__call__`` of an object, is of a kind."""
    return kind(function) or kind(type(function).__call__)


def _in_thread(function: Callable[P, R]) -> Callable[P, Awaitable[R]]:
    # Not thread-sensitive: sync actors run side by side.
    called: Callable[P, Awaitable[R]] = sync_to_async(  # type: ignore[call-overload]  # any Executor works
        function, thread_sensitive=False, executor=executor
    )
    return called


async def _stream(items: AsyncIterator[Any], state: ExecutionState | None) -> str:
    text = []
    try:
        async for item in items:
            if isinstance(item, str):
                text.append(item)
            published = _publish(item, state)
            if published is not None:
                await published
    finally:
        await cast(Any, items).aclose()
    return "".join(text)


def _stream_sync(items: Iterator[Any], state: ExecutionState | None) -> str:
    text = []
    # Close it now: the traceback of an exception would keep the generator alive.
    with closing(cast(Any, items)):
        for item in items:
            if state is not None and state.cancelled:
                raise asyncio.CancelledError
            if isinstance(item, str):
                text.append(item)
            _publish(item, state)
    return "".join(text)


def _publish(item: Any, state: ExecutionState | None) -> Awaitable[None] | None:
    if not isinstance(item, str | BaseModel):
        raise TypeError(
            "A generator actor yields str (text deltas) or pydantic models, "
            f"got {type(item).__name__}."
        )
    if state is None:
        return None
    return state.text(item) if isinstance(item, str) else state.publish(item)
