"""The chat of ``examples/chat``: in Chromium, and what its server lets nobody do."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from playwright.async_api import expect

from tests.browsers import chromium
from tests.servers import ROOT, TIMEOUT, Server, watched

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Page

pytestmark = pytest.mark.server

HALF = "It is sunny in "
ANSWER = (
    "It is sunny in Rome, and the next train goes at 14:05. That was your question "
)
TOOLS = [
    '⚙ weather {"city":"Rome"} → sunny',
    '⚙ trains {"city":"Rome"} → ["14:05","15:05"]',
]

TURNS = """() => [...document.querySelectorAll("article")].map((turn) =>
    [...turn.children].map((line) =>
        line.tagName === "UL" ? [...line.children].map((row) => row.textContent)
                              : line.textContent))"""


@contextmanager
def chat_server(data: Path) -> Iterator[Server]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "examples" / "chat")])
    env = {"PYTHONPATH": path, "DATA": str(data), "SECRET": "of the test", "MODEL": ""}
    env |= {"EXAMPLE": "chat", "AGENT": "guide"}
    with Server("tests.bridges.gated_app:app", env=env) as server, watched(server):
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with chat_server(tmp_path) as server:
        yield server


@pytest.fixture
async def browser(server: Server) -> AsyncIterator[BrowserContext]:
    """One browser in which Ann and Bob cannot both be logged in."""
    async with chromium() as browser:
        context = await browser.new_context(base_url=server.url)
        context.set_default_timeout(TIMEOUT * 1000)
        errors: list[str] = []
        context.on("weberror", lambda error: errors.append(str(error.error)))
        yield context
        await context.close()
        assert errors == []


async def log_in(page: Page, name: str, password: str) -> None:
    await page.fill("[name=name]", name)
    await page.fill("[name=password]", password)
    await page.click("#login button")


async def ask(page: Page, question: str) -> None:
    await page.fill("[name=question]", question)
    await page.click("#send")


async def says(page: Page, turn: int, text: str) -> None:
    """Wait until the answer of a turn is the text."""
    await expect(page.locator(".answer").nth(turn)).to_have_text(text.strip())


async def is_idle(page: Page) -> None:
    """Wait until no answer runs."""
    await expect(page.locator("#send")).to_be_enabled()


@pytest.mark.browser
async def test_a_chat_survives_a_reload_and_stops(browser: BrowserContext) -> None:
    page, second = await browser.new_page(), await browser.new_page()
    await page.goto("/")
    await second.goto("/")
    await log_in(page, "ann", "coffee")
    await expect(page.locator("#problem")).to_have_text("Wrong name or password.")
    await log_in(page, "ann", "tea")
    await expect(second.locator("#logout")).to_have_text("Log out ann")

    await ask(page, "Is it warm?")
    for tab in (page, second):
        await says(tab, 0, HALF)
    await page.reload()
    await says(page, 0, HALF)
    await browser.request.post("/go-on")
    first = ["Is it warm?", TOOLS, f"{ANSWER}1. ", ""]
    for tab in (page, second):
        await is_idle(tab)
        assert await tab.evaluate(TURNS) == [first]

    await ask(page, "And now?")
    for tab in (page, second):
        await says(tab, 1, HALF)
    id = await page.locator("article").nth(1).get_attribute("id")
    await second.click("#cancel")
    stopped = ["And now?", TOOLS, HALF, "Stopped"]
    for tab in (page, second):
        await is_idle(tab)
        assert await tab.evaluate(TURNS) == [first, stopped]
    at_server = await browser.request.get(f"/events/executions/{id}")
    assert (await at_server.json())["status"] == "cancelled"

    await page.reload()
    await is_idle(page)
    await ask(page, "And then?")
    await says(page, 2, HALF)
    await browser.request.post("/go-on")
    await is_idle(page)
    third = ["And then?", TOOLS, f"{ANSWER}3. ", ""]
    assert await page.evaluate(TURNS) == [first, stopped, third]

    await page.click("#logout")
    await log_in(page, "bob", "coffee")
    for tab in (page, second):
        await expect(tab.locator("#logout")).to_have_text("Log out bob")
        assert await tab.evaluate(TURNS) == []


class User(httpx.AsyncClient):
    """A browser of its own, in which a user is logged in."""

    def __init__(self, server: Server) -> None:
        super().__init__(base_url=server.url, trust_env=False, timeout=TIMEOUT)

    async def log_in(self, name: str, password: str) -> int:
        given = {"name": name, "password": password}
        return (await self.post("/login", json=given)).status_code

    async def ask(self, question: Any) -> httpx.Response:
        return await self.post("/events/chat", json={"question": question})

    async def turns(self) -> Any:
        return (await self.get("/turns")).json()


async def test_a_chat_is_its_users_own_in_every_process(
    server: Server, tmp_path: Path
) -> None:
    async with User(server) as ann, User(server) as bob:
        for name, password in [("ann", "coffee"), ("eve", ""), ("ann", "é"), ("", "")]:
            assert await ann.log_in(name, password) == 401
        bob.cookies.set("session", "eyJ1c2VyIjogImFubiJ9.aaaaaa.forged")
        for nobody in (ann, bob):
            assert (await nobody.ask("hi")).status_code == 401
            assert (await nobody.get("/turns")).status_code == 401
        bob.cookies.clear()
        assert (
            await ann.log_in("ann", "tea") == await bob.log_in("bob", "coffee") == 204
        )

        started = await ann.ask("hi")
        place = started.headers["location"]
        answers = [await ann.ask("more"), await bob.get(place)]
        answers += [await bob.get(f"{place}/events"), await bob.delete(place)]
        answers += [await ann.ask(""), await ann.ask("x" * 4001), await ann.get(place)]
        assert [answer.status_code for answer in answers] == [
            *(429, 404, 404, 404),
            *(422, 422, 200),
        ]
        assert answers[-1].json()["status"] == "started"
        assert await bob.turns() == {"user": "bob", "turns": []}
        turn = [started.json()["id"], "hi", None]
        assert await ann.turns() == {"user": "ann", "turns": [turn]}

        with chat_server(tmp_path) as other:
            async with User(other) as elsewhere:
                elsewhere.cookies.update(ann.cookies)
                assert await elsewhere.turns() == await ann.turns()
                assert (await elsewhere.delete(place)).status_code == 202
                await elsewhere.get(f"{place}/events")
                ended = await elsewhere.get(place)
                kept = await elsewhere.turns()
        assert ended.json()["status"] == "cancelled"
        assert kept == await ann.turns()
        assert kept["turns"][0][:2] == turn[:2] and kept["turns"][0][2]
        await ann.post("/logout")
        assert (await ann.get(place)).status_code == 401
