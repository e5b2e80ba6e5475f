"""``asgi-events answer``: what it shows, what it sends, and how it exits."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from asgi_events.cli import main
from asgi_events.client import SyncClient
from tests.cli.test_tail import COMMAND
from tests.client.peer import RST, Part, Peer, reply
from tests.client.world import ID, about, answer
from tests.client.world import problem as problem_of
from tests.servers import ROOT, TIMEOUT, Server, watched

FORM = {
    "type": "object",
    "properties": {
        "seat": {"type": "string", "enum": ["window", "aisle"]},
        "bags": {"type": "integer", "default": 0, "minimum": 0},
    },
    "required": ["seat"],
}
OPEN = {
    "n": 2,
    "address": "book",
    "message": "Book\nit\x1b[2J?",
    "response_schema": FORM,
    "expires": "2026-11-22T12:00:00+00:00",
    "to": "bob",
    "answer": None,
}
YES_OR_NO = {**OPEN, "n": 3, "response_schema": {"type": "boolean"}, "to": None}
SHOWN = """\
Question 2 (to bob): Book it\ufffd[2J?
  seat: window or aisle
  bags: a whole number, at least 0, 0 if it is left out
"""


def closed(action: str = "accept", by: str | None = "ann") -> dict[str, Any]:
    return {**OPEN, "answer": {"action": action, "by": by}}


def told(status: int, members: Any) -> list[Part]:
    return reply(status, answer(status, members).body[0])  # type: ignore[arg-type]


def problem(status: int, detail: str, **members: Any) -> list[Part]:
    return told(status, problem_of(status, detail, **members))


ASKED = told(200, OPEN)


async def run(peer: Peer, *arguments: str) -> int:
    url = f"{peer.url}/executions/{ID}"
    return await asyncio.to_thread(main, ["answer", url, *arguments])


def until(text: str) -> str:
    """Without the time, which is local."""
    head, _, rest = text.partition("  It can be answered until 2026-11-2")
    assert rest.count("\n") == 1
    return head


# What it shows


async def test_shows_a_question(capsys: pytest.CaptureFixture[str]) -> None:
    async with Peer(ASKED) as peer:
        assert await run(peer, "2", "--header", "X-Token: a") == 0

    out, err = capsys.readouterr()
    assert (until(out), err) == (SHOWN, "")
    (head,) = peer.heads
    assert head.startswith(f"GET /executions/{ID}/inputs/2 HTTP/1.1\r\n")
    assert "x-token: a\r\n" in head


async def test_shows_all_that_is_open(capsys: pytest.CaptureFixture[str]) -> None:
    asked = told(200, json.loads(about(waiting=[OPEN, YES_OR_NO]).body[0]))
    async with Peer(asked, asked) as peer:
        assert await run(peer) == 0
        text = capsys.readouterr().out
        assert await run(peer, "--json") == 0

    assert [line for line in text.splitlines() if "until" not in line] == [
        *SHOWN.splitlines(),
        "Question 3: Book it\ufffd[2J?",
        "  yes or no",
    ]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {**each, "expires": "2026-11-22T12:00:00Z"} for each in (OPEN, YES_OR_NO)
    ]


async def test_says_that_nothing_is_open(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = told(200, json.loads(about().body[0]))
    async with Peer(nothing, nothing) as peer:
        assert [await run(peer), await run(peer, "--json")] == [0, 0]

    assert capsys.readouterr() == ("No question is open.\n", "")


@pytest.mark.parametrize(
    "action, by, says, status",
    [
        ("accept", "ann", "It was answered by ann.", 1),
        ("decline", None, "It was declined.", 1),
        ("expired", None, "It was expired.", 3),
        ("cancelled", None, "It was cancelled.", 3),
    ],
)
async def test_shows_what_has_closed_a_question(
    action: str,
    by: str | None,
    says: str,
    status: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with Peer(told(200, closed(action, by))) as peer:
        assert await run(peer, "2") == status

    assert capsys.readouterr().out.splitlines()[1:] == [f"  {says}"]


# What it sends


async def test_answers(capsys: pytest.CaptureFixture[str]) -> None:
    async with Peer(ASKED, told(201, closed())) as peer:
        assert await run(peer, "2", '{"seat":"aisle"}') == 0

    assert capsys.readouterr() == ("This answer counts.\n", "")
    assert peer.heads[1].startswith(f"POST /executions/{ID}/inputs/2 HTTP/1.1\r\n")


async def test_answers_again(capsys: pytest.CaptureFixture[str]) -> None:
    same = told(200, closed())
    async with Peer(ASKED, same, ASKED, same) as peer:
        assert await run(peer, "2", '{"seat":"aisle"}') == 0
        assert await run(peer, "2", '{"seat":"aisle"}', "--json") == 0

    assert capsys.readouterr().out == (
        'The question had this answer already.\n{"n":2,"counts":false}\n'
    )


async def test_answers_once_although_a_response_is_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("asgi_events.client.patience.LONGEST", 0.01)
    async with Peer(ASKED, [RST], told(200, closed())) as peer:
        assert await run(peer, "2", '{"seat":"aisle"}') == 0

    out, err = capsys.readouterr()
    assert out == "This answer counts.\n"
    assert err.endswith("; the next try is in 0.0 s\n")


async def test_reads_the_answer_from_the_standard_input(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(' {"seat": "aisle"}\n'))
    async with Peer(ASKED, told(201, closed())) as peer:
        assert await run(peer, "2", "-") == 0


async def test_declines(capsys: pytest.CaptureFixture[str]) -> None:
    async with Peer(told(201, closed("decline"))) as peer:
        assert await run(peer, "2", "--decline") == 0

    assert capsys.readouterr().out == "This answer counts.\n"
    assert peer.heads[0].startswith(f"POST /executions/{ID}/inputs/2 HTTP/1.1\r\n")


# Why an answer does not count

REFUSALS = [
    (problem(409, "It was declined.", action="decline", by="bob"), 1),
    (problem(410, "It has expired.", action="expired"), 3),
    (problem(404, "No execution."), 4),
    (problem(404, "No question.", n=2), 4),
    (problem(403, "Not you."), 5),
    (problem(413, "Too large."), 5),
    (problem(422, "No.", errors=[{"loc": ["seat"], "msg": "Not that."}]), 6),
]


@pytest.mark.parametrize("refusal, status", REFUSALS)
@pytest.mark.parametrize("words", [["2", '{"seat":"aisle"}'], ["2", "--decline"]])
async def test_exits_with_the_reason(
    refusal: list[Part],
    status: int,
    words: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = [] if "--decline" in words else [ASKED]
    async with Peer(*before, refusal) as peer:
        assert await run(peer, *words) == status

    out, err = capsys.readouterr()
    assert out == ""
    assert err == "seat: Not that.\n" if status == 6 else err.count("\n") == 1


async def test_knows_no_such_question(capsys: pytest.CaptureFixture[str]) -> None:
    async with Peer(problem(404, "No\nquestion.", n=7)) as peer:
        assert await run(peer, "7") == 4

    assert capsys.readouterr() == ("", "No question.\n")


@pytest.mark.parametrize(
    "content, says",
    [
        ("{}", "seat: It is required."),
        ('{"seat":"tail"}', "seat: It must be one of ['window', 'aisle']."),
        ("aisle", "It must be a JSON object of seat, bags."),
    ],
)
async def test_sends_nothing_that_does_not_fit(
    content: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Peer(ASKED) as peer:
        assert await run(peer, "2", content) == 6

    assert capsys.readouterr() == ("", f"{says}\n")
    assert len(peer.heads) == 1


@pytest.mark.parametrize(
    "words",
    [["x"], ["-1"], ["1" * 21], ["--decline"], ["2", "yes", "--decline"]],
)
def test_refuses_an_option(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status: Any = main(["answer", "https://example.com/executions/1", *words])
    except SystemExit as exit:
        status = exit.code
    assert status == 2
    assert capsys.readouterr().err


def test_refuses_a_url(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["answer", "https://ann:s3cret@example.com/executions/1", "1"]) == 2
    assert main(["answer", "https://example.com/events"]) == 2
    assert main(["answer", "127.0.0.1:8000/executions/1", "1", "yes"]) == 2

    error = capsys.readouterr().err
    assert error.count("\n") == 3 and "s3cret" not in error
    assert "and no password: write --header" in error
    assert error.count("write https://example.com/events/executions/ID.\n") == 2


def test_says_what_is_missing() -> None:
    program = """
import sys
sys.modules["httpx2"] = sys.modules["httpx"] = None
from asgi_events.cli import main
sys.exit(main(["answer", "https://example.com/executions/1"]))
"""
    command = [sys.executable, "-W", "error", "-c", program]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert run.returncode == 5
    assert run.stderr.endswith('pip install "asgi-events[client]"\n')


# On a terminal


class Terminal:
    """The command on a terminal, and somebody who types."""

    def __init__(self, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [*COMMAND[:-1], "answer", *words],
            cwd=ROOT,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""
        self._typed_at = 0

    async def type(self, prompt: str, line: str) -> None:
        """Wait for a prompt, and type a line."""
        await asyncio.to_thread(self._until, prompt)
        self._typed_at = len(self.shown)
        os.write(self._ours, line.encode())

    async def interrupt(self, prompt: str) -> None:
        """Wait for a prompt, and press Ctrl-C."""
        await self.type(prompt, "")
        self._process.send_signal(signal.SIGINT)
        # It may come before ``input`` waits, which only a line ends then.
        os.write(self._ours, b"\n")

    async def end(self) -> int:
        """Wait for the end; return the exit status."""
        await asyncio.to_thread(self._until, None)
        os.close(self._ours)
        return await asyncio.to_thread(self._process.wait, TIMEOUT)

    def _until(self, prompt: str | None) -> None:
        while prompt is None or prompt not in self.shown[self._typed_at :]:
            if not select.select([self._ours], [], [], TIMEOUT)[0]:
                self._process.kill()
                pytest.fail(f"It waits after {self.shown!r}")
            try:
                more = os.read(self._ours, 4096)
            except OSError:  # the other side is closed
                more = b""
            if not more:
                assert prompt is None, self.shown
                return
            self.shown += more.decode().replace("\r\n", "\n")


def url_of(peer: Peer) -> str:
    return f"{peer.url}/executions/{ID}"


SEAT, BAGS = "seat (window or aisle): ", "bags (a whole number, at least 0, 0 if it"


async def test_asks_for_each_field_on_a_terminal() -> None:
    asked = told(200, json.loads(about(waiting=[OPEN]).body[0]))
    async with Peer(asked, told(201, closed())) as peer:
        terminal = Terminal(url_of(peer))
        await terminal.type(SEAT, "tail\n")
        await terminal.type(SEAT, "aisle\n")
        await terminal.type(" is left out): ", "\n")
        status = await terminal.end()

    assert status == 0, terminal.shown
    assert until(terminal.shown[: terminal.shown.index(SEAT)]) == SHOWN
    assert "It must be one of ['window', 'aisle'].\n" in terminal.shown
    assert terminal.shown.endswith("This answer counts.\n")
    assert len(peer.heads) == 2


async def test_learns_that_another_answer_came_meanwhile() -> None:
    late = problem(409, "It was declined by bob.", action="decline", by="bob")
    async with Peer(told(200, YES_OR_NO), late) as peer:
        terminal = Terminal(url_of(peer), "3")
        await terminal.type("answer (yes or no): ", "yes\n")
        status = await terminal.end()

    assert (status, terminal.shown.splitlines()[-1]) == (1, "It was declined by bob.")


async def test_answers_nothing_where_somebody_leaves() -> None:
    async with Peer(ASKED, ASKED) as peer:
        ended = Terminal(url_of(peer), "2")
        await ended.type(SEAT, "\x04")
        statuses = [await ended.end()]
        interrupted = Terminal(url_of(peer), "2")
        await interrupted.interrupt(SEAT)
        statuses.append(await interrupted.end())

    assert statuses == [5, 130]
    assert ended.shown.endswith("\nNothing was answered.\n")
    assert len(peer.heads) == 2


async def test_asks_nothing_for_a_program() -> None:
    async with Peer(ASKED) as peer:
        terminal = Terminal(url_of(peer), "2", "--json")
        assert await terminal.end() == 0

    assert json.loads(terminal.shown)["message"] == OPEN["message"]


# With a real server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server("tests.client.asking:app", "uvicorn") as server, watched(server):
        yield server


@pytest.mark.server
def test_answers_a_running_execution(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    with SyncClient(server.url, auth={"user": "ann"}) as client:
        execution = client.start("book", {"to": "bob"})
        events = (each.event_type for each in execution.events())
        assert "input_request" in events
        url = f"{server.url}/executions/{execution.id}"
        ann, bob = ["--header", "user: ann"], ["--header", "user: bob"]
        statuses = [
            main(["answer", url, *bob]),  # only the question is theirs
            main(["answer", url, *ann]),
            main(["answer", url, "1", '{"seat":"tail"}', *bob]),
            main(["answer", url, "1", '{"seat":"aisle"}', *bob]),
            main(["answer", url, "1", '{"seat":"aisle"}', *ann]),
            main(["answer", url, "1", "--decline", *ann]),
            main(["answer", url, "2", "--decline", *ann]),
        ]

        assert statuses == [4, 0, 6, 0, 0, 1, 4]
        assert execution.result() == "Choice(seat='aisle', bags=0, note=None)"
    assert "was accepted by 'bob' already" in capsys.readouterr().err
