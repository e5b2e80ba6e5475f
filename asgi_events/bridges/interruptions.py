"""Asks people about the interruptions of a run of OpenAI Agents.

Source: https://openai.github.io/openai-agents-python/human_in_the_loop/
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

from asgi_events.actors.state import current_state
from asgi_events.bridges.approvals import (
    ApprovalMessage,
    approvals,
    with_arguments,
)


def ask_approvals(
    result: Any,
    *,
    timeout: float | None = None,
    to: str | None = None,
    message: ApprovalMessage = with_arguments,
) -> Awaitable[Any]:
    """Ask people about the interruptions of a run, all at once.

    Args:
        result: What ``Runner.run`` has returned, or ``Runner.run_streamed``.
        timeout: Seconds after which a call is rejected; None for any time.
        to: Who may answer besides the owner of the execution.
        message: Makes the question of the name of a tool and its arguments. By default
            all viewers see the arguments.

    Returns:
        The ``RunState`` to go on with; in a sync actor itself, elsewhere what to await.
        Who does not approve, declines or does not answer in time rejects the call.

    Raises:
        RuntimeError: Nobody can answer: no ``Executions`` runs this.
    """
    here = current_state()

    async def decide() -> Any:
        items, state = result.interruptions, result.to_state()
        calls = [(item.name, read_arguments(item.arguments)) for item in items]
        decided = await approvals(here, calls, timeout=timeout, to=to, message=message)
        tells = "rejection_message" in inspect.signature(state.reject).parameters
        for item, each in zip(items, decided, strict=True):
            if each.approved:
                state.approve(item)
            elif each.reason and tells:
                state.reject(item, rejection_message=each.reason)
            else:
                state.reject(item)
        return state

    return here.event_bus.call(decide())


def read_arguments(arguments: Any) -> Any:
    """Return the arguments that a model has written, which may be no JSON."""
    with suppress(TypeError, ValueError):
        return json.loads(arguments)
    return arguments
