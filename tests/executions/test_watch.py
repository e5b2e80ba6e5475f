"""``Executions``: what viewers see."""

import asyncio
import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel, Field

from asgi_events import agent, current_state, tool
from asgi_events.exceptions import (
    EventTooLarge,
    LimitReached,
)
from asgi_events.executions.follower import Follower
from asgi_events.http.viewing import ExecutionResponse
from asgi_events.stores.memory import MemoryStore
from asgi_events.testing import Connection
from asgi_events.wire.sse import Decoder
from tests import TIMEOUT
from tests.executions.scenes import (
    Gate,
    Make,
    count,
    end_of,
    idle,
    kinds_of,
    outer,
    say,
    seen,
    soon,
    viewer,
)
from tests.payloads import kinds

# Watching


async def test_shows_every_viewer_every_event_once_and_one_end(make: Make) -> None:
    go = asyncio.Event()

    @agent
    async def talk() -> None:
        for number in range(50):
            await current_state().progress(number, 50)
            await asyncio.sleep(0)
            if number == 25:
                await go.wait()

    executions = make(talk)
    execution = await executions.start(talk)
    async with viewer(executions, execution) as early:
        await early.until(b'"current":25.0')
        async with viewer(executions, execution) as late:
            await late.start()
            watched = execution.viewers
            go.set()
            events = [await early.events(), await late.events()]
    assert watched == 2
    assert execution.viewers == 0
    for told in events:
        numbers = [e.id.split(":")[1] for e in told if e.id is not None]
        assert numbers == [str(n) for n in range(1, 54)]
        assert kinds(told).count("complete") == 1
        assert kinds(told)[-1] == "complete"
        assert [e.event for e in told if e.event is not None] == ["end"]
    assert early.body == late.body


async def test_replays_the_very_bytes_that_were_sent_live(make: Make) -> None:
    executions = make(count)
    execution = await executions.start(count, {"to": 20})
    async with viewer(executions, execution) as live:
        await live.end()
    async with viewer(executions, execution) as replay:
        await replay.end()
    assert live.body == replay.body
    assert live.body.count(b"id: ") == 23


async def test_replays_from_the_store_what_it_has_let_go_of(make: Make) -> None:
    executions = make(count, max_events=4, store=MemoryStore())
    execution = await executions.start(count, {"to": 40})
    await end_of(execution)
    async with viewer(executions, execution, f"{execution.id}:7") as connection:
        events = await connection.events()
    assert execution.log.first > 8
    assert [e.id for e in events[:-1]] == [f"{execution.id}:{n}" for n in range(8, 44)]
    assert events[-1].event == "end"


async def test_announces_what_not_even_the_store_holds(make: Make) -> None:
    executions = make(count, max_events=4, store=MemoryStore(max_events=8))
    execution = await executions.start(count, {"to": 40})
    await end_of(execution)
    async with viewer(executions, execution, f"{execution.id}:1") as connection:
        reset, *events, end = await connection.events()
    first = int((events[0].id or "").split(":")[1])
    assert (reset.event, reset.id) == ("reset", None)
    assert reset.data == f'{{"reason":"trimmed","first":{first}}}'
    assert first > 2
    assert [e.id for e in events] == [f"{execution.id}:{n}" for n in range(first, 44)]
    assert end.event == "end"


async def test_sends_viewers_away_after_max_stream_duration(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor, max_stream_duration=0.05)
    execution = await executions.start("work")
    async with viewer(executions, execution) as connection:
        *before, goodbye = await connection.events()
    gate.open.set()
    async with viewer(executions, execution, before[-1].id) as connection:
        *after, end = await connection.events()
    assert (goodbye.event, goodbye.data) == ("goodbye", '{"reason":"max_duration"}')
    assert goodbye.id is None
    assert goodbye.retry is not None and 1000 <= goodbye.retry <= 4000
    assert [e.id for e in before + after] == [f"{execution.id}:{n}" for n in (1, 2, 3)]
    assert end.event == "end"


async def test_sends_heartbeats_while_nothing_happens(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor, heartbeat_interval=0.03)
    execution = await executions.start("work")
    async with viewer(executions, execution) as connection:
        await connection.until(b": keep-alive\n: keep-alive\n")
        gate.open.set()
        events = await connection.events()
    assert kinds(events)[-1] == "complete"


async def test_drops_a_viewer_that_takes_nothing(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor, send_timeout=0.05, cancel_after=None)
    execution = await executions.start("work")
    async with viewer(executions, execution) as connection:
        connection.stall()
        await connection.end()
    gate.open.set()
    assert (execution.viewers, connection.messages) == (0, [])
    assert await end_of(execution) == "completed"


async def test_tells_clients_how_long_to_wait_before_they_reconnect(
    make: Make,
) -> None:
    executions = make(idle, retry=1234)
    execution = await executions.start(idle)
    async with viewer(executions, execution) as connection:
        events = await connection.events()
    assert [e.retry for e in events] == [1234, None, None, None]


# Large events


