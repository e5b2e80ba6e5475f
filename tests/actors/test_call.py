"""Calls that are no decorated functions."""

import asyncio
import contextvars
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import BaseModel

from asgi_events import (
    EventBus,
    ExecutionEvent,
    ExecutionState,
    agent,
    begin,
    call,
    current_state,
    tool,
)
from asgi_events.actors import Call
from asgi_events.events import (
    CustomEvent,
    LogEvent,
    ProgressEvent,
    ReasoningDelta,
    StateEvent,
    TextDelta,
    Usage,
)
from asgi_events.exceptions import EventTooLarge
from tests import TIMEOUT
from tests.actors.heard import Boom, Heard, execute, leaf

Body = Callable[[], Awaitable[Any]]


async def run(body: Body, state: ExecutionState) -> Any:
    """Run ``body`` as the actor ``root``."""
    return await execute(agent(name="root")(body), state)


def in_thread(function: Callable[[], None]) -> None:
    """Run ``function`` in a thread that has the context of its caller."""
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(function,))
    thread.start()
    thread.join(TIMEOUT)
    assert not thread.is_alive()


async def test_is_a_call_for_the_length_of_a_block(
    state: ExecutionState, heard: Heard
) -> None:
    async def body() -> None:
        async with call("tool", "search", detail="tea", input={"q": "tea"}) as inner:
            assert current_state() is inner
            await inner.text("T")
            await leaf()
            inner.output(["green"])
            inner.usage(input_tokens=3, output_tokens=5)
        assert current_state().address == "root"

    await run(body, state)
    _, started, text, *_, ended, _ = heard.events
    assert started == ExecutionEvent(
        event_type="tool_call",
        actor="search",
        address="root/search",
        timestamp=started.timestamp,
        detail="tea",
        input={"q": "tea"},
    )
    assert text == TextDelta(address="root/search", delta="T", timestamp=text.timestamp)
    assert ended == started.model_copy(
        update={
            "timestamp": ended.timestamp,
            "execution_status": "completed",
            "execution_time": ended.execution_time,
            "input": None,
            "output": ["green"],
            "usage": Usage(input_tokens=3, output_tokens=5),
        }
    )
    assert heard.calls == [
        ("root", "started"),
        ("root/search", "started"),
        ("root/search/leaf", "started"),
        ("root/search/leaf", "completed"),
        ("root/search", "completed"),
        ("root", "completed"),
    ]


@pytest.mark.parametrize("is_async", [True, False], ids=["async with", "with"])
@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (Boom, "failed"),
        (SystemExit, "failed"),
        (asyncio.CancelledError, "cancelled"),
        (KeyboardInterrupt, "cancelled"),
    ],
)
async def test_ends_as_its_block_ends(
    state: ExecutionState,
    heard: Heard,
    raised: type[BaseException],
    status: str,
    is_async: bool,
) -> None:
    seen: list[ExecutionState] = []

    async def body() -> None:
        try:
            if is_async:
                async with call("llm", "gpt") as inner:
                    seen.append(inner)
                    raise raised("no")
            with call("llm", "gpt") as inner:
                seen.append(inner)
                raise raised("no")
        except raised:
            assert current_state().address == "root"

    await run(body, state)
    assert heard.calls[1:-1] == [("root/gpt", "started"), ("root/gpt", status)]
    assert heard.events[2].message == ("no" if status == "failed" else None)
    assert seen[0].cancelled is (status == "cancelled")


