"""Who may do what over the routes of front ends: everybody, whatever is forbidden."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest

from asgi_events.testing import Client, Connection
from asgi_events.types import ASGIApp
from asgi_events.ui import AGUIApp, VercelAIApp
from tests.access import ACTIONS, Row, cells, hook, read, route_of, routes_in
from tests.http.app.routes import Gate
from tests.ui.conftest import Run

# The run ``r`` of the thread ``t`` belongs to ``owner``, and goes on. Each owner has
# threads and runs of their own. "new" is a thread that nobody has, "again" has a
# Last-Event-ID of the run, and "answers" goes on with the message of the run. "answer"
# answers a question that it has not asked. For the columns see
# tests/http/app/test_access.py.
AI_SDK = read("""
                          owner stranger nobody open | list start read cancel answer
POST /api/chat new         200    200      401   200 | 200   403   200   200    200
POST /api/chat             409    200      401   409 | 409   403   409   409    409
POST /api/chat answers     200    404      401   200 | 200   403   200   200    403
GET  /api/chat/t/stream    200    204      401   200 | 200   200   403   200    200
POST /api/chat/t/stop      200    204      401   200 | 200   200   200   403    200
""")
AG_UI = read("""
                          owner stranger nobody open | list start read cancel answer
POST /ag-ui new            200    200      401   200 | 200   403   403   200    200
POST /ag-ui                200    200      401   200 | 200   403   403   200    200
POST /ag-ui again          200    200      401   200 | 200   403   403   200    200
POST /ag-ui answer         200    200      401   200 | 200   403   403   200    403
POST /ag-ui/connect        200    200      401   200 | 200   200   403   200    200
GET  /ag-ui?threadId=t     200    200      401   200 | 200   200   403   200    200
GET  /ag-ui?runId=r        200    404      401   200 | 200   200   403   200    200
GET  /ag-ui?runId={id}     200    404      401   200 | 200   200   403   200    200
POST /ag-ui/r/stop         200    404      401   200 | 200   200   200   403    200
POST /ag-ui/{id}/stop      200    404      401   200 | 200   200   200   403    200
""")


def body_of(row: Row, id: str) -> dict[str, Any]:
    """What a front end sends to continue a thread, or to begin a new one."""
    thread, run = ("new", "new") if row.how == "new" else ("t", "r")
    message = {"id": "m", "role": "user", "content": "Hi"}
    if row.path == "/api/chat":
        messages = [message | {"parts": [{"type": "text", "text": "Hi"}]}]
        if row.how == "answers":
            has = {"execution": id, "event": 1}
            last = {"id": id, "role": "assistant", "parts": [], "metadata": has}
            messages.append(last)
        return {"id": thread, "messages": messages}
    more: dict[str, Any] = {"state": {}, "tools": [], "context": []}
    if row.path.endswith("stop"):
        return {}
    if row.how == "answer":
        more["resume"] = [{"interruptId": f"{id}/1", "status": "cancelled"}]
    asked = {"threadId": thread, "runId": run, "messages": [message]}
    return asked | more | {"forwardedProps": {}}


async def request(
    app: ASGIApp, row: Row, user: str, *, id: str = "", method: str | None = None
) -> Connection:
    """Send a request, and leave a stream that goes on."""
    method = method or row.method
    headers = {"user": user, "content-type": "application/json"}
    if row.how == "again":
        headers["last-event-id"] = f"{id}:1"
    body = json.dumps(body_of(row, id)).encode() if method == "POST" else b""
    path = row.path.format(id=id)
    async with Client(app).stream(path, method, headers=headers, body=body) as c:
        if "event-stream" not in c.headers.get("content-type", "") or method == "HEAD":
            await c.end()
        elif user == "stranger":
            with suppress(EOFError):
                await c.event()
    return c


@pytest.mark.parametrize(("row", "column", "status"), cells(AI_SDK + AG_UI))
async def test_lets_each_do_what_they_may(
    run: Run, row: Row, column: str, status: int
) -> None:
    gate = Gate()
    executions = run(gate.actor)

    def made(refused: str) -> ASGIApp:
        App: Any = VercelAIApp if row in AI_SDK else AGUIApp
        authorize = None if column == "open" else hook(refused)
        return App(executions, "work", authorize=authorize, input=lambda _: {})

    first = AI_SDK[1] if row in AI_SDK else AG_UI[1]
    await request(made(""), first, "owner")
    (execution,) = executions
    user = "owner" if column in (*ACTIONS, "open") else column.replace("nobody", "")

    c = await request(made(column), row, user, id=execution.id)

    assert c.status == status
    has_id = "{id}" in row.path or row.how == "answers"
    if column == "stranger" and not has_id:
        assert execution.id.encode() not in c.body
    if row.method == "GET":
        head = await request(made(column), row, user, id=execution.id, method="HEAD")
        assert (head.status, head.body) == (status, b"")
    is_stopped = row.path.endswith("stop") and status == 200
    assert execution.status == ("cancelled" if is_stopped else "started")
    owners = [each.owner for each in executions if each is not execution]
    is_new = row.how == "new" or (row.how == "" and column == "stranger")
    starts = row.path in ("/api/chat", "/ag-ui") and status == 200 and is_new
    assert owners == ([user if column != "open" else None] if starts else [])


@pytest.mark.parametrize(
    ("rows", "app", "prefix"),
    [(AI_SDK, VercelAIApp, "/api/chat"), (AG_UI, AGUIApp, "/ag-ui")],
    ids=["AI SDK", "AG-UI"],
)
def test_has_a_row_for_every_route(rows: list[Row], app: Any, prefix: str) -> None:
    routes = routes_in(app._answer)
    paths = [row.path.partition("?")[0].removeprefix(prefix) or "/" for row in rows]
    assert {route_of(path, routes) for path in paths} == set(routes)
