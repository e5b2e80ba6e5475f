"""Handlers that know their execution, and what happens to a publish nobody awaits."""

import asyncio
import gc
import logging
import warnings
from typing import Any

import pytest
from pydantic import BaseModel

from asgi_events import EventBus
from asgi_events.bus import HandlerFactory


class Note(BaseModel):
    n: int = 0


class Factory:
    def __init__(self) -> None:
        self.made: list[tuple[str, str, str | None]] = []
        self.heard: list[tuple[str, Any]] = []

    def for_execution(self, execution_id: str, *, actor: str, owner: str | None) -> Any:
        self.made.append((execution_id, actor, owner))
        return lambda event: self.heard.append((execution_id, event))


# Factories


async def test_asks_a_factory_for_a_handler_of_each_execution() -> None:
    factory = Factory()
    assert isinstance(factory, HandlerFactory)
    first, second = EventBus(), EventBus()
    end = first.subscribe_for(factory, "e1", actor="a", owner="ann")
    second.subscribe_for(factory, "e2", actor="b", owner=None)
    await first.publish(Note(n=1))
    await second.publish(Note(n=2))
    end()
    end()
    await first.publish(Note(n=3))
    assert factory.made == [("e1", "a", "ann"), ("e2", "b", None)]
    assert factory.heard == [("e1", Note(n=1)), ("e2", Note(n=2))]


async def test_subscribes_any_other_handler_as_it_is() -> None:
    heard: list[Any] = []
    bus = EventBus()
    end = bus.subscribe_for(heard.append, "e1", actor="a", owner=None)
    await bus.publish(Note())
    end()
    await bus.publish(Note())
    assert heard == [Note()]


def test_refuses_what_is_neither_a_handler_nor_a_factory() -> None:
    with pytest.raises(TypeError, match="An event handler is a callable, got 3"):
        EventBus().subscribe_for(3, "e1", actor="a", owner=None)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize("made", [ValueError("no"), None, "no handler"])
async def test_logs_a_factory_that_makes_no_handler(
    made: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def for_execution(self, execution_id: str, **_: Any) -> Any:
            if isinstance(made, Exception):
                raise made
            return made

        def __repr__(self) -> str:
            return "<Broken>"

    bus = EventBus()
    bus.subscribe_for(Broken(), "e1", actor="a", owner=None)()
    await bus.publish(Note())
    assert [(r.levelno, r.getMessage()) for r in caplog.records] == [
        (
            logging.ERROR,
            "<Broken> made no handler for execution 'e1', which runs without it.",
        )
    ]


# A publish that nobody awaits


async def test_is_warned_of_by_name_where_something_waits() -> None:
    bus = EventBus()
    full = asyncio.Event()

    def hold(event: Any) -> Any:
        return asyncio.ensure_future(full.wait())

    bus.subscribe(hold)
    with pytest.warns(RuntimeWarning, match="'EventBus.publish' was never awaited"):
        bus.publish(Note())
        gc.collect()
    full.set()


async def test_says_nothing_where_nothing_waits() -> None:
    bus = EventBus()
    bus.subscribe(lambda event: None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bus.publish(Note())
        gc.collect()


async def test_is_a_coroutine_that_a_task_takes_wherever_it_comes_from() -> None:
    bus = EventBus()
    heard: list[int] = []
    bus.subscribe(lambda note: heard.append(note.n))
    await asyncio.create_task(bus.publish(Note(n=1)))  # type: ignore[arg-type]  # it is one
    bus.subscribe(lambda note: asyncio.sleep(0))
    await asyncio.create_task(bus.publish(Note(n=2)))  # type: ignore[arg-type]  # it is one

    async def on_another_loop() -> None:
        await asyncio.create_task(bus.publish(Note(n=3)))  # type: ignore[arg-type]  # it is one

    await asyncio.to_thread(asyncio.run, on_another_loop())
    assert heard == [1, 2, 3]
