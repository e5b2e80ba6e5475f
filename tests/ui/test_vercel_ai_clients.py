"""Chats of the AI SDK 5, 6 and 7 against real servers, with connections that break."""

from __future__ import annotations

import random
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeAlias

import httpx
import pytest
import pytest_asyncio

from tests.proxy import Cut, Proxy
from tests.servers import Server, watched
from tests.ui.ai_sdk import VERSIONS, Shown, Tabs, api, asked, tabs
from tests.valkey import Valkey

# One event loop for all of them, since the script in Node.js lives in one.
pytestmark = [
    pytest.mark.server,
    pytest.mark.node,
    pytest.mark.asyncio(loop_scope="module"),
]

APP = "tests.ui.vercel_apps:site"
ENDLESS = {"mode": "endless"}
HELD = {"mode": "held"}

every_version = pytest.mark.parametrize("version", VERSIONS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Tabs]:
    async with tabs() as opened:
        yield opened


Serve: TypeAlias = Callable[..., Server]


@pytest.fixture(scope="module")
def serve() -> Iterator[Serve]:
    """Servers that run until the last test of this module."""
    started: dict[tuple[str, str], Server] = {}
    with ExitStack() as stack:

        def start(kind: str = "uvicorn", *, longest: str = "") -> Server:
            if (kind, longest) not in started:
                server = Server(APP, kind, env={"MAX_STREAM_DURATION": longest})
                started[kind, longest] = stack.enter_context(server)
            return started[kind, longest]

        yield start


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def uncut(node: Tabs, serve: Serve) -> Shown:
    """What is shown of a whole run, of which nothing was cut."""
    chat = await node.open("ai7", serve(), "uncut")
    return await chat.do("send", text="Bonn")


@every_version
@pytest.mark.parametrize("kind", ["uvicorn", "hypercorn"])
async def test_shows_a_whole_run(
    version: str, kind: str, id: str, node: Tabs, serve: Serve, uncut: Shown
) -> None:
    chat = await node.open(version, serve(kind), id)

    shown = await chat.do("send", text="Bonn")

    assert (shown.status, shown.error) == ("ready", None)
    assert shown.texts == [
        "Let me look.",
        "I know. ",
        "That is all.",
        "It is warm \u2028 in Bonn.",
    ]
    assert shown.end["finishReason"] == "stop"
    assert shown.answers[0]["metadata"] == {
        "status": "completed",
        "result": {"said": "Bonn"},
    }
    assert shown.answers == uncut.answers


def places(seed: str, size: int, count: int) -> list[int]:
    """Some bytes of an answer where it is cut: its ends, and any."""
    dice = random.Random(seed)
    return [0, 1, size - 1, *(dice.randrange(size) for _ in range(count - 3))]


@every_version
async def test_shows_the_same_after_a_cut_at_any_byte(
    version: str, id: str, node: Tabs, server: Server, uncut: Shown
) -> None:
    async with Proxy(server.port, [Cut(events=0, more=10**9)]) as proxy:
        whole = await node.open(version, proxy.url, f"{id}-whole")
        await whole.do("send", text="Bonn")
        size = proxy.passed
    cuts = [
        Cut(more=place, abrupt=place % 2 == 1)
        for place in places(version, size, count=16)
    ]

    for number, cut in enumerate(cuts):
        async with Proxy(server.port, [cut]) as proxy:
            chat = await node.open(version, proxy.url, f"{id}-{number}")
            broken = await chat.do("send", text="Bonn")
            shown = await chat.do("resume")

        whole_run = ("ready", uncut.answers)  # if only the end of the body is cut
        assert broken.status == "error" or (broken.status, broken.answers) == whole_run
        assert (shown.status, shown.answers) == ("ready", uncut.answers), cut
        assert [r.method for r in proxy.requests] == ["POST", "GET"]


async def go(server: Server, id: str, http: httpx.AsyncClient) -> None:
    """Let a chat go on that is held."""
    await http.get(f"{server.url}/go/{id}")


