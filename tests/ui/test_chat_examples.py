"""The pages of ``examples/ai_sdk`` and ``examples/ag_ui``, built, in Chromium."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGTERM
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import expect

from asgi_events import Executions
from tests.browsers import chromium
from tests.clients.node import HERE as CLIENTS
from tests.clients.node import node
from tests.proxy import Cut, Proxy
from tests.servers import ROOT, TIMEOUT, Server, watched

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page

# One event loop for all of them, since a browser lives in one.
pytestmark = [
    pytest.mark.server,
    pytest.mark.node,
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="module"),
]

EXAMPLES = ROOT / "examples"
PAGES = ["ai_sdk", "ag_ui"]
ALIASES = {
    "ai": "ai7",
    "@ai-sdk/react": "ai-sdk-react7",
}  # their names in tests/clients

HALF = "It will be sunny"
ANSWER = (
    "It will be sunny in Rome, with 31 °C. Take the train at 14:05, and pack a hat and "
    "water. This was your question "
)
CALLS = [
    *("tool weather done", '{"city":"Rome"}', "sunny, 31 °C"),
    *("tool trains done", '{"city":"Rome"}', '["14:05","15:05"]'),
    *("tool pack done", '{"weather":"sunny, 31 °C"}'),
    *("agent packer done", "A hat, sunscreen and a bottle of water."),
    "A hat, sunscreen and a bottle of water.",
]

TURNS = """() => [...document.querySelectorAll("article")].map((turn) =>
    [...turn.querySelectorAll("h2, dd, .text")].map((line) =>
        line.textContent.trim().replace(/\\s+/g, " ")))"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the examples with both pages built, of the packages of the tests."""
    examples = tmp_path_factory.mktemp("built") / "examples"
    shutil.copytree(
        EXAMPLES,
        examples,
        ignore=shutil.ignore_patterns("node_modules", "dist", "*.db*", "__pycache__"),
    )
    packages = CLIENTS / "node_modules"
    path = [str(packages / ".bin"), str(Path(node()).parent), os.environ["PATH"]]
    env = os.environ | {"NODE_PATH": str(packages), "PATH": os.pathsep.join(path)}
    for page in PAGES:
        command = shlex.split(manifest(page)["scripts"]["build"])
        if page == "ai_sdk":
            command += [f"--alias:{name}={ours}" for name, ours in ALIASES.items()]
        build = subprocess.run(
            command, cwd=examples / page, env=env, capture_output=True, text=True
        )
        assert build.returncode == 0, build.stderr
    return examples


@pytest.fixture(scope="module", params=PAGES)
def site(
    request: pytest.FixtureRequest,
    built: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """A server that may print tracebacks."""
    store = f"sqlite:///{tmp_path_factory.mktemp('store')}/events.db"
    with serve(request.param, built, store) as server:
        yield server


def serve(page: str, built: Path, store: str) -> Server:
    env = {"EXAMPLE": f"with_{page}", "AGENT": "trip", "MODEL": "", "STORE": store}
    env |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(built)])}
    return Server("tests.bridges.gated_app:app", env=env)


@pytest.fixture
def server(site: Server) -> Iterator[Server]:
    with watched(site):
        yield site


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chrome() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@asynccontextmanager
async def browsing(
    chrome: Browser, url: str, *known: str
) -> AsyncIterator[BrowserContext]:
    """A browser of its own in which no page may fail, but with the ``known`` errors."""
    context = await chrome.new_context(base_url=url)
    context.set_default_timeout(TIMEOUT * 1000)
    errors: list[str] = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context
    await context.close()
    assert set(errors) <= set(known)


def manifest(page: str) -> Any:
    return json.loads((EXAMPLES / page / "package.json").read_text())


async def ask(page: Page, question: str) -> None:
    await page.get_by_label("Question").fill(question)
    await page.keyboard.press("Enter")


async def says(page: Page, text: str) -> None:
    """Wait until the newest answer is the text so far."""
    await expect(page.locator("article > .text").last).to_have_text(text)


async def is_idle(page: Page) -> None:
    """Wait until no answer runs."""
    await expect(page.get_by_role("button", name="Send")).to_be_visible()


