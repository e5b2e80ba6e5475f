"""Bad requests: each has its status, and none tells what it must not."""

import json
import logging
from http import HTTPStatus
from typing import Any

import pytest

from asgi_events import EventsApp
from asgi_events.stores.memory import MemoryStore
from asgi_events.testing import Client, Connection
from tests.http.refusals import Make, idle

STREAM = {"accept": "text/event-stream"}

JSON = {"content-type": "application/json"}

SECRET = "hunter2"


def problem(status: int, detail: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    } | more


async def check(
    c: Connection, status: int, detail: str, *, headers: Any = None, **more: Any
) -> None:
    """A problem is told whole, and nothing else is."""
    assert c.status == status
    assert await c.json() == problem(status, detail, **more)
    assert c.headers == {
        "content-type": "application/problem+json",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "content-length": str(len(c.body)),
        **(headers or {}),
    }


# Bodies


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"to":1,}',
        b"to=1",
        b'{"to":"\\ud800"}',
        b'{"to":1}x',
        b"\xff\xfe",
        b'{"to":"\xff"}',
        b"[" * 100_000,
        b"\x00",
    ],
    ids=[
        "cut",
        "comma",
        "form",
        "surrogate",
        "more",
        "UTF-16",
        "bad UTF-8",
        "deep",
        "NUL",
    ],
)
async def test_answers_400_to_malformed_json(make: Make, body: bytes) -> None:
    app = make()
    c = await Client(app).post("/count", headers=JSON | STREAM, body=body)
    detail = (await c.json())["detail"]
    await check(c, 400, detail)
    assert detail.startswith("The body is not JSON: ")
    assert list(app.executions) == []


@pytest.mark.parametrize(
    ("actor", "body", "errors"),
    [
        (
            "count",
            {},
            [{"type": "missing", "loc": ["to"], "msg": "Field required"}],
        ),
        (
            "count",
            {"to": SECRET},
            [
                {
                    "type": "int_parsing",
                    "loc": ["to"],
                    "msg": "Input should be a valid integer, unable to parse string "
                    "as an integer",
                }
            ],
        ),
        (
            "count",
            {"to": 1, "from": SECRET},
            [
                {
                    "type": "extra_forbidden",
                    "loc": ["from"],
                    "msg": "Extra inputs are not permitted",
                }
            ],
        ),
        (
            "count",
            [SECRET],
            [{"type": "model_type", "loc": [], "msg": "Input should be an object"}],
        ),
        (
            "login",
            {"user": SECRET * 9, "password": SECRET},
            [
                {
                    "type": "value_error",
                    "loc": ["user"],
                    "msg": "Value error, too long",
                },
                {
                    "type": "int_parsing",
                    "loc": ["password"],
                    "msg": "Input should be a valid integer, unable to parse string "
                    "as an integer",
                },
            ],
        ),
    ],
    ids=["missing", "wrong type", "extra", "no object", "a model's own"],
)
@pytest.mark.parametrize("accept", [{}, STREAM], ids=["json", "stream"])
async def test_answers_422_with_the_errors_but_without_the_input(
    make: Make, actor: str, body: Any, errors: Any, accept: Any
) -> None:
    app = make()
    c = await Client(app).post(f"/{actor}", headers=accept, json=body)
    await check(c, 422, "The input is not valid.", errors=errors)
    assert SECRET.encode() not in c.body
    assert list(app.executions) == []


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded"]
)
async def test_answers_415_to_another_media_type_unread(
    make: Make, media_type: str
) -> None:
    app = make()
    headers = {"content-type": media_type}
    async with Connection(app, "POST", "/count", headers=headers, body=[]) as c:
        await c.end()
    await check(
        c,
        415,
        f"The body must be JSON, not {media_type!r}: send Content-Type: "
        "application/json.",
        headers={"accept-post": "application/json"},
    )
    assert list(app.executions) == []


async def test_answers_415_to_a_body_that_does_not_say_what_it_is(make: Make) -> None:
    app = make()
    c = await Client(app).post("/count", body=b'{"to":1}')
    await check(
        c,
        415,
        "The body must be JSON, and this request does not say what it has: send "
        "Content-Type: application/json.",
        headers={"accept-post": "application/json"},
    )
    assert list(app.executions) == []


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "counted"])
async def test_answers_413_to_too_large_a_body(make: Make, announced: bool) -> None:
    app = make(max_body=10)
    headers = JSON | ({"content-length": "11"} if announced else {})
    body = [] if announced else [b"1" * 6, b"1" * 5, b"1" * 100]
    async with Connection(app, "POST", "/count", headers=headers, body=body) as c:
        await c.end()
        unread = c._inbox.qsize() - 1  # the disconnect after the answer
    await check(c, 413, "The body may have 10 bytes at most (max_body).")
    assert unread == (0 if announced else 1)
    assert list(app.executions) == []


