"""Clients of others, as judges of the peer: they know SSE, and nothing of executions.

What they cannot survive is in ``CANNOT``, with the reason.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace

from tests import clients
from tests.client_faults.row import ANY, Outcome, Question, Row, Seen

_LINES = "a short script splits lines at LF only"
_PLAIN = "it was not told to unpack anything"
_WAITS = "its parser waits for an LF after the last CR"
_CLEAN = "it takes the clean end of a body for the end"
_NO_204 = "it takes a 204 for a failure"

CANNOT: dict[str, dict[str, str]] = {
    "curl": {
        "CR LF": _LINES,
        "CR LF, one byte in a chunk": _LINES,
        "CR": _LINES,
        "gzip": _PLAIN,
    },
    "httpx": {},
    "eventsource": {"CR": _WAITS},
    "eventsource-client": {"CR": _WAITS},
    "fetch-event-source": {
        "204 at once": _NO_204,
        "goodbye: backlog": _CLEAN,
        "a clean end without end, chunked": _CLEAN,
        "a clean end without end, close": _CLEAN,
    },
}
"""The rows that a judge cannot survive, and why."""

MOST = 4
"""Questions at the same time; some judges have a process for each."""


class Judge:
    """One of ``tests.clients.CLIENTS``."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def ask(self, questions: Sequence[Question]) -> list[Outcome]:
        free = asyncio.Semaphore(MOST)

        async def ask(question: Question) -> Outcome:
            async with free:
                return await self._ask(question)

        return await asyncio.gather(*map(ask, questions))

    async def _ask(self, question: Question) -> Outcome:
        url = f"{question.base}/executions/{question.execution}/events"
        outcome = Outcome()
        try:
            for event in await clients.watch(self._name, url):
                _tell(event, outcome)
        except Exception as error:
            outcome.failure = (type(error).__name__, str(error))
        return outcome


def _tell(event: clients.Seen, outcome: Outcome) -> None:
    data = json.loads(event.data)
    seen: list[Seen] = outcome.seen
    if event.event == "message":
        seen.append(("event", int(event.id.split(":")[1]), data))
    elif event.event == "reset":
        seen.append(("reset", data["reason"], data["first"]))
    elif event.event == "end":
        outcome.status = data["status"]


def judged_by(name: str, rows: Sequence[Row]) -> list[Row]:
    """The rows that a judge can survive, with what it can be asked."""
    return [
        replace(
            row,
            ask=replace(row.ask, auth=False),
            waits=None,
            check=None,
            status=ANY if row.name.startswith("204") else row.status,
        )
        for row in rows
        if row.judged and row.name not in CANNOT[name]
    ]
