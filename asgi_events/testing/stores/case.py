"""What the tests of the store contract share: the store under test, and short calls."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, TypeAlias

from asgi_events.stores import EventStore, Grant, Page, Watch

LEASE, TTL = 10.0, 60.0
"""Seconds for which a test opens its logs."""

Call: TypeAlias = Callable[[EventStore, Grant], Awaitable[Any]]
_Test: TypeAlias = Callable[..., Coroutine[Any, Any, None]]


class StoreCase:
    """The store under test, and its clock.

    A method ``async def test_…(self, store, …)`` of a subclass is given a new store. It
    runs in an event loop of its own, so no pytest plugin is needed; afterwards the
    store is closed, and no task may be left.

    Attributes:
        hint_timeout: Seconds that a hint may take.
    """

    hint_timeout: float = 10.0

    async def make(self) -> EventStore:
        """Return a new, empty store; the test closes it."""
        raise NotImplementedError(
            f"{type(self).__name__} has to say how its store is made: "
            "async def make(self) -> EventStore"
        )

    async def advance(self, store: EventStore, seconds: float) -> None:
        """Put the clock of ``store`` forward, or back if ``seconds`` are negative.

        Leases are seconds long, so a test cannot wait for them. A store whose clock
        cannot be set may shift the moments that it holds instead.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has to say how time passes for its store: "
            "async def advance(self, store, seconds) -> None"
        )

    def __init_subclass__(cls) -> None:
        for name, test in list(vars(cls).items()):
            if name.startswith("test_") and inspect.iscoroutinefunction(test):
                if "store" in inspect.signature(test).parameters:
                    setattr(cls, name, _with_store(test))

    async def kept_asking(self, store: EventStore, after: int, key: str = "k") -> bool:
        """Call ``reap`` often and long enough; return whether it ended the log."""
        for _ in range(5):
            if await reap(store, after, key):
                return True
            # Half of the longest gap: a busy machine may take as long again.
            await self.advance(store, LEASE / 8)
        return await reap(store, after, key)

    async def hinted(self, watch: Watch) -> set[str]:
        """Return the next hints of ``watch``."""
        async with asyncio.timeout(self.hint_timeout):
            return await watch.get()


def _with_store(test: _Test) -> Callable[..., None]:
    """Turn a test that takes a store into one that pytest calls without it."""

    @wraps(test)
    def run(self: StoreCase, **arguments: Any) -> None:
        # A loop factory, so that the current event loop of the thread stays as it is.
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            runner.run(_run(self, test, arguments))

    signature = inspect.signature(test)
    parameters = [p for name, p in signature.parameters.items() if name != "store"]
    run.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=parameters, return_annotation=None
    )
    return run


async def _run(case: StoreCase, test: _Test, arguments: dict[str, Any]) -> None:
    store = await case.make()
    try:
        await test(case, store=store, **arguments)
    finally:
        await store.aclose()
    for _ in range(3):  # a task that was cancelled last ends in the next turns
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"aclose left tasks behind: {left}"


def frames(first: int, last: int) -> list[bytes]:
    """Return different frames, numbered ``first`` to ``last``."""
    return [b"data: %d\nid: k:%d\n\n" % (n, n) for n in range(first, last + 1)]


async def opened(store: EventStore, key: str = "k", *, writer: str = "w") -> Grant:
    """Open a log."""
    return await store.open(
        key, writer=writer, lease=LEASE, ttl=TTL, meta={"actor": "research"}
    )


async def ended(store: EventStore) -> Grant:
    """Open a log, and end it with its second frame."""
    grant = await opened(store)
    await store.append("k", grant, 0, frames(1, 2), end="completed")
    return grant


async def whole(store: EventStore, key: str = "k") -> Page:
    """Read all of a log, which has to be there."""
    page = await store.read(key, 0, 1 << 20)
    assert page is not None
    return page


async def reap(store: EventStore, after: int, key: str = "k") -> bool:
    """Call ``reap`` once."""
    return await store.reap(key, after, b"data: lost\n\n", end="lost")


async def inbox(store: EventStore, *writers: str) -> Watch:
    """Return a watch that hears what ``writers`` are asked for."""
    watch = await store.watch()
    for writer in writers:
        watch.add_writer(writer)
    return watch


# The calls that tests are parametrised by.


def append(store: EventStore, grant: Grant) -> Awaitable[Any]:
    return store.append("k", grant, 2, frames(3, 3))


def append_an_end(store: EventStore, grant: Grant) -> Awaitable[Any]:
    return store.append("k", grant, 2, frames(3, 3), end="completed")


def append_another_end(store: EventStore, grant: Grant) -> Awaitable[Any]:
    return store.append("k", grant, 0, frames(1, 2), end="failed")


def append_one(store: EventStore, grant: Grant) -> Awaitable[Any]:
    return store.append("k", grant, 0, frames(1, 1))


def append_the_end(store: EventStore, grant: Grant) -> Awaitable[Any]:
    return store.append("k", grant, 0, frames(1, 1), end="completed")


def renew(store: EventStore, grant: Grant) -> Awaitable[Any]:
    return store.renew("k", grant)


def cancel(store: EventStore, grant: Grant) -> Awaitable[Any]:
    return store.cancel("k")


def open_again(store: EventStore, grant: Grant) -> Awaitable[Any]:
    return opened(store)


def open_another(store: EventStore, grant: Grant) -> Awaitable[Any]:
    return opened(store, writer="second")
