"""Which pages may start and cancel: the requests that browsers send from elsewhere."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.middleware.cors import CORSMiddleware

from asgi_events import EventsApp, EventsMiddleware, tool
from asgi_events.testing import Client, Connection
from tests.http.test_middleware import App

Make = Callable[..., EventsApp]

HERE = {"host": "events.example"}


@tool
async def idle() -> None:
    pass


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Makes an ``EventsApp`` and drains it when the test is over."""
    made: list[EventsApp] = []

    def make(**options: Any) -> EventsApp:
        made.append(EventsApp(idle, **options))
        return made[-1]

    yield make
    for app in made:
        await app.executions.drain(0)


STRANGERS: dict[str, dict[str, str]] = {
    "another site": {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
    "another site, without Origin": {"sec-fetch-site": "cross-site"},
    "another host of the site": {
        "sec-fetch-site": "same-site",
        "origin": "http://blog.example",
    },
    "another site that claims our host": {
        "sec-fetch-site": "cross-site",
        "origin": "http://events.example",
    },
    "what no browser says": {"sec-fetch-site": "SAME-ORIGIN"},
    "an old browser": {"origin": "http://evil.example"},
    "another port": {"origin": "http://events.example:8080"},
    "a sandboxed frame": {"origin": "null"},
    "a host that begins alike": {"origin": "http://events.example.evil.example"},
    "a user that looks like the host": {"origin": "http://events.example@evil.example"},
    "a browser behind a proxy that changes Host": {
        "host": "127.0.0.1:8000",
        "origin": "http://events.example",
    },
    "an IPv6 host": {"host": "[::1]:8000", "origin": "http://[::2]:8000"},
}

FRIENDS: dict[str, dict[str, str]] = {
    "no browser": {},
    "no browser, which knows no host": {"host": ""},
    "the page itself": {
        "sec-fetch-site": "same-origin",
        "origin": "http://events.example",
    },
    "the page behind a proxy that changes Host": {
        "host": "127.0.0.1:8000",
        "sec-fetch-site": "same-origin",
        "origin": "https://events.example",
    },
    "the address bar": {"sec-fetch-site": "none"},
    "an old browser": {"origin": "http://events.example"},
    "an old browser and TLS in front": {"origin": "https://events.example"},
    "upper case": {"host": "EVENTS.example", "origin": "HTTP://Events.Example"},
    "a default port": {"host": "events.example:80", "origin": "http://events.example"},
    "a default port with TLS": {
        "host": "events.example",
        "origin": "https://events.example:443",
    },
    "an IPv6 host": {"host": "[::1]:8000", "origin": "http://[::1]:8000"},
    "an IPv6 host at the default port": {"host": "[::1]", "origin": "http://[::1]:80"},
}


@pytest.mark.parametrize("headers", STRANGERS.values(), ids=STRANGERS)
async def test_refuses_to_start_and_to_cancel_for_a_page_of(
    make: Make, headers: dict[str, str]
) -> None:
    app = make()
    execution = await app.executions.start(idle)
    start = await Client(app).post("/idle", headers=HERE | headers)
    cancel = await Client(app).delete(
        f"/executions/{execution.id}", headers=HERE | headers
    )
    unknown = await Client(app).post("/nope", headers=HERE | headers)
    assert [c.status for c in (start, cancel, unknown)] == [403] * 3
    assert start.headers["content-type"] == "application/problem+json"
    assert "allowed_origins" in json.loads(start.body)["detail"]
    assert list(app.executions) == [execution]
    await execution.wait()
    assert execution.status == "completed"


@pytest.mark.parametrize("headers", STRANGERS.values(), ids=STRANGERS)
async def test_answers_a_safe_request_of_a_page_of(
    make: Make, headers: dict[str, str]
) -> None:
    app = make()
    execution = await app.executions.start(idle)
    await execution.wait()
    path = f"/executions/{execution.id}"
    answers = [
        await Client(app).request(method, path, headers=HERE | headers)
        for method in ("GET", "HEAD")
    ]
    assert [c.status for c in answers] == [200, 200]


@pytest.mark.parametrize("headers", FRIENDS.values(), ids=FRIENDS)
async def test_starts_for(make: Make, headers: dict[str, str]) -> None:
    c = await Client(make()).post("/idle", headers=HERE | headers)
    assert c.status == 202


@pytest.mark.parametrize(
    ("allowed", "origin", "status"),
    [
        (["https://front.example"], "https://front.example", 202),
        (["https://front.example"], "http://front.example", 403),
        (["https://front.example"], "https://front.example:8443", 403),
        (["https://front.example"], "https://other.example", 403),
        (["https://Front.example:443"], "https://front.example", 202),
        (("http://localhost:3000",), "http://localhost:3000", 202),
        (["http://localhost:3000"], "null", 403),
        (["*"], "https://other.example", 202),
        (["*"], "null", 202),
    ],
)
@pytest.mark.parametrize("site", ["cross-site", ""])
async def test_starts_for_pages_of_allowed_origins(
    make: Make, allowed: Any, origin: str, status: int, site: str
) -> None:
    app = make(allowed_origins=allowed)
    headers = HERE | {"origin": origin} | ({"sec-fetch-site": site} if site else {})
    assert (await Client(app).post("/idle", headers=headers)).status == status


async def test_refuses_before_it_asks_who_it_is(make: Make) -> None:
    asked: list[Any] = []

    def authorize(*args: Any) -> str:
        asked.append(args)
        return "ada"

    app = make(authorize=authorize)
    headers = HERE | {"sec-fetch-site": "cross-site"}
    assert (await Client(app).post("/idle", headers=headers)).status == 403
    assert asked == []


async def test_allows_origins_around_an_application_too() -> None:
    friend = "https://front.example"
    middleware = EventsMiddleware(App(), actors=[idle], allowed_origins=[friend])
    statuses = []
    for origin in (friend, "https://evil.example"):
        headers = HERE | {"origin": origin, "sec-fetch-site": "cross-site"}
        c = await Client(middleware).post("/events/idle", headers=headers)
        statuses.append(c.status)
    await middleware.executions.drain(0)
    assert statuses == [202, 403]


async def test_leaves_the_requests_of_the_application_around_it_alone() -> None:
    app = App()
    app.sending = [
        {"type": "http.response.start", "status": 200, "headers": []},
        {"type": "http.response.body", "body": b"theirs"},
    ]
    middleware = EventsMiddleware(app, actors=[idle])
    headers = HERE | {"sec-fetch-site": "cross-site"}
    c = await Client(middleware).post("/form", headers=headers, body=[b"a", b"b"])
    assert (c.status, c.body) == (200, b"theirs")


async def test_serves_pages_of_an_allowed_origin_with_cors(make: Make) -> None:
    front = "https://front.example"
    app = CORSMiddleware(
        make(allowed_origins=[front]),
        allow_origins=[front],
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["Content-Type", "Last-Event-ID", "Idempotency-Key"],
        expose_headers=["Location"],
    )

    async def ask(method: str, origin: str, **more: str) -> Connection:
        headers = HERE | {"origin": origin, "sec-fetch-site": "cross-site"}
        asked = {name.replace("_", "-"): value for name, value in more.items()}
        return await Client(app).request(method, "/idle", headers=headers | asked)

    preflight = await ask(
        "OPTIONS",
        front,
        access_control_request_method="POST",
        access_control_request_headers="content-type,idempotency-key",
    )
    start = await ask("POST", front)
    stranger = await ask("POST", "https://evil.example")

    assert preflight.status == 200
    assert start.status == 202
    assert start.headers["access-control-allow-origin"] == front
    assert start.headers["access-control-expose-headers"] == "Location"
    assert stranger.status == 403