async def test_a_chat_survives_a_reload_and_stops(
    chrome: Browser, server: Server
) -> None:
    async with browsing(chrome, server.url) as browser:
        page, second = await browser.new_page(), await browser.new_page()
        await page.goto("/")
        await ask(page, "Is it warm?")
        await says(page, HALF)
        await second.goto(page.url)
        await page.reload()
        for tab in (page, second):
            await says(tab, HALF)
        await browser.request.post("/go-on")
        first = [["Is it warm?"], [*CALLS, f"{ANSWER}1."]]
        for tab in (page, second):
            await says(tab, f"{ANSWER}1.")
            await is_idle(tab)
            assert await tab.evaluate(TURNS) == first

        await ask(second, "And now?")
        for tab in (page, second):
            await expect(tab.locator("article")).to_have_count(4)
            await says(tab, HALF)
        await page.get_by_role("button", name="Stop").click()
        stopped = [["And now?"], [*CALLS, HALF]]
        for tab in (page, second):
            await is_idle(tab)
            await expect(tab.get_by_text("Stopped")).to_be_visible()
            assert await tab.evaluate(TURNS) == first + stopped

        await page.reload()
        await expect(page.locator("article")).to_have_count(4)
        await is_idle(page)
        assert await page.evaluate(TURNS) == first + stopped
        await browser.request.post("/go-on")
        await ask(page, "And then?")
        for tab in (page, second):
            await says(tab, f"{ANSWER}3.")
            await is_idle(tab)
            third = [["And then?"], [*CALLS, f"{ANSWER}3."]]
            assert await tab.evaluate(TURNS) == first + stopped + third


async def test_a_page_that_was_closed_shows_the_answer_that_it_has_missed(
    chrome: Browser, server: Server
) -> None:
    async with (
        browsing(chrome, server.url) as browser,
        browsing(chrome, server.url) as elsewhere,
    ):
        page, other = await browser.new_page(), await elsewhere.new_page()
        await page.goto("/")
        await ask(page, "Is it warm?")
        await says(page, HALF)
        place = page.url
        await page.close()
        await other.goto(place)
        await says(other, HALF)
        await browser.request.post("/go-on")
        await says(other, f"{ANSWER}1.")
        await is_idle(other)

        page = await browser.new_page()
        await page.goto(place)
        await says(page, f"{ANSWER}1.")
        await is_idle(page)
        assert await page.evaluate(TURNS) == [
            ["Is it warm?"],
            [*CALLS, f"{ANSWER}1."],
        ]


async def test_a_chat_survives_a_broken_connection(
    chrome: Browser, server: Server
) -> None:
    cut = Cut(events=12, more=20, abrupt=True)
    known = "network error"  # HttpAgent handles it, and also rejects a promise with it
    async with (
        Proxy(server.port, [cut]) as proxy,
        browsing(chrome, proxy.url, known) as browser,
    ):
        page = await browser.new_page()
        await page.goto("/")
        await browser.request.post("/go-on")
        await ask(page, "Is it warm?")
        await says(page, f"{ANSWER}1.")
        await is_idle(page)
        await expect(page.get_by_text("The connection is lost")).to_be_hidden()
        assert await page.evaluate(TURNS) == [
            ["Is it warm?"],
            [*CALLS, f"{ANSWER}1."],
        ]
        assert proxy.made == ["mid-frame"]


async def test_a_question_that_did_not_arrive_is_asked_again(
    chrome: Browser, server: Server
) -> None:
    async with browsing(chrome, server.url) as browser:
        page = await browser.new_page()
        await page.goto("/")
        await page.route("**/api/**", lambda route: route.abort())
        await ask(page, "Is it warm?")
        await expect(page.get_by_text("The connection is lost")).to_be_visible()
        await browser.request.post("/go-on")
        await page.unroute("**/api/**")
        if server.env["EXAMPLE"] == "with_ai_sdk":
            await page.get_by_role("button", name="Try again").click()
        await says(page, f"{ANSWER}1.")
        await is_idle(page)
        assert await page.evaluate(TURNS) == [
            ["Is it warm?"],
            [*CALLS, f"{ANSWER}1."],
        ]


