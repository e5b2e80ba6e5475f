"""The chat of CopilotKit in Chromium, which has an AG-UI client from before 1.0.

It talks to the endpoint itself: no runtime server and no cloud.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import pytest_asyncio

from tests.browsers import chromium
from tests.proxy import Cut, Proxy
from tests.servers import TIMEOUT, Server, require, watched
from tests.ui.ag_ui import url

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

# One event loop for all of them, since a browser lives in one.
pytestmark = [
    pytest.mark.server,
    pytest.mark.browser,
    pytest.mark.node,
    pytest.mark.asyncio(loop_scope="module"),
]

KIT = Path(__file__).parents[1] / "clients" / "copilotkit"
# It loads what it needs: all of CopilotKit are 16 MB.
BUILD = [
    "--bundle",
    "--splitting",
    "--format=esm",
    "--jsx=automatic",
    "--loader:.css=empty",
    "--minify",
    '--define:process.env.NODE_ENV="production"',
]
TEXTS = ["Let me look.", "I know. That is all.", "It is warm \u2028 there."]
ENDED = "() => window.agent.messages.length > 5 && !window.agent.isRunning"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


def built() -> Path:
    """The folder of the page's scripts, which are built once for each change."""
    modules = KIT / "node_modules"
    require(
        (modules / ".package-lock.json").exists(),
        "CopilotKit is not installed (npm ci --prefix tests/clients/copilotkit)",
    )
    sources = [KIT / "page.jsx", KIT / "package-lock.json", Path(__file__)]
    version = hashlib.sha256(b"".join(s.read_bytes() for s in sources)).hexdigest()
    folder = modules / ".cache" / f"page-{version[:16]}"
    if not folder.exists():
        folder.parent.mkdir(exist_ok=True)
        made = tempfile.mkdtemp(dir=folder.parent)
        build = [modules / ".bin" / "esbuild", "page.jsx", *BUILD, f"--outdir={made}"]
        subprocess.run(build, cwd=KIT, check=True, capture_output=True, timeout=60)
        with suppress(OSError):  # another process has built it too
            Path(made).rename(folder)
    return folder


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which a file lets the actor go on that has its name as a text."""
    return tmp_path_factory.mktemp("gates")


@pytest.fixture(scope="module")
def site(gates: Path) -> Iterator[Server]:
    """A server with a page of CopilotKit from npm."""
    env = {"PAGE": str(built()), "GATES": str(gates)}
    with Server("tests.ui.ag_ui_apps:app", "uvicorn", env=env) as server:
        yield server


@pytest.fixture
def server(site: Server) -> Iterator[Server]:
    with watched(site):
        yield site


@pytest.fixture
def thread() -> str:
    return secrets.token_hex(8)


class Tab:
    """A page with the chat of a thread."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def say(self, text: str) -> None:
        await self.page.fill("textarea", text)
        await self.page.keyboard.press("Enter")

    async def until_seen(self, text: str) -> None:
        await self.page.wait_for_selector(f"text={text}")

    async def until_ended(self) -> None:
        await self.page.wait_for_function(ENDED)

    async def answer(self, question: str, button: str) -> None:
        """Press a button of a question, which is gone then."""
        form = self.page.locator("fieldset", has_text=question)
        await form.get_by_role("button", name=button).click()

    async def messages(self) -> list[dict[str, Any]]:
        """What the agent has of the assistant."""
        found = await self.page.evaluate("window.agent.messages")
        return [message for message in found if message["role"] != "user"]

    async def texts(self) -> list[str]:
        made = await self.messages()
        contents = [m.get("content") for m in made if m["role"] == "assistant"]
        return [content for content in contents if content]

    async def errors(self) -> list[str]:
        """What CopilotKit has told the application."""
        errors: list[str] = await self.page.evaluate("window.errors")
        return errors


@asynccontextmanager
async def tab_of(
    browser: Browser, server: Server | Proxy, thread: str, *, errors: Sequence[str] = ()
) -> AsyncIterator[Tab]:
    """A tab of its own, in which only ``errors`` may be that nobody handles."""
    context = await browser.new_context()
    context.set_default_timeout(3 * TIMEOUT * 1000)
    page = await context.new_page()
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    try:
        await page.goto(f"{server.url}/page?thread={thread}")
        await page.wait_for_selector("textarea")
        yield Tab(page)
    finally:
        await context.close()
    assert set(failures) <= set(errors)