async def test_publishes_what_callbacks_tell(
    state: ExecutionState, heard: Heard
) -> None:
    async def body() -> None:
        made = begin("llm", "gpt", input={"q": 1})
        assert (made.address, made.is_open) == ("root/gpt", True)
        made.text("a")
        made.reasoning("b")
        made.log("c", level="warning")
        made.progress(1, 2, "d")
        made.custom("e", {"f": None})
        made.snapshot({"step": 1})
        made.publish(TextDelta(address="root", delta="g"))
        made.output(1)
        made.end(output=[2], usage=Usage(output_tokens=1))
        assert not made.is_open

    await run(body, state)
    assert [type(event) for event in heard.said] == [
        TextDelta,
        ReasoningDelta,
        LogEvent,
        ProgressEvent,
        CustomEvent,
        StateEvent,
        TextDelta,
    ]
    assert [event.address for event in heard.said] == ["root/gpt"] * 6 + ["root"]
    ended = heard.events[-2]
    assert (ended.output, ended.usage) == ([2], Usage(output_tokens=1))


ENDS: dict[str, Callable[[Call], None]] = {
    "completed": lambda made: made.end(),
    "failed": lambda made: made.fail(Boom("no")),
    "cancelled": lambda made: made.cancel(),
}


@pytest.mark.parametrize("second", ENDS)
@pytest.mark.parametrize("first", ENDS)
async def test_ends_once(
    state: ExecutionState, heard: Heard, first: str, second: str
) -> None:
    async def body() -> None:
        made = begin("tool", "search")
        ENDS[first](made)
        ENDS[second](made)
        made.text("late")
        made.output("late")

    await run(body, state)
    assert heard.calls[1:-1] == [("root/search", "started"), ("root/search", first)]
    assert heard.said == []


async def test_ends_once_of_many_threads(state: ExecutionState, heard: Heard) -> None:
    made: list[Call] = []
    barrier = threading.Barrier(4)

    def end(n: int) -> None:
        barrier.wait(TIMEOUT)
        for each in made:
            list(ENDS.values())[n % 3](each)

    async def body() -> None:
        made.extend(begin("tool", "search") for _ in range(50))
        await asyncio.gather(*(asyncio.to_thread(end, n) for n in range(4)))

    await run(body, state)
    ends = [address for address, status in heard.calls if status != "started"]
    assert sorted(ends) == sorted(["root", *(each.address for each in made)])


async def test_numbers_the_calls_of_threads_each_once(
    state: ExecutionState, heard: Heard
) -> None:
    barrier = threading.Barrier(4)

    def start() -> None:
        barrier.wait(TIMEOUT)
        for _ in range(100):
            begin("tool", "search").end()

    async def body() -> None:
        await asyncio.gather(*(asyncio.to_thread(start) for _ in range(4)))

    await run(body, state)
    started = [address for address, status in heard.calls if status == "started"]
    assert len(set(started)) == len(started) == 401


async def test_keeps_the_order_of_a_thread_and_does_not_wait_for_the_loop(
    state: ExecutionState, heard: Heard
) -> None:
    def work() -> None:
        made = begin("tool", "search")
        for n in range(20):
            made.text(str(n))
        made.end()

    async def body() -> None:
        in_thread(work)  # which blocks the event loop
        await asyncio.sleep(0)

    await run(body, state)
    assert [event.delta for event in heard.said] == [str(n) for n in range(20)]
    assert heard.calls[1:-1] == [
        ("root/search", "started"),
        ("root/search", "completed"),
    ]


async def test_works_on_another_event_loop(state: ExecutionState, heard: Heard) -> None:
    async def elsewhere() -> None:
        made = begin("tool", "search")
        made.text("a")
        async with call("tool", "inner", parent=made) as inner:
            await inner.text("b")
        made.end()

    async def body() -> None:
        await asyncio.to_thread(asyncio.run, elsewhere())

    await run(body, state)
    assert heard.calls[1:-1] == [
        ("root/search", "started"),
        ("root/search/inner", "started"),
        ("root/search/inner", "completed"),
        ("root/search", "completed"),
    ]
    assert [event.delta for event in heard.said] == ["a", "b"]


async def test_nests_under_what_was_entered_until_that_ends(
    state: ExecutionState, heard: Heard
) -> None:
    async def body() -> None:
        outer = begin("agent", "outer", enter=True)
        inner = begin("agent", "inner", enter=True)
        await leaf()
        outer.end()  # before the inner one
        await leaf()
        inner.end()
        await leaf()

    await run(body, state)
    leaves = [a for a, status in heard.calls if "leaf" in a and status == "started"]
    assert leaves == ["root/outer/inner/leaf", "root/outer/inner/leaf#2", "root/leaf"]