async def test_an_answer_that_failed_can_be_tried_again(
    chrome: Browser, site: Server
) -> None:
    async with browsing(chrome, site.url) as browser:
        page = await browser.new_page()
        await page.goto("/")
        await browser.request.post("/fail")
        await page.get_by_role("button", name="Plan a day in Rome").click()
        await expect(page.get_by_role("alert")).to_contain_text("failed")
        await page.reload()
        await browser.request.post("/go-on")
        await page.get_by_role("button", name="Try again").click()
        await says(page, f"{ANSWER}1.")
        await is_idle(page)
        await expect(page.get_by_role("alert")).to_be_hidden()
        assert await page.evaluate(TURNS) == [
            ["Plan a day in Rome"],
            [*CALLS, f"{ANSWER}1."],
        ]


@pytest.fixture(scope="module")
def asking(built: Path) -> Iterator[Server]:
    """A server of the page of the AI SDK whose actor asks."""
    env = {"PAGES": str(built / "ai_sdk" / "dist")}
    with Server("tests.ui.vercel_asking:site", env=env) as server:
        yield server


async def test_a_page_answers_what_the_actor_asks(
    chrome: Browser, asking: Server
) -> None:
    async with browsing(chrome, asking.url) as browser:
        page, second = await browser.new_page(), await browser.new_page()
        await page.goto("/main")
        await ask(page, "two")
        await expect(page.get_by_role("form", name="Book B?")).to_be_visible()
        await page.reload()
        await second.goto(page.url)
        for tab in (page, second):
            await expect(tab.get_by_role("button", name="Stop")).to_be_visible()
        for name, button in (("Book A?", "Yes"), ("Book B?", "No")):
            form = second.get_by_role("form", name=name)
            await form.get_by_role("button", name=button).click()
        for tab in (page, second):
            await says(tab, "So: True, declined.")
            await is_idle(tab)

        await ask(page, "form")
        form = page.get_by_role("form", name="Which seat?")
        await form.get_by_label("seat").select_option("aisle")
        await form.get_by_label("bags").fill("2")
        await form.get_by_role("button", name="Answer").click()
        for tab in (page, second):
            await says(tab, "So: Trip(seat='aisle', bags=2).")
            await is_idle(tab)

        await ask(page, "one")
        await expect(page.get_by_role("button", name="Yes")).to_be_visible()
        await page.get_by_role("button", name="Stop").click()
        await is_idle(page)
        await expect(page.get_by_text("Stopped")).to_be_visible()
        await expect(page.get_by_role("button", name="Yes")).to_have_count(0)


@pytest.mark.parametrize(
    ("page", "path", "body"),
    [
        ("ai_sdk", "/api/chat", {"id": "c1"}),
        ("ag_ui", "/api/ag-ui", {"threadId": "c1", "runId": "r1"}),
    ],
)
async def test_a_server_that_stops_lets_an_answer_end(
    page: str, path: str, body: dict[str, Any], built: Path, tmp_path: Path
) -> None:
    store = f"sqlite:///{tmp_path}/events.db"
    asked = {"id": "m1", "role": "user", "content": "Is it warm?"}
    asked["parts"] = [{"type": "text", "text": asked["content"]}]
    with serve(page, built, store) as server, watched(server):
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
            await http.post("/go-on")
            with pytest.raises(httpx.RemoteProtocolError):
                json = body | {"messages": [asked]}
                async with http.stream("POST", path, json=json) as response:
                    async for line in response.aiter_lines():
                        if "weather" in line:
                            server.signal(SIGTERM)
        server.wait()

    async with Executions(store=store) as executions:
        execution = await executions.newest("c1")
        assert execution is not None
        assert await execution.result() == f"{ANSWER}1. "


@pytest.mark.parametrize("page", PAGES)
async def test_an_example_is_built_of_the_packages_of_the_tests(page: str) -> None:
    tested = json.loads((CLIENTS / "package.json").read_text())["dependencies"]
    pinned = manifest(page)["dependencies"]
    names = {name: ALIASES.get(name, name) for name in pinned}
    lock = json.loads((EXAMPLES / page / "package-lock.json").read_text())["packages"]

    assert {
        name: tested[ours].rpartition("@")[2] for name, ours in names.items()
    } == pinned
    assert {name: lock[f"node_modules/{name}"]["version"] for name in pinned} == pinned
    assert lock[""]["dependencies"] == pinned
