"""Jobs of Celery; ``test_celery`` runs a worker of them."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded as SoftTimeLimitExceeded

from asgi_events import Executions
from asgi_events.bridges.queues import run_execution_sync
from tests.bridges.told import told, unsteady

URL = os.environ.get("REDIS_URL", "redis://localhost")

queue = Celery("jobs", broker=URL, backend=URL)
executions = Executions(told, unsteady, store=URL, lease=1.0)


@queue.task(bind=True, acks_late=True, reject_on_worker_lost=True)
def run(task: Any, actor: str, path: str) -> Any:
    return run_execution_sync(executions, actor, {"path": path}, id=task.request.id)


@queue.task(bind=True, autoretry_for=(OSError,), default_retry_delay=0)
def retried(task: Any, path: str) -> Any:
    return run_execution_sync(executions, unsteady, {"path": path}, id=task.request.id)