async def test_does_not_nest_under_a_call_that_ended_in_another_context(
    state: ExecutionState, heard: Heard
) -> None:
    async def body() -> None:
        made = begin("agent", "outer", enter=True)
        contextvars.Context().run(made.end)
        await leaf()
        assert current_state().address == "root"

    await run(body, state)
    assert ("root/leaf", "started") in heard.calls


async def test_nests_under_an_explicit_parent(
    state: ExecutionState, heard: Heard
) -> None:
    async def body() -> None:
        first = begin("agent", "first")
        async with call("tool", "other"):
            begin("tool", "search", parent=first).end()
            begin("tool", "search", parent=current_state()).end()
        first.end()

    await run(body, state)
    assert [a for a, status in heard.calls if a.endswith("search")][::2] == [
        "root/first/search",
        "root/other/search",
    ]


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ("openai/gpt 5:mini", "openai-gpt-5-mini"),
        ("a#2", "a-2"),
        ("tab\there", "tab-here"),
        ("", "llm"),
        ("größe", "größe"),
        ("n" * 101, "n" * 100),
    ],
)
async def test_makes_an_address_of_any_name(
    state: ExecutionState, heard: Heard, name: str, segment: str
) -> None:
    async def body() -> None:
        begin("llm", name).end()

    await run(body, state)
    assert heard.events[1].address == f"root/{segment}"
    assert heard.events[1].actor == (name or "llm")


