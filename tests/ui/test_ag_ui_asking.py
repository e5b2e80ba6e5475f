"""What the clients of AG-UI make of a run that asks, against real servers."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any, TypeAlias

import httpx
import pytest
import pytest_asyncio

from tests.proxy import Cut, Proxy
from tests.servers import Server
from tests.ui.ag_ui import KINDS, Client, Clients, Shown, clients
from tests.ui.test_ag_ui_clients import TEXTS, texts_of

# One event loop for all of them, since the script in Node.js lives in one.
pytestmark = [
    pytest.mark.server,
    pytest.mark.node,
    pytest.mark.asyncio(loop_scope="module"),
]

APP = "tests.ui.ag_ui_apps:app"

every_kind = pytest.mark.parametrize("kind", KINDS)

Serve: TypeAlias = Callable[[], Server]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Clients]:
    async with clients() as opened:
        yield opened


@pytest.fixture(scope="module")
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:
        server = stack.enter_context(Server(APP, "uvicorn"))
        yield lambda: server


def asks(shown: Shown) -> list[str]:
    """What a client is asked."""
    return [interrupt["message"] for interrupt in shown.told["interrupts"]]


async def asked(client: Client, id: str, text: str = "ask") -> Shown:
    """Run until it asks."""
    await client.do("run", run=id, text=text)
    shown = await client.do("end")
    assert shown.error is None
    return shown


async def answered(client: Client, id: str, *payloads: Any) -> Shown:
    """Answer, and run until it ends or asks again."""
    await client.do("answer", run=id, payloads=payloads)
    return await client.do("end")


@every_kind
@pytest.mark.parametrize("is_reloaded", [False, True])
async def test_answers_at_once_and_after_a_reload(
    kind: str, is_reloaded: bool, id: str, node: Clients, server: Server
) -> None:
    client = await node.open(kind, server, id)
    before = await asked(client, id)
    if is_reloaded:
        client = await node.open(kind, server, id)
        await client.do("attach")
        await client.do("seen", text="I have to ask.")
        before = await client.do("end")

    after = await answered(client, f"{id}-2", True)

    assert asks(before) == ["Book it?"]
    assert texts_of(before)[-1] == "I have to ask."
    assert (after.error, asks(after)) == (None, [])
    assert texts_of(after) == ["I have to ask.", "True. ", *TEXTS]
    if kind == "agent":
        assert (before.told["outcome"], after.told["outcome"]) == (
            "interrupt",
            "success",
        )
        fresh = await node.open(kind, server, id)
        await fresh.do("attach")
        assert (await fresh.do("end")).told["messages"] == after.told["messages"]


@every_kind
async def test_answers_one_and_declines_the_other_and_goes_on_talking(
    kind: str, id: str, node: Clients, server: Server
) -> None:
    client = await node.open(kind, server, id)

    before = await asked(client, id, "ask both")
    after = await answered(client, f"{id}-2", None, "Ann")
    await client.do("run", run=f"{id}-3", text="Hi")
    more = await client.do("end")

    assert asks(before) == ["Book it?", "Who goes?"]
    said = texts_of(after)
    assert said[1] == "Question 1 was declined: Book it?. Ann. "
    assert (after.error, more.error, asks(more)) == (None, None, [])
    assert texts_of(more) == said + TEXTS


@every_kind
async def test_goes_on_with_the_answer_of_a_second_tab(
    kind: str, id: str, node: Clients, server: Server, http: httpx.AsyncClient
) -> None:
    first, second = [await node.open(kind, server, id) for _ in range(2)]
    before = await asked(first, id)
    await second.do("attach")
    await second.do("seen", text="I have to ask.")
    assert asks(await second.do("end")) == ["Book it?"]
    execution = before.execution

    faster = await answered(second, f"{id}-2", False)
    slower = await answered(first, f"{id}-3", True)
    about = (await http.get(f"{server.url}/executions/{execution}/inputs/1")).json()

    assert about["answer"]["action"] == "accept"
    assert (faster.error, slower.error) == (None, None)
    assert texts_of(faster) == texts_of(slower)
    assert texts_of(slower)[1] == "False. "


@every_kind
async def test_has_all_after_a_cut_at_any_byte_of_the_rest(
    kind: str, id: str, node: Clients, server: Server
) -> None:
    client = await node.open(kind, server, id)
    await asked(client, id)
    async with Proxy(server.port) as proxy:
        await client.do("move", url=f"{proxy.url}/ag-ui")
        uncut = await answered(client, f"{id}-2", True)
        size = proxy.passed
    dice = random.Random(7)
    for place in [0, size - 1, *(dice.randrange(size) for _ in range(2))]:
        thread = f"{id}-{place}"
        client = await node.open(kind, server, thread)
        await asked(client, thread)
        cut = Cut(more=place, abrupt=place % 2 == 1)
        async with Proxy(server.port, [cut]) as proxy:
            await client.do("move", url=f"{proxy.url}/ag-ui")
            shown = await answered(client, f"{thread}-2", True)
            if kind == "agent" and shown.told["outcome"] != "success":
                shown = await answered(client, f"{thread}-2", True)
            resumed = [request.last_event_id for request in proxy.requests]
        if shown.error is not None:
            assert kind == "tanstack" and resumed == [None], cut  # it has no id yet
        else:
            assert shown.messages[1:] == uncut.messages[1:], cut
            assert shown.state == uncut.state
