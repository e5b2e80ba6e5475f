"""``useExecution`` in a tab that is hidden by another one, or frozen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.servers import Server, watched
from tests.typescript.pages import bundle, site_of
from tests.typescript.tabs import Tab, browser

pytestmark = [pytest.mark.server, pytest.mark.browser, pytest.mark.node]

MANY = 20_000
LOOK = "({drawn: drawn.a, frames, count: seen.a.count, now: performance.now()})"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    bundle("react19", tmp_path)
    with site_of(tmp_path) as server, watched(server):
        yield server


@pytest.fixture
async def tabs(server: Server) -> AsyncIterator[tuple[Tab, Tab]]:
    """The tab of the page, which is in front, and another one."""
    async with browser() as chromium:
        other = await chromium.open("about:blank")
        yield await chromium.open(f"{server.url}/react19"), other


@pytest.fixture
async def http(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
        yield http


async def pour(http: httpx.AsyncClient, tab: Tab) -> str:
    """Start an execution of many events, two seconds long, and show it."""
    given = {"count": MANY, "rate": MANY / 2}
    id: str = (await http.post("/events/pour", json=given)).json()["id"]
    await tab.until("!!window.show")
    await tab.evaluate(f"show([{{name: 'a', id: '{id}'}}])")
    await tab.until("window.seen.a?.count > 0")
    return id


async def test_follows_without_frames_and_is_right_when_it_is_shown(
    tabs: tuple[Tab, Tab], http: httpx.AsyncClient
) -> None:
    tab, other = tabs
    id = await pour(http, tab)
    await other.bring_to_front()
    await tab.until("document.hidden")
    hidden = await tab.evaluate(LOOK)
    await tab.until("seen.a.connection === 'ended'")
    ended = await tab.evaluate(LOOK)

    assert hidden["count"] < ended["count"] == MANY + 3
    assert ended["frames"] <= hidden["frames"] + 1
    seconds = (ended["now"] - hidden["now"]) / 1000
    assert 0 < ended["drawn"] - hidden["drawn"] <= seconds + 1
    await tab.bring_to_front()
    text = "document.querySelector('p').innerText.trim().endsWith"
    assert await tab.evaluate(f"{text}(' {MANY - 1}')")
    assert (await http.get(f"/streams/{id}")).json() == {"begun": [None], "open": 0}


async def test_catches_up_after_it_was_frozen(
    tabs: tuple[Tab, Tab], http: httpx.AsyncClient
) -> None:
    tab, other = tabs
    id = await pour(http, tab)
    await other.bring_to_front()
    await tab.until("document.hidden")
    await tab.become("frozen")
    frozen = await tab.evaluate(LOOK)
    await http.get(f"/events/executions/{id}/events")  # until its end
    still = await tab.evaluate(LOOK)
    await tab.become("active")
    await tab.bring_to_front()
    await tab.until("seen.a.connection === 'ended'")

    assert (still["drawn"], still["frames"]) == (frozen["drawn"], frozen["frames"])
    assert (await tab.evaluate(LOOK))["count"] == MANY + 3
    begun = (await http.get(f"/streams/{id}")).json()["begun"]
    assert [last and last.partition(":")[0] for last in begun] == [None, None, id]