@pytest.mark.usefixtures("fixed_time")  # a time stamp is shorter at a whole second
async def test_refuses_an_event_that_is_too_large_and_tells_its_publisher(
    make: Make,
) -> None:
    told: list[EventTooLarge] = []
    heard: list[Any] = []

    @agent
    async def shout() -> str:
        state = current_state()
        try:
            await state.text("x" * 5000)
        except EventTooLarge as error:
            told.append(error)
        await state.text("y")
        return "done"

    executions = make(shout, max_event_bytes=1000, handlers=[heard.append])
    execution = await executions.start(shout)
    assert await end_of(execution) == "completed"
    assert kinds_of(await seen(executions, execution)) == [
        "agent_call",
        "text_delta",
        "agent_call",
        "complete",
    ]
    assert [getattr(event, "delta", None) for event in heard] == [
        None,
        "y",
        None,
        None,
    ]
    (error,) = told
    assert isinstance(error, ValueError)
    assert (error.size, error.limit) == (5091, 1000)
    assert str(error) == (
        "The event text_delta has 5091 bytes as JSON, and max_event_bytes=1000: "
        "publish it in parts, or where it is to be found; or raise the option."
    )


async def test_refuses_a_large_event_of_a_thread(make: Make) -> None:
    @tool
    def shout() -> str:
        try:
            current_state().text("x" * 5000)
        except EventTooLarge as error:
            return str(error.size)
        return "published"

    executions = make(shout, max_event_bytes=1000)
    execution = await executions.start(shout)
    assert await end_of(execution) == "completed"
    assert int((await seen(executions, execution))[-1]["result"]) > 5000


