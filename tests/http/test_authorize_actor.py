"""What the ``authorize`` hook is told of the actor, and reads that wait for a start."""

import asyncio
from typing import Any

import pytest

from asgi_events import EventsApp, agent
from asgi_events.exceptions import Forbidden
from asgi_events.testing import Client, Connection


@agent
async def work() -> int:
    return 1


@agent
async def secret() -> int:
    return 2


async def test_is_told_which_actor_is_to_be_started() -> None:
    asked: list[Any] = []

    def authorize(scope: Any, action: str, execution: Any, *, actor: str | None) -> str:
        asked.append((action, actor))
        if actor == "secret":
            raise Forbidden
        return "ada"

    app = EventsApp(work, secret, authorize=authorize)
    started = await Client(app).post("/work")
    refused = await Client(app).post("/secret")
    await Client(app).get(started.headers["location"])
    await Client(app).get("/")
    await app.executions.drain(0)
    assert (started.status, refused.status) == (202, 403)
    assert asked == [
        ("start", "work"),
        ("start", "secret"),
        ("read", "work"),
        ("list", None),
    ]


@pytest.mark.parametrize("path", ["/executions/job-1", "/executions/job-1/events"])
async def test_waits_for_an_execution_that_is_about_to_start(path: str) -> None:
    app = EventsApp(work)
    async with Connection(app, "GET", f"{path}?wait=30") as connection:
        await asyncio.sleep(0)
        await app.executions.start(work, id="job-1")
        await connection.end()
    await app.executions.drain(0)
    assert connection.status == 200


@pytest.mark.parametrize("wait", ["0.01", "0", ""])
async def test_waits_no_longer_than_it_was_asked_to(wait: str) -> None:
    app = EventsApp(work)
    assert (await Client(app).get(f"/executions/job-1?wait={wait}")).status == 404


@pytest.mark.parametrize("wait", ["-1", "soon", "inf", "nan"])
async def test_refuses_what_is_no_number_of_seconds(wait: str) -> None:
    app = EventsApp(work)
    answer = await Client(app).get(f"/executions/job-1?wait={wait}")
    assert answer.status == 400
    assert "wait is a number of seconds" in (await answer.json())["detail"]
