"""What the requests of front ends have in common."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TypeVar
from urllib.parse import unquote

from pydantic import BaseModel, ValidationError

from asgi_events.events import ExecutionStatus
from asgi_events.exceptions import InvalidInput
from asgi_events.executions.execution import Execution
from asgi_events.executions.executions import Executions
from asgi_events.http.request import Request

M = TypeVar("M", bound=BaseModel)

MAX_BODY = 4 * 1024 * 1024
"""Bytes of a body: every request has the whole conversation, with its files."""

_SETTLE = 1.0  # seconds in which an end is stored, and told to other processes


def parsed(model: type[M], body: bytes) -> M:
    """Return what the JSON of a body says.

    Raises:
        InvalidInput: It does not validate.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise InvalidInput.of(model.__name__, error) from None


def id_in_path(request: Request) -> str:
    """Return the id between the prefix and a last segment; it may have quoted slashes.

    Empty if there is none, or if there is more below the prefix than an id.
    """
    segments = request.segments[:-1]
    raw: bytes | None = request.scope.get("raw_path")
    if raw is None:
        return "/".join(segments)
    path = raw.partition(b"?")[0].rstrip(b"/").decode("latin-1")
    id = unquote(path.split("/")[-2], errors="surrogatepass")
    return id if [each for each in id.split("/") if each] == segments else ""


async def stop(executions: Executions, execution: Execution) -> bool:
    """Cancel an execution, and return whether it has ended.

    It waits for as long as an actor may take to end.
    """
    await execution.cancel()
    with suppress(TimeoutError):
        async with asyncio.timeout(
            executions.viewing.options["cancel_timeout"] + _SETTLE
        ):
            await execution.wait()
    return execution.status is not ExecutionStatus.STARTED
