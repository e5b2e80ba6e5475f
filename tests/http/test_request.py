"""What the routes read from a request: its path, its links, its headers, its body."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from asgi_events import EventsApp, tool
from asgi_events.actors import Actor
from asgi_events.http.problems import Problem
from asgi_events.http.request import ClientGone, Request, accepts, below, route_path
from asgi_events.testing import Client, Connection
from tests import TIMEOUT

Make = Callable[..., EventsApp]


@tool
async def count(to: int = 0) -> int:
    return to


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Makes an ``EventsApp`` and drains it when the test is over."""
    made: list[EventsApp] = []

    def make(*actors: Actor[..., Any], **options: Any) -> EventsApp:
        made.append(EventsApp(*(actors or (count,)), **options))
        return made[-1]

    yield make
    for app in made:
        await app.executions.drain(0)


def scope(path: str = "/", **more: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [],
    } | more


# Paths


@pytest.mark.parametrize(
    ("path", "root_path", "routed"),
    [
        ("/x", "", "/x"),
        ("/api/x", "/api", "/x"),
        ("/api/x", "/api/", "/x"),
        ("/api", "/api", "/"),
        ("/api/", "/api", "/"),
        ("/x", "/api", "/x"),
        ("/apix", "/api", "/apix"),
        ("/x/api", "/api", "/x/api"),
        ("/", "/", "/"),
        ("/x", None, "/x"),
    ],
)
def test_strips_root_path_only_where_it_is_a_prefix(
    path: str, root_path: str | None, routed: str
) -> None:
    assert route_path(scope(path, root_path=root_path)) == routed


def test_needs_no_root_path() -> None:
    assert route_path(scope("/x")) == "/x"


@pytest.mark.parametrize(
    ("path", "prefix", "rest"),
    [
        ("/events", "/events", "/"),
        ("/events/", "/events", "/"),
        ("/events/x", "/events", "/x"),
        ("/events/x", "/events/", "/x"),
        ("/eventsx", "/events", None),
        ("/event", "/events", None),
        ("/x/events", "/events", None),
        ("/events", "/", "/events"),
        ("/x", "", "/x"),
    ],
)
def test_is_below_a_prefix(path: str, prefix: str, rest: str | None) -> None:
    assert below(path, prefix) == rest


