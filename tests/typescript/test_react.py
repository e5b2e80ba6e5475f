"""``useExecution`` in Chromium, with React 19 and 18 in their development builds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio

from tests.browsers import chromium
from tests.servers import TIMEOUT, Server, watched
from tests.typescript.pages import REACTS, bundle, site_of

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, Route

# One event loop for all of them, since a browser lives in one.
pytestmark = [
    pytest.mark.server,
    pytest.mark.browser,
    pytest.mark.node,
    pytest.mark.asyncio(loop_scope="module"),
]

HALF = "Tea grows "
ALL = "Tea grows in Kenya."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a page for each React."""
    pages = tmp_path_factory.mktemp("pages")
    for react in REACTS:
        bundle(react, pages)
    with site_of(pages) as server:
        yield server


@pytest.fixture
def server(site: Server) -> Iterator[Server]:
    with watched(site):
        yield site


class Tab:
    """A page with views, and what they were given last."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self._url = url

    async def open(self, *views: dict[str, Any], react: str = "react19") -> None:
        await self.page.goto(f"{self._url}/{react}?views={quote(json.dumps(views))}")

    async def show(self, *views: dict[str, Any]) -> None:
        """Draw other views on the same page."""
        await self.page.evaluate("(views) => show(views)", views)

    async def until(self, name: str, **expected: Any) -> dict[str, Any]:
        """Wait until a view was given some values; return all that it was given."""
        await self.page.wait_for_function(
            """([name, expected]) => {
                const seen = window.seen[name];
                if (!seen) return false;
                const has = { ...seen, text: Object.values(seen.text).join("") };
                return Object.keys(expected).every((key) => has[key] === expected[key]);
            }""",
            arg=[name, expected],
        )
        seen: dict[str, Any] = await self.page.evaluate("(name) => seen[name]", name)
        return seen

    async def click(self, name: str, button: str, **options: Any) -> None:
        await self.page.click(f"#{name} .{button}", **options)

    async def shown(self, name: str) -> str:
        """What the page says of a view: its connection, its status and its error."""
        return await self.page.inner_text(f"#{name} output")


@pytest_asyncio.fixture(loop_scope="module")
async def tab(browser: Browser, server: Server) -> AsyncIterator[Tab]:
    """A tab; nothing may be wrong in its console."""
    context = await browser.new_context()
    context.set_default_timeout(TIMEOUT * 1000)
    page = await context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console",
        lambda said: said.type in ("error", "warning") and wrong.append(said.text),
    )
    yield Tab(page, server.url)
    await context.close()
    assert [each for each in wrong if "Failed to load resource" not in each] == []


class Backend:
    """What the server knows of executions."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def start(self, actor: str = "talk", **input: Any) -> str:
        answer = await self._http.post(f"/events/{actor}", json=input)
        id: str = answer.json()["id"]
        return id

    async def go(self, id: str) -> None:
        """Let the actor ``talk`` say the rest."""
        await self._http.get(f"/go/{id}")

    async def ids(self) -> list[str]:
        ids: list[str] = (await self._http.get("/executions")).json()
        return ids

    async def status(self, id: str) -> str:
        status: str = (await self._http.get(f"/events/executions/{id}")).json()[
            "status"
        ]
        return status

    async def streams(self, id: str) -> tuple[list[str | None], int]:
        """The ``Last-Event-ID`` of each stream so far, and how many are open."""
        found = (await self._http.get(f"/streams/{id}")).json()
        return found["begun"], found["open"]

    async def until_open(self, id: str, count: int) -> None:
        async with asyncio.timeout(TIMEOUT):
            while (await self.streams(id))[1] != count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@pytest_asyncio.fixture(loop_scope="module")
async def backend(server: Server) -> AsyncIterator[Backend]:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
        yield Backend(http)


@pytest.mark.parametrize("react", REACTS)
async def test_has_one_connection_in_strict_mode(
    react: str, tab: Tab, backend: Backend
) -> None:
    id = await backend.start()
    await tab.open({"name": "a", "id": id}, react=react)
    await tab.until("a", text=HALF, status="started", connection="live")
    await backend.go(id)
    seen = await tab.until("a", connection="ended")

    assert await backend.streams(id) == ([None], 0)
    assert {key: seen[key] for key in ("id", "status", "error", "result", "last")} == {
        "id": id,
        "status": "completed",
        "error": None,
        "result": ALL,
        "last": 7,
    }
    assert seen["text"] == {"talk": ALL}
    assert seen["tree"][0]["status"] == "completed"


