"""The clients of AG-UI against real servers, with connections that break."""

from __future__ import annotations

import asyncio
import json
import random
import re
import secrets
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import httpx
import pytest
import pytest_asyncio

from tests.proxy import Cut, Proxy
from tests.servers import TIMEOUT, Server, watched
from tests.ui.ag_ui import KINDS, Clients, Shown, clients, url
from tests.valkey import Valkey

# One event loop for all of them, since the script in Node.js lives in one.
pytestmark = [
    pytest.mark.server,
    pytest.mark.node,
    pytest.mark.asyncio(loop_scope="module"),
]

APP = "tests.ui.ag_ui_apps:app"
TEXTS = ["Let me look.", "I know. That is all.", "It is warm \u2028 there."]

every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Clients]:
    async with clients() as opened:
        yield opened


Serve: TypeAlias = Callable[..., Server]


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which a file lets the actor go on that has its name as a text."""
    return tmp_path_factory.mktemp("gates")


@pytest.fixture(scope="module")
def serve(gates: Path) -> Iterator[Serve]:
    """Servers that run until the last test of this module."""
    started: dict[tuple[str, str], Server] = {}
    with ExitStack() as stack:

        def start(kind: str = "uvicorn", *, longest: str = "") -> Server:
            if (kind, longest) not in started:
                env = {"MAX_STREAM_DURATION": longest, "GATES": str(gates)}
                server = Server(APP, kind, env=env)
                started[kind, longest] = stack.enter_context(server)
            return started[kind, longest]

        yield start


Uncut: TypeAlias = dict[str, Shown]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def uncut(node: Clients, serve: Serve) -> Uncut:
    """What each client has of a whole run, of which nothing was cut."""
    return {kind: await whole_run(node, kind, serve()) for kind in KINDS}


async def whole_run(node: Clients, kind: str, server: Server | Proxy) -> Shown:
    client = await node.open(kind, server, secrets.token_hex(8))
    await client.do("run", run=secrets.token_hex(8), text="Hi")
    return await client.do("end")


def texts_of(shown: Shown) -> list[str]:
    """What the assistant has said."""
    made = []
    for message in shown.messages[1:]:
        if message["role"] == "assistant":
            made.append(message.get("content"))
            parts = message.get("parts", [])
            made += [part["content"] for part in parts if part["type"] == "text"]
    return [text for text in made if text]


def same(shown: Shown, uncut: Shown) -> bool:
    """Whether a client has no more and no less than after a run that was not cut."""
    return (shown.error, shown.messages, shown.state) == (
        None,
        [uncut.messages[0] | shown.messages[0], *uncut.messages[1:]],
        uncut.state,
    )


@every_kind
@pytest.mark.parametrize("runs_on", ["uvicorn", "hypercorn"])
async def test_has_a_whole_run(
    kind: str, runs_on: str, node: Clients, serve: Serve, uncut: Uncut
) -> None:
    shown = await whole_run(node, kind, serve(runs_on))

    assert shown.error is None
    assert texts_of(shown) == TEXTS
    assert shown.state == ({"looked": ["Bonn"]} if kind == "agent" else None)
    assert same(shown, uncut[kind])
    assert "outcome" not in shown.told or shown.told["outcome"] == "success"


def places(size: int, count: int) -> list[int]:
    """Some bytes of an answer where it is cut: its ends, and any."""
    dice = random.Random(count)
    return [0, 1, size - 1, *(dice.randrange(size) for _ in range(count - 3))]


async def size_of(node: Clients, kind: str, server: Server) -> int:
    async with Proxy(server.port) as proxy:
        await whole_run(node, kind, proxy)
        return proxy.passed


async def test_resumes_by_itself_after_a_cut_at_any_byte(
    node: Clients, server: Server, uncut: Uncut
) -> None:
    begins = 0
    for place in places(await size_of(node, "tanstack", server), count=24):
        cut = Cut(more=place, abrupt=place % 2 == 1)
        async with Proxy(server.port, [cut]) as proxy:
            shown = await whole_run(node, "tanstack", proxy)
            requests = proxy.requests
        if shown.error is None:
            assert same(shown, uncut["tanstack"]), cut
            assert shown.told["custom"] == uncut["tanstack"].told["custom"], cut
        else:  # it had not read an id yet, so it does not come back
            begins += 1
            assert [r.last_event_id for r in requests] == [None], cut
    assert 2 <= begins <= 6


async def test_has_the_same_when_it_runs_again_after_a_cut_at_any_byte(
    node: Clients, server: Server, uncut: Uncut
) -> None:
    for place in places(await size_of(node, "agent", server), count=16):
        thread, run = secrets.token_hex(8), secrets.token_hex(8)
        cut = Cut(more=place, abrupt=place % 2 == 1)
        async with Proxy(server.port, [cut]) as proxy:
            first = await node.open("agent", proxy, thread)
            await first.do("run", run=run, text="Hi")
            broken = await first.do("end")
            await first.do("run", run=run)
            again = await first.do("end")
            fresh = await node.open("agent", proxy, thread)
            await fresh.do("run", run=run)
            other = await fresh.do("end")

        # The end of the run may have come, and only the end of the body not.
        assert broken.error or same(broken, uncut["agent"])
        assert same(again, uncut["agent"]), cut
        assert same(other, uncut["agent"]), cut
        assert again.told["messages"] == other.told["messages"]


@every_kind
async def test_shows_all_after_a_reload_and_in_a_second_tab(
    kind: str,
    id: str,
    node: Clients,
    server: Server,
    gates: Path,
    uncut: Uncut,
) -> None:
    first = await node.open(kind, server, id)
    await first.do("run", run=id, text=f"held-{id}")
    await first.do("seen", text="Let me")
    reloaded = await node.open(kind, server, id)
    await reloaded.do("attach")
    await reloaded.do("seen", text="I know.")
    await first.do("leave")
    late = await node.open(kind, server, id)
    await late.do("attach")
    await late.do("seen", text="I know.")
    (gates / f"held-{id}").touch()

    shown = [await reloaded.do("end"), await late.do("end")]

    for each in shown:
        assert each.error is None
        assert each.messages[1:] == uncut[kind].messages[1:]
        assert each.state == uncut[kind].state
        assert each.execution == shown[0].execution


@every_kind
async def test_shows_the_messages_of_a_thread_that_has_ended(
    kind: str, id: str, node: Clients, server: Server
) -> None:
    first = await node.open(kind, server, id)
    for run in ("1", "2"):
        await first.do("run", run=id + run, text="Hi")
        ended = await first.do("end")
    reloaded = await node.open(kind, server, id)

    await reloaded.do("attach")
    await reloaded.do("seen", text="warm")
    shown = await reloaded.do("end")

    assert texts_of(shown) == texts_of(ended) == TEXTS * 2
    if kind == "agent":
        assert shown.told["messages"] == ended.told["messages"]


@every_kind
async def test_stops_the_actor_and_shows_that_in_every_tab(
    kind: str, id: str, node: Clients, server: Server, http: httpx.AsyncClient
) -> None:
    first, second = [await node.open(kind, server, id) for _ in range(2)]
    await first.do("run", run=id, text="endless")
    run = (await first.do("seen", text="3 ")).run
    await second.do("attach")
    await second.do("seen", text="3 ")
    printed = server.printed()

    asked_at = time.time()
    answer = await http.post(f"{url(server)}/{run}/stop")

    stopped_at = re.search(r"stopped at ([\d.]+)", server.output(since=printed))
    assert stopped_at is not None, "the actor runs on after the answer"
    print(f"stopped after {(float(stopped_at[1]) - asked_at) * 1000:.1f} ms")
    assert answer.json()["status"] == "cancelled"
    shown = [await first.do("end"), await second.do("end")]
    for each in shown:
        assert each.error is None
        assert each.told.get("outcome", "cancelled") == "cancelled"
        assert "3 " in texts_of(each)[0]
    await first.do("run", run=f"{id}-2", text="Hi")
    after = await first.do("end")
    assert (after.error, texts_of(after)[1:]) == (None, TEXTS)


@every_kind
async def test_goes_on_when_only_the_page_stops(
    kind: str,
    id: str,
    node: Clients,
    server: Server,
    gates: Path,
    uncut: Uncut,
) -> None:
    first = await node.open(kind, server, id)
    await first.do("run", run=id, text=f"held-{id}")
    await first.do("seen", text="Let me")
    await first.do("leave")

    other = await node.open(kind, server, id)
    await other.do("attach")
    await other.do("seen", text="I know.")
    (gates / f"held-{id}").touch()
    shown = await other.do("end")

    assert shown.error is None
    assert shown.messages[1:] == uncut[kind].messages[1:]


@every_kind
async def test_shows_a_failure_and_can_go_on(
    kind: str, id: str, node: Clients, server: Server, uncut: Uncut
) -> None:
    client = await node.open(kind, server, id)

    await client.do("run", run=f"{id}-1", text="fail")
    failed = await client.do("end")
    await client.do("run", run=f"{id}-2", text="Hi")
    after = await client.do("end")

    assert failed.error == "It broke"
    assert failed.messages[1:] == uncut[kind].messages[1:]
    assert (after.error, texts_of(after)) == (None, TEXTS * 2)


@every_kind
async def test_says_that_the_thread_is_busy(
    kind: str, id: str, node: Clients, server: Server, http: httpx.AsyncClient
) -> None:
    first, second = [await node.open(kind, server, id) for _ in range(2)]
    await first.do("run", run=f"{id}-1", text="endless")
    running = await first.do("seen", text="1 ")

    await second.do("run", run=f"{id}-2", text="Hi")
    refused = await second.do("end")
    await http.post(f"{url(server)}/{running.run}/stop")
    await first.do("end")

    assert refused.error is not None and "409" in refused.error
    if kind == "agent":
        assert running.execution in refused.error


@every_kind
@pytest.mark.parametrize("runs_on", ["uvicorn", "hypercorn"])
async def test_takes_no_broken_connection_for_the_end(
    kind: str, runs_on: str, id: str, node: Clients, serve: Serve, uncut: Uncut
) -> None:
    with watched(serve(runs_on, longest="0.1")) as server:
        client = await node.open(kind, server, id)
        await client.do("run", run=id, text="slow")
        shown = [await client.do("end")]
        async with asyncio.timeout(3 * TIMEOUT):
            while shown[-1].error:
                await client.do("run", run=id)
                shown.append(await client.do("end"))

    assert same(shown[-1], uncut[kind])
    if kind == "agent":
        assert len(shown) > 1
    else:
        assert (len(shown), shown[0].told["requests"] > 1) == (1, True)


async def test_is_told_in_words_that_a_run_is_gone(
    id: str, node: Clients, server: Server
) -> None:
    with Server(APP, "uvicorn") as other:
        client = await node.open("tanstack", other, id)
        await client.do("run", text="endless")
        await client.do("seen", text="1 ")
        await client.do("move", url=url(server))
        other.signal(signal.SIGKILL)
        shown = await client.do("end")
    run = shown.run
    assert shown.error == (
        f"Run {run!r} is over, and its events are not kept any more."
    )


async def test_is_watched_in_three_formats_at_once(
    id: str,
    node: Clients,
    server: Server,
    gates: Path,
    http: httpx.AsyncClient,
    uncut: Uncut,
) -> None:
    agent = await node.open("agent", server, id)
    await agent.do("run", run=id, text=f"held-{id}")
    begun = await agent.do("seen", text="I know.")
    tanstack = await node.open("tanstack", server, id)
    await tanstack.do("attach")
    await tanstack.do("seen", text="I know.")
    watching = asyncio.gather(
        http.get(f"{server.url}/executions/{begun.execution}/events"),
        http.get(f"{server.url}/api/chat/{id}/stream"),
    )
    (gates / f"held-{id}").touch()
    native, ai_sdk = await watching
    shown = {"agent": await agent.do("end"), "tanstack": await tanstack.do("end")}

    for kind, each in shown.items():
        assert each.messages[1:] == uncut[kind].messages[1:]
    deltas = [
        json.loads(line[6:])
        for line in native.text.split("\n")
        if '"event_type":"text_delta"' in line
    ]
    by_call: dict[str, str] = {}
    for each in deltas:
        by_call[each["address"]] = by_call.get(each["address"], "") + each["delta"]
    assert list(by_call.values()) == TEXTS
    assert "".join(re.findall(r'"delta":"(.*?)"', ai_sdk.text)).endswith("there.")
    assert "[DONE]" in ai_sdk.text


@pytest.fixture(params=["sqlite", "valkey"])
def three(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    gates: Path,
) -> Iterator[list[Server]]:
    """Three processes on one store."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            store = f"sqlite:///{tmp_path_factory.mktemp('store')}/events.db"
        else:
            store = stack.enter_context(Valkey()).url
        env = {
            "ASGI_EVENTS_STORE": store,
            "DRAIN_GRACE": "5",
            "GATES": str(gates),
        }
        with ThreadPoolExecutor(3) as pool:
            started = [Server(APP, "uvicorn", env=env) for _ in range(3)]
            yield list(pool.map(stack.enter_context, started))


