"""``useChat({ resume: true })`` of the AI SDK 5, 6 and 7 in Chromium."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.browsers import chromium
from tests.clients.node import HERE, node
from tests.proxy import Cut, Proxy
from tests.servers import TIMEOUT, Server, watched
from tests.ui.ai_sdk import VERSIONS, normal

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page

pytestmark = [
    pytest.mark.server,
    pytest.mark.node,
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="module"),
]

SAID = ["Let me look.", "I know. ", "That is all.", "It is warm \u2028 in Bonn."]

every_version = pytest.mark.parametrize("version", VERSIONS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables of a server that has the pages."""
    pages = tmp_path_factory.mktemp("pages")
    path = f"{Path(node()).parent}:{os.environ['PATH']}"
    for version in VERSIONS:
        command = [
            str(HERE / "node_modules/.bin/esbuild"),
            str(HERE / "ai-sdk-page.jsx"),
            "--bundle",
            "--jsx=automatic",
            f"--alias:ai-sdk=ai{version[-1]}",
            f"--alias:ai-sdk-react=ai-sdk-react{version[-1]}",
            '--define:process.env.NODE_ENV="development"',
            f"--outfile={pages}/{version}.js",
            "--log-level=warning",
        ]
        subprocess.run(command, check=True, cwd=HERE, env={"PATH": path})
    return {"PAGES": str(pages)}


@pytest.fixture(scope="module")
def site(pages: dict[str, str]) -> Iterator[Server]:
    with Server("tests.ui.vercel_apps:site", "uvicorn", env=pages) as server:
        yield server


@pytest.fixture(scope="module")
def asking(pages: dict[str, str]) -> Iterator[Server]:
    with Server("tests.ui.vercel_asking:site", "uvicorn", env=pages) as server:
        yield server


@pytest.fixture
def server(site: Server) -> Iterator[Server]:
    with watched(site):
        yield site


class Tab:
    """A page with one chat."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def ask(self, text: str = "Bonn", **body: Any) -> None:
        await self.page.evaluate("([text, body]) => { ask(text, body) }", [text, body])

    async def answer(self, question: str, answer: str) -> None:
        """Press a button of a question that is open."""
        group = self.page.get_by_role("group", name=question)
        await group.get_by_role("button", name=answer, disabled=False).click()

    async def until(self, status: str) -> None:
        await self.page.wait_for_function(
            "(status) => document.querySelector('#status').innerText === status",
            arg=status,
        )

    async def until_said(self, text: str) -> None:
        await self.page.wait_for_function(
            "(text) => document.querySelector('ol').innerText.includes(text)", arg=text
        )

    async def messages(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = await self.page.evaluate("chat.messages")
        return messages

    async def texts(self) -> list[str]:
        """The texts of all messages."""
        parts = [part for m in await self.messages() for part in m["parts"]]
        return [part["text"] for part in parts if part["type"] == "text"]


@asynccontextmanager
async def browsing(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A browser of a user of its own; no page may have an error that nobody handles."""
    context = await browser.new_context()
    context.set_default_timeout(3 * TIMEOUT * 1000)
    errors: list[str] = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    try:
        yield context
    finally:
        await context.close()
    assert errors == []


async def open_tab(
    context: BrowserContext,
    url: str,
    version: str,
    id: str,
    *,
    status: str = "ready",
    replay: bool = False,
) -> Tab:
    page = await context.new_page()
    await page.goto(f"{url}/{version}?id={id}{'&replay' if replay else ''}")
    tab = Tab(page)
    await tab.until(status)
    return tab


@pytest.fixture
def id() -> str:
    return secrets.token_hex(8)


@every_version
async def test_shows_the_answer_after_a_reload_and_in_a_second_tab(
    version: str, id: str, browser: Browser, server: Server
) -> None:
    async with browsing(browser) as context:
        first = await open_tab(context, server.url, version, id)
        await first.ask(mode="held")
        await first.until("streaming")
        await first.until_said("I know.")
        await first.page.reload()
        await first.until("streaming")
        second = await open_tab(context, server.url, version, id, status="streaming")
        for tab in (first, second):
            await tab.until_said("I know.")
        await first.page.evaluate("(id) => fetch(`/go/${id}`)", id)
        for tab in (first, second):
            await tab.until("ready")
        texts = [await first.texts(), await second.texts()]
        messages = [normal(await tab.messages()) for tab in (first, second)]

    assert texts == [["Bonn", *SAID]] * 2
    assert messages[0] == messages[1]
    assert [message["role"] for message in messages[0]] == ["user", "assistant"]
    assert messages[0][1]["metadata"]["result"] == {"said": "Bonn"}


@every_version
async def test_stops_in_one_tab_what_another_one_has_started(
    version: str, id: str, browser: Browser, server: Server
) -> None:
    async with browsing(browser) as context:
        first = await open_tab(context, server.url, version, id)
        await first.ask(mode="endless")
        await first.until_said("3 ")
        second = await open_tab(context, server.url, version, id, status="streaming")
        await second.until_said("3 ")

        await second.page.click("#stop")
        await second.until("ready")
        await first.until("ready")

        messages = [await tab.messages() for tab in (first, second)]
        await first.ask()
        await first.until_said(SAID[-1])
        await first.until("ready")

    assert messages[0][1] == messages[1][1]
    assert messages[0][1]["metadata"]["status"] == "cancelled"


@pytest.mark.parametrize(
    ("version", "replay"),
    [("ai5", False), ("ai5", True), ("ai6", False), ("ai6", True), ("ai7", False)],
)
async def test_shows_the_answer_after_the_connection_was_cut(
    version: str, replay: bool, id: str, browser: Browser, server: Server
) -> None:
    async with Proxy(server.port) as proxy, browsing(browser) as context:
        tab = await open_tab(context, proxy.url, version, id, replay=replay)
        proxy.cut_next(Cut(events=9, abrupt=True))
        await tab.ask(mode="held")
        await tab.until("error")
        error = await tab.page.inner_text("#error")
        begun = (await tab.texts())[1:]

        await tab.page.evaluate("(id) => fetch(`/go/${id}`)", id)
        await tab.page.evaluate("() => { chat.resumeStream() }")
        await tab.until_said(SAID[-1])
        await tab.until("ready")
        texts = await tab.texts()

    assert error == "network error"
    # Versions 5 and 6 keep what they have, and add the replay.
    kept = begun if version != "ai7" and not replay else []
    assert texts == ["Bonn", *kept, *SAID]


@pytest.mark.parametrize("version", ["ai6", "ai7"])
async def test_asks_after_a_reload_and_in_a_second_tab_and_takes_one_answer(
    version: str, id: str, browser: Browser, asking: Server
) -> None:
    async with browsing(browser) as context:
        first = await open_tab(context, asking.url, version, id)
        await first.ask("one")
        await first.until_said("Book A?")
        await first.until("ready")
        await first.page.reload()
        second = await open_tab(context, asking.url, version, id)
        for tab in (first, second):
            await tab.until_said("Book A?")
            await tab.until("ready")

        await second.answer("Book A?", "Yes")
        await second.until_said("So: True.")
        await first.answer("Book A?", "No")
        await first.until_said("So: True.")
        for tab in (first, second):
            await tab.until("ready")
        texts = [await tab.texts() for tab in (first, second)]
        open = await first.page.locator("fieldset:enabled").count()
        errors = [await tab.page.inner_text("#error") for tab in (first, second)]

    assert texts == [["one", "Well. ", "Look at A. ", "So: True."]] * 2
    assert (open, errors) == (0, ["", ""])
