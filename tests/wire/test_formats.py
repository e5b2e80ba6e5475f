"""A viewer in another format than the native one."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from asgi_events import ExecutionResponse, Executions, agent, current_state
from asgi_events.aio import signals
from asgi_events.testing import Connection
from asgi_events.wire.formats import NATIVE, Format, Reason
from tests.house import ROOT


class Lines:
    """One numbered line for each log event; it counts them, so it has a state."""

    media_type = "text/plain"
    headers: Mapping[str, str] = {"x-format": "lines"}
    greeting = b"hello\n"
    heartbeat = b".\n"

    def __init__(self) -> None:
        self._count = 0

    def retry(self, milliseconds: int) -> bytes:
        return b""

    def frame(self, number: int, event_id: bytes, payload: bytes) -> bytes:
        event = json.loads(payload)
        if event["event_type"] != "log":
            return b""
        self._count += 1
        return b"%d/%d %b\n" % (self._count, number, event["message"].encode())

    def reset(self, reason: str, first: int) -> bytes | None:
        return b"reset %d\n" % first

    def end(self, status: str | None) -> bytes | None:
        return b"end\n"

    def goodbye(self, reason: Reason) -> bytes | None:
        return b"bye\n"


class Named(Lines):
    """It says how its text is encoded, or that it has none."""

    def __init__(self, media_type: str) -> None:
        super().__init__()
        self.media_type = media_type


class Speechless(Lines):
    """It has no word for the end."""

    def end(self, status: str | None) -> None:
        return None


@agent
async def count(to: int) -> None:
    for number in range(to):
        await current_state().log(f"line {number}")
        await current_state().progress(number)


async def body_of(
    format: Callable[[], Format] | None, last_event_id: int | None = None
) -> tuple[Connection, bytes]:
    async with Executions(count) as executions:
        execution = await executions.start(count, {"to": 3})
        await execution.wait()
        headers = {}
        if last_event_id is not None:
            headers["last-event-id"] = f"{execution.id}:{last_event_id}"
        response = ExecutionResponse(execution, format=format)
        connection = Connection(response, headers=headers)
        async with connection:
            await connection.task
        return connection, connection.body


async def test_is_what_the_viewer_is_sent() -> None:
    connection, body = await body_of(Lines)
    assert body == b"hello\n1/2 line 0\n2/4 line 1\n3/6 line 2\nend\n"
    assert connection.headers["content-type"] == "text/plain; charset=utf-8"
    assert connection.headers["x-format"] == "lines"


@pytest.mark.parametrize(
    ("media_type", "sent"),
    [
        ("text/event-stream", "text/event-stream; charset=utf-8"),
        ("Text/Plain; format=flowed", "Text/Plain; format=flowed; charset=utf-8"),
        ("text/plain; charset=latin-1", "text/plain; charset=latin-1"),
        ("text/plain;Charset=UTF-8", "text/plain;Charset=UTF-8"),
        ("application/x-ndjson", "application/x-ndjson"),
        ("application/octet-stream", "application/octet-stream"),
    ],
)
async def test_is_of_utf_8_where_it_is_text_of_no_other_charset(
    media_type: str, sent: str
) -> None:
    connection, _ = await body_of(lambda: Named(media_type))
    assert connection.headers["content-type"] == sent


async def test_knows_what_came_before_when_its_viewer_resumes() -> None:
    _, body = await body_of(Lines, last_event_id=4)
    assert body == b"hello\n3/6 line 2\nend\n"


async def test_breaks_the_connection_off_where_it_has_no_word() -> None:
    connection, body = await body_of(Speechless)
    assert body == b"hello\n1/2 line 0\n2/4 line 1\n3/6 line 2\n"
    assert not connection.ended


class NoGoodbye(Lines):
    """Its clients take a clean end for success."""

    def goodbye(self, reason: Reason) -> None:
        return None


class Faulty(NoGoodbye):
    """It fails with the first event."""

    def frame(self, number: int, event_id: bytes, payload: bytes) -> bytes:
        raise RuntimeError("broken")


@agent
async def wait() -> None:
    await current_state().log("waiting")
    await asyncio.Event().wait()


@pytest.mark.parametrize("told", [False, True], ids=["for itself", "told to stop"])
@pytest.mark.parametrize("version", ["2.4", None], ids=["uvicorn", "daphne"])
async def test_breaks_the_connection_off_when_the_server_cancels_it(
    told: bool, version: str | None
) -> None:
    asgi = {"version": "3.0", **({"spec_version": version} if version else {})}
    async with Executions(wait, drain_grace=0.0) as executions:
        execution = await executions.start(wait)
        response = ExecutionResponse(execution, format=NoGoodbye)
        with pytest.raises(asyncio.CancelledError):
            async with Connection(response, asgi=asgi) as connection:
                await connection.until(b"1/2 waiting")
                if told:
                    signals.tell()
                    execution.watchers.dismiss()
                connection.task.cancel()
                await connection.end()
    assert connection.body == b"hello\n1/2 waiting\n"
    assert not connection.ended


async def test_breaks_the_connection_off_when_it_fails() -> None:
    async with Executions(wait, drain_grace=0.0) as executions:
        response = ExecutionResponse(await executions.start(wait), format=Faulty)
        with pytest.raises(RuntimeError, match="broken"):
            async with Connection(response) as connection:
                await connection.end()
    assert connection.body == b"hello\n"
    assert not connection.ended


@pytest.mark.parametrize("payload", [b"{}", b'{"a":"data: x"}'])
def test_gives_native_frames_back_byte_for_byte(payload: bytes) -> None:
    made = NATIVE.frame(1, b"x:1", payload)
    assert made == b"data: " + payload + b"\nid: x:1\n\n"


@agent
async def tell() -> None:
    await current_state().text("a < b\nc")
    await current_state().progress(2, 3)


async def test_of_contributing_is_a_whole_format() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    names: dict[str, Any] = {}
    exec(page.partition("```python\n")[2].partition("```")[0], names)
    async with Executions(tell) as executions:
        execution = await executions.start(tell)
        await execution.wait()
        response = ExecutionResponse(execution, format=names["DatastarFormat"])
        async with Connection(response) as connection:
            await connection.task
    id = execution.id
    assert connection.ended
    assert connection.body.decode() == (
        f"event: datastar-patch-elements\nid: {id}:2\ndata: mode append\n"
        "data: selector #text\ndata: elements a &lt; b\ndata: elements c\n\n"
        f"event: datastar-patch-elements\nid: {id}:3\ndata: mode inner\n"
        "data: selector #progress\ndata: elements 2\n\n"
        "event: datastar-patch-elements\ndata: mode inner\n"
        "data: selector #progress\ndata: elements completed\n\n"
    )