MOUNTS = {
    "at the root": ({"path": "/{}", "raw_path": b"/{}"}, "", ""),
    "below root_path": (
        {"path": "/api/{}", "raw_path": b"/api/{}", "root_path": "/api"},
        "",
        "/api",
    ),
    "below an escaped root_path": (
        {"path": "/a b/é/{}", "raw_path": b"/a%20b/%C3%A9/{}", "root_path": "/a b/é"},
        "",
        "/a%20b/%C3%A9",
    ),
    "below a slash that is escaped": (
        {"path": "/a/b/{}", "raw_path": b"/a%2Fb/{}", "root_path": "/a/b"},
        "",
        "/a%2Fb",
    ),
    "below a prefix": (
        {"path": "/events/{}", "raw_path": b"/events/{}"},
        "/events",
        "/events",
    ),
    "below a prefix with a slash": (
        {"path": "/events/{}", "raw_path": b"/events/{}"},
        "/events/",
        "/events",
    ),
    "below both": (
        {
            "path": "/api/events/{}",
            "raw_path": b"/api/events/{}",
            "root_path": "/api",
        },
        "/events",
        "/api/events",
    ),
    "where the framework has stripped the path (Litestar)": (
        {"path": "/{}/", "raw_path": b"/sse/{}"},
        "",
        "/sse",
    ),
    "behind a proxy that has stripped root_path (hypercorn)": (
        {"path": "/{}", "raw_path": b"/{}", "root_path": "/app"},
        "",
        "/app",
    ),
    "behind a proxy that has stripped root_path, which ends with a slash": (
        {"path": "/{}", "raw_path": b"/{}", "root_path": "/app/"},
        "",
        "/app",
    ),
    "behind such a proxy, which has no leading slash": (
        {"path": "/{}", "raw_path": b"/{}", "root_path": "app"},
        "",
        "/app",
    ),
    "behind such a proxy, below a prefix": (
        {"path": "/events/{}", "raw_path": b"/events/{}", "root_path": "/app"},
        "/events",
        "/app/events",
    ),
    "behind such a proxy, without raw_path": (
        {"path": "/{}", "root_path": "/a b", "raw_path": None},
        "",
        "/a%20b",
    ),
    "behind such a proxy, in a framework that has stripped the path (Litestar)": (
        {"path": "/{}/", "raw_path": b"/sse/{}", "root_path": "/app"},
        "",
        "/app/sse",
    ),
    "behind such a proxy, mounted by Starlette": (
        {
            "path": "/sse/{}",
            "raw_path": b"/sse/{}",
            "root_path": "/app/sse",
            "app_root_path": "/app",
        },
        "",
        "/app/sse",
    ),
    "behind a proxy that has left root_path on": (
        {"path": "/app/{}", "raw_path": b"/app/{}", "root_path": "/app"},
        "",
        "/app",
    ),
    "where the framework has stripped the path and says so": (
        {"path": "/{}", "raw_path": b"/sse/{}", "root_path": "/sse"},
        "",
        "/sse",
    ),
    "below what browsers take for another host": (
        {
            "path": "/\\evil.com/{}",
            "raw_path": b"/\\evil.com/{}",
            "root_path": "/\\evil.com",
        },
        "",
        "/%5Cevil.com",
    ),
    "below two slashes": (
        {
            "path": "//evil.com/{}",
            "raw_path": b"//evil.com/{}",
            "root_path": "//evil.com",
        },
        "",
        "/evil.com",
    ),
    "below what browsers leave out": (
        {
            "path": "/\t/evil.com/{}",
            "raw_path": b"/\t/evil.com/{}",
            "root_path": "/\t/evil.com",
        },
        "",
        "/%09/evil.com",
    ),
    "below what is not ASCII and not escaped": (
        {"path": "/é/{}", "raw_path": b"/\xc3\xa9/{}", "root_path": "/é"},
        "",
        "/%C3%A9",
    ),
    "below a root_path with a backslash, stripped": (
        {"path": "/{}", "raw_path": b"/{}", "root_path": "/\\evil.com"},
        "",
        "/%5Cevil.com",
    ),
    "below a lone surrogate": (
        {"path": "/\ud800/{}", "raw_path": None, "root_path": "/\ud800"},
        "",
        "/%ED%A0%80",
    ),
    "with root_path None": (
        {"path": "/{}", "raw_path": b"/{}", "root_path": None},
        "",
        "",
    ),
    "with a trailing slash": ({"path": "/{}/", "raw_path": b"/{}/"}, "", ""),
    "where raw_path has the query": ({"path": "/{}", "raw_path": b"/{}?a=/b"}, "", ""),
    "without raw_path": ({"path": "/api/{}", "root_path": "/api"}, "", "/api"),
    "without raw_path, escaped": (
        {"path": "/a b/é/{}", "root_path": "/a b/é", "raw_path": None},
        "",
        "/a%20b/%C3%A9",
    ),
}


def mounted(mount: dict[str, Any], at: str) -> dict[str, Any]:
    return {
        key: value.replace(b"{}", at.encode())
        if isinstance(value, bytes)
        else value and value.replace("{}", at)
        for key, value in mount.items()
    }


@pytest.mark.parametrize(("mount", "prefix", "base"), MOUNTS.values(), ids=MOUNTS)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_links_to_where_it_is_mounted(
    make: Make, mount: dict[str, Any], prefix: str, base: str, method: str
) -> None:
    app = make(prefix=prefix)
    execution = await app.executions.start("count")
    await asyncio.wait_for(execution.wait(), TIMEOUT)
    at = "count" if method == "POST" else f"executions/{execution.id}"
    changes = mounted(mount, at)
    raw = changes.pop("raw_path", None)
    async with Connection(app, method, "/") as c:
        c.scope.update(changes)
        if raw is None:
            del c.scope["raw_path"]
        else:
            c.scope["raw_path"] = raw
        body = await c.json()
    id = list(app.executions)[-1].id
    link = f"{base}/executions/{id}"
    assert c.status == (202 if method == "POST" else 200)
    assert body["links"] == {"self": link, "events": f"{link}/events", "cancel": link}
    if method == "POST":
        assert c.headers["location"] == link


@pytest.mark.parametrize(("mount", "prefix", "base"), MOUNTS.values(), ids=MOUNTS)
async def test_lists_links_to_where_it_is_mounted(
    make: Make, mount: dict[str, Any], prefix: str, base: str
) -> None:
    app = make(prefix=prefix)
    changes = mounted(mount, "")
    raw = changes.pop("raw_path", None)
    async with Connection(app, "GET", "/") as c:
        c.scope.update(changes)
        if raw is None:
            del c.scope["raw_path"]
        else:
            c.scope["raw_path"] = raw
        body = await c.json()
    assert body["actors"][0]["links"] == {"start": f"{base}/count"}


