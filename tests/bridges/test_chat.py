"""The chat of ``examples/chat`` in Chromium: reloaded in the middle, and stopped."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import httpx
import pytest
from playwright.async_api import expect

from tests.browsers import chromium
from tests.servers import ROOT, TIMEOUT, Server, watched

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = [pytest.mark.server, pytest.mark.browser]

HALF = "It is sunny in"
ANSWER = "It is sunny in Rome, and the next train goes at 14:05."


@pytest.fixture
def server() -> Iterator[Server]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "examples" / "chat")])
    env = {"PYTHONPATH": path, "MODEL": "", "EXAMPLE": "chat"}
    with (
        Server("tests.bridges.gated_app:app", env=env) as server,
        watched(server),
    ):
        yield server


@pytest.fixture
async def page(server: Server) -> AsyncIterator[Page]:
    async with chromium() as browser:
        page = await browser.new_page()
        page.set_default_timeout(TIMEOUT * 1000)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(server.url)
        yield page
        assert errors == []


async def log_in(page: Page, password: str = "tea") -> None:
    await page.fill("[name=name]", "ann")
    await page.fill("[name=password]", password)
    await page.click("#login button")


async def ask(page: Page, question: str) -> None:
    await page.fill("[name=question]", question)
    await page.click("#ask button:not([type])")


async def turns(page: Page) -> list[str]:
    """The lines of all turns: the question, the tools, the answer."""
    return [line.strip() for line in await page.locator("#turns p").all_inner_texts()]


async def says(page: Page, line: int, text: str) -> None:
    """Wait until a line of the turns is the text."""
    await expect(page.locator("#turns p").nth(line)).to_have_text(text)


async def test_a_chat_survives_a_reload_and_stops(server: Server, page: Page) -> None:
    await log_in(page, "coffee")
    await page.get_by_text("Wrong name or password.").wait_for()
    await log_in(page)

    await ask(page, "Is it warm?")
    await says(page, 2, HALF)
    await page.reload()
    await says(page, 2, HALF)
    await page.request.post(f"{server.url}/go-on")
    await says(page, 2, ANSWER)
    assert await turns(page) == ["Is it warm?", "weather trains", ANSWER]

    await ask(page, "And now?")
    await says(page, 5, HALF)
    await page.click("#cancel")
    await says(page, 5, f"{HALF} (stopped)")
    await page.reload()
    await says(page, 5, "(stopped)")
    assert await turns(page) == [
        *("Is it warm?", "", ANSWER),
        *("And now?", "", "(stopped)"),
    ]


async def test_a_chat_is_its_users_own(server: Server) -> None:
    async with (
        httpx.AsyncClient(base_url=server.url, trust_env=False) as ann,
        httpx.AsyncClient(base_url=server.url, trust_env=False) as bob,
    ):
        assert (await ann.post("/events/chat", json="hi")).status_code == 401
        for user, name, word in [(ann, "ann", "tea"), (bob, "bob", "coffee")]:
            given = {"name": name, "password": word}
            assert (await user.post("/login", json=given)).status_code == 204
        started = await ann.post("/events/chat", json={"question": "hi"})
        second = await ann.post("/events/chat", json={"question": "hi"})
        place = started.headers["location"]
        seen = [await user.get(place) for user in (ann, bob)]
        cancelled = await ann.delete(place)

    assert (started.status_code, second.status_code) == (202, 429)
    assert [answer.status_code for answer in seen] == [200, 404]
    assert cancelled.status_code == 202
