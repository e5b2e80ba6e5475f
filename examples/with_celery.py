"""A worker of Celery runs executions; the web server streams them.

pip install "asgi-events[redis,server]" fastapi celery
celery --app with_celery:queue worker
hypercorn --workers 0 with_celery:app
curl -N --location localhost:8000/research --json '{"topic": "tea"}'

Both need Valkey, or Redis 7 or later, at REDIS_URL (redis://localhost:6379).
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from celery import Celery
from fastapi import FastAPI, HTTPException
from fastapi.responses import RedirectResponse, Response
from hello import Topic, research

from asgi_events import Execution, ExecutionResponse, Executions
from asgi_events.adapters.starlette import ASGIResponse
from asgi_events.bridges.queues import find_execution, run_execution_sync
from asgi_events.exceptions import UnknownExecution

REDIS_URL = os.environ.get("REDIS_URL", "redis://localhost:6379")

queue = Celery("with_celery", broker=REDIS_URL, backend=REDIS_URL)
executions = Executions(research, store=REDIS_URL)


# The worker


@queue.task(bind=True, acks_late=True, reject_on_worker_lost=True)
def run(task: Any, topic: str) -> Any:
    """Run ``research`` under the job's id, again if a worker has died."""
    return run_execution_sync(
        executions, research, {"topic": topic}, id=task.request.id
    )


# The web server


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with executions:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/research")
def begin(topic: Topic) -> Response:
    job = run.delay(topic.topic)
    return RedirectResponse(f"/executions/{job.id}/events", status_code=303)


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
