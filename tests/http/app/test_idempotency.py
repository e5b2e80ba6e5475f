"""The HTTP routes: one key starts one execution."""

import asyncio
from http import HTTPStatus

import pytest

from asgi_events.testing import Client, Connection
from tests.http.app.routes import (
    START,
    STREAM,
    Gate,
    Make,
    SlowStore,
    count,
    problem,
    soon,
    started,
    whoever,
)
from tests.payloads import kinds

pytestmark = pytest.mark.usefixtures("fixed_time")


@pytest.mark.parametrize("running", [True, False], ids=["running", "over"])
async def test_finds_the_same_execution_by_its_idempotency_key(
    make: Make, running: bool
) -> None:
    gate = Gate()
    app = make(gate.actor)
    headers = {"idempotency-key": "k"}
    first = await Client(app).post("/work", headers=headers)
    (execution,) = started(app)
    if not running:
        gate.open.set()
        await soon(execution.wait())
    second = await Client(app).post("/work", headers=headers)
    async with Connection(app, "POST", "/work", headers=STREAM | headers) as stream:
        await stream.until(b'"started"')
        gate.open.set()
        events = await stream.events()
    assert [first.status, second.status, stream.status] == [202, 202, 200]
    links = {c.headers["location"] for c in (first, second, stream)}
    assert links == {f"/executions/{execution.id}"}
    assert [e.id for e in events[:-1]] == [f"{execution.id}:{n}" for n in (1, 2, 3)]
    assert started(app) == [execution]


async def test_starts_once_for_two_of_one_key_at_the_same_time(make: Make) -> None:
    store = SlowStore()
    app = make(count, store=store)
    headers = START | {"idempotency-key": "k"}
    async with (
        Connection(app, "POST", "/count", headers=headers, body=b'{"to":7}') as one,
        Connection(app, "POST", "/count", headers=headers, body=b'{"to":7}') as two,
    ):
        await soon(store.opening.wait())
        store.openable.set()
        await one.end()
        await two.end()
    assert one.body == two.body
    assert one.headers == two.headers
    assert kinds(await one.events())[-1] == "complete"
    assert store.opens == 1


@pytest.mark.parametrize("how", ["disconnects", "is cancelled by its server"])
async def test_starts_once_also_when_the_first_client(make: Make, how: str) -> None:
    store = SlowStore()
    app = make(count, store=store)
    headers = START | {"idempotency-key": "k"}
    request = ("POST", "/count")
    async with Connection(app, *request, headers=headers, body=b'{"to":7}') as two:
        first = Connection(app, *request, headers=headers, body=b'{"to":7}')
        async with first:
            await soon(store.opening.wait())
            if how == "disconnects":
                first.disconnect()
            else:
                first.task.cancel()
                await asyncio.wait({first.task})
                first.task = asyncio.ensure_future(asyncio.sleep(0))
            store.openable.set()
        await two.end()
    execution = await app.executions.get(two.headers["location"].split("/")[-1])
    assert execution.status == "completed"
    assert kinds(await two.events())[-1] == "complete"
    assert store.opens == 1


async def test_refuses_another_body_for_the_same_key(make: Make) -> None:
    app = make(count)
    headers = {"idempotency-key": "k"}
    await Client(app).post("/count", headers=headers, json={"to": 1})
    c = await Client(app).post("/count", headers=headers, json={"to": 2})
    assert c.status == 422
    assert c.headers["content-type"] == "application/problem+json"
    assert await c.json() == problem(
        422,
        HTTPStatus(422).phrase,  # Python 3.13 calls it by its newer name
        "Idempotency-Key 'k' was used for another request; "
        "a new request needs a new key.",
    )
    assert len(started(app)) == 1


async def test_keeps_the_keys_of_owners_apart(make: Make) -> None:
    app = make(count, authorize=whoever)
    links = set()
    for user in ("ada", "bob"):
        headers = {"idempotency-key": "k", "user": user}
        c = await Client(app).post("/count", headers=headers, json={"to": 1})
        links.add(c.headers["location"])
    assert len(links) == 2
    assert [e.owner for e in started(app)] == ["ada", "bob"]


async def test_starts_anew_with_the_key_of_a_start_that_found_no_seat(
    make: Make,
) -> None:
    gate = Gate()
    app = make(gate.actor, count, max_executions=1)
    await app.executions.start("work")
    headers = {"idempotency-key": "k"}
    refused = await Client(app).post("/count", headers=headers, json={"to": 1})
    gate.open.set()
    await soon(started(app)[0].wait())
    again = await Client(app).post("/count", headers=headers, json={"to": 1})
    assert [refused.status, again.status] == [429, 202]