@pytest.mark.parametrize("path", ["/", "/count", "/apis", "/api2/count", "/a/api"])
async def test_answers_404_outside_its_prefix(make: Make, path: str) -> None:
    app = make(prefix="/api")

    c = await Client(app).post(path)

    assert c.status == 404
    assert (await c.json())["detail"] == f"There is nothing at {path!r}."
    assert list(app.executions) == []


async def test_can_be_mounted_at_its_prefix(make: Make) -> None:
    app = make(prefix="/api/events")
    site = Starlette(routes=[Mount("/api/events", app=app), Mount("/other", app=app)])

    mounted = await Client(site).post("/api/events/count")
    elsewhere = await Client(site).post("/other/count")
    below = await Client(site).post("/other/api/events/count")

    assert (mounted.status, elsewhere.status, below.status) == (202, 404, 202)
    assert mounted.headers["location"].startswith("/api/events/executions/")


async def test_links_through_starlette_behind_a_proxy_that_has_stripped_root_path(
    make: Make,
) -> None:
    app = make()
    site = Starlette(routes=[Mount("/sse", app=app)])
    c = await Client(site).post("/sse/count", root_path="/app")
    (execution,) = app.executions
    assert c.status == 202
    assert c.headers["location"] == f"/app/sse/executions/{execution.id}"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/\ud800"),
        ("POST", "/count\ud800"),
        ("GET", "/executions/\ud800/events"),
        ("DELETE", "/executions/\ud800"),
    ],
)
async def test_answers_404_to_a_path_that_is_no_text(
    make: Make, method: str, path: str
) -> None:
    app = make()
    async with Connection(app, method, "/") as c:
        c.scope.update({"path": path, "raw_path": None})
        await c.end()
    assert c.status == 404


