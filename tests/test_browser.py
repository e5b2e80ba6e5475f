"""Chromium's own EventSource, on a page that a real server serves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import pytest_asyncio

from tests.apps import RETRY
from tests.browsers import chromium
from tests.proxy import Cut, Proxy, cuts
from tests.servers import TIMEOUT, Server, watched

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

# One event loop for all of them, since a browser lives in one.
pytestmark = [
    pytest.mark.server,
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="module"),
]

CLOSED = 2  # EventSource.CLOSED


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def site() -> Iterator[Server]:
    with Server("tests.apps:site") as server:
        yield server


@pytest.fixture
def server(site: Server) -> Iterator[Server]:
    with watched(site):
        yield site


@asynccontextmanager
async def page_of(browser: Browser, proxy: Proxy) -> AsyncIterator[Page]:
    """A tab of its own on the page, which comes through the proxy too."""
    context = await browser.new_context()
    context.set_default_timeout(3 * TIMEOUT * 1000)
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.goto(proxy.url)
    try:
        yield page
    finally:
        await context.close()
    assert errors == []


async def start(server: Server, actor: str, **given: Any) -> str:
    """The id of a new execution that nobody watches yet."""
    async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as http:
        answer = await http.post(f"{server.url}/events/{actor}", json=given)
    id: str = answer.json()["id"]
    return id


async def watch(
    page: Page, path: str, *, close: bool, held: Proxy | None = None, upto: int = 0
) -> list[dict[str, str]]:
    """What the EventSource hands to the page until it is closed, and does not return.

    It is closed by the page at the event ``end``, or else by itself. A proxy that holds
    its cut is told of the first events.
    """
    await page.evaluate("([url, close]) => watch(url, { close })", [path, close])
    if held is not None:
        await page.wait_for_function(f"seen.length >= {upto}")
        for _ in range(upto):
            held.count_seen()
    await page.wait_for_function("source.readyState === EventSource.CLOSED")
    # As long as one that reconnects would take: it must not.
    await page.evaluate(f"new Promise((then) => setTimeout(then, {10 * RETRY}))")
    seen: list[dict[str, str]] = await page.evaluate("seen")
    return seen


def path(id: str) -> str:
    return f"/events/executions/{id}/events"


def ids(seen: list[dict[str, str]]) -> list[str]:
    """Those of the unnamed events."""
    return [event["id"] for event in seen if event["event"] == "message"]


def kinds(seen: list[dict[str, str]]) -> list[str]:
    """What each event is, named ones by their name."""
    return [
        event["event"]
        if event["event"] != "message"
        else json.loads(event["data"]).get("event_type", "numbered")
        for event in seen
    ]


def all_ids(id: str, numbered: int) -> list[str]:
    """Those of ``count``: its start, its numbered events, its end, the terminal one."""
    return [f"{id}:{number}" for number in range(1, numbered + 4)]


COMPLETED = ["tool_call", "complete", "end"]


async def test_sees_every_event_once_and_in_order_across_cuts(
    browser: Browser, server: Server
) -> None:
    id = await start(server, "count", to=60, pace=0.004)

    async with Proxy(server.port, cuts(seed=1, count=8)) as proxy:
        async with page_of(browser, proxy) as page:
            seen = await watch(page, path(id), close=True)

    assert ids(seen) == all_ids(id, 60)
    assert kinds(seen) == ["tool_call"] + ["numbered"] * 60 + COMPLETED
    assert (len(proxy.made), proxy.left) == (8, 0)
    assert {"mid-frame", "between"} == set(proxy.made)
    assert len(proxy.requests_for("/events")) == 9, "it came back after the end"


async def test_sees_an_event_again_whose_data_was_cut(
    browser: Browser, server: Server
) -> None:
    id = await start(server, "count", to=5, text="x" * 1000)

    async with Proxy(server.port, [Cut(events=3, more=500, held=True)]) as proxy:
        async with page_of(browser, proxy) as page:
            seen = await watch(page, path(id), close=True, held=proxy, upto=3)

    assert ids(seen) == all_ids(id, 5)
    assert [r.last_event_id for r in proxy.requests_for("/events")] == [None, f"{id}:3"]


async def test_is_told_by_204_to_stop_when_left_alone_at_the_end(
    browser: Browser, server: Server
) -> None:
    id = await start(server, "count", to=5)

    async with Proxy(server.port) as proxy:
        async with page_of(browser, proxy) as page:
            seen = await watch(page, path(id), close=False)
            states = await page.evaluate("states")

    assert ids(seen) == all_ids(id, 5)
    assert kinds(seen) == ["tool_call"] + ["numbered"] * 5 + COMPLETED
    assert [r.last_event_id for r in proxy.requests_for("/events")] == [None, f"{id}:8"]
    assert proxy.statuses[-2:] == [200, 204]
    assert states == [0, CLOSED]


async def test_stops_when_it_is_cut_right_after_the_terminal_event(
    browser: Browser, server: Server
) -> None:
    id = await start(server, "count", to=5)

    async with Proxy(server.port, [Cut(events=8, held=True)]) as proxy:
        async with page_of(browser, proxy) as page:
            seen = await watch(page, path(id), close=True, held=proxy, upto=8)

    assert ids(seen) == all_ids(id, 5)
    assert kinds(seen)[-1] == "complete"
    assert proxy.statuses[-2:] == [200, 204]


async def test_makes_no_message_of_a_heartbeat(
    browser: Browser, server: Server
) -> None:
    id = await start(server, "quiet")

    async with Proxy(server.port) as proxy:
        async with page_of(browser, proxy) as page:
            watching = asyncio.create_task(watch(page, path(id), close=True))
            await proxy.until(b": keep-alive\n", times=3)
            async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as http:
                await http.delete(f"{server.url}/events/executions/{id}")
            seen = await watching

    assert ids(seen) == [f"{id}:{number}" for number in range(1, 5)]
    assert kinds(seen) == ["tool_call", "numbered", "tool_call", "cancelled", "end"]


async def test_is_told_of_a_reset_and_then_everything_for_a_foreign_id(
    browser: Browser, server: Server
) -> None:
    id = await start(server, "count", to=20, pace=0.01)
    foreign = path(id) + "?last_event_id=another:7"

    async with Proxy(server.port, [Cut(events=4, held=True)]) as proxy:
        async with page_of(browser, proxy) as page:
            seen = await watch(page, foreign, close=True, held=proxy, upto=4)

    assert kinds(seen) == ["reset", "tool_call"] + ["numbered"] * 20 + COMPLETED
    assert json.loads(seen[0]["data"]) == {"reason": "foreign", "first": 1}
    assert ids(seen) == all_ids(id, 20)
    assert [r.last_event_id for r in proxy.requests_for("/events")] == [None, f"{id}:3"]


async def test_goes_on_where_a_reloaded_page_says_it_stood(
    browser: Browser, server: Server
) -> None:
    id = await start(server, "count", to=5)
    stood = path(id) + f"?last_event_id={id}:3"

    async with Proxy(server.port, [Cut(events=2, held=True)]) as proxy:
        async with page_of(browser, proxy) as page:
            await page.reload()
            seen = await watch(page, stood, close=True, held=proxy, upto=2)

    assert ids(seen) == all_ids(id, 5)[3:]
    assert [r.last_event_id for r in proxy.requests_for("/events")] == [None, f"{id}:5"]


@pytest.mark.parametrize(
    ("page_at", "server_at"),
    [
        ("evil.example", "127.0.0.1"),
        ("evil.example", "events.example"),  # there no browser says Sec-Fetch-Site
        ("events.example", "www.events.example"),
    ],
)
@pytest.mark.parametrize(
    "send",
    [
        "(url) => fetch(url, { method: 'POST', mode: 'no-cors' })",
        "(url) => fetch(url, { method: 'POST', mode: 'no-cors',"
        " credentials: 'include' })",
        "(url) => navigator.sendBeacon(url)",
    ],
    ids=["fetch", "fetch with cookies", "beacon"],
)
async def test_starts_nothing_for_a_page_of_another_origin(
    browser: Browser, server: Server, page_at: str, server_at: str, send: str
) -> None:
    async with Proxy(server.port) as proxy:
        target = f"http://{server_at}:{proxy.port}/events/quiet"
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(f"http://{page_at}:{server.port}/")
        async with page.expect_response(target) as answered:
            await page.evaluate(send, target)
        refused = (await answered.value).status
        await page.goto(f"http://{server_at}:{proxy.port}/")
        async with page.expect_response(target) as answered:
            await page.evaluate(send, target)
        started = (await answered.value).status
        await context.close()

    assert (refused, started) == (403, 202)


async def test_hands_line_separators_over_unchanged(
    browser: Browser, server: Server
) -> None:
    text = "\u2028 a\u2029b\u0085c\r\nd\re\n\N{PILE OF POO}\0"
    id = await start(server, "count", to=3, text=text)

    async with Proxy(server.port) as proxy:
        async with page_of(browser, proxy) as page:
            seen = await watch(page, path(id), close=True)

    assert [json.loads(event["data"]).get("text") for event in seen] == [
        None,
        *[text] * 3,
        *[None] * 3,
    ]