@every_version
async def test_shows_all_after_a_reload_and_in_a_second_tab(
    version: str,
    id: str,
    node: Tabs,
    server: Server,
    http: httpx.AsyncClient,
    uncut: Shown,
) -> None:
    first = await node.open(version, server, id)
    begun = await first.do("begin", text="Bonn", body=HELD)
    await first.do("until", text="I know.")
    reloaded = await node.open(version, server, id, messages=asked(begun))
    fresh = await node.open(version, server, id)
    for tab in (reloaded, fresh):
        await tab.do("begin-resume")
        streaming = await tab.do("until", text="I know.")
        assert streaming.status == "streaming"

    await go(server, id, http)
    shown = [await tab.do("wait") for tab in (first, reloaded, fresh)]

    assert [each.answers for each in shown] == [uncut.answers] * 3
    assert [each.status for each in shown] == ["ready"] * 3
    assert len({each.messages[-1]["id"] for each in shown}) == 1
    assert [len(each.messages) for each in shown] == [2, 2, 1]


@every_version
async def test_shows_the_history_once_when_what_has_just_ended_is_resumed(
    version: str, id: str, node: Tabs, server: Server
) -> None:
    first = await node.open(version, server, id)
    before = await first.do("send", text="Bonn")
    reloaded = await node.open(version, server, id, messages=before.messages)

    after = await reloaded.do("resume")

    assert (after.status, after.messages) == ("ready", before.messages)


@every_version
async def test_stops_the_actor_and_shows_that_in_every_tab(
    version: str, id: str, node: Tabs, server: Server, http: httpx.AsyncClient
) -> None:
    first = await node.open(version, server, id)
    second = await node.open(version, server, id)
    await first.do("begin", text="Bonn", body=ENDLESS)
    await first.do("until", text="3 ")
    await second.do("begin-resume")
    await second.do("until", text="3 ")
    printed = server.printed()

    asked_at = time.time()
    answer = await http.post(f"{api(server)}/{id}/stop")

    stopped_at = re.search(r"stopped at ([\d.]+)", server.output(since=printed))
    assert stopped_at is not None, "the actor runs on after the answer"
    print(f"stopped after {(float(stopped_at[1]) - asked_at) * 1000:.1f} ms")
    shown = [await first.do("wait"), await second.do("wait")]
    assert answer.json() == {"id": shown[0].messages[-1]["id"], "status": "cancelled"}
    for each in shown:
        assert (each.status, each.error, each.is_closed) == ("ready", None, True)
        assert each.answers[0]["metadata"] == {"status": "cancelled"}
    again = await first.do("send", text="Again")
    assert again.status == "ready"
    assert again.texts[-1] == "It is warm \u2028 in Again."


@every_version
async def test_goes_on_when_only_the_page_stops(
    version: str,
    id: str,
    node: Tabs,
    server: Server,
    http: httpx.AsyncClient,
    uncut: Shown,
) -> None:
    chat = await node.open(version, server, id)
    await chat.do("begin", text="Bonn", body=HELD)
    await chat.do("until", text="I know.")
    left = await chat.do("stop")

    await chat.do("begin-resume")
    await go(server, id, http)
    shown = await chat.do("wait")

    assert left.status == "ready"
    assert (shown.status, shown.answers) == ("ready", uncut.answers)


@every_version
async def test_shows_a_failure_and_can_go_on(
    version: str, id: str, node: Tabs, server: Server, uncut: Shown
) -> None:
    chat = await node.open(version, server, id)

    failed = await chat.do("send", text="Bonn", body={"mode": "fail"})
    resumed = await chat.do("resume")
    after = await chat.do("send", text="Bonn")

    for each in (failed, resumed):
        assert (each.status, each.error, each.is_closed) == ("error", "broken", True)
        assert each.answers[0]["parts"] == uncut.answers[0]["parts"]
        assert each.answers[0]["metadata"] == {"status": "failed"}
    assert (after.status, after.error) == ("ready", None)
    assert after.answers[1:] == uncut.answers


@every_version
async def test_puts_another_answer_in_place_of_the_newest(
    version: str, id: str, node: Tabs, server: Server, uncut: Shown
) -> None:
    chat = await node.open(version, server, id)
    failed = await chat.do("send", text="Bonn", body={"mode": "fail"})

    again = await chat.do("regenerate")

    assert failed.status == "error"
    assert (again.status, again.answers) == ("ready", uncut.answers)
    assert [len(each.messages) for each in (failed, again)] == [2, 2]


