"""A worker of a task queue (taskiq) runs executions; the web server streams them.

pip install "asgi-events[redis,server]" fastapi taskiq taskiq-redis
taskiq worker with_queue:broker
hypercorn --workers 0 with_queue:app
curl -N --location localhost:8000/research --json '{"topic": "tea"}'

Both need Valkey, or Redis 7 or later, at REDIS_URL (redis://localhost:6379).
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException
from fastapi.responses import RedirectResponse, Response
from hello import Topic, research
from taskiq import Context, TaskiqDepends, TaskiqEvents, TaskiqState
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from asgi_events import Execution, ExecutionResponse, Executions
from asgi_events.adapters.starlette import ASGIResponse
from asgi_events.bridges.queues import find_execution, run_execution
from asgi_events.exceptions import UnknownExecution

REDIS_URL = os.environ.get("REDIS_URL", "redis://localhost:6379")

broker = RedisStreamBroker(REDIS_URL).with_result_backend(
    RedisAsyncResultBackend(REDIS_URL)
)
executions = Executions(research, store=REDIS_URL)


# The worker


@broker.task
async def run(topic: str, context: Annotated[Context, TaskiqDepends()]) -> Any:
    """Run ``research`` under the job's id."""
    id = context.message.task_id
    return await run_execution(executions, research, {"topic": topic}, id=id)


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def stop(state: TaskiqState) -> None:
    await executions.drain(0)


# The web server


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    await broker.startup()
    async with executions:
        yield
    await broker.shutdown()


app = FastAPI(lifespan=lifespan)


@app.post("/research")
async def begin(topic: Topic) -> Response:
    job = await run.kiq(topic.topic)
    return RedirectResponse(f"/executions/{job.task_id}/events", status_code=303)


@app.get("/executions/{id}/events")
async def watch(id: str) -> Response:
    """Stream an execution; a worker may still have to take its job from the queue."""
    return ASGIResponse(ExecutionResponse(await find(id, wait=30.0)))


@app.delete("/executions/{id}", status_code=202)
async def cancel(id: str) -> None:
    await (await find(id)).cancel()


async def find(id: str, *, wait: float = 0.0) -> Execution:
    try:
        return await find_execution(executions, id, wait=wait)
    except UnknownExecution as error:
        raise HTTPException(404, str(error)) from error