async def test_shows_a_run_and_shows_it_again_after_a_reload(
    browser: Browser, server: Server, thread: str
) -> None:
    async with tab_of(browser, server, thread) as tab:
        await tab.say("Hi")
        await tab.until_ended()
        before = await tab.messages()
        for text in ("Let me look.", "I know. That is all.", "They want to know."):
            await tab.until_seen(text)
        await tab.page.reload()
        await tab.until_ended()
        after, shown, errors = (
            await tab.messages(),
            await tab.texts(),
            await tab.errors(),
        )

    assert (before, shown, errors) == (after, TEXTS, [])


async def test_goes_on_after_a_reload_and_in_a_second_tab(
    browser: Browser, server: Server, gates: Path, thread: str
) -> None:
    async with (
        tab_of(browser, server, thread) as first,
        tab_of(browser, server, f"{thread}-other") as other,
    ):
        await first.say(f"held-{thread}")
        await first.until_seen("I know.")
        await first.page.reload()
        await first.until_seen("I know.")
        async with tab_of(browser, server, thread) as second:
            await second.until_seen("I know.")
            (gates / f"held-{thread}").touch()
            await asyncio.gather(first.until_ended(), second.until_ended())
            shown = [await first.messages(), await second.messages()]
            texts = await second.texts()
            errors = await first.errors() + await second.errors()
        untouched = await other.messages()

    assert shown[0] == shown[1]
    assert (texts, errors, untouched) == (TEXTS, [], [])


async def test_shows_a_stop_without_an_error_in_every_tab(
    browser: Browser, server: Server, thread: str
) -> None:
    async with (
        tab_of(browser, server, thread) as first,
        httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as http,
    ):
        await first.say("endless")
        await first.until_seen("3 ")
        async with tab_of(browser, server, thread) as second:
            await second.until_seen("3 ")
            about = (await http.get(f"{url(server)}?threadId={thread}")).json()
            run = about["activeRun"]["runId"]
            stopped = await http.post(f"{url(server)}/{run}/stop")
            for tab in (first, second):
                await tab.page.wait_for_function("() => !window.agent.isRunning")
            shown = [await first.messages(), await second.messages()]
            errors = await first.errors() + await second.errors()

    assert stopped.json()["status"] == "cancelled"
    assert (shown[0], errors) == (shown[1], [])


async def test_asks_again_after_a_reload_and_shows_the_answer_of_a_second_tab(
    browser: Browser, server: Server, thread: str
) -> None:
    async with tab_of(browser, server, thread) as first:
        await first.say("ask both")
        await first.until_seen("Book it?")
        await first.page.reload()
        await first.until_seen("Book it?")
        async with tab_of(browser, server, thread) as second:
            await second.answer("Book it?", "Yes")
            await second.answer("Who goes?", "Decline")
            await second.until_seen("warm")
            await first.answer("Book it?", "No")
            await first.answer("Who goes?", "Decline")
            await first.until_seen("warm")
            tabs = [first, second]
            for tab in tabs:
                await tab.until_ended()
            texts = [await tab.texts() for tab in tabs]
            left = [await tab.page.locator("fieldset").count() for tab in tabs]
            messages = [await tab.messages() for tab in tabs]
            errors = [error for tab in tabs for error in await tab.errors()]

    said = "True. Question 2 was declined: Who goes?. "
    assert texts == [["I have to ask.", said, *TEXTS]] * 2
    assert messages[0] == messages[1]
    assert (left, errors) == ([0, 0], [])


async def test_tells_of_a_failure_and_of_a_broken_connection(
    browser: Browser, server: Server, thread: str
) -> None:
    async with tab_of(browser, server, thread) as tab:
        await tab.say("fail")
        await tab.until_ended()
        failed = await tab.errors()
    whole = Cut(more=10**9)  # of the answer to the first connect, which is empty
    async with Proxy(server.port, [whole, Cut(events=7, held=False)]) as proxy:
        # A second error of HttpAgent, which nobody handles, unless the page was gone.
        broken = tab_of(browser, proxy, f"{thread}-2", errors=["network error"])
        async with broken as tab:
            await tab.say("Hi")
            await tab.page.wait_for_function("() => window.errors.length > 0")
            await tab.page.reload()
            await tab.until_ended()
            shown = await tab.texts()

    assert [error.partition(": ")[2] for error in failed] == ["It broke"]
    assert shown == TEXTS
