"""The questions of the demo, as people answer them: the page in Chromium."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, Route, expect
from pydantic import AnyUrl, BaseModel, Field, WithJsonSchema

from asgi_events.actors.answers import errors_in
from asgi_events.actors.forms import form_of
from tests.browsers import chromium
from tests.demos import DemoServer, Told, opened
from tests.servers import Server, watched

pytestmark = [
    pytest.mark.server,
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="module"),
]

NOON = datetime.fromisoformat("2026-05-02T12:00:00Z")
NAMED = {"type": "string", "enum": ["a", "b"], "enumNames": ["Tea", "Coffee"]}
EMAIL = {"type": "string", "format": "email"}
TITLED = {"type": "string", "oneOf": [{"const": "f", "title": "Fish " * 30}]}
SOME_TITLED = {"type": "array", "items": {"anyOf": TITLED["oneOf"]}}


class Size(Enum):
    SMALL = "s"
    LARGE = "l"


class Everything(BaseModel):
    """A field of every kind."""

    name: str
    day: date
    at: datetime
    age: Annotated[int, Field(ge=0, le=150, description="In years")]
    height: float
    member: bool
    size: Size
    extras: Annotated[list[Literal["tea", "milk", "a" * 60]], Field(min_length=1)]
    site: AnyUrl | None = None
    mail: Annotated[str, WithJsonSchema(EMAIL)] | None = None
    meal: Annotated[str, WithJsonSchema(TITLED)] | None = None
    sides: Annotated[list[str], WithJsonSchema(SOME_TITLED)] | None = None
    drink: Annotated[str, WithJsonSchema(NAMED)]
    letter: Annotated[str | None, Field(max_length=1000)] = None
    greeting: str = "Hello"
    paid: bool = True


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    tree = tmp_path_factory.mktemp("demo") / "tree"
    tree.mkdir()
    with DemoServer(tree) as server:
        yield server


@pytest.fixture
def server(site: Server) -> Iterator[Server]:
    with watched(site):
        yield site


async def book(page: Page, **input: Any) -> str:
    """Start a booking, show it, and return its URL in the routes."""
    base = page.url.partition("#")[0]
    started = await page.request.post(f"{base}book", data=input)
    id = (await started.json())["id"]
    await page.goto(f"{base}#{id}")
    return f"{base}executions/{id}"


def question(n: int, type: Any = bool, **more: Any) -> dict[str, Any]:
    event = {"event_type": "input_request", "address": "ask", "n": n}
    return {**event, "message": "Go?", "response_schema": form_of(type), **more}


def closed(n: int, action: str, **more: Any) -> dict[str, Any]:
    event = {"event_type": "input_answer", "address": "ask", "n": n}
    return {**event, "action": action, **more}


DONE = {"event_type": "complete", "address": "", "message": "Done", "result": "Gone."}


async def show(page: Page, server: Server, story: Told) -> None:
    """Show an execution of which the page is told a story."""
    await page.route("**/events", story.stream)
    await page.goto(f"{server.url}/#{'0' * 22}")


def asked(page: Page, n: int) -> Locator:
    return page.locator(f'.question[data-n="{n}"]')


async def fill_wishes(page: Page, seat: str = "aisle") -> None:
    wishes = page.get_by_role("group", name="How do you want to travel to Kyoto?")
    await wishes.get_by_label("Seat").select_option(seat)
    await wishes.get_by_label("Day of departure").fill("2026-12-24")
    await wishes.get_by_label("lunch").check()


ANSWER = "Answered: Seat: aisle, Day of departure: 2026-12-24, Bags: 1, Meals: lunch."


async def test_goes_on_in_the_first_tab_when_the_second_one_answers(
    browser: Browser, server: Server
) -> None:
    async with opened(browser, server.url) as page:
        await page.get_by_label("A booking").check()
        await page.click("#start")
        await expect(asked(page, 1).locator("form")).to_be_visible()
        await expect(page).to_have_title("(1) asgi_events demo")
        await page.reload()
        await expect(asked(page, 1).locator("form")).to_be_visible()
        await expect(asked(page, 1).get_by_role("timer")).to_have_text(
            re.compile(r"\d:\d\d left")
        )

        second = await page.context.new_page()
        await second.goto(page.url)
        await fill_wishes(second)
        await asked(second, 1).get_by_role("button", name="Answer").click()
        await expect(asked(second, 1).locator(".closed")).to_have_text(
            ANSWER.replace("Answered", "Answered by you")
        )
        await expect(asked(page, 1).locator(".closed")).to_have_text(ANSWER)
        await expect(asked(page, 1).locator("form")).to_be_hidden()

        await asked(page, 2).get_by_label("Yes").check()
        await asked(page, 2).get_by_role("button", name="Answer").click()
        for tab in (page, second):
            await expect(tab.locator("#outcome-message")).to_have_text(
                "Booked: a seat at the aisle to Kyoto, 91 €."
            )
            await expect(tab).to_have_title("asgi_events demo")
        await expect(asked(second, 2).locator(".closed")).to_have_text("Answered: yes.")


async def test_needs_no_mouse(browser: Browser, server: Server) -> None:
    focused = "document.activeElement"

    async def tab_to(name: str) -> None:
        """Press Tab until a control has the focus, which is seen all the way."""
        for _ in range(30):
            await page.keyboard.press("Tab")
            style = f"getComputedStyle({focused}).outlineStyle"
            assert await page.evaluate(style) == "solid"
            element = await page.evaluate_handle(focused)
            label = await element.evaluate(
                "(e) => e.labels?.[0]?.innerText ?? e.innerText"
            )
            if label.startswith(name):
                return
        raise AssertionError(f"no Tab leads to {name}")

    async with opened(browser, server.url) as page:
        await tab_to("A survey")
        await page.keyboard.press("ArrowDown")
        await tab_to("Start")
        await page.keyboard.press("Enter")
        await expect(asked(page, 1).locator("form")).to_be_visible()
        await tab_to("Seat")
        await page.keyboard.type("w")
        await tab_to("Day")
        await page.keyboard.type("12242026")
        await tab_to("Bags")
        await page.keyboard.press("ArrowUp")
        await tab_to("dinner")
        await page.keyboard.press("Space")
        await tab_to("Answer")
        await page.keyboard.press("Enter")
        await expect(asked(page, 1).locator(".was")).to_be_focused()
        await expect(asked(page, 2).locator("form")).to_be_visible()
        await tab_to("Yes")
        await page.keyboard.press("ArrowDown")  # No
        await tab_to("Answer")
        await page.keyboard.press("Enter")
        await expect(page.locator("#outcome-message")).to_have_text(
            "Nothing is booked: 108 € is too much."
        )


async def test_shows_errors_beside_their_fields(
    browser: Browser, server: Server
) -> None:
    async with opened(browser, server.url) as page:
        await book(page)
        seat, day, bags = (
            asked(page, 1).get_by_label(name) for name in ("Seat", "Day", "Bags")
        )
        send = asked(page, 1).get_by_role("button", name="Answer")
        await bags.fill("9")
        await send.click()
        await expect(seat).to_be_focused()
        for field, told in (
            (seat, "It is required."),
            (day, "It is required."),
            (bags, "12 € each · 0 to 3 It must be at most 3."),
        ):
            await expect(field).to_have_accessible_description(told)
            await expect(field).to_have_attribute("aria-invalid", "true")

        await seat.select_option("window")
        await day.fill("2026-12-24")
        await bags.press_sequentially("e")  # 9e is no number, and is not sent
        await send.click()
        await expect(bags).to_be_focused()
        await expect(bags).to_have_accessible_description(
            "12 € each · 0 to 3 Please enter a number."
        )
        await expect(seat).to_have_accessible_description("")
        await bags.fill("0")
        await send.click()
        await expect(asked(page, 2).locator("form")).to_be_visible()

        await asked(page, 2).get_by_role("button", name="Answer").click()
        group = asked(page, 2).get_by_role("radiogroup")
        await expect(group).to_have_accessible_description("It must be true or false.")
        await expect(asked(page, 2).get_by_label("Yes")).to_be_focused()
        await asked(page, 2).get_by_role("button", name="Decline").click()
        await expect(asked(page, 2).locator(".closed")).to_have_text("Declined by you.")
        await expect(page.locator("#outcome-message")).to_have_text(
            "Nothing is booked: question 2 was declined."
        )


async def test_shows_which_answer_stands(browser: Browser, server: Server) -> None:
    theirs = {"seat": "window", "day": "2026-12-24"}

    async def be_late(route: Route) -> None:
        body = {"action": "accept", "content": theirs}
        answer = await page.request.post(route.request.url, data=body)
        assert answer.status == 201
        await route.continue_()

    async with opened(browser, server.url) as page:
        await book(page)
        await page.route("**/inputs/1", be_late)
        await fill_wishes(page)
        await asked(page, 1).get_by_role("button", name="Answer").click()

        await expect(asked(page, 1).locator(".closed")).to_have_text(
            "Answered: Seat: window, Day of departure: 2026-12-24. "
            "Your answer came too late and does not count."
        )
        await expect(asked(page, 1).locator(".was")).to_be_focused()
        await expect(asked(page, 2).locator(".message")).to_contain_text("window")
        await page.click("#cancel")
        await expect(asked(page, 2).locator(".closed")).to_have_text(
            "Closed: nobody waits for an answer any more."
        )


async def test_shows_that_a_question_has_expired(
    browser: Browser, server: Server
) -> None:
    async with opened(browser, server.url) as page:
        await book(page, seconds=0.05)
        await expect(page.locator("#outcome-message")).to_have_text(
            "Nothing is booked: nobody answered question 1 in time."
        )
        await expect(asked(page, 1).locator(".closed")).to_have_text(
            "Expired: nobody has answered in time."
        )


async def test_counts_the_time_down(browser: Browser, server: Server) -> None:
    story = Told()
    late = {"title": "Gone", "status": 410, "action": "expired"}
    async with opened(browser, "about:blank") as page:
        await page.route(
            "**/inputs/1", lambda route: route.fulfill(status=410, json=late)
        )
        await page.clock.set_fixed_time(NOON - timedelta(seconds=65))
        long = NOON + timedelta(hours=2)
        story.tell(question(1, expires=NOON.isoformat()))
        longest = NOON + timedelta(days=9)
        story.tell(question(2, expires=long.isoformat()), question(3))
        story.tell(question(4, expires=longest.isoformat()))
        await show(page, server, story)
        left = asked(page, 1).get_by_role("timer")
        await expect(left).to_have_text("1:05 left")
        await expect(asked(page, 2).get_by_role("timer")).to_have_text("2:01:05 left")
        await expect(asked(page, 4).get_by_role("timer")).to_have_text("9 days left")
        await expect(asked(page, 3).locator(".left")).to_be_empty()
        await page.clock.set_fixed_time(NOON)
        await expect(left).to_have_text("The time is up.")

        await asked(page, 1).get_by_label("Yes").check()
        await asked(page, 1).get_by_role("button", name="Answer").click()
        await expect(asked(page, 1).locator(".closed")).to_have_text(
            "Expired: nobody has answered in time. "
            "Your answer came too late and does not count."
        )
        story.tell(closed(1, "expired"), DONE)
        await expect(page.locator("#outcome-message")).to_have_text("Gone.")


async def test_tells_of_questions_and_of_what_became_of_them(
    browser: Browser, server: Server
) -> None:
    story = Told()
    async with opened(browser, "about:blank") as page:
        await page.goto(server.url)
        news = page.get_by_role("status").nth(1)
        await expect(news).to_be_empty()
        # What was over before the page came is not told.
        drinks = Annotated[str, WithJsonSchema(NAMED)]
        story.tell(question(9, drinks), closed(9, "accept", content="b"))
        story.tell(question(1), closed(1, "accept"), question(2, to="ann"))
        await show(page, server, story)
        await expect(news).to_have_text("Question 2: Go?")
        await expect(asked(page, 2).locator(".about")).to_have_text("For ann.")
        await page.reload()
        await expect(news).to_have_text("Question 2: Go?")
        story.tell(closed(2, "accept", by="ann", content=False))
        await expect(news).to_have_text("Question 2. Answered by ann: no.")
        story.tell(question(3), closed(4, "accept"))
        await expect(news).to_have_text("Question 3: Go?")
        story.tell(closed(3, "decline", by="bob"), DONE)
        await expect(news).to_have_text("Question 3. Declined by bob.")
        await expect(asked(page, 1).locator(".closed")).to_have_text("Answered.")
        await expect(asked(page, 9).locator(".closed")).to_have_text(
            "Answered: Coffee."
        )


async def test_says_what_went_wrong_and_keeps_the_form(
    browser: Browser, server: Server
) -> None:
    story = Told()
    story.tell(question(1))
    sent: list[Any] = []

    async def answer(route: Route) -> None:
        sent.append(route.request.post_data_json)
        if len(sent) == 1:
            problem = {"title": "Not Found", "detail": "No such question."}
            await route.fulfill(status=404, json=problem)
            return
        stands = {"action": "accept", "by": None, "timestamp": NOON.isoformat()}
        await route.fulfill(status=200, json={"n": 1, "answer": stands})

    async with opened(browser, "about:blank") as page:
        await page.route("**/inputs/1", answer)
        await show(page, server, story)
        await asked(page, 1).get_by_label("No").check()
        await asked(page, 1).get_by_role("button", name="Answer").click()
        await expect(asked(page, 1).get_by_role("alert")).to_have_text(
            "Not Found\nNo such question.", use_inner_text=True
        )
        await expect(asked(page, 1).get_by_label("No")).to_be_checked()
        await asked(page, 1).get_by_role("button", name="Answer").click()
        await expect(asked(page, 1).locator(".closed")).to_have_text(
            "Answered by you: no."
        )
        assert sent == [{"action": "accept", "content": False}] * 2
        story.tell(closed(1, "accept"), DONE)
        await expect(page.locator("#outcome-message")).to_have_text("Gone.")


class TestFormOfEveryKind:
    """What is drawn of a schema alone."""

    @pytest_asyncio.fixture(loop_scope="module")
    async def page(self, browser: Browser, server: Server) -> AsyncIterator[Page]:
        story = Told()
        asks = f"Who are you, {'really ' * 20}{'o' * 80}?"
        story.tell(question(1, Everything, message=asks))
        async with opened(browser, "about:blank") as page:
            await page.set_viewport_size({"width": 360, "height": 740})
            await show(page, server, story)
            await expect(asked(page, 1).locator("form")).to_be_visible()
            yield page
            story.tell(DONE)
            await expect(page.locator("#outcome-message")).to_have_text("Gone.")

    async def test_takes_what_people_give(self, page: Page) -> None:
        sent: list[Any] = []

        async def hear(route: Route) -> None:
            sent.append(json.loads(route.request.post_data or ""))
            told = f"Hm {len(sent)}."
            problem = {"title": "No", "errors": [{"loc": ["age"], "msg": told}]}
            await route.fulfill(status=422, json=problem)

        await page.route("**/inputs/1", hear)
        form = asked(page, 1)
        send = form.get_by_role("button", name="Answer")
        await send.click()
        await expect(form.get_by_label("Age")).to_be_focused()
        await form.get_by_label("Name").fill("Ada")
        await form.get_by_label("Day").fill("2026-05-02")
        await form.get_by_label("At", exact=True).fill("2026-05-02T12:30")
        await form.get_by_label("Age").fill("36")
        await form.get_by_label("Height").fill("1.7")
        await form.get_by_role("radiogroup", name="Member").get_by_label("No").check()
        await form.get_by_label("Size").select_option("l")
        await form.get_by_label("milk").check()
        await form.get_by_label("tea").check()
        await form.get_by_label("Site").fill("https://ada.example")
        await form.get_by_label("Mail").fill("ada@example.com")
        await form.get_by_label("Meal").select_option(index=1)
        await form.get_by_role("group", name="Sides").get_by_label("Fish").check()
        await form.get_by_label("Drink").select_option(label="Coffee")
        await form.get_by_label("Letter").fill("Dear\nall")
        await form.get_by_label("Greeting").fill("")
        await send.click()
        await expect(form.get_by_text("Hm 2.")).to_be_visible()

        contents = [each["content"] for each in sent]
        moment = await page.evaluate("new Date('2026-05-02T12:30').toISOString()")
        assert contents == [
            {"extras": [], "greeting": "Hello", "paid": True},
            {
                "name": "Ada",
                "day": "2026-05-02",
                "at": moment,
                "age": 36,
                "height": 1.7,
                "member": False,
                "size": "l",
                "extras": ["tea", "milk"],
                "site": "https://ada.example",
                "mail": "ada@example.com",
                "meal": "f",
                "sides": ["f"],
                "drink": "b",
                "letter": "Dear\nall",
                "greeting": "",
                "paid": True,
            },
        ]
        assert errors_in(form_of(Everything), contents[1]) == []

    async def test_fits_on_a_phone(self, page: Page) -> None:
        wide = "document.documentElement.scrollWidth"
        assert await page.evaluate(wide) == 360
        controls = asked(page, 1).locator("input, select, textarea, button")
        for control in await controls.all():
            box = await control.bounding_box()
            assert box is not None
            assert box["x"] >= 0 and box["x"] + box["width"] <= 360

    async def test_names_every_control(self, page: Page) -> None:
        session = await page.context.new_cdp_session(page)
        tree = await session.send("Accessibility.getFullAXTree")
        nodes = {node["nodeId"]: node for node in tree["nodes"]}

        def of(node: Any, part: str) -> str:
            found: str = node.get(part, {}).get("value", "")
            return found

        def below(node: Any) -> Iterator[Any]:
            yield node
            for id in node.get("childIds", ()):
                yield from below(nodes[id])

        (group,) = (
            node
            for node in nodes.values()
            if of(node, "name").startswith("Who are")
            if of(node, "role") == "group"
        )
        assert "A field of every kind." in of(group, "description")
        controls = [
            (of(node, "role"), of(node, "name"))
            for node in below(group)
            if any(p["name"] == "focusable" for p in node.get("properties", ()))
        ]
        named = {name for _, name in controls}
        assert all(name.strip() for name in named)
        assert {
            *("Name", "Day", "At", "Age", "Height", "Size", "Yes", "No", "tea", "milk"),
            *("Site (optional)", "Mail (optional)", "Meal (optional)", "Answer"),
            *("Letter (optional)", "Greeting (optional)", "Decline"),
        } <= named
        groups = {of(node, "name") for node in below(group)}
        assert {"Member", "Paid (optional)", "Extras"} <= groups
        required = await page.eval_on_selector_all(
            ":required", "(all) => all.map((each) => each.labels[0].innerText)"
        )
        assert required == ["Name", "Day", "At", "Age", "Height", "Size", "Drink"]
