"""A call that was entered in one context and ended in another."""

import asyncio

from asgi_events import ExecutionEvent, agent, begin, tool
from asgi_events.testing import capture_events


@tool
async def brew() -> None:
    pass


async def test_returns_to_what_ran_before_it() -> None:
    @agent
    async def research() -> None:
        graph = begin("agent", "graph")
        for _ in range(2):
            node = begin("agent", "node", parent=graph, enter=True)
            await brew()
            await asyncio.get_running_loop().create_task(end(node))
            await brew()
        graph.end()
        await brew()

    async def end(call: object) -> None:
        call.end()  # type: ignore[attr-defined]

    with capture_events() as events:
        await research()

    addresses = [e.address for e in events if isinstance(e, ExecutionEvent)]
    assert [each for each in addresses if "brew" in each][::2] == [
        "research/graph/node/brew",
        "research/brew",
        "research/graph/node#2/brew",
        "research/brew#2",
        "research/brew#3",
    ]
