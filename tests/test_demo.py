"""The demo, as a newcomer runs it: the command, and the page in Chromium."""

import re
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from os import strerror
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from asgi_events import Executions, ExecutionState
from asgi_events.cli import main
from asgi_events.cli.command import _default_store
from asgi_events.cli.demo import Demo
from asgi_events.cli.demo.booking import book
from asgi_events.cli.demo.survey import Wanted, make_survey
from asgi_events.events import InputRequestEvent, LogEvent
from asgi_events.testing import Client, Connection, run
from asgi_events.wire.sse import Decoder
from tests.browsers import chromium
from tests.demos import DemoServer, Told, opened
from tests.payloads import data
from tests.servers import TIMEOUT

ENDED = '#outcome:not([data-status=""]):not([data-status="started"])'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Twelve files of Python, one that is not text, and links that lead outside."""
    return plant(tmp_path)


def plant(folder: Path) -> Path:
    root = folder / "tree"
    for number in range(12):
        part = root / f"part{number % 3}"
        part.mkdir(parents=True, exist_ok=True)
        (part / f"m{number:02}.py").write_text("x = 1\n" * (number + 1))
    (root / "data.bin").write_bytes(b"\0" * 100)
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("hidden\n")
    secret = folder / "secret.py"
    secret.write_text("password = 'hunter2'\n")
    (root / "link.py").symlink_to(secret)
    (root / "outside").symlink_to(folder, target_is_directory=True)
    (root / "loop").symlink_to(root / "loop")
    return root


RESULT = {
    "files": 12,
    "lines": 78,
    "bytes": 468,
    "languages": {".py": {"files": 12, "lines": 78}},
}


@pytest.fixture
def server(tree: Path) -> Iterator[DemoServer]:
    """One that the test may kill, and that has measured no file."""
    with DemoServer(tree) as server:
        yield server


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoServer]:
    """The server of all tests that let it run."""
    with DemoServer(plant(tmp_path_factory.mktemp("demo"))) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


async def start(page: Page, *, seconds: str, pattern: str = "*.py") -> None:
    await page.fill("#pattern", pattern)
    await page.evaluate(
        "(s) => document.getElementById('seconds').add(new Option(s, s, true, true))",
        seconds,
    )
    await page.press("#pattern", "Enter")
    await page.wait_for_selector(
        '#connection:is([data-state="live"], [data-state="ended"])'
    )


def call_event(status: str, **fields: Any) -> dict[str, Any]:
    call = {"event_type": "llm_call", "address": "ask", "actor": "ask"}
    return {**call, "execution_status": status, **fields}


async def seen(page: Page) -> list[tuple[str | None, str | None]]:
    """The address and status of every node of the tree."""
    nodes = await page.locator("#tree [data-address]").all()
    return sorted(
        [
            (
                await node.get_attribute("data-address"),
                await node.get_attribute("data-status"),
            )
            for node in nodes
        ]
    )


WHOLE = sorted(
    [
        ("survey", "completed"),
        ("survey/list_files", "completed"),
        ("survey/measure", "completed"),
        *((f"survey/measure#{n}", "completed") for n in range(2, 13)),
        ("survey/report", "completed"),
    ]
)
# survey, list_files, a log line, 12 × (two of measure, progress), three more of
# progress, report and its words
CALLS = 2 + 2 + 1 + 12 * 3 + 3 + 2


async def test_surveys_the_tree_and_nothing_outside_it(tree: Path) -> None:
    demo = Demo(tree)
    headers = {"accept": "text/event-stream"}
    answer = await Client(demo).post(
        "/survey", headers=headers, json={"pattern": "*.py", "seconds": 0}
    )
    events = data(Decoder().feed(answer.body))
    await demo.events.executions.drain(0)

    assert events[-1]["result"] == RESULT
    assert b"secret" not in answer.body and b"outside" not in answer.body
    assert sum(event["event_type"] == "text_delta" for event in events) > 10
    assert len(events) > CALLS


async def test_surveys_the_first_files_where_there_are_many(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asgi_events.cli.demo.survey.MAX_FILES", 3)

    result, events = await run(make_survey(tree), Wanted(pattern="*.py", seconds=0))

    assert result.files == 3
    messages = [event.message for event in events if isinstance(event, LogEvent)]
    assert messages == ["12 files match '*.py'", "Only the first 3 are read"]


async def test_leaves_out_a_file_that_is_deleted_meanwhile(tree: Path) -> None:
    gone = tree / "part0/m00.py"

    def delete(event: object) -> None:
        if isinstance(event, LogEvent) and "files match" in event.message:
            gone.unlink()

    state = ExecutionState()
    state.event_bus.subscribe(delete)
    messages: list[str] = []
    state.event_bus.subscribe(
        lambda event: isinstance(event, LogEvent) and messages.append(event.message)
    )

    result = await state.run(make_survey(tree), Wanted(pattern="*.py", seconds=0))

    assert result.result is not None and result.result.files == 11
    assert messages == ["12 files match '*.py'", "m00.py is left out: " + strerror(2)]


async def test_books_what_people_answer() -> None:
    executions = Executions(book)
    execution = await executions.start("book", {"destination": "Rome"})
    answers = {1: {"seat": "window", "day": "2026-12-24", "bags": 2}, 2: True}

    async for event in execution.events():
        if isinstance(event, InputRequestEvent):
            await execution.answer(event.n, answers[event.n])

    assert await execution.result() == "Booked: a seat at the window to Rome, 108 €."


@pytest.mark.parametrize("accept", ["*/*", "application/json", ""])
async def test_answers_json_to_those_who_do_not_ask_for_a_page(
    tree: Path, accept: str
) -> None:
    answer = await Client(Demo(tree)).get("/", headers={"accept": accept})

    assert [actor["name"] for actor in (await answer.json())["actors"]] == [
        "survey",
        "book",
    ]


async def test_answers_the_page_with_a_strict_policy(tree: Path) -> None:
    answer = await Client(Demo(tree)).get("/", headers={"accept": "text/html"})

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    "odd",
    [{"root_path": None}, {"path": "/\ud800", "raw_path": None}],
    ids=["root_path", "surrogate"],
)
async def test_answers_a_scope_that_no_server_sends(tree: Path, odd: Any) -> None:
    async with Connection(Demo(tree), "GET", "/nope") as c:
        c.scope.update(odd)
        await c.end()
    assert c.status == 404


@pytest.mark.parametrize("path", ["/static/../survey.py", "/static/x", "/static"])
async def test_has_no_files_but_its_own(tree: Path, path: str) -> None:
    assert (await Client(Demo(tree)).get(path)).status == 404


@pytest.mark.parametrize(
    ("bound", "host", "status"),
    [
        ("127.0.0.1", "127.0.0.1:8000", 200),
        ("127.0.0.1", "localhost:8000", 200),
        ("127.0.0.1", "LocalHost", 200),
        ("127.0.0.1", "[::1]:8000", 200),
        ("127.0.0.1", "rebind.example:8000", 421),
        ("127.0.0.1", "localhost.rebind.example", 421),
        ("127.0.0.1", "192.168.1.2:8000", 421),
        ("127.0.0.1", "127.0.0.1:8000@rebind.example", 421),
        ("127.0.0.1", "127.0.0.1:x", 421),
        ("127.0.0.1", "", 421),
        ("desk.example", "desk.example:8000", 200),
        ("desk.example", "other.example:8000", 421),
        ("192.168.1.2", "192.168.1.2:8000", 200),
        ("fe80::1", "[fe80::1]:8000", 200),
        ("0.0.0.0", "192.168.1.2:8000", 200),
        ("::", "[fe80::1]:8000", 200),
        ("0.0.0.0", "rebind.example:8000", 421),
    ],
)
async def test_answers_to_its_own_hosts_only(
    tree: Path, bound: str, host: str, status: int
) -> None:
    demo = Demo(tree, host=bound)
    for path in ("/", "/static/demo.js"):
        headers = {"accept": "text/html", "host": host}
        assert (await Client(demo).get(path, headers=headers)).status == status
    started = await Client(demo).post("/survey", headers={"host": host})
    await demo.events.executions.drain(0)
    assert started.status == (202 if status == 200 else 421)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["demo", "/no/such/folder"], "is not a folder"),
        (["demo", "--port", "65536"], "is not a port"),
        (["demo", "--port", "x"], "is not a port"),
        ([], "required: COMMAND"),
        (["dance"], "invalid choice"),
    ],
    ids=["folder", "port too large", "port", "nothing", "command"],
)
def test_says_what_is_wrong_with_the_command(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit:
        main(argv)

    assert exit.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.server
@pytest.mark.parametrize("url", ["mongo://x", "sqlite://", "redis://h/x"])
def test_says_what_is_wrong_with_the_store(tree: Path, url: str) -> None:
    demo = subprocess.run(
        DemoServer(tree, store=url).command(), capture_output=True, text=True
    )

    assert demo.returncode == 1
    assert demo.stderr.startswith("--store: ")
    assert "Traceback" not in demo.stderr


def test_keeps_executions_in_a_file_of_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    url = _default_store()

    assert _default_store() == url
    file = Path(url.removeprefix("sqlite:///"))
    assert file.is_relative_to(tmp_path)
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("made", ["open to all", "a link", "a file"])
def test_uses_no_folder_that_somebody_else_may_have_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    usual = Path(_default_store().removeprefix("sqlite:///")).parent
    usual.rmdir()
    if made == "open to all":
        usual.mkdir()
        usual.chmod(0o777)
    elif made == "a link":
        (tmp_path / "theirs").mkdir(mode=0o700)
        usual.symlink_to(tmp_path / "theirs")
    else:
        usual.touch()

    folder = Path(_default_store().removeprefix("sqlite:///")).parent

    assert folder != usual
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.server
def test_says_that_the_port_is_taken(shared: DemoServer, tree: Path) -> None:
    again = subprocess.run(
        DemoServer(tree, shared.port).command(), capture_output=True, text=True
    )

    assert again.returncode == 1
    assert f"Cannot serve on 127.0.0.1:{shared.port}" in again.stderr
    assert "Traceback" not in again.stderr


@pytest.mark.server
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=str)
def test_stops_at_a_signal_with_an_execution_running(
    server: DemoServer, number: signal.Signals
) -> None:
    curl = shutil.which("curl")
    assert curl is not None
    watching = subprocess.Popen(
        [curl, "-sN", f"{server.url}/survey", "--json", '{"seconds": 60}']
        + ["-H", "Accept: text/event-stream"],
        stdout=subprocess.PIPE,
    )
    assert watching.stdout is not None
    assert watching.stdout.readline() == b": stream-start\n"
    server.signal(number)
    rest = watching.stdout.read()
    watching.stdout.close()

    assert watching.wait(TIMEOUT) == 0
    assert b'event: goodbye\ndata: {"reason":"draining"}' in rest or (
        b"event: goodbye" in rest and rest.endswith(b'{"reason":"draining"}\n\n')
    )
    assert server.wait() == 0


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="module")
class TestPage:
    async def test_shows_a_survey_to_its_end(
        self, browser: Browser, server: DemoServer
    ) -> None:
        async with opened(browser, server.url) as page:
            await start(page, seconds="0")
            await page.wait_for_selector(ENDED)

            await expect(page.locator("#outcome")).to_have_attribute(
                "data-status", "completed"
            )
            assert await seen(page) == WHOLE
            await expect(page.locator("#progress-text")).to_contain_text("13 of 13")
            await expect(page.locator("#report")).to_contain_text(
                "In tree there are 12 files of 468 bytes."
            )
            await expect(page.locator("#log")).to_contain_text("12 files match '*.py'")
            await expect(page.locator("#outcome")).to_contain_text("78")

    async def test_shows_what_calls_show(
        self, browser: Browser, shared: DemoServer
    ) -> None:
        async with opened(browser, shared.url) as page:
            await start(page, seconds="0", pattern="m00.py")
            await page.wait_for_selector(ENDED)

            given = page.locator('[data-address="survey/list_files"] > .input')
            assert await given.locator("code").text_content() == '{"pattern":"m00.py"}'
            await expect(given.locator("pre")).to_be_hidden()
            await given.locator("summary").click()
            await expect(given.locator("pre")).to_have_text(
                '{\n  "pattern": "m00.py"\n}'
            )
            measured = page.locator('[data-address="survey/measure"] > .output code')
            assert await measured.text_content() == (
                '{"path":"part0/m00.py","bytes":6,"lines":1}'
            )
            hidden = page.locator('[data-address="survey/list_files"] > .output')
            await expect(hidden).to_be_hidden()
            wrote = page.locator('[data-address="survey/report"] .usage')
            await expect(wrote).to_have_text("1 tokens in, 22 out")
            line = page.locator('#log [data-type="custom"]')
            await expect(line).to_contain_text('languages {".py":1}')
            # Once, although the first attempt thought so too.
            await expect(page.locator("#report p")).to_have_text(
                [
                    "I have 1 files. First I say how many there are, then which "
                    "languages have the most lines, and at last which file is the "
                    "longest. ",
                    re.compile(r"In tree there are 1 files of 6 bytes\.\n"),
                ]
            )

    async def test_shows_a_call_that_is_tried_again(
        self, browser: Browser, shared: DemoServer
    ) -> None:
        failed = {"message": "busy", "attempt": 1, "delay": 1.5}
        told = [
            call_event("started"),
            {"event_type": "reasoning_delta", "address": "ask", "delta": "Hm. "},
            {"event_type": "text_delta", "address": "ask", "delta": "Once"},
            call_event("retrying", **failed),
        ]
        rest = [
            {"event_type": "text_delta", "address": "ask", "delta": "Twice"},
            call_event("completed", usage={"output_tokens": 1234}),
            {"event_type": "complete", "address": "", "message": "Done"},
        ]
        story = Told()
        story.tell(*told)

        async with opened(browser, "about:blank") as page:
            await page.route("**/events", story.stream)
            await page.goto(f"{shared.url}/#{'0' * 22}")
            ask = page.locator('[data-address="ask"]')
            await expect(ask).to_have_attribute("data-status", "retrying")
            await expect(ask.locator(".detail")).to_have_text(
                "busy: attempt 1 failed, next in 1.50 s"
            )
            await expect(page.locator("#report p")).to_have_text(["", ""])
            story.tell(*rest)
            await page.wait_for_selector(ENDED)
            await expect(ask).to_have_attribute("data-status", "completed")
            await expect(ask.locator(".detail")).to_be_empty()
            await expect(ask.locator(".usage")).to_have_text("1,234 tokens out")
            await expect(page.locator("#report p")).to_have_text(["", "Twice"])

    async def test_misses_nothing_when_it_is_reloaded_in_the_middle(
        self, browser: Browser, server: DemoServer
    ) -> None:
        async with opened(browser, server.url) as page:
            await start(page, seconds="1.5")
            # On a busy machine it may be folded away before anybody looks.
            await page.wait_for_selector(
                '[data-address="survey/measure#2"]', state="attached"
            )
            await page.reload()
            second = await page.context.new_page()
            await second.goto(page.url)
            for viewer in (page, second):
                await viewer.wait_for_selector(ENDED)

            assert await seen(page) == await seen(second) == WHOLE
            counts = [await viewer.text_content("#count") for viewer in (page, second)]
            last = await call_json(page, "self")
            assert counts == [str(last)] * 2

    async def test_shows_nothing_to_a_page_whose_name_was_rebound(
        self, browser: Browser, shared: DemoServer
    ) -> None:
        url = f"http://rebind.example:{shared.port}"
        context = await browser.new_context()
        page = await context.new_page()
        answer = await page.goto(f"{url}/")
        read = await page.evaluate(
            """async () => {
              const { status } = await fetch("/survey", { method: "POST" });
              return [status, await (await fetch("/")).text()];
            }"""
        )
        await context.close()

        assert answer is not None and answer.status == 421
        assert read[0] == 421
        assert "survey" not in read[1]

    async def test_cancels(self, browser: Browser, shared: DemoServer) -> None:
        async with opened(browser, shared.url) as page:
            await start(page, seconds="60")
            await page.focus("#cancel")
            await page.keyboard.press("Enter")

            await page.wait_for_selector('#outcome[data-status="cancelled"]')
            await page.wait_for_selector(
                '[data-address="survey"][data-status="cancelled"]'
            )
            bar = page.locator("#progress")
            await expect(bar).to_have_attribute("data-status", "cancelled")
            assert await bar.evaluate("(bar) => bar.max") == 13
            assert await bar.evaluate("(bar) => bar.value") < 13

    async def test_fills_no_bar_of_what_was_cancelled_while_it_wrote_its_report(
        self, browser: Browser, shared: DemoServer
    ) -> None:
        async with opened(browser, shared.url) as page:
            # More than 2 s of them to write the report.
            await start(page, seconds="12", pattern="m00.py")
            await page.wait_for_selector("#report p")
            await page.click("#cancel")
            await page.wait_for_selector('#outcome[data-status="cancelled"]')

            await expect(page.locator("#progress-text")).to_contain_text("1 of 2")

    async def test_shows_that_an_execution_is_lost_whose_server_was_killed(
        self, browser: Browser, server: DemoServer, tree: Path
    ) -> None:
        async with opened(browser, server.url) as page:
            await start(page, seconds="60")
            await page.wait_for_selector('[data-address="survey/list_files"]')
            server.signal(signal.SIGKILL)
            server.wait()
            await page.wait_for_selector('#connection[data-state="reconnecting"]')
            with DemoServer(tree, server.port):
                await page.wait_for_selector('#outcome[data-status="lost"]')
                before = await seen(page)
                await page.reload()
                await page.wait_for_selector('#outcome[data-status="lost"]')
                assert await seen(page) == before
                assert ("survey", "unfinished") in before
                last = await call_json(page, "self")
                await expect(page.locator("#last-id")).to_have_text(f", last #{last}")

    async def test_shows_what_was_completed_before_its_server_was_killed(
        self, browser: Browser, server: DemoServer, tree: Path
    ) -> None:
        async with opened(browser, server.url) as page:
            await start(page, seconds="0")
            await page.wait_for_selector('#outcome[data-status="completed"]')
            server.signal(signal.SIGKILL)
            server.wait()
            with DemoServer(tree, server.port):
                await page.reload()
                await page.wait_for_selector('#outcome[data-status="completed"]')
                assert await seen(page) == WHOLE

    async def test_says_that_a_restarted_server_has_forgotten(
        self, browser: Browser, server: DemoServer, tree: Path
    ) -> None:
        async with opened(browser, server.url) as page:
            await start(page, seconds="60")
            port = server.port
            server.signal(signal.SIGKILL)
            server.wait()
            await page.wait_for_selector('#connection[data-state="reconnecting"]')
            with DemoServer(tree, port, "memory://"):
                await page.wait_for_selector('#connection[data-state="forgotten"]')
                await page.reload()
                await page.wait_for_selector('#outcome[data-status="forgotten"]')
                for empty in ("tree-card", "report-card", "log-card", "progress"):
                    await expect(page.locator(f"#{empty}")).to_be_hidden()
                await page.click("#new")
                await start(page, seconds="0")
                await page.wait_for_selector('#outcome[data-status="completed"]')

    async def test_shows_what_was_wrong_with_the_input(
        self, browser: Browser, shared: DemoServer
    ) -> None:
        async with opened(browser, shared.url) as page:
            await page.fill("#pattern", "")
            await page.click("#start")

            await expect(page.get_by_role("alert")).to_contain_text(
                "pattern: String should have at least 1 character"
            )

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    async def test_has_no_horizontal_scroll_on_a_phone(
        self, browser: Browser, shared: DemoServer, scheme: Any
    ) -> None:
        async with opened(browser, shared.url) as page:
            await page.set_viewport_size({"width": 360, "height": 740})
            await page.emulate_media(
                color_scheme="dark" if scheme == "dark" else "light"
            )
            await start(page, seconds="0")
            await page.wait_for_selector(ENDED)

            assert (
                await page.evaluate("() => document.documentElement.scrollWidth") == 360
            )


async def call_json(page: Page, what: str) -> int:
    """The number of the last event, as the server says."""
    id = re.sub(".*#", "", page.url)
    answer = await page.request.get(page.url.partition("#")[0] + f"executions/{id}")
    last: int = (await answer.json())["last"]
    return last