async def test_ends_what_nobody_ended_with_the_execution(
    state: ExecutionState, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        begin("tool", "outer", enter=True)
        begin("llm", "inner")

    await run(body, state)
    assert heard.calls == [
        ("root", "started"),
        ("root/outer", "started"),
        ("root/outer/inner", "started"),
        ("root/outer/inner", "cancelled"),
        ("root/outer", "cancelled"),
        ("root", "completed"),
    ]
    assert [record.getMessage() for record in caplog.records] == [
        f"<{made}> was not ended: it is now, as cancelled."
        for made in ("llm call root/outer/inner", "tool call root/outer")
    ]


async def test_does_not_log_what_a_cancelled_execution_leaves_open(
    state: ExecutionState, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        begin("tool", "search")
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await run(body, state)
    assert heard.calls[1:] == [
        ("root/search", "started"),
        ("root/search", "cancelled"),
        ("root", "cancelled"),
    ]
    assert caplog.records == []


async def test_leaves_the_calls_of_others_open(
    state: ExecutionState, heard: Heard
) -> None:
    """Two actors that run side by side on one state."""
    made: list[Call] = []
    is_over = asyncio.Event()

    async def first() -> None:
        made.append(begin("tool", "search"))
        await is_over.wait()
        made[0].end()

    async def second() -> None:
        pass

    task = asyncio.ensure_future(execute(agent(first), state))
    await heard.until_call("first/search", "started")
    await execute(agent(second), state)
    assert made[0].is_open
    is_over.set()
    await task
    assert ("first/search", "completed") in heard.calls


async def test_does_nothing_outside_an_execution() -> None:
    made = begin("tool", "search", enter=True)
    assert begin("llm", "gpt") is made  # one for all, so it costs nothing
    made.text("a")
    made.fail(Boom())
    made.end(output=object())
    assert (made.is_open, made.address) == (False, "")
    async with call("tool", "search") as state:
        await state.text("a")
        await state.log("b")
        state.output(object())
        assert await leaf() is None
        with pytest.raises(RuntimeError, match="No actor is running"):
            current_state()
        begin("llm", "gpt", parent=made).end()
        begin("llm", "gpt", parent=state).end()
    with call("tool", "search") as state:
        state.text("a")
    with pytest.raises(Boom):
        async with call("tool", "search"):
            raise Boom


async def test_says_which_kinds_there_are() -> None:
    with pytest.raises(ValueError, match="A call is one of agent, tool, llm, got 'x'"):
        begin("x", "search")  # type: ignore[arg-type]


async def test_makes_one_call_of_a_framework_s_and_the_actor_that_it_calls(
    state: ExecutionState, heard: Heard
) -> None:
    @tool(name="look_up")
    async def search() -> None:
        await leaf()

    async def body() -> None:
        for name in ("look_up", "search"):  # frameworks take the function's name
            async with call("tool", name, adopt=True):
                await search()
                await search()  # the second time it is a call of its own
        async with call("tool", "other", adopt=True):
            await search()
        async with call("agent", "look_up", adopt=True):
            await search()

    await run(body, state)
    assert [a for a, status in heard.calls if status == "started"] == [
        "root",
        "root/look_up",
        "root/look_up/leaf",
        "root/look_up/look_up",
        "root/look_up/look_up/leaf",
        "root/search",
        "root/search/leaf",
        "root/search/look_up",
        "root/search/look_up/leaf",
        "root/other",
        "root/other/look_up",
        "root/other/look_up/leaf",
        "root/look_up#2",
        "root/look_up#2/look_up",
        "root/look_up#2/look_up/leaf",
    ]


async def test_shows_what_an_actor_was_given_and_returned_if_it_is_told_to(
    state: ExecutionState, heard: Heard
) -> None:
    class Shop:
        @tool(show=("input", "output"))
        async def price(self, item: str, *, count: int = 1) -> dict[str, int]:
            return {item: count}

    @tool(show=["output"])
    def total() -> int:
        return 3

    async def body() -> None:
        await Shop().price("tea", count=2)
        await total()
        with pytest.raises(TypeError):
            await Shop().price()  # type: ignore[call-arg]

    await run(body, state)
    assert [(e.address, e.input, e.output) for e in heard.events[1:-1]] == [
        ("root/price", {"item": "tea", "count": 2}, None),
        ("root/price", None, {"tea": 2}),
        ("root/total", None, None),
        ("root/total", None, 3),
        ("root/price#2", None, None),
        ("root/price#2", None, None),
    ]


@pytest.mark.parametrize("show", ["input", ("inputs",), (1,)])
def test_says_what_show_takes(show: Any) -> None:
    with pytest.raises(ValueError, match='show takes a tuple of "input" and "output"'):
        tool(show=show)(lambda: None)


class Bounded:
    """A handler that takes no event with a detail or an output."""

    def __init__(self, bus: EventBus) -> None:
        bus.subscribe(self)

    def __call__(self, event: BaseModel) -> None:
        if isinstance(event, ExecutionEvent) and (event.output or event.detail):
            raise EventTooLarge("ExecutionEvent", 200, 100)


@pytest.mark.parametrize("how", ["begin", "call", "thread"])
async def test_starts_and_ends_without_what_is_too_large(
    state: ExecutionState, how: str
) -> None:
    Bounded(state.event_bus)
    heard = Heard(state)

    def work() -> None:
        begin("tool", "search", detail="d").end(output="o")

    async def body() -> None:
        if how == "begin":
            work()
        elif how == "thread":
            await asyncio.to_thread(work)
        else:
            async with call("tool", "search") as inner:
                inner.output("o")

    await run(body, state)
    assert heard.calls[1:-1] == [
        ("root/search", "started"),
        ("root/search", "completed"),
    ]
    assert "200 bytes" in heard.events[2].message


async def test_does_not_raise_what_the_bus_raises(
    state: ExecutionState, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[Call] = []

    async def body() -> None:
        made.append(begin("tool", "search"))
        state.event_bus.publish_nowait = None  # type: ignore[method-assign,assignment]
        made[0].text("a")
        made[0].end()

    await run(body, state)
    with caplog.at_level(logging.ERROR):
        assert "An event of <tool call root/search> was not published" in caplog.text
