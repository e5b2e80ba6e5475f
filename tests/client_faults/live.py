"""An execution that runs on a real server meanwhile, behind a proxy that cuts."""

from __future__ import annotations

import httpx

from tests.client_faults.clients import Client
from tests.client_faults.row import Question
from tests.proxy import Proxy, cuts
from tests.servers import Server


async def live(client: Client, server: Server, events: int, count: int) -> list[str]:
    """Return the complaints about a client that follows an execution.

    Args:
        client: The client.
        server: A server for ``tests.apps:app``.
        events: How many numbered events the execution publishes.
        count: How many connections break meanwhile; fewer than a fifth of the events.
    """
    async with httpx.AsyncClient(trust_env=False) as http:
        given = {"to": events, "pace": 0.002}
        begun = await http.post(f"{server.url}/count", json=given)
    async with Proxy(server.port, cuts(seed=3, count=count)) as proxy:
        ask = Question(base=proxy.url, execution=begun.json()["id"])
        (outcome,) = await client.ask([ask])
        left = proxy.left
    numbers = [number for kind, number, _ in outcome.seen if kind == "event"]
    found = []
    if (outcome.failure, outcome.status) != (None, "completed"):
        found.append(f"ended with {outcome.failure or outcome.status}")
    if numbers != list(range(1, events + 4)):  # its start, its end, the terminal event
        found.append(f"saw {numbers}")
    if left:
        found.append(f"{left} cuts were not made")
    return found
