"""What a thread has so far, as TanStack AI asks for it when a page is loaded.

Spec: ``ChatHydrationResult`` of ``@tanstack/ai-client``.
"""

from __future__ import annotations

from typing import Any

from asgi_events.events import ExecutionStatus
from asgi_events.executions.execution import Execution
from asgi_events.wire.ag_ui import AGUIRun, Transcript
from asgi_events.wire.decoding import read_json


async def about_thread(execution: Execution | None) -> dict[str, Any]:
    """Return the messages of a thread, by its newest execution, and what runs.

    ``messages`` are those that the execution continues and those that it has made so
    far. ``state`` is there if it shares one. ``interrupts`` has the open questions.
    """
    about: dict[str, Any] = {"messages": [], "activeRun": None, "interrupts": None}
    if execution is None:
        return about
    runs = execution.status is ExecutionStatus.STARTED
    transcript, run_id = Transcript(), execution.id
    run = AGUIRun(run_id, execution.thread or run_id, patches=False)
    for payload in await execution.history.so_far():
        for event in run.take(read_json(payload), execution.id):
            run_id = event.get("runId", run_id)
            transcript.add(event)
    about["messages"] = transcript.ui_messages()
    if runs:
        about["activeRun"] = {"runId": run_id}
        if run.waits:
            pending = run.questions.interrupts()
            about["interrupts"] = {"runId": run_id, "pending": pending}
    if transcript.states:
        about["state"] = transcript.states[-1]
    return about