@pytest.mark.parametrize("broken", [{"headers": None}, {"path": None}])
async def test_answers_500_to_a_scope_that_it_cannot_read(
    make: Make, broken: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    app = make()
    async with Connection(app, "POST", "/count") as c:
        c.scope.update(broken)
        await c.end()
    assert c.status == 500
    assert "A request failed." in caplog.text


async def test_works_in_a_mount_of_starlette(make: Make) -> None:
    app = make()
    site = Starlette(routes=[Mount("/sse", app=app)])
    c = await Client(site).post("/sse/count", json={"to": 1})
    link = c.headers["location"]
    status = await Client(site).get(link)
    (execution,) = list(app.executions)
    assert link == f"/sse/executions/{execution.id}"
    assert (c.status, status.status) == (202, 200)
    assert (await status.json())["links"]["events"] == f"{link}/events"


@pytest.mark.parametrize("path", ["/count", "/count/", "/count//", "//count"])
def test_takes_the_parts_of_the_path_without_empty_ones(path: str) -> None:
    assert Request(scope(path)).segments == ["count"]


def test_has_no_parts_at_the_root() -> None:
    assert Request(scope("/")).segments == []
    assert Request(scope("")).segments == []


# Headers


@pytest.mark.parametrize(
    ("header", "answer"),
    [
        ("text/event-stream", True),
        ("TEXT/Event-Stream", True),
        ("application/json, text/event-stream", True),
        ("text/event-stream;q=0.5, */*", True),
        ("text/event-stream ; charset=utf-8 ; q=1", True),
        ("text/event-stream;q=0.001", True),
        ("text/event-stream;q=0", False),
        ("text/event-stream; q=0.000", False),
        ("*/*", False),
        ("text/*", False),
        ("text/event-streams", False),
        ("application/json", False),
        ("", False),
        (",;,", False),
    ],
)
def test_knows_whether_the_client_accepts_a_stream(header: str, answer: bool) -> None:
    assert accepts(header, "text/event-stream") is answer


def test_knows_headers_by_their_names_in_lower_case() -> None:
    headers = [(b"Accept", b"a"), (b"X-Name", b"\xe9"), (b"x-name", b"last")]
    assert Request(scope(headers=headers)).headers == {"accept": "a", "x-name": "last"}


def test_joins_several_accept_headers_as_http_does() -> None:
    headers = [(b"accept", b"application/json"), (b"accept", b"text/event-stream")]
    request = Request(scope(headers=headers))
    assert request.headers["accept"] == "application/json, text/event-stream"
    assert request.wants_stream


@pytest.mark.parametrize(
    ("header", "query", "cursor"),
    [
        (None, b"", None),
        (b"a:1", b"", "a:1"),
        (None, b"last_event_id=a:1", "a:1"),
        (None, b"x=1&last_event_id=a%3A1", "a:1"),
        (None, b"last_event_id=a:1&last_event_id=a:2", "a:2"),
        (b"a:2", b"last_event_id=a:1", "a:2"),
        (b"", b"last_event_id=a:1", "a:1"),
        (b"", b"", None),
        (None, b"last_event_id=", None),
        (None, b"\xff&%", None),
    ],
)
def test_takes_the_cursor_from_the_header_else_from_the_query(
    header: bytes | None, query: bytes, cursor: str | None
) -> None:
    headers = [] if header is None else [(b"last-event-id", header)]
    request = Request(scope(headers=headers, query_string=query))
    assert request.last_event_id == cursor


def test_needs_no_query_string() -> None:
    bare = scope()
    del bare["query_string"]
    assert Request(bare).last_event_id is None


# Bodies


class Inbox:
    """The ``receive`` of a client that sends ``messages`` and then nothing."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = list(messages)

    async def __call__(self) -> Any:
        if not self.messages:
            raise AssertionError("receive() was called once too often")
        return self.messages.pop(0)


class Late:
    """A ``receive`` that, once it has been cancelled, says that the client has gone."""

    def __init__(self, receive: Callable[[], Awaitable[Any]]) -> None:
        self._receive = receive
        self._cancelled = False

    async def __call__(self) -> Any:
        if self._cancelled:
            return {"type": "http.disconnect"}
        try:
            return await self._receive()
        except asyncio.CancelledError:
            self._cancelled = True
            raise


def chunk(body: bytes | None = None, more: bool | None = None) -> dict[str, Any]:
    message: dict[str, Any] = {"type": "http.request"}
    if body is not None:
        message["body"] = body
    if more is not None:
        message["more_body"] = more
    return message


def posting(**headers: str) -> Request:
    fields = [
        (name.replace("_", "-").encode(), value.encode())
        for name, value in headers.items()
    ]
    return Request(scope(method="POST", headers=fields))


JSON = "application/json"


@pytest.mark.parametrize(
    ("messages", "body"),
    [
        ([chunk(b'{"a":1}', False)], b'{"a":1}'),
        ([chunk(b'{"a":1}')], b'{"a":1}'),
        ([chunk(b'{"a', True), chunk(b"", True), chunk(b'":1}', False)], b'{"a":1}'),
        ([chunk(b'{"a":1}', True), chunk(None, False)], b'{"a":1}'),
        ([chunk(b"", False)], b"{}"),
        ([chunk()], b"{}"),
    ],
    ids=["whole", "bare", "split", "late end", "empty", "nothing at all"],
)
async def test_reads_a_body(messages: list[Any], body: bytes) -> None:
    inbox = Inbox(*messages)
    assert await posting(content_type=JSON).read_json(inbox, limit=100) == body
    assert inbox.messages == []


@pytest.mark.parametrize("split", range(1, 8))
async def test_starts_with_a_body_split_anywhere(make: Make, split: int) -> None:
    app = make()
    body = b'{"to":3}'
    headers = {"content-type": JSON, "accept": "text/event-stream"}
    c = await Client(app).post(
        "/count", headers=headers, body=[body[:split], body[split:]]
    )
    assert c.status == 200
    assert b'"result":3}' in c.body


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/ld+json",
    ],
)
async def test_takes_json_by_any_of_its_names(media_type: str) -> None:
    request = posting(content_type=media_type)
    assert await request.read_json(Inbox(chunk(b"1")), limit=9) == b"1"


@pytest.mark.parametrize("media_type", ["text/plain", "application/jsonp", "json"])
async def test_refuses_another_media_type_unread(media_type: str) -> None:
    with pytest.raises(Problem) as raised:
        await posting(content_type=media_type).read_json(Inbox(), limit=9)
    assert (raised.value.status, raised.value.headers) == (
        415,
        {"accept-post": "application/json"},
    )
    assert raised.value.detail == (
        f"The body must be JSON, not {media_type!r}: send Content-Type: "
        "application/json."
    )


async def test_refuses_a_body_of_no_media_type() -> None:
    with pytest.raises(Problem) as raised:
        await posting().read_json(Inbox(chunk(b"{}")), limit=9)
    assert raised.value.status == 415


async def test_needs_no_media_type_without_a_body() -> None:
    assert await posting().read_json(Inbox(chunk(b"")), limit=9) == b"{}"


@pytest.mark.parametrize("length", ["10", "1" + "0" * 30])
async def test_refuses_a_body_by_its_content_length_unread(length: str) -> None:
    with pytest.raises(Problem) as raised:
        await posting(content_type=JSON, content_length=length).read_json(
            Inbox(), limit=9
        )
    assert (raised.value.status, raised.value.detail) == (
        413,
        "The body may have 9 bytes at most (max_body).",
    )


@pytest.mark.parametrize("length", [None, "9", "-1", "²", "lots", ""])
async def test_refuses_a_body_that_grows_too_large_and_reads_no_further(
    length: str | None,
) -> None:
    request = posting(content_type=JSON)
    if length is not None:
        field = (b"content-length", length.encode("latin-1"))
        request = Request(
            scope(headers=[(b"content-type", JSON.encode()), field], method="POST")
        )
    inbox = Inbox(chunk(b"12345", True), chunk(b"67890", True))
    with pytest.raises(Problem) as raised:
        await request.read_json(inbox, limit=9)
    assert raised.value.status == 413
    assert inbox.messages == []


async def test_takes_a_body_of_just_the_limit() -> None:
    request = posting(content_type=JSON, content_length="9")
    inbox = Inbox(chunk(b"12345", True), chunk(b"6789", False))
    assert await request.read_json(inbox, limit=9) == b"123456789"


async def test_refuses_more_empty_parts_than_bytes_and_reads_no_further() -> None:
    inbox = Inbox(*[chunk(b"", True)] * 10)
    with pytest.raises(Problem) as raised:
        await posting(content_type=JSON).read_json(inbox, limit=9)
    assert raised.value.status == 413
    assert inbox.messages == []


async def test_holds_little_more_than_the_bytes_of_a_body_in_small_parts() -> None:
    parts = 20_000
    left = parts
    held = 0

    async def receive() -> Any:
        nonlocal left, held
        left -= 1
        held = tracemalloc.get_traced_memory()[0]
        return chunk(b"%02d" % (left % 100), left > 0)

    request = posting(content_type=JSON)
    tracemalloc.start()
    body = await request.read_json(receive, limit=3 * parts)
    tracemalloc.stop()
    assert len(body) == 2 * parts
    assert held < 3 * len(body)


@pytest.mark.parametrize("pace", [0.001, 10], ids=["one byte at a time", "nothing"])
@pytest.mark.parametrize(
    ("version", "connection"), [("1.1", "close"), ("2", None)], ids=["1.1", "2"]
)
async def test_answers_408_to_a_body_that_takes_too_long(
    make: Make, pace: float, version: str, connection: str | None
) -> None:
    app = make(body_timeout=0.05)
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(pace)
        return chunk(b" ", True)

    async def send(message: Any) -> None:
        sent.append(message)

    given = scope(
        "/count",
        method="POST",
        headers=[(b"content-type", JSON.encode())],
        http_version=version,
    )
    if version == "2":  # what comes later is read away, within bounds: let it end
        receive = Late(receive)
    await asyncio.wait_for(app(given, receive, send), TIMEOUT)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    assert sent[0]["status"] == 408
    assert headers.get("connection") == connection
    assert json.loads(sent[1]["body"])["detail"] == (
        "The body did not come within 0.05 s (body_timeout)."
    )
    assert list(app.executions) == []


async def test_waits_for_a_body_for_ever_without_body_timeout(make: Make) -> None:
    app = make(body_timeout=None)
    async with Connection(
        app, "POST", "/count", headers={"content-type": JSON}, body=[]
    ) as c:
        await asyncio.sleep(0)
        c._inbox.put_nowait(chunk(b"{}", False))
        await c.end()
    assert c.status == 202


async def test_notices_that_the_client_leaves_before_its_body_is_read() -> None:
    inbox = Inbox(chunk(b"1", True), {"type": "http.disconnect"})
    with pytest.raises(ClientGone):
        await posting(content_type=JSON).read_json(inbox, limit=9)


async def test_starts_nothing_for_a_client_that_leaves_before_its_body_is_read(
    make: Make,
) -> None:
    app = make()
    async with Connection(
        app, "POST", "/count", headers={"content-type": JSON}, body=[]
    ) as c:
        c._inbox.put_nowait(chunk(b'{"to":', True))
        await asyncio.sleep(0)
        c.disconnect()
        await c.end()
    assert c.messages == []
    assert list(app.executions) == []
