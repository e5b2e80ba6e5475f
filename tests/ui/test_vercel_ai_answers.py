"""Chats of the AI SDK 5, 6 and 7 that answer questions, against a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.proxy import Cut, Proxy
from tests.servers import Server
from tests.ui.ai_sdk import VERSIONS, Shown, Tabs, asked, tabs

# One event loop for all of them, since the script in Node.js lives in one.
pytestmark = [
    pytest.mark.server,
    pytest.mark.node,
    pytest.mark.asyncio(loop_scope="module"),
]

every_version = pytest.mark.parametrize("version", VERSIONS)
approving = pytest.mark.parametrize("version", ["ai6", "ai7"])

Serve = Callable[[], Server]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Tabs]:
    async with tabs() as opened:
        yield opened


@pytest.fixture(scope="module")
def serve() -> Iterator[Serve]:
    with Server("tests.ui.vercel_asking:site", "uvicorn") as server:
        yield lambda: server


def questions(shown: Shown) -> list[str]:
    """The states of the questions of the newest message."""
    parts = shown.messages[-1]["parts"]
    return [part["state"] for part in parts if part.get("toolName") == "ask"]


def approvals(shown: Shown) -> list[dict[str, Any]]:
    """What the page knows of its approvals, without their ids."""
    parts = shown.messages[-1]["parts"]
    found = [part["approval"] for part in parts if "approval" in part]
    return [{k: v for k, v in each.items() if k != "id"} for each in found]


def stands(shown: Shown) -> tuple[Any, ...]:
    """What the page shows when all is over; it has had no error."""
    assert (shown.status, shown.error, shown.is_closed) == ("ready", None, True)
    return questions(shown), shown.texts, len(shown.messages)


SAID = ["Well. ", "Look at A. "]


@approving
async def test_goes_on_when_it_is_approved(
    version: str, id: str, node: Tabs, server: Server
) -> None:
    chat = await node.open(version, server, id)

    shown = await chat.do("send", text="one")
    end = await chat.do("approve", n=1, approved=True)

    assert (shown.status, questions(shown)) == ("ready", ["approval-requested"])
    assert (shown.texts, shown.end["finishReason"]) == (SAID, "tool-calls")
    assert stands(end) == (["output-available"], [*SAID, "So: True."], 2)
    assert end.asks == ["user", "assistant"]
    assert end.end["finishReason"] == "stop"


@approving
async def test_goes_on_when_it_is_denied_with_a_reason(
    version: str, id: str, node: Tabs, server: Server
) -> None:
    chat = await node.open(version, server, id)

    await chat.do("send", text="one")
    end = await chat.do("approve", n=1, approved=False, reason="too early")

    assert stands(end) == (["output-denied"], [*SAID, "So: declined."], 2)
    assert approvals(end) == [{"approved": False, "reason": "too early"}]
    assert end.asks == ["user", "assistant"]


@approving
async def test_sends_the_answers_to_two_questions_together(
    version: str, id: str, node: Tabs, server: Server
) -> None:
    chat = await node.open(version, server, id)

    shown = await chat.do("send", text="two")
    one = await chat.do("approve", n=2, approved=False)
    end = await chat.do("approve", n=1, approved=True)

    assert questions(shown) == ["approval-requested"] * 2
    assert questions(one) == ["approval-requested", "approval-responded"]
    assert end.texts[-1] == "So: True, declined."
    assert stands(end)[0] == ["output-available", "output-denied"]
    assert (one.asks, end.asks) == (["user"], ["user", "assistant"])


@approving
async def test_asks_one_question_after_the_other(
    version: str, id: str, node: Tabs, server: Server
) -> None:
    chat = await node.open(version, server, id)

    await chat.do("send", text="twice")
    shown = await chat.do("approve", n=1, approved=True)
    end = await chat.do("approve", n=2, approved=True)

    assert questions(shown) == ["output-available", "approval-requested"]
    assert end.texts == ["Well. ", "Look at A. ", "Look at B. ", "So: True, True."]
    assert end.asks == ["user", "assistant", "assistant"]
    assert stands(end)[0] == ["output-available"] * 2


@every_version
async def test_fills_in_a_form(
    version: str, id: str, node: Tabs, server: Server
) -> None:
    chat = await node.open(version, server, id)

    shown = await chat.do("send", text="form")
    refused = await chat.do("output", n=1, output={"seat": "wing"})
    end = await chat.do("output", n=1, output={"seat": "aisle"})

    assert (shown.status, questions(shown)) == ("ready", ["input-available"])
    assert refused.status == "error" and "seat" in str(refused.error)
    said = ["Well. ", "So: Trip(seat='aisle', bags=0)."]
    assert stands(end) == (["output-available"], said, 2)


@every_version
async def test_declines_a_form(
    version: str, id: str, node: Tabs, server: Server
) -> None:
    chat = await node.open(version, server, id)

    await chat.do("send", text="form")
    end = await chat.do("output", n=1)

    assert stands(end) == (["output-error"], ["Well. ", "So: declined."], 2)
    assert end.asks == ["user", "assistant"]


async def test_asks_version_5_for_yes_or_no_as_for_anything_else(
    id: str, node: Tabs, server: Server
) -> None:
    chat = await node.open("ai5", f"{server.url}/old", id)

    shown = await chat.do("send", text="two")
    one = await chat.do("output", n=1, output=True)
    end = await chat.do("output", n=2)

    assert questions(shown) == ["input-available"] * 2
    assert one.asks == ["user"]
    assert end.texts[-1] == "So: True, declined."
    assert stands(end)[0] == ["output-available", "output-error"]


async def input_of(shown: Shown, server: Server) -> str:
    """The URL of the first question of the newest message."""
    execution = shown.messages[-1]["metadata"]["execution"]
    return f"{server.url}/events/executions/{execution}/inputs/1"


@approving
async def test_shows_what_stands_if_another_answer_was_first(
    version: str, id: str, node: Tabs, server: Server, http: httpx.AsyncClient
) -> None:
    chat = await node.open(version, server, id)
    shown = await chat.do("send", text="one")

    url = await input_of(shown, server)
    answer = await http.post(url, json={"action": "decline"})
    end = await chat.do("approve", n=1, approved=True)

    assert answer.status_code == 201
    assert stands(end) == (["output-denied"], [*SAID, "So: declined."], 2)
    assert end.asks == ["user", "assistant"]


@approving
async def test_shows_that_it_has_expired(
    version: str, id: str, node: Tabs, server: Server, http: httpx.AsyncClient
) -> None:
    chat = await node.open(version, server, id)
    shown = await chat.do("send", text="soon")
    url = (await input_of(shown, server)).partition("/inputs")[0]
    while (await http.get(url)).json()["status"] == "started":
        pass

    end = await chat.do("approve", n=1, approved=True)

    assert stands(end) == (["output-error"], [*SAID, "So: expired."], 2)


@approving
async def test_asks_again_after_a_reload_and_in_a_second_tab(
    version: str, id: str, node: Tabs, server: Server
) -> None:
    first = await node.open(version, server, id)
    shown = await first.do("send", text="one")
    tabs = [
        await node.open(version, server, id, messages=asked(shown)),
        await node.open(version, server, id, messages=shown.messages),
        await node.open(version, server, id),
    ]

    again = [await tab.do("resume") for tab in tabs]
    end = await tabs[0].do("approve", n=1, approved=True)
    late = await first.do("approve", n=1, approved=False)
    after = [await tab.do("resume") for tab in tabs[1:]]

    for each in again:
        assert each.messages[-1] == shown.messages[-1]
        assert each.status == "ready"
    assert stands(end) == (["output-available"], [*SAID, "So: True."], 2)
    assert [stands(each)[:2] for each in (late, *after)] == [stands(end)[:2]] * 3


@approving
async def test_answers_again_if_the_response_was_lost(
    version: str, id: str, node: Tabs, server: Server
) -> None:
    async with Proxy(server.port) as proxy:
        chat = await node.open(version, proxy.url, id)
        await chat.do("send", text="one")
        proxy.cut_next(Cut())
        broken = await chat.do("approve", n=1, approved=True)

        end = await chat.do("repeat")

    assert broken.status == "error"
    assert stands(end) == (["output-available"], [*SAID, "So: True."], 2)


@approving
async def test_shows_the_same_after_a_cut_at_any_byte_of_an_answer(
    version: str, id: str, node: Tabs, server: Server
) -> None:
    async def answered(name: str, cut: Cut) -> tuple[int, Shown]:
        """What is shown in the end, and how many bytes the answer had."""
        async with Proxy(server.port) as proxy:
            chat = await node.open(version, proxy.url, f"{id}-{name}")
            await chat.do("send", text="one")
            before = proxy.passed
            proxy.cut_next(cut)
            shown = await chat.do("approve", n=1, approved=True)
            if shown.status == "error":
                shown = await chat.do("resume")
            return proxy.passed - before, shown

    size, expected = await answered("whole", Cut(more=10**9))

    for place in [1, *range(50, size, size // 7), size - 1]:
        cut = Cut(more=place, abrupt=place % 2 == 1)
        _, shown = await answered(f"{place}", cut)
        assert stands(shown) == stands(expected), cut