async def test_takes_a_mebibyte_by_default(make: Make) -> None:
    app = make()
    size = 1024 * 1024
    fits = await Client(app).post("/count", headers=JSON, body=b'{"to":1}'.ljust(size))
    over = await Client(app).post(
        "/count", headers=JSON, body=b'{"to":1}'.ljust(size + 1)
    )
    assert [fits.status, over.status] == [202, 413]


# Methods and paths


@pytest.mark.parametrize(
    ("path", "wrong", "allow"),
    [
        ("/", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"], "GET, HEAD"),
        ("/count", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"], "POST"),
        ("/executions", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"], "GET, HEAD"),
        ("/executions/{}", ["POST", "PUT", "PATCH", "OPTIONS"], "GET, HEAD, DELETE"),
        ("/executions/{}/events", ["POST", "PUT", "DELETE", "PATCH"], "GET, HEAD"),
    ],
    ids=["list", "actor", "executions", "execution", "events"],
)
async def test_answers_405_and_what_is_allowed(
    make: Make, path: str, wrong: list[str], allow: str
) -> None:
    app = make()
    execution = await app.executions.start(idle)
    await execution.wait()
    for method in wrong:
        c = await Client(app).request(method, path.format(execution.id))
        await check(
            c,
            405,
            f"{method} is not allowed here. Allowed: {allow}.",
            headers={"allow": allow},
        )
    assert list(app.executions) == [execution]
    assert execution.status == "completed"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nope"),
        ("GET", "/count/x"),
        ("POST", "/count/x"),
        ("GET", "/executions/x/events/y"),
        ("GET", "/executions/x/nope"),
        ("DELETE", "/nope"),
        ("GET", "/.."),
        ("GET", "/\r\nset-cookie: a=b"),
    ],
)
async def test_answers_404_where_there_is_nothing(
    make: Make, method: str, path: str
) -> None:
    c = await Client(make()).request(method, path)
    await check(c, 404, f"There is nothing at {path!r}.")


async def test_answers_404_to_an_unknown_actor_and_names_the_known(
    make: Make,
) -> None:
    app = make()
    async with Connection(app, "POST", "/nope", headers=JSON, body=[]) as c:
        await c.end()
    await check(c, 404, "No actor is called 'nope'; there are: count, login, idle.")
    assert list(app.executions) == []


@pytest.mark.parametrize(
    "id",
    ["nope", "0" * 22, "x" * 10_000, "a:1", "\0", "💥"],
    ids=["word", "zeros", "10 kB", "colon", "NUL", "emoji"],
)
async def test_answers_404_to_an_unknown_execution(make: Make, id: str) -> None:
    app = make()
    for method, path in [
        ("GET", "/executions/{}"),
        ("GET", "/executions/{}/events"),
        ("DELETE", "/executions/{}"),
    ]:
        c = await Client(app).request(method, path.format(id))
        await check(
            c,
            404,
            f"No execution {id!r}: it never was, its retention is over, it belongs to "
            "another owner, or it is held in the memory of another process, or of one "
            "that has gone: processes that share executions need a store=.",
        )


# Last-Event-ID

MALFORMED = {
    "10 kB": "x" * 10_000,
    "10 kB of digits": "{}:" + "9" * 10_000,
    "NUL": "\0",
    "NUL in the number": "{}:1\0",
    "letters": "{}:one",
    "negative": "{}:-1",
    "plus": "{}:+1",
    "fraction": "{}:1.0",
    "no number": "{}:",
    "no execution": ":1",
    "number only": "1",
    "two colons": "{}:1:2",
    "space": "{}: 1",
    "other digits": "{}:¹",
    "not UTF-8": "\udcff\udcfe",
}


async def streamed(make: Make) -> tuple[EventsApp, str, list[bytes]]:
    """An application, an execution that is over, and its frames."""
    app = make()
    c = await Client(app).post("/count", headers=STREAM, json={"to": 1})
    id = list(app.executions)[0].id
    blocks = c.body.removeprefix(b": stream-start\nretry: 3000\n").split(b"\n\n")
    return app, id, [block + b"\n\n" for block in blocks[:-1]]


@pytest.mark.parametrize("last_event_id", MALFORMED.values(), ids=MALFORMED)
async def test_answers_a_get_with_an_absurd_id_by_a_reset_and_everything(
    make: Make, last_event_id: str
) -> None:
    app, id, frames = await streamed(make)
    c = await Client(app).get(
        f"/executions/{id}/events",
        headers={"last-event-id": last_event_id.replace("{}", id)},
    )
    assert c.status == 200
    assert c.body == (
        b": stream-start\nretry: 3000\n"
        b'event: reset\ndata: {"reason":"malformed","first":1}\n\n'
    ) + b"".join(frames)


@pytest.mark.parametrize(
    ("last_event_id", "reason"),
    [
        ("{}:5", "future"),
        ("{}:99999999999999999999", "future"),
        (f"{'0' * 22}:1", "foreign"),
        ("a\0b:1", "foreign"),
        ("x" * 10_000 + ":1", "foreign"),
    ],
    ids=["future", "far future", "foreign", "foreign NUL", "foreign 10 kB"],
)
@pytest.mark.parametrize("place", ["header", "query"])
async def test_answers_a_get_with_an_id_it_can_not_continue_from_by_a_reset(
    make: Make, last_event_id: str, reason: str, place: str
) -> None:
    app, id, frames = await streamed(make)
    last_event_id = last_event_id.replace("{}", id)
    path = f"/executions/{id}/events"
    if place == "query":
        path += f"?last_event_id={last_event_id}"
    headers = {"last-event-id": last_event_id} if place == "header" else {}
    c = await Client(app).get(path, headers=headers)
    assert c.status == 200
    assert c.body == (
        b": stream-start\nretry: 3000\n"
        b'event: reset\ndata: {"reason":"%b","first":1}\n\n' % reason.encode()
    ) + b"".join(frames)


@pytest.mark.parametrize("last_event_id", MALFORMED.values(), ids=MALFORMED)
async def test_answers_400_to_a_post_with_an_absurd_id_and_starts_nothing(
    make: Make, last_event_id: str
) -> None:
    app, id, _ = await streamed(make)
    before = list(app.executions)
    for accept in ({}, STREAM):
        headers = accept | JSON | {"last-event-id": last_event_id.replace("{}", id)}
        async with Connection(app, "POST", "/count", headers=headers, body=[]) as c:
            await c.end()
        await check(
            c,
            400,
            "This Last-Event-ID is none of ours, so there is no execution to go on "
            "with; nothing was started. Leave it out to start one.",
        )
    assert list(app.executions) == before


@pytest.mark.parametrize(
    "last_event_id",
    [f"{'0' * 22}:1", "a\0b:1", "x" * 10_000 + ":1"],
    ids=["unknown", "NUL", "10 kB"],
)
async def test_answers_404_to_a_post_with_a_foreign_id_and_starts_nothing(
    make: Make, last_event_id: str
) -> None:
    app, _, _ = await streamed(make)
    before = list(app.executions)
    headers = STREAM | JSON | {"last-event-id": last_event_id}
    c = await Client(app).post("/count", headers=headers, body=b'{"to":1}')
    assert c.status == 404
    assert list(app.executions) == before


async def test_answers_a_post_with_an_id_from_the_future_by_a_reset(
    make: Make,
) -> None:
    app, id, frames = await streamed(make)
    headers = STREAM | JSON | {"last-event-id": f"{id}:5"}
    c = await Client(app).post("/count", headers=headers, body=b'{"to":1}')
    assert c.status == 200
    assert c.body == (
        b": stream-start\nretry: 3000\n"
        b'event: reset\ndata: {"reason":"future","first":1}\n\n'
    ) + b"".join(frames)
    assert len(list(app.executions)) == 1


# Idempotency-Key


@pytest.mark.parametrize(
    "key", ["", "k" * 256, "a\x7fb", "a\0", "a\tb", "\x85"], ids=ascii
)
async def test_answers_400_to_a_bad_idempotency_key(make: Make, key: str) -> None:
    app = make()
    headers = JSON | {"idempotency-key": key}
    async with Connection(app, "POST", "/count", headers=headers, body=[]) as c:
        await c.end()
    await check(c, 400, "An Idempotency-Key has 1 to 255 printable characters.")
    assert list(app.executions) == []


@pytest.mark.parametrize("key", ["k", "k" * 255, "a b", "é"], ids=["1", "255", "", "é"])
async def test_takes_a_printable_idempotency_key(make: Make, key: str) -> None:
    app = make()
    headers = {"idempotency-key": key}
    c = await Client(app).post("/count", headers=headers, json={"to": 1})
    assert c.status == 202


# No failure of ours tells anything


async def test_tells_nothing_of_a_failure_of_its_own(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(MemoryStore):
        async def open(self, key: str, **_: Any) -> Any:
            raise ZeroDivisionError(SECRET)

    app = make(store=Broken())
    c = await Client(app).post("/count", json={"to": 1})
    await check(c, 500, "Something failed on the server; its log knows more.")
    assert [(r.levelno, r.getMessage()) for r in caplog.records] == [
        (logging.ERROR, "A request failed.")
    ]
    assert f"ZeroDivisionError: {SECRET}" in caplog.text


async def test_repeats_no_input_in_its_log(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    app = make()
    body = {"user": "a", "password": SECRET}
    await Client(app).post("/login", json=body)
    await Client(app).post("/login", headers=JSON, body=json.dumps(body)[1:].encode())
    assert SECRET not in caplog.text
