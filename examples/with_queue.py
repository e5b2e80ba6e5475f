"""Executions run by a worker of a task queue, here taskiq; the web tier shows them.

pip install "asgi-events[redis,server]" fastapi taskiq taskiq-redis
taskiq worker with_queue:broker
hypercorn --workers 0 with_queue:app
curl -N --location localhost:8000/research --json '{"topic": "tea"}'

Both need a Redis 7 or Valkey: REDIS_URL, by default redis://localhost:6379.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from fastapi.responses import RedirectResponse, Response
from hello import Topic, research
from taskiq import TaskiqEvents, TaskiqState
from taskiq_redis import RedisStreamBroker

from asgi_events import ExecutionResponse, Executions
from asgi_events.adapters.starlette import ASGIResponse
from asgi_events.exceptions import UnknownExecution
from asgi_events.executions import Execution

REDIS_URL = os.environ.get("REDIS_URL", "redis://localhost:6379")

broker = RedisStreamBroker(REDIS_URL)
executions = Executions(research, store=REDIS_URL)


# The worker


@broker.task
async def run(id: str, topic: str) -> None:
    """Run ``research``; a job that is delivered twice runs once, since it has an id."""
    execution = await executions.start(research, {"topic": topic}, id=id)
    await execution.wait()


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def stop(state: TaskiqState) -> None:
    await executions.drain()


# The web tier


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    await broker.startup()
    async with executions:
        yield
    await broker.shutdown()


app = FastAPI(lifespan=lifespan)


@app.post("/research")
async def begin(topic: Topic) -> Response:
    id = secrets.token_hex(16)
    await run.kiq(id, topic.topic)
    return RedirectResponse(f"/executions/{id}/events", status_code=303)


@app.get("/executions/{id}/events")
async def watch(id: str) -> Response:
    return ASGIResponse(ExecutionResponse(await find(id, patience=30.0)))


@app.delete("/executions/{id}", status_code=202)
async def cancel(id: str) -> None:
    await (await find(id)).cancel()


async def find(id: str, *, patience: float = 0.0) -> Execution:
    """The execution, which a worker may still have to take from the queue."""
    until = asyncio.get_running_loop().time() + patience
    while True:
        try:
            return await executions.get(id)
        except UnknownExecution as error:
            if asyncio.get_running_loop().time() >= until:
                raise HTTPException(404, str(error)) from error
        await asyncio.sleep(0.05)