@pytest.mark.parametrize("react", REACTS)
async def test_starts_once_in_an_effect_of_strict_mode(
    react: str, tab: Tab, backend: Backend
) -> None:
    before = await backend.ids()
    await tab.open({"name": "a", "auto": True}, react=react)
    seen = await tab.until("a", text=HALF)

    (id,) = set(await backend.ids()) - set(before)
    assert seen["id"] == id
    assert (await backend.streams(id))[0] == [None]
    await backend.go(id)
    await tab.until("a", text=ALL, connection="ended")


async def test_starts_once_by_a_double_click(tab: Tab, backend: Backend) -> None:
    before = await backend.ids()
    await tab.open({"name": "a"})
    assert await tab.shown("a") == "idle | - | -"
    await tab.click("a", "start", click_count=2)
    seen = await tab.until("a", text=HALF)
    await tab.click("a", "start")  # it runs already
    await backend.go(seen["id"])
    await tab.until("a", connection="ended")

    assert set(await backend.ids()) - set(before) == {seen["id"]}
    await tab.click("a", "start")  # it has ended
    again = await tab.until("a", text=HALF, status="started")
    assert again["id"] != seen["id"]
    await backend.go(again["id"])


async def test_detaches_when_the_last_view_goes_and_resumes_without_a_gap(
    tab: Tab, backend: Backend
) -> None:
    id = await backend.start()
    await tab.open({"name": "a", "id": id}, {"name": "b", "id": id})
    await tab.until("a", text=HALF)
    await tab.until("b", text=HALF)
    assert await backend.streams(id) == ([None], 1)

    await tab.show({"name": "b", "id": id})
    await tab.show({"name": "b", "id": id}, {"name": "c", "id": id})
    await tab.until("c", text=HALF)
    assert await backend.streams(id) == ([None], 1)

    await tab.show()
    await backend.until_open(id, 0)
    assert await backend.status(id) == "started"
    await backend.go(id)
    await tab.show({"name": "d", "id": id})
    seen = await tab.until("d", text=ALL, connection="ended")
    assert (await backend.streams(id))[0] == [None, f"{id}:3"]
    assert (seen["last"], seen["count"], seen["status"]) == (7, 7, "completed")

    await tab.show()
    await tab.show({"name": "e", "id": id})
    await tab.until("e", text=ALL, connection="ended")
    assert len((await backend.streams(id))[0]) == 2  # there is nothing to come


async def test_resumes_after_a_reload(tab: Tab, backend: Backend) -> None:
    id = await backend.start()
    await tab.open({"name": "a", "id": id})
    await tab.until("a", text=HALF)
    await tab.page.reload()
    await tab.until("a", text=HALF)
    await backend.go(id)
    seen = await tab.until("a", text=ALL, connection="ended")

    assert seen["count"] == 7


async def test_shows_another_id_at_once(tab: Tab, backend: Backend) -> None:
    first, second = [await backend.start() for _ in range(2)]
    await backend.go(first)
    await tab.open({"name": "a", "id": first})
    await tab.until("a", text=ALL)
    await tab.show({"name": "a", "id": second})
    await tab.until("a", id=second, text=HALF, status="started")
    await tab.show({"name": "a", "id": None})
    seen = await tab.until("a", id=None, connection="idle", text="")
    await tab.click("a", "start")
    own = await tab.until("a", text=HALF)
    assert own["id"] not in (first, second)
    await tab.show({"name": "a", "id": first})
    await tab.until("a", id=first, text=ALL)
    await tab.show({"name": "a", "id": None})
    await tab.until("a", id=None, connection="idle", text="")
    await tab.click("a", "start")  # what it started before is not its own any more
    other = await tab.until("a", text=HALF)
    assert other["id"] != own["id"]

    assert (seen["status"], seen["tree"]) == (None, [])
    assert await tab.page.evaluate("functions.size") == 2  # one start and one cancel
    await backend.go(second)
    await backend.go(own["id"])
    await backend.go(other["id"])


async def test_forgets_what_was_left_long_ago(tab: Tab, backend: Backend) -> None:
    ids = [await backend.start(wait=False) for _ in range(12)]
    await tab.open()
    for number in [*range(10), 0, 10, 11, 0, 1]:
        await tab.show({"name": f"{number}", "id": ids[number]})
        await tab.until(f"{number}", text=ALL, connection="ended")

    begun = [(await backend.streams(id))[0] for id in ids]
    assert begun == [[None], [None, None], *[[None]] * 10]  # ten are kept


