"""The examples of task queues: a real worker, a real web server, and Valkey."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, cast

import httpx
import pytest

from asgi_events.wire.sse import Decoder, ServerSentEvent
from tests import TIMEOUT
from tests.bridges.workers import worker
from tests.payloads import data
from tests.servers import ROOT, Server, require, watched
from tests.valkey import Valkey

pytestmark = pytest.mark.server

TEA = "There is tea in China, tea in India, tea in Kenya. "


@dataclass
class Queue:
    """An example, and its processes.

    Attributes:
        web: The web server.
        result: Returns what the queue has as the result of a job, an exception too.
    """

    web: Server
    result: Callable[[str], Awaitable[Any]]


async def result_of_celery(url: str, id: str) -> Any:
    from celery import Celery

    with Celery(backend=url) as app:
        job = app.AsyncResult(id)
        return job.get(timeout=TIMEOUT, propagate=False)


async def result_of_taskiq(url: str, id: str) -> Any:
    from taskiq import AsyncTaskiqTask
    from taskiq_redis import RedisAsyncResultBackend

    backend: Any = RedisAsyncResultBackend(url)
    try:
        job: Any = AsyncTaskiqTask(id, backend)
        result = await job.wait_result(check_interval=0.02, timeout=TIMEOUT)
    finally:
        await backend.shutdown()
    return result.error or result.return_value


QUEUES: dict[str, tuple[list[str], str, Callable[[str, str], Awaitable[Any]]]] = {
    "with_celery": (
        ["celery", "--app", "with_celery:queue", "worker", "--loglevel=INFO"],
        " ready.",
        result_of_celery,
    ),
    "with_queue": (
        ["taskiq", "worker", "with_queue:broker", "--workers=1"],
        "Listening started.",
        result_of_taskiq,
    ),
}


@pytest.fixture(scope="module", params=QUEUES)
def queue(request: pytest.FixtureRequest) -> Iterator[Queue]:
    for module in ("celery", "taskiq", "taskiq_redis"):
        require(find_spec(module), f"{module} is not installed")
    command, ready, result = QUEUES[request.param]
    with Valkey() as valkey, worker(command, valkey.url, ready=ready):
        env = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT}/examples"}
        env["REDIS_URL"] = valkey.url
        with Server(f"{request.param}:app", "uvicorn", env=env) as web, watched(web):
            yield Queue(web, lambda id: result(valkey.url, id))


async def stream(response: httpx.Response) -> AsyncIterator[ServerSentEvent]:
    decoder = Decoder()
    async for chunk in response.aiter_raw():
        for event in decoder.feed(chunk):
            yield event


async def watch(
    client: httpx.AsyncClient, path: str, *, after: str = "", count: int = 1000
) -> list[ServerSentEvent]:
    """The next events, ``count`` at most."""
    headers = {"last-event-id": after} if after else {}
    events: list[ServerSentEvent] = []
    async with client.stream("GET", path, headers=headers) as response:
        async with aclosing(cast(Any, stream(response))) as coming:
            async for event in coming:
                events.append(event)
                if len(events) == count:
                    break
    return events


async def test_starts_in_the_web_what_a_worker_runs(queue: Queue) -> None:
    async with httpx.AsyncClient(base_url=queue.web.url, timeout=TIMEOUT) as client:
        started = await client.post("/research", json={"topic": "tea"})
        path = started.headers["location"]
        early = await watch(client, path, count=4)
        late = await watch(client, path, after=str(early[-1].id))
        again = await client.get(path, headers={"last-event-id": str(late[-2].id)})
        whole = await watch(client, path)
        id = path.split("/")[2]
        result = await queue.result(id)

    assert (started.status_code, again.status_code) == (303, 204)
    assert result == TEA
    assert [e.data for e in early + late] == [e.data for e in whole]
    assert [e.id for e in whole[:-1]] == [f"{id}:{n}" for n in range(1, len(whole))]
    assert data(whole)[-1]["result"] == TEA


async def test_stops_from_the_web_what_a_worker_runs(queue: Queue) -> None:
    async with httpx.AsyncClient(base_url=queue.web.url, timeout=TIMEOUT) as client:
        started = await client.post("/research", json={"topic": "tea"})
        path = started.headers["location"]
        early = await watch(client, path, count=3)
        stopped = await client.delete(path.removesuffix("/events"))
        late = await watch(client, path, after=str(early[-1].id))
        unknown = await client.delete("/executions/unknown")
        result = await queue.result(path.split("/")[2])

    assert (stopped.status_code, unknown.status_code) == (202, 404)
    assert data(late)[-1]["event_type"] == "cancelled"
    assert late[-1].data == '{"status":"cancelled"}'
    assert "it was cancelled: Execution cancelled" in str(result)
