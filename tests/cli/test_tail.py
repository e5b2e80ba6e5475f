"""``asgi-events tail``: what it prints, and how it exits."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest

from asgi_events.cli import main
from asgi_events.cli.tail import Other, model_of, place_of
from asgi_events.events import CompleteEvent, InputRequestEvent, LogEvent
from asgi_events.wire.frames import end, json_block, reset
from tests.client.peer import RST, SILENCE, Peer, reply, stream
from tests.client.world import ID, about, complete, event, failed, finish
from tests.servers import ROOT, TIMEOUT

ABOUT = reply(200, about().body[0])
COMMAND = [sys.executable, "-W", "error", "-m", "asgi_events", "tail"]


async def tail(peer: Peer, *arguments: str) -> int:
    url = f"{peer.url}/executions/{ID}"
    return await asyncio.to_thread(main, ["tail", url, *arguments])


def cancelled() -> bytes:
    return event(1, {"event_type": "cancelled", "message": "m"}) + end("cancelled")


@pytest.mark.parametrize(
    "last, status",
    [
        (finish(1), 0),
        (failed(1), 1),
        (cancelled(), 3),
        (json_block(b'{"event_type":"lost","message":"m"}') + end("lost"), 4),
        (complete(1) + end("vanished"), 5),
    ],
    ids=["completed", "failed", "cancelled", "lost", "vanished"],
)
async def test_exits_with_the_status_of_the_execution(last: bytes, status: int) -> None:
    async with Peer(ABOUT, stream(last)) as peer:
        assert await tail(peer) == status


async def test_prints_events_as_a_printer_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    body = event(1, LogEvent(message="brewing")) + event(2, {"event_type": "newer"})
    async with Peer(ABOUT, stream(body + reset("future", 3) + finish(3))) as peer:
        await tail(peer)

    printed = [line.partition(" ")[2] for line in capsys.readouterr().out.splitlines()]
    assert printed == [
        "brewing",
        'Other {"event_type":"newer"}',
        'ResetEvent {"event_type":"reset","reason":"future","first":3}',
        "✔ count: Execution completed successfully",
    ]


async def test_says_how_to_answer_a_question(
    capsys: pytest.CaptureFixture[str],
) -> None:
    form = {"type": "object", "properties": {"tea": {"type": "boolean"}}}
    question = InputRequestEvent(n=3, message="Tea?", response_schema=form, to="bob")
    body = event(1, question)
    async with Peer(ABOUT, stream(body + finish(2))) as peer:
        await tail(peer)
        url = f"{peer.url}/executions/{ID}"

    asked, *lines = capsys.readouterr().out.splitlines()[:3]
    assert asked.endswith("? 3: Tea? (to bob)")
    assert lines == [
        "    tea: yes or no, may be left out",
        f"    To answer: asgi-events answer {url} 3",
    ]


async def test_prints_what_the_encoding_of_its_output_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", out)
    form = {"type": "string", "enum": ["Grüntee"]}
    question = InputRequestEvent(n=1, message="m", response_schema=form)
    async with Peer(ABOUT, stream(event(1, question) + finish(2))) as peer:
        assert await tail(peer) == 0

    assert b"    Gr\\xfcntee\n" in out.buffer.getvalue()  # type: ignore[attr-defined]


async def test_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    body = (
        reset("trimmed", 4)
        + event(4, {"a": [None, "ü"]})
        + event(5, LogEvent(message="m"))
    )
    async with Peer(ABOUT, stream(body + finish(6))) as peer:
        await tail(peer, "--json", "--after", "3")

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["number"] for line in lines] == [0, 4, 5, 6]
    assert lines[0]["data"] == {"event_type": "reset", "reason": "trimmed", "first": 4}
    assert lines[1]["data"] == {"a": [None, "ü"]}
    assert lines[2]["data"].keys() == {
        *("event_type", "address", "timestamp", "level", "message")
    }
    assert lines[3]["data"]["result"] == 7
    assert f"last-event-id: {ID}:3" in peer.heads[1]


async def test_says_that_it_tries_again(capsys: pytest.CaptureFixture[str]) -> None:
    cut = stream(b"retry: 1\n" + event(1), RST)
    async with Peer(ABOUT, cut, stream(finish(2))) as peer:
        assert await tail(peer) == 0

    assert capsys.readouterr().err.endswith("; the next try is in 0.0 s\n")


async def test_sends_headers() -> None:
    async with Peer(ABOUT, stream(finish(1))) as peer:
        await tail(peer, "--header", "X-Token: a:b", "--header", "X-Other:c")

    assert all("x-token: a:b\r\nx-other: c\r\n" in head for head in peer.heads)


async def test_says_why_there_is_nothing_to_watch(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with Peer(reply(404, b'{"detail":"No execution \\u001b[2J."}')) as peer:
        assert await tail(peer) == 5

    assert capsys.readouterr() == ("", "No execution \ufffd[2J.\n")


@pytest.mark.parametrize(
    "url",
    [
        "example.com/executions/1",
        "127.0.0.1:8000/executions/1",
        "localhost:8000/executions/1",
        "ftp://example.com/executions/1",
        "https:///executions/1",
        "https://example.com",
        "https://example.com/events",
        "https://example.com/executions/",
        "https://example.com/executions/1/other",
        "https://example.com/executions/1?a=b",
    ],
)
def test_refuses_a_url(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tail", url]) == 2
    assert capsys.readouterr().err == (
        "URL must be that of an execution: write "
        "https://example.com/events/executions/ID.\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        ["https://ann@example.com/executions/1"],
        ["https://example.com:x/executions/1"],
        ["https://[::1/executions/1"],
        ["https://example.com/executions/1", "--header", "Bearer x: a"],
        ["https://example.com/executions/1", "--header", "a: \x01"],
    ],
)
def test_says_which_option_cannot_be_sent(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tail", *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ["https://ann:s3cret@example.com/events"],
        ["https://ann:s3cret@example.com/executions/1"],
        ["ann:s3cret@example.com/executions/1"],
        ["https://example.com/executions/1?token=s3cret"],
        ["https://example.com/executions/1", "--header", "Authorization=s3cret"],
        ["https://example.com/executions/1", "--header", "Bearer s3cret: a"],
    ],
)
def test_keeps_secrets_to_itself(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with suppress(SystemExit):
        main(["tail", *words])

    error = capsys.readouterr().err
    assert error and "s3cret" not in error


@pytest.mark.parametrize(
    "option",
    [["--after", "-1"], ["--after", "x"], ["--header", "x"], ["--header", ":"]],
)
def test_refuses_an_option(option: list[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(["tail", "https://example.com/executions/1", *option])

    assert exit.value.code == 2


@pytest.mark.parametrize(
    "url",
    [
        "https://a/b/executions/x%20y",
        "https://a/b/executions/x%20y/",
        "https://a/b/executions/x%20y/events",
    ],
)
def test_finds_the_place_of_an_execution(url: str) -> None:
    assert place_of(url) == ("https://a/b", "x y")


def test_finds_the_place_below_a_folder_of_that_name() -> None:
    assert place_of("http://a/executions/b/executions/c")[0] == "http://a/executions/b"
    assert place_of("http://a/executions/c") == ("http://a", "c")


@pytest.mark.parametrize(
    "data", [{}, {"model_config": 1, "copy": {"x": 1}}, {"timestamp": 3, "address": []}]
)
def test_prints_whatever_an_event_has(data: dict[str, Any]) -> None:
    assert model_of(data).model_dump() == data
    assert isinstance(model_of(data), Other)


def test_prints_typed_events_as_they_are() -> None:
    event = CompleteEvent(result=1)

    assert model_of(event) is event


async def test_leaves_at_ctrl_c() -> None:
    async with Peer(ABOUT, stream(event(1), SILENCE)) as peer:
        process = await asyncio.create_subprocess_exec(
            *[*COMMAND, f"{peer.url}/executions/{ID}"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert process.stdout is not None
        await asyncio.wait_for(process.stdout.readline(), TIMEOUT)
        process.send_signal(signal.SIGINT)
        rest, _ = await process.communicate()

    assert (process.returncode, rest) == (130, b"")


async def test_stops_when_nobody_reads_what_it_prints() -> None:
    body = b"".join(event(n, {"x": "y" * 5000}) for n in range(1, 100))
    async with Peer(ABOUT, stream(body, SILENCE)) as peer:
        command = " ".join([*COMMAND, f"{peer.url}/executions/{ID}", "--json"])
        process = await asyncio.create_subprocess_shell(
            f"({command}; echo $? >&2) | head -n 1",
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        printed, errors = await asyncio.wait_for(process.communicate(), TIMEOUT)

    assert json.loads(printed)["number"] == 1
    assert errors == b"5\n"


def test_says_what_is_missing() -> None:
    program = """
import sys
sys.modules["httpx2"] = sys.modules["httpx"] = None
from asgi_events.cli import main
sys.exit(main(["tail", "https://example.com/executions/1"]))
"""
    command = [sys.executable, "-W", "error", "-c", program]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert run.returncode == 5
    assert run.stderr.endswith('pip install "asgi-events[client]"\n')