@every_version
async def test_says_that_the_chat_is_busy(
    version: str, id: str, node: Tabs, server: Server, http: httpx.AsyncClient
) -> None:
    first = await node.open(version, server, id)
    second = await node.open(version, server, id)
    await first.do("begin", text="Bonn", body=ENDLESS)
    running = await first.do("until", text="1 ")

    refused = await second.do("send", text="Bonn")
    await http.post(f"{api(server)}/{id}/stop")
    await first.do("wait")

    assert refused.status == "error"
    assert refused.error is not None and running.messages[-1]["id"] in refused.error


@every_version
@pytest.mark.parametrize("kind", ["uvicorn", "hypercorn"])
async def test_takes_no_broken_connection_for_the_end(
    version: str,
    kind: str,
    id: str,
    node: Tabs,
    serve: Serve,
    http: httpx.AsyncClient,
    uncut: Shown,
) -> None:
    with watched(serve(kind, longest="0.1")) as server:
        chat = await node.open(version, server, id)
        broken = [
            await chat.do("send", text="Bonn", body=HELD),
            await chat.do("resume"),
        ]
        await go(server, id, http)
        shown = await chat.do("resume")
        while shown.status == "error":  # the machine is slow
            shown = await chat.do("resume")

    assert [each.status for each in broken] == ["error", "error"]
    assert all(each.end["isError"] for each in broken)
    assert (shown.status, shown.answers) == ("ready", uncut.answers)


@pytest.fixture(params=["sqlite", "valkey"])
def three(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Server]]:
    """Three processes on one store."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('store')}/events.db"
        else:
            url = stack.enter_context(Valkey()).url
        env = {"ASGI_EVENTS_STORE": url, "DRAIN_GRACE": "5"}
        with ThreadPoolExecutor(3) as pool:
            started = [Server(APP, "uvicorn", env=env) for _ in range(3)]
            yield list(pool.map(stack.enter_context, started))


async def test_goes_on_in_another_process_when_one_is_drained_or_dies(
    three: list[Server], id: str, node: Tabs, http: httpx.AsyncClient, uncut: Shown
) -> None:
    drained, killed, kept = three

    # Those that run where it is drained end there, and are seen elsewhere.
    chats = [await node.open(v, drained, f"{id}-drained-{v}") for v in VERSIONS]
    for chat in chats:
        await chat.do("begin", text="Bonn", body={"mode": "drained", "pace": 0.03})
        await chat.do("until", text="I know.")
    drained.signal(signal.SIGTERM)
    broken = [await chat.do("wait") for chat in chats]
    resumed = [await chat.do("resume", api=api(killed)) for chat in chats]
    assert [each.status for each in broken] == ["error"] * 3
    assert [each.answers for each in resumed] == [uncut.answers] * 3
    assert [each.status for each in resumed] == ["ready"] * 3

    # Those that run where it is killed are lost. The others are only watched there.
    lost = [await node.open(v, killed, f"{id}-lost-{v}") for v in VERSIONS]
    chats = [await node.open(v, kept, f"{id}-kept-{v}") for v in VERSIONS]
    tabs = [await node.open(v, killed, f"{id}-kept-{v}") for v in VERSIONS]
    for chat in lost:
        await chat.do("begin", text="Bonn", body=ENDLESS)
        await chat.do("until", text="1 ")
    for chat, tab in zip(chats, tabs, strict=True):
        await chat.do("begin", text="Bonn", body=HELD)
        await chat.do("until", text="I know.")
        await tab.do("begin-resume")
        await tab.do("until", text="I know.")
    killed.signal(signal.SIGKILL)
    broken = [await chat.do("wait") for chat in [*lost, *tabs]]
    for version in VERSIONS:
        await go(kept, f"{id}-kept-{version}", http)
    resumed = [await tab.do("resume", api=api(kept)) for tab in tabs]
    told = [await chat.do("resume", api=api(kept)) for chat in lost]
    after = [await chat.do("send", text="Bonn") for chat in lost]

    assert [each.status for each in broken] == ["error"] * 6
    assert [each.answers for each in resumed] == [uncut.answers] * 3
    assert [(await chat.do("wait")).answers for chat in chats] == [uncut.answers] * 3
    for each in told:
        assert (each.status, each.is_closed) == ("error", True)
        assert each.error == "The process that ran this execution died"
        assert each.texts[0].startswith("0 1 ")
        assert each.answers[0]["metadata"] == {"status": "lost"}
    assert [each.answers[1:] for each in after] == [uncut.answers] * 3