async def test_ends_with_an_error_that_names_the_bound_of_a_large_result(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    executions = make(say(5000), max_event_bytes=1000)
    execution = await executions.start("say")
    assert await end_of(execution) == "failed"
    last = (await seen(executions, execution))[-1]
    assert last["event_type"] == "error"
    assert re.fullmatch(
        "The result has 5[0-9]{3} bytes as JSON, and max_event_bytes=1000: publish it "
        "in parts, or where it is to be found; or raise the option.",
        last["message"],
    )
    assert "An execution cannot say how it ended" in caplog.text


@pytest.mark.parametrize("end", ["failed", "cancelled"])
async def test_ends_as_it_does_where_too_much_is_said_of_it(
    make: Make, end: str
) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    @agent(name="fail")
    async def fail() -> None:
        begun.set()
        await go.wait()
        raise RuntimeError("x" * 5000)

    executions = make(fail, max_event_bytes=1000, error_message=str)
    execution = await executions.start("fail")
    await soon(begun.wait())
    if end == "failed":
        go.set()
    else:
        await execution.cancel("x" * 5000)
    assert await end_of(execution) == end
    told = await seen(executions, execution)
    assert kinds_of(told)[:2] == ["agent_call", "agent_call"]
    assert told[1]["execution_status"] == end
    assert [("max_event_bytes=1000" in event["message"]) for event in told[2:]] == [
        True
    ]


async def test_takes_events_of_any_size_when_max_event_bytes_is_none(
    make: Make,
) -> None:
    executions = make(say(3_000_000), max_event_bytes=None)
    execution = await executions.start("say")
    assert await end_of(execution) == "completed"
    assert len((await seen(executions, execution))[-1]["result"]) == 3_000_000


# The end


@pytest.mark.parametrize("options", [{}, {"store": "memory://"}], ids=str)
async def test_shows_the_end_in_one_message_with_what_was_published_last(
    make: Make, options: dict[str, Any]
) -> None:
    gate = Gate()
    executions = make(gate.actor, **options)
    execution = await executions.start("work")
    async with viewer(executions, execution) as c:
        await c.until(b'"started"')
        sent = len(c.messages)
        gate.open.set()
        await c.end()

    (last,) = c.messages[sent:]
    events = Decoder().feed(last["body"])
    assert kinds(events) == ["agent_call", "complete"]
    assert events[-1].event == "end"
    assert not last["more_body"]


async def test_shows_an_end_that_comes_before_its_start_has_returned(
    make: Make,
) -> None:
    eager = getattr(asyncio, "eager_task_factory", None)  # new in Python 3.12
    asyncio.get_running_loop().set_task_factory(eager)
    executions = make(idle)

    execution = await executions.start("idle")

    assert await end_of(execution) == "completed"
    assert kinds_of(await seen(executions, execution))[-1] == "complete"


# Servers that buffer


class Buffering(Connection):
    """A server that waits in the last send alone, as hypercorn does over HTTP/2.

    It takes the bytes of that send first.
    """

    def __init__(self, app: Any) -> None:
        super().__init__(app, http_version="2")
        self.stall()

    async def _send(self, message: Any) -> None:
        self.messages.append(message | {"more_body": True})
        self._arrived.set()
        if not message.get("more_body", True):
            await super()._send(message | {"body": b""})


async def test_holds_the_seat_of_who_has_not_read_what_the_server_buffers(
    make: Make,
) -> None:
    executions = make(count, max_viewers=2, send_timeout=0.05)
    execution = await executions.start(count, {"to": 3})
    app = ExecutionResponse(execution)
    async with Buffering(app) as unread:
        await unread.until(b"event: end")
        assert execution.viewers == 0
        async with Connection(app) as stuck:  # a server that holds back
            stuck.stall()
            await soon(stuck.task)
            assert not stuck.ended
        assert not unread.task.done()
        with pytest.raises(LimitReached, match="max_viewers=2"):
            for _ in range(2):
                executions.viewing.capacity.take()
        unread.resume()
        await unread.end()
        assert unread.ended
    await seen(executions, execution)


@pytest.mark.parametrize("how", ["client goes", "process stops", "cancelled"])
async def test_frees_the_seat_of_an_unread_stream_when(make: Make, how: str) -> None:
    executions = make(count, max_viewers=1)
    execution = await executions.start(count, {"to": 3})
    async with Buffering(ExecutionResponse(execution)) as unread:
        await unread.until(b"event: end")
        if how == "client goes":
            unread.disconnect()
        elif how == "process stops":
            await executions.drain(0)
        else:
            unread.task.cancel()
            unread.resume()
        await asyncio.wait({unread.task}, timeout=TIMEOUT)
        assert unread.task.cancelled() is (how == "cancelled")
        unread.task = asyncio.ensure_future(asyncio.sleep(0))
    executions.viewing.capacity.take()


async def test_waits_for_no_unread_stream_that_ends_after_the_drain(
    make: Make,
) -> None:
    gate = Gate()
    executions = make(gate.actor)
    execution = await executions.start("work")
    async with Buffering(ExecutionResponse(execution)) as unread:
        await unread.until(b"agent_call")
        await executions.drain(0)
        await unread.end()
    executions.open()
    again = await executions.start("work")
    gate.open.set()
    async with Buffering(ExecutionResponse(again)) as unread:
        await unread.until(b"event: end")
        assert not unread.task.done()


# What nothing may hold up, share or lose


@agent
async def endless() -> None:
    await current_state().log("begun")
    await asyncio.Event().wait()


async def test_keeps_an_execution_whose_last_viewer_it_sent_away_itself(
    make: Make,
) -> None:
    executions = make(endless, cancel_after=0, max_stream_duration=0.05)
    execution = await executions.start("endless")
    app = ExecutionResponse(execution)

    async with Connection(app) as connection:
        events = await connection.events()
    status = execution.status
    await execution.cancel()
    await execution.wait()

    assert events[-1].event == "goodbye"
    assert status == "started"


async def test_takes_a_request_for_the_same_whatever_its_defaults_are(
    make: Make,
) -> None:
    class Wanted(BaseModel):
        topic: str
        request: UUID = Field(default_factory=uuid4)

    @tool
    async def look(wanted: Wanted) -> None: ...

    executions = make(look)
    same = [
        await executions.start("look", b'{"topic": "tea"}', idempotency_key="k")
        for _ in range(2)
    ]

    assert same[0] is same[1]


async def test_resumes_where_the_store_is_further_than_its_follower(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look_later(_: Follower) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Follower, "_catch_up", look_later)
    store = MemoryStore()
    here, there = make(endless, store=store), make(endless, store=store)
    execution = await here.start("endless")
    watching = (await there.get(execution.id)).watchers.attach()
    async with Connection(ExecutionResponse(execution)) as connection:
        await connection.event()
        await connection.event()

    cursor = (await there.get(execution.id)).watchers.attach(f"{execution.id}:2")

    assert cursor.position == 2
    cursor.close()
    watching.close()


class SharedStore(MemoryStore):
    """A store that lasts, as seen by two processes."""

    durable = True


@pytest.mark.parametrize("how", ["completed", "lost"])
async def test_tells_the_same_end_from_every_process(make: Make, how: str) -> None:
    store = SharedStore()
    one, two = make(count, store=store, lease=0.2), make(count, store=store, lease=0.2)
    if how == "lost":
        id = "a-dead-one"
        meta = {"actor": "count", "created": "2026-01-02T12:00:00+00:00"}
        meta["fingerprint"] = ""
        await store.open(id, writer="dead", lease=0.2, ttl=60, meta=meta)
    else:
        execution = await one.start("count", {"to": 2})
        id = execution.id
    first = await one.get(id)
    assert await end_of(first) == how

    page = await store.read(id, 0, 1 << 30)
    assert page is not None and page.ended is not None
    ended = datetime.fromtimestamp(page.ended, UTC)
    assert [(await each.get(id)).ended for each in (one, two)] == [ended, ended]
    assert [str((await each.get(id)).status) for each in (one, two)] == [how, how]


@pytest.mark.parametrize("owner", [None, "ada\n"])
async def test_logs_which_call_of_whom_failed(
    make: Make, owner: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    executions = make(outer)
    execution = await executions.start(outer, owner=owner)
    await end_of(execution)
    (said,) = [m for m in caplog.messages if m.startswith("Error ")]
    assert re.sub("[0-9a-f]{8}", "ID", said, count=1) == (
        f"Error ID in actor 'outer/inner', execution '{execution.id}', owner {owner!r}."
    )