async def test_cancels(tab: Tab, backend: Backend) -> None:
    await tab.open({"name": "a"})
    await tab.click("a", "start")
    seen = await tab.until("a", text=HALF)
    await tab.click("a", "stop")
    await tab.until("a", status="cancelled", connection="ended")

    assert await backend.status(seen["id"]) == "cancelled"


async def test_cancels_what_is_being_started(tab: Tab, backend: Backend) -> None:
    await tab.open({"name": "a"})
    click = "document.querySelector('.start').click()"
    await tab.page.evaluate(f"() => {{ {click}; {click.replace('start', 'stop')} }}")
    seen = await tab.until("a", status="cancelled")

    assert await backend.status(seen["id"]) == "cancelled"


async def test_shows_errors(tab: Tab, backend: Backend) -> None:
    await tab.open({"name": "a", "id": "nothing"})
    await tab.until("a", connection="closed")
    assert "nothing" in (await tab.shown("a")).partition(" | - | ")[2]

    await tab.page.route("**/events/talk", lambda route: route.fulfill(status=403))
    await tab.show({"name": "b"})
    await tab.click("b", "start")
    await tab.page.wait_for_function("seen.b.error")
    assert "403" in await tab.shown("b")

    await tab.page.unroute_all()
    await tab.click("b", "start")
    seen = await tab.until("b", text=HALF, error=None)
    await backend.go(seen["id"])


@pytest.mark.parametrize("react", REACTS)
async def test_answers_what_is_asked(react: str, tab: Tab, backend: Backend) -> None:
    id = await backend.start("book")
    await tab.open({"name": "a", "id": id}, {"name": "b", "id": id}, react=react)
    await tab.page.wait_for_selector("#a form")
    await tab.page.reload()
    await tab.click("b", "aisle")
    for name in ("a", "b"):
        seen = await tab.until(name, connection="ended")
        assert (seen["result"], seen["waiting"]) == ("a seat at the aisle", [])

    assert await tab.page.evaluate("refused") == {"b": None}
    assert await tab.page.locator("form").count() == 0


async def test_says_why_an_answer_does_not_count(tab: Tab, backend: Backend) -> None:
    id = await backend.start("book")
    came, go = asyncio.Event(), asyncio.Event()

    async def late(route: Route) -> None:
        came.set()
        await go.wait()
        problem = {"title": "Late", "action": "decline", "by": "ann"}
        await route.fulfill(status=409, json=problem)

    await tab.page.route("**/inputs/1", late)
    await tab.open({"name": "a", "id": id})
    await tab.click("a", "window")
    go.set()
    await tab.page.wait_for_function("refused.a === 'AnswerRefused'")
    assert await tab.shown("a") == "live | started | Late"

    for event in (came, go):
        event.clear()
    await tab.page.evaluate("refused.a = ''")
    await tab.click("a", "window")
    await came.wait()
    assert await tab.shown("a") == "live | started | -"  # that was the one before
    await tab.show({"name": "a", "id": None})
    await tab.until("a", connection="idle")
    await tab.click("a", "start")
    other = await tab.until("a", text=HALF)
    go.set()
    await tab.page.wait_for_function("refused.a")
    assert await tab.shown("a") == "live | started | -"  # that is of another execution
    await backend.go(other["id"])

    await tab.page.unroute_all()
    await tab.show({"name": "a", "id": id})
    await tab.click("a", "decline")
    seen = await tab.until("a", connection="ended")
    assert seen["result"] == "no seat"


async def test_draws_once_a_frame(tab: Tab, backend: Backend) -> None:
    # Without the timer for pages that have no frames.
    await tab.page.add_init_script(
        "const set = setTimeout; setTimeout = (f, ms) => ms === 1000 ? 0 : set(f, ms)"
    )
    await tab.open()
    before = await tab.page.evaluate("frames")
    id = await backend.start("pour", count=20_000)
    await tab.show({"name": "a", "id": id}, {"name": "b", "id": id})
    seen = await tab.until("a", connection="ended")
    await tab.until("b", connection="ended")
    frames = await tab.page.evaluate("frames") - before

    assert (seen["count"], seen["result"]) == (20_003, 20_000)
    for view in ("a", "b"):
        # Two for the first time, which StrictMode doubles.
        assert await tab.page.evaluate("(view) => drawn[view]", view) <= frames + 2
