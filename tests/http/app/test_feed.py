"""The HTTP routes: the feed of the caller's executions."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from asgi_events import EventsApp, tool
from asgi_events.exceptions import Forbidden
from asgi_events.stores.memory import MemoryStore
from asgi_events.testing import Client, Connection, virtual_time
from asgi_events.wire.sse import Decoder, ServerSentEvent
from tests.http.app.routes import (
    SECRET,
    AwayStore,
    Make,
    idle,
    problem,
    soon,
    whoever,
)


def watch(app: Any, last: str | None = None, user: str = "ann") -> Connection:
    headers = {"user": user} | ({} if last is None else {"last-event-id": last})
    return Connection(app, "GET", "/feed", headers=headers)


async def run(app: EventsApp, owner: str = "ann") -> str:
    """Start an execution that ends at once; return its id."""
    execution = await app.executions.start(idle, owner=owner)
    await soon(execution.wait())
    return execution.id


def told(events: list[ServerSentEvent]) -> list[tuple[str, str]]:
    said = [json.loads(event.data or "") for event in events if not event.event]
    return [(each["event_type"], each["execution"]) for each in said]


async def test_begins_with_a_reset_and_the_id_to_resume_from(make: Make) -> None:
    app = make(idle, authorize=whoever, retry=1234)
    async with watch(app) as ann:
        reset = await ann.event()
        id = await run(app)
        events = await ann.events(2)

    assert reset.id is not None
    name, number = reset.id.split(":")
    assert (ann.status, ann.headers["content-type"]) == (
        200,
        "text/event-stream; charset=utf-8",
    )
    assert bytes(ann.body).startswith(b": stream-start\n")
    assert (reset.event, reset.retry, number) == ("reset", 1234, "0")
    assert json.loads(reset.data or "") == {"reason": "new", "first": 1}
    assert [event.id for event in events] == [f"{name}:1", f"{name}:2"]
    assert told(events) == [("started", id), ("ended", id)]


async def test_sends_each_event_as_the_wire_has_it(make: Make) -> None:
    app = make(idle, authorize=whoever)
    async with watch(app) as ann:
        await ann.event()
        execution = await app.executions.start(idle, owner="ann")
        started, ended = await ann.events(2)

    def moment(when: Any) -> str:
        return str(when.isoformat().replace("+00:00", "Z"))

    assert started.data == (
        f'{{"execution":"{execution.id}","timestamp":"{moment(execution.created)}",'
        '"event_type":"started","actor":"idle"}'
    )
    assert ended.data == (
        f'{{"execution":"{execution.id}","timestamp":"{moment(execution.ended)}",'
        f'"event_type":"ended","actor":"idle","created":"{moment(execution.created)}",'
        '"status":"completed"}'
    )


@pytest.mark.parametrize("store", [None, MemoryStore()])
async def test_resumes_after_a_cut_at_any_byte(make: Make, store: Any) -> None:
    options = {} if store is None else {"store": store}
    app = make(idle, authorize=whoever, **options)
    async with watch(app) as ann:
        await ann.event()
        for _ in range(3):
            await run(app)
        expected = told(await ann.events(6))
        body = bytes(ann.body)

        resumed = {}
        for cut in range(body.index(b"id: "), len(body)):
            decoder = Decoder()
            had = decoder.feed(body[:cut])
            if not decoder.last_event_id:
                continue
            seen = resumed.get(decoder.last_event_id)
            if seen is None:
                async with watch(app, decoder.last_event_id) as again:
                    seen = await again.events(6 - len(told(had)))
                resumed[decoder.last_event_id] = seen
            assert told([*had, *seen]) == expected
    assert len(resumed) == 6


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ("nonsense", "malformed"),
        ("feed.0123:7", "foreign"),
        ("0123456789abcdef:7", "foreign"),
        ("{name}:99", "future"),
        ("{name}:1:lost", "future"),
        ("{name}:1.2", "future"),
    ],
)
async def test_begins_now_if_it_cannot_go_on(
    make: Make, last: str, reason: str
) -> None:
    app = make(idle, authorize=whoever)
    async with watch(app) as first:
        name, _, _ = ((await first.event()).id or "").partition(":")
        await run(app)
        await first.events(2)
        async with watch(app, last.format(name=name)) as second:
            reset = await second.event()
            id = await run(app)
            events = await second.events(2)
    assert json.loads(reset.data or "") == {"reason": reason, "first": 3}
    assert reset.id == f"{name}:2"
    assert told(events) == [("started", id), ("ended", id)]


async def test_resumes_by_a_parameter_where_headers_cannot_be_set(make: Make) -> None:
    app = make(idle, authorize=whoever)
    async with watch(app) as first:
        last = (await first.event()).id
        id = await run(app)
        path = f"/feed?last_event_id={last}"
        async with Connection(app, "GET", path, headers={"user": "ann"}) as second:
            events = await second.events(2)
    assert told(events) == [("started", id), ("ended", id)]


async def test_shows_nothing_of_other_owners(make: Make) -> None:
    app = make(idle, authorize=whoever)
    async with watch(app) as ann, watch(app, user="bob") as bob:
        await ann.event(), await bob.event()
        theirs, mine = await run(app, "bob"), await run(app)
        assert told(await ann.events(2)) == [("started", mine), ("ended", mine)]
        assert told(await bob.events(2)) == [("started", theirs), ("ended", theirs)]
    assert (await Client(app).get("/feed")).status == 401  # nobody


# Who may watch, and how many


async def test_needs_to_know_who_watches(make: Make) -> None:
    answer = await Client(make(idle)).get("/feed")
    assert await answer.json() == problem(
        403,
        "Forbidden",
        "Who knows an execution's id may read and cancel it here, so there is no feed "
        "of ids. Give the application an authorize hook: the feed is about the "
        "executions of the owner that it returns.",
    )


async def test_asks_authorize_whether_the_caller_may_list(make: Make) -> None:
    asked = []

    def authorize(scope: Any, action: str, execution: Any) -> str:
        asked.append((action, execution))
        raise Forbidden("not you")

    answer = await Client(make(idle, authorize=authorize)).get("/feed")
    assert (answer.status, asked) == (403, [("list", None)])


async def test_answers_head_with_the_headers_alone(make: Make) -> None:
    app = make(idle, authorize=whoever)
    answer = await Client(app).request("HEAD", "/feed", headers={"user": "ann"})
    assert (answer.status, bytes(answer.body)) == (200, b"")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert app.executions.viewing.capacity.taken == 0


@pytest.mark.parametrize("method", ["DELETE", "PUT"])
async def test_allows_no_other_method(make: Make, method: str) -> None:
    app = make(idle, authorize=whoever)
    answer = await Client(app).request(method, "/feed", headers={"user": "ann"})
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_starts_an_actor_that_is_called_so(make: Make) -> None:
    @tool(name="feed")
    async def feeding() -> None:
        pass

    app = make(feeding, authorize=whoever)
    started = await Client(app).post("/feed", headers={"user": "ann"})
    assert started.status == 202
    async with watch(app) as ann:
        assert (await ann.event()).event == "reset"
    assert {"get", "post"} <= app.openapi()["paths"]["/feed"].keys()


@pytest.mark.parametrize("option", ["max_viewers", "max_viewers_per_owner"])
async def test_counts_its_watchers_among_the_viewers(make: Make, option: str) -> None:
    app = make(idle, authorize=whoever, **{option: 1})
    async with watch(app) as first:
        await first.event()
        refused = await Client(app).get("/feed", headers={"user": "ann"})
    async with watch(app) as again:
        await again.event()
    assert refused.status == 429
    assert app.executions.viewing.capacity.taken == 0


async def test_says_that_the_store_does_not_answer(make: Make) -> None:
    class Away(AwayStore):
        async def open(self, *_: Any, **__: Any) -> Any:
            raise await self.read("", 0, 0)

    app = make(idle, authorize=whoever, store=Away())
    answer = await Client(app).get("/feed", headers={"user": "ann"})
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert SECRET not in str(await answer.json())


# Every way in which it ends


class Lasting(MemoryStore):
    durable = True


async def test_says_goodbye_when_the_process_stops(make: Make) -> None:
    store = Lasting()
    app, other = (make(idle, authorize=whoever, store=store) for _ in range(2))
    async with watch(app) as ann:
        last = (await ann.event()).id
        draining = asyncio.ensure_future(app.executions.drain(0))
        goodbye = (await ann.events())[-1]
        await draining
    assert (goodbye.event, goodbye.data) == ("goodbye", '{"reason":"draining"}')
    id = await run(other)
    async with watch(other, last) as again:
        events = await again.events(2)
    assert told(events) == [("started", id), ("ended", id)]


async def test_does_not_hold_up_a_process_that_stops_without_a_store(
    make: Make,
) -> None:
    app = make(idle, authorize=whoever)
    with virtual_time():
        loop = asyncio.get_running_loop()
        async with watch(app) as ann:
            await ann.event()
            began = loop.time()
            await app.executions.drain(0)
            took = loop.time() - began
            await ann.end()
    assert took < 0.9


async def test_says_goodbye_after_max_stream_duration(make: Make) -> None:
    app = make(
        idle, authorize=whoever, max_stream_duration=60.0, heartbeat_interval=15.0
    )
    with virtual_time():
        async with asyncio.timeout(120), watch(app) as ann:
            *_, goodbye = await ann.events()
    assert json.loads(goodbye.data or "") == {"reason": "max_duration"}
    assert b": keep-alive" in bytes(ann.body)
