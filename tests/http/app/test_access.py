"""Who may do what over HTTP: every route, by everybody, whatever is forbidden."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from asgi_events import EventsApp
from asgi_events.executions import Execution
from asgi_events.http.authorize import Action
from asgi_events.http.routes import answer
from asgi_events.testing import Client, Connection
from tests.access import ACTIONS, Row, cells, hook, read, route_of, routes_in
from tests.executions.asking import approve, asked
from tests.http.app.routes import JSON, STREAM, Make, problem, soon, unknown

# The execution belongs to ``owner``. Its question 1 is to ``approver``, 2 to nobody.
# ``nobody`` has not logged in. ``open`` is a caller of an application without
# ``authorize``, where the execution has no owner. In the columns of actions it is the
# owner who asks, and ``authorize`` forbids that action.
#
# "stream" asks for the stream, "again" has a Last-Event-ID of the execution.
TABLE = """
                                    owner approver stranger nobody open | list start read cancel answer
GET    /                             200    200      200     401   200  | 403   200   200   200    200
GET    /openapi.json                 200    200      200     401   200  | 403   200   200   200    200
GET    /approve                      405    405      405     401   405  | 403   405   405   405    405
GET    /none                         404    404      404     401   404  | 403   404   404   404    404
POST   /approve                      202    202      202     401   202  | 202   403   202   202    202
POST   /approve stream               200    200      200     401   200  | 200   403   200   200    200
POST   /approve again                202    404      404     401   202  | 202   403   403   202    202
POST   /approve again stream         200    404      404     401   200  | 200   403   403   200    200
POST   /none                         404    404      404     401   404  | 404   403   404   404    404
GET    /executions                   200    200      200     401   403  | 403   200   200   200    200
GET    /feed                         200    200      200     401   403  | 403   200   200   200    200
GET    /executions/{id}              200    404      404     401   200  | 200   200   403   200    200
GET    /executions/{id} stream       200    404      404     401   200  | 200   200   403   200    200
GET    /executions/{id}/events       200    404      404     401   200  | 200   200   403   200    200
DELETE /executions/{id}              202    404      404     401   202  | 202   202   202   403    202
GET    /executions/{id}/inputs/1     200    200      404     401   200  | 200   200   200   200    403
POST   /executions/{id}/inputs/1 yes 201    201      404     401   201  | 201   201   201   201    403
POST   /executions/{id}/inputs/1 no  201    201      404     401   201  | 201   201   201   201    403
POST   /executions/{id}/inputs/1 bad 422    422      404     401   422  | 422   422   422   422    403
GET    /executions/{id}/inputs/2     200    404      404     401   200  | 200   200   200   200    403
POST   /executions/{id}/inputs/2 yes 201    404      404     401   201  | 201   201   201   201    403
POST   /executions/{id}/inputs/2 no  201    404      404     401   201  | 201   201   201   201    403
POST   /executions/{id}/inputs/2 bad 422    404      404     401   422  | 422   422   422   422    403
GET    /executions/{id}/inputs/3     404    404      404     401   404  | 404   404   404   404    403
POST   /executions/{id}/inputs/3 yes 404    404      404     401   404  | 404   404   404   404    403
GET    /executions/none              404    404      404     401   404  | 404   404   403   404    404
GET    /executions/none/events       404    404      404     401   404  | 404   404   403   404    404
DELETE /executions/none              404    404      404     401   404  | 404   404   404   403    404
GET    /executions/none/inputs/1     404    404      404     401   404  | 404   404   404   404    403
POST   /executions/none/inputs/1 yes 404    404      404     401   404  | 404   404   404   404    403
"""  # noqa: E501
ROWS = read(TABLE)

BODIES = {
    "yes": {"action": "accept", "content": True},
    "no": {"action": "decline"},
    "bad": {"action": "accept", "content": "x"},
}


def make_app(make: Make, column: str) -> EventsApp:
    if column == "open":
        return make(approve)
    return make(approve, authorize=hook(column))


async def request(
    app: EventsApp, row: Row, column: str, id: str, method: str
) -> Connection:
    user = "owner" if column in ACTIONS else column.replace("nobody", "")
    headers = JSON | {"user": user}
    if "stream" in row.how:
        headers |= STREAM
    if "again" in row.how:
        headers |= {"last-event-id": f"{id}:1"}
    body = json.dumps(BODIES.get(row.how, {})).encode() if method == "POST" else b""
    path = row.path.format(id=id)
    async with Client(app).stream(path, method, headers=headers, body=body) as c:
        if "event-stream" not in c.headers.get("content-type", "") or method == "HEAD":
            await c.end()
    return c


@pytest.mark.parametrize(("row", "column", "status"), cells(ROWS))
async def test_lets_each_do_what_they_may(
    make: Make, row: Row, column: str, status: int
) -> None:
    app = make_app(make, column)
    owner = None if column == "open" else "owner"
    execution = await app.executions.start(approve, owner=owner)
    await asked(execution, 2)

    c = await request(app, row, column, execution.id, row.method)

    assert c.status == status
    if status == 404 and row.path.startswith("/executions/") and column != "owner":
        detail = (await c.json())["detail"]
        if "has asked no question" not in detail:  # of one that the caller may know
            id = "none" if "none" in row.path else execution.id
            assert await c.json() == problem(404, "Not Found", unknown(id))
    if row.method == "GET":
        head = await request(app, row, column, execution.id, "HEAD")
        assert (head.status, head.body) == (status, b"")
    await check_changes(app, execution, row, column, status)


async def check_changes(
    app: EventsApp, execution: Execution, row: Row, column: str, status: int
) -> None:
    """What was allowed has happened, and nothing else."""
    questions = {each.request.n: each.answer for each in await execution.questions()}
    answered = {n: one.action for n, one in questions.items() if one is not None}
    started = [each for each in app.executions if each is not execution]
    if row.method == "DELETE" and status == 202:
        await soon(execution.wait())
        assert execution.status == "cancelled"
        return
    assert execution.status != "cancelled"
    if status == 201:
        action = {"yes": "accept", "no": "decline"}[row.how]
        assert answered == {int(row.path[-1]): action}
    else:
        assert answered == {}
    if row.path == "/approve" and status < 300 and "again" not in row.how:
        caller = "owner" if column in ACTIONS else column
        assert [each.owner for each in started] == [
            None if column == "open" else caller
        ]
    else:
        assert started == []


@pytest.mark.parametrize("column", ["owner", "approver", "stranger"])
async def test_lists_to_each_their_own(make: Make, column: str) -> None:
    app = make_app(make, column)
    own = await app.executions.start(approve, owner=column)
    for owner in ("owner", "approver", "stranger", None):
        if owner != column:
            await app.executions.start(approve, owner=owner)

    c = await Client(app).get("/executions", headers={"user": column})

    assert [each["id"] for each in (await c.json())["executions"]] == [own.id]


def test_has_a_row_for_every_route() -> None:
    routes = routes_in(answer)
    assert {route_of(row.path, routes) for row in ROWS} == set(routes)


def test_has_a_row_for_every_operation_that_is_described(make: Make) -> None:
    described = {
        (method.upper(), path.replace("{n}", "1"))
        for path, operations in make(approve).openapi()["paths"].items()
        for method in operations
    }
    assert described - {(row.method, row.path) for row in ROWS} == set()


def test_has_a_column_for_every_action() -> None:
    assert get_args(Action) == ACTIONS