async def test_goes_on_in_another_process_when_one_is_drained_or_dies(
    three: list[Server], id: str, node: Clients, gates: Path, uncut: Uncut
) -> None:
    drained, killed, kept = three

    # Those that run where it is drained end there, and are seen elsewhere.
    tabs = {kind: await node.open(kind, drained, f"{id}-{kind}") for kind in KINDS}
    for kind, tab in tabs.items():
        await tab.do("run", run=f"{id}-{kind}", text=f"held-{id}")
        await tab.do("seen", text="I know.")
        await tab.do("move", url=url(killed))
    drained.signal(signal.SIGTERM)
    broken = await tabs["agent"].do("end")
    (gates / f"held-{id}").touch()
    await tabs["agent"].do("run", run=f"{id}-agent")
    for kind, tab in tabs.items():
        assert same(await tab.do("end"), uncut[kind])
    assert broken.error is not None

    # Those that run where it is killed are lost.
    for kind, tab in tabs.items():
        await tab.do("run", run=f"{id}-{kind}-2", text="endless")
        await tab.do("seen", text="1 ")
        await tab.do("move", url=url(kept))
    killed.signal(signal.SIGKILL)
    broken = await tabs["agent"].do("end")
    await tabs["agent"].do("run", run=f"{id}-agent-2")
    for tab in tabs.values():
        lost = await tab.do("end")
        assert lost.error == "The process that ran this execution died"
        assert texts_of(lost)[3].startswith("0 1 ")
    assert broken.error not in (None, lost.error)

    for kind, tab in tabs.items():
        await tab.do("run", run=f"{id}-{kind}-3", text="Hi")
        after = await tab.do("end")
        assert after.error is None
        assert texts_of(after)[-3:] == TEXTS
