"""Jobs of arq; ``test_arq`` runs a worker of them."""

from __future__ import annotations

import os
from typing import Any

import arq
from arq.connections import RedisSettings

from asgi_events import Executions
from asgi_events.bridges.queues import run_execution
from tests.bridges.told import told, unsteady

URL = os.environ.get("REDIS_URL", "redis://localhost")

executions = Executions(told, unsteady, store=URL, lease=1.0)


async def run(ctx: dict[str, Any], actor: str, path: str) -> Any:
    return await run_execution(executions, actor, {"path": path}, id=ctx["job_id"])


async def retried(ctx: dict[str, Any], path: str) -> Any:
    try:
        return await run(ctx, "unsteady", path)
    except OSError as error:
        raise arq.Retry from error


async def stop(ctx: dict[str, Any]) -> None:
    await executions.drain(0)


class WorkerSettings:
    functions = (run, retried)
    on_shutdown = stop
    redis_settings = RedisSettings.from_dsn(URL)
    allow_abort_jobs = True
    poll_delay = 0.05
