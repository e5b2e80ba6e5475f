"""Real clients against real servers, with the connection cut in the middle."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from time import perf_counter
from typing import Any, TypeAlias

import httpx
import httpx_sse
import pytest

from tests.clients import CLIENTS, Seen, watch
from tests.proxy import Cut, Proxy, cuts
from tests.servers import KINDS, TIMEOUT, Server, watched

pytestmark = pytest.mark.server

Serve: TypeAlias = Callable[..., Server]

_NODE = {"eventsource", "eventsource-client", "fetch-event-source"}


def clients(*names: str) -> pytest.MarkDecorator:
    """The test once with each client."""
    return pytest.mark.parametrize(
        "client",
        [
            pytest.param(name, marks=[pytest.mark.node] if name in _NODE else [])
            for name in names or CLIENTS
        ],
    )


every_kind_of_server = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def servers() -> Iterator[Serve]:
    """Servers that run until the last test of this module."""
    started: dict[tuple[str, str], Server] = {}
    with ExitStack() as stack:

        def start(app: str, kind: str) -> Server:
            if (app, kind) not in started:
                started[app, kind] = stack.enter_context(Server(app, kind))
            return started[app, kind]

        yield start


@pytest.fixture
def serve(servers: Serve) -> Iterator[Serve]:
    with ExitStack() as stack:

        def serve(app: str = "app", kind: str = "hypercorn") -> Server:
            return stack.enter_context(watched(servers(f"tests.apps:{app}", kind)))

        yield serve


@pytest.fixture
def server(serve: Serve) -> Server:
    return serve()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as client:
        yield client


async def start(
    http: httpx.AsyncClient, server: Server, actor: str, **given: Any
) -> str:
    """The id of a new execution that nobody watches yet."""
    answer = await http.post(f"{server.url}/{actor}", json=given)
    assert answer.status_code == 202
    id: str = answer.json()["id"]
    return id


async def about(http: httpx.AsyncClient, server: Server, id: str) -> dict[str, Any]:
    """What the server says of the execution."""
    answer = await http.get(f"{server.url}/executions/{id}")
    said: dict[str, Any] = answer.json()
    return said


async def status_of(http: httpx.AsyncClient, server: Server, id: str) -> str:
    status: str = (await about(http, server, id))["status"]
    return status


async def until_over(http: httpx.AsyncClient, server: Server, id: str) -> str:
    """How the execution ended, once it has."""
    async with asyncio.timeout(3 * TIMEOUT):
        status = "started"
        while status == "started":
            status = await status_of(http, server, id)
    return status


@asynccontextmanager
async def viewer(server: Server, id: str) -> AsyncIterator[None]:
    """Somebody who has seen an event and, at the end of the block, leaves."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"GET {path(id)} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode())
    try:
        async with asyncio.timeout(TIMEOUT):
            await reader.readuntil(b"data: ")
        yield
    finally:
        writer.close()
        await writer.wait_closed()


async def runs(http: httpx.AsyncClient, server: Server, of: str) -> int:
    """How often the actor ``count`` was run under that name."""
    async with httpx_sse.aconnect_sse(
        http, "POST", f"{server.url}/runs", json={"of": of}
    ) as source:
        events = [event.json() async for event in source.aiter_sse()]
    result: int = events[-2]["result"]
    return result


def path(id: str) -> str:
    return f"/executions/{id}/events"


def ids(seen: Sequence[Seen]) -> list[str]:
    """Those of the unnamed events."""
    return [event.id for event in seen if event.event == "message"]


def numbers(seen: Sequence[Seen]) -> list[int]:
    """Those that ``count`` gave its events."""
    contents = [json.loads(event.data) for event in seen if event.event == "message"]
    return [content["number"] for content in contents if "number" in content]


def kinds(seen: Sequence[Seen]) -> list[str]:
    """What each event is, named ones by their name."""
    return [
        event.event
        if event.event != "message"
        else json.loads(event.data).get("event_type", "numbered")
        for event in seen
    ]


def all_ids(id: str, numbered: int) -> list[str]:
    """Those of ``count``: its start, its numbered events, its end, the terminal one."""
    return [f"{id}:{number}" for number in range(1, numbered + 4)]


COMPLETED = ["tool_call", "complete", "end"]


@clients()
async def test_sees_every_event_once_and_in_order_across_cuts(
    client: str, server: Server, http: httpx.AsyncClient
) -> None:
    id = await start(http, server, "count", to=60, pace=0.004)

    async with Proxy(server.port, cuts(seed=1, count=8)) as proxy:
        seen = await watch(client, proxy.url + path(id))

    assert ids(seen) == all_ids(id, 60)
    assert numbers(seen) == list(range(1, 61))
    assert kinds(seen) == ["tool_call"] + ["numbered"] * 60 + COMPLETED
    assert (len(proxy.made), proxy.left) == (8, 0)
    assert {"mid-frame", "between"} == set(proxy.made)
    assert proxy.statuses == [200] * 9
    assert len(proxy.requests) == 9, "it came back after the end"


@every_kind_of_server
async def test_replays_and_goes_on_live_across_cuts_on(
    kind: str, serve: Serve, http: httpx.AsyncClient
) -> None:
    server = serve(kind=kind)
    id = await start(http, server, "count", to=100, pace=0.002)

    async with Proxy(server.port, cuts(seed=2, count=12)) as proxy:
        seen = await watch("httpx", proxy.url + path(id))

    assert ids(seen) == all_ids(id, 100)
    assert numbers(seen) == list(range(1, 101))
    assert kinds(seen)[-3:] == COMPLETED
    assert proxy.statuses == [200] * 13
    assert len(proxy.made) == 12


@clients()
async def test_sees_an_event_again_whose_data_was_cut(
    client: str, server: Server, http: httpx.AsyncClient
) -> None:
    id = await start(http, server, "count", to=5, text="x" * 1000)

    async with Proxy(server.port, [Cut(events=3, more=500, held=True)]) as proxy:
        seen = await watch(client, proxy.url + path(id), on_seen=proxy.count_seen)

    assert ids(seen) == all_ids(id, 5)
    assert [request.last_event_id for request in proxy.requests] == [None, f"{id}:3"]


@clients("curl", "httpx", "eventsource-client", "fetch-event-source")
async def test_attaches_a_repeated_post_to_its_execution(
    client: str, server: Server, http: httpx.AsyncClient
) -> None:
    run = secrets.token_hex()
    body = {"to": 60, "pace": 0.004, "run": run}
    with_an_id = Cut(events=2, held=True)  # without one it is a new start

    async with Proxy(server.port, [with_an_id, *cuts(seed=5, count=7)]) as proxy:
        seen = await watch(
            client, proxy.url + "/count", body=body, on_seen=proxy.count_seen
        )

    assert ids(seen) == all_ids(seen[0].id.partition(":")[0], 60)
    assert kinds(seen) == ["tool_call"] + ["numbered"] * 60 + COMPLETED
    assert [request.method for request in proxy.requests] == ["POST"] * 9
    assert proxy.statuses == [200] * 9
    assert await runs(http, server, run) == 1


@clients("httpx", "fetch-event-source")
async def test_starts_one_execution_for_a_key_when_the_first_answer_is_lost(
    client: str, server: Server, http: httpx.AsyncClient
) -> None:
    run = secrets.token_hex()
    lost = [Cut(), Cut(events=2, held=True)]

    async with Proxy(server.port, lost) as proxy:
        seen = await watch(
            client,
            proxy.url + "/count",
            body={"to": 5, "run": run},
            headers={"idempotency-key": run},
            on_seen=proxy.count_seen,
        )

    assert ids(seen) == all_ids(seen[0].id.partition(":")[0], 5)
    assert [request.last_event_id for request in proxy.requests] == [
        None,
        None,
        seen[1].id,
    ]
    assert await runs(http, server, run) == 1


@clients("curl", "httpx", "eventsource", "eventsource-client")
async def test_is_told_by_204_to_stop_when_left_alone_at_the_end(
    client: str, server: Server, http: httpx.AsyncClient
) -> None:
    id = await start(http, server, "count", to=5)

    async with Proxy(server.port) as proxy:
        seen = await watch(client, proxy.url + path(id), close=False)

    assert ids(seen) == all_ids(id, 5)
    assert kinds(seen) == ["tool_call"] + ["numbered"] * 5 + COMPLETED
    assert proxy.statuses == [200, 204]
    assert [r.last_event_id for r in proxy.requests] == [None, f"{id}:8"]


@clients("curl", "httpx", "eventsource", "eventsource-client")
async def test_stops_when_it_is_cut_right_after_the_terminal_event(
    client: str, server: Server, http: httpx.AsyncClient
) -> None:
    id = await start(http, server, "count", to=5)

    async with Proxy(server.port, [Cut(events=8, held=True)]) as proxy:
        seen = await watch(client, proxy.url + path(id), on_seen=proxy.count_seen)

    assert ids(seen) == all_ids(id, 5)
    assert kinds(seen)[-1] == "complete"
    assert proxy.statuses == [200, 204]


@clients("fetch-event-source")
async def test_ends_a_post_that_is_cut_right_after_the_terminal_event(
    client: str, server: Server
) -> None:
    async with Proxy(server.port, [Cut(events=8, held=True)]) as proxy:
        seen = await watch(
            client, proxy.url + "/count", body={"to": 5}, on_seen=proxy.count_seen
        )

    assert ids(seen) == all_ids(seen[0].id.partition(":")[0], 5)
    assert kinds(seen) == ["tool_call"] + ["numbered"] * 5 + COMPLETED
    assert proxy.statuses == [200, 200]


@clients()
async def test_makes_no_message_of_a_heartbeat(
    client: str, server: Server, http: httpx.AsyncClient
) -> None:
    id = await start(http, server, "quiet")

    async with Proxy(server.port) as proxy:
        watching = asyncio.create_task(watch(client, proxy.url + path(id)))
        await proxy.until(b": keep-alive\n", times=3)
        await http.delete(f"{server.url}/executions/{id}")
        seen = await watching

    assert ids(seen) == [f"{id}:{number}" for number in range(1, 5)]
    assert kinds(seen) == ["tool_call", "numbered", "tool_call", "cancelled", "end"]
    assert proxy.statuses == [200]


@clients()
async def test_is_told_of_a_reset_and_then_everything_for_a_foreign_id(
    client: str, server: Server, http: httpx.AsyncClient
) -> None:
    id = await start(http, server, "count", to=20, pace=0.01)
    url, options = path(id), {"last_event_id": "another:7"}
    if client == "eventsource":  # it sets no headers
        url, options = url + "?last_event_id=another:7", {}

    async with Proxy(server.port, [Cut(events=4, held=True)]) as proxy:
        seen = await watch(client, proxy.url + url, on_seen=proxy.count_seen, **options)

    assert kinds(seen) == ["reset", "tool_call"] + ["numbered"] * 20 + COMPLETED
    assert json.loads(seen[0].data) == {"reason": "foreign", "first": 1}
    assert ids(seen) == all_ids(id, 20)
    assert proxy.requests[1].last_event_id == f"{id}:3"
    assert proxy.statuses == [200, 200]


@clients()
async def test_hands_line_separators_over_unchanged(
    client: str, server: Server, http: httpx.AsyncClient
) -> None:
    text = "\u2028 a\u2029b\u0085c\r\nd\re\n\N{PILE OF POO}\0"
    id = await start(http, server, "count", to=3, text=text)

    seen = await watch(client, server.url + path(id))

    assert ids(seen) == all_ids(id, 3)
    assert [json.loads(event.data).get("text") for event in seen] == [
        None,
        *[text] * 3,
        *[None] * 3,
    ]


@every_kind_of_server
async def test_answers_others_while_a_flood_runs_whose_viewer_has_gone(
    kind: str, serve: Serve, http: httpx.AsyncClient
) -> None:
    server = serve(kind=kind)
    id = await start(http, server, "flood", to=100_000)
    async with viewer(server, id):
        pass

    began = perf_counter()
    statuses, times, status = [], [], "started"
    while status == "started":
        asked = perf_counter()
        statuses.append((await http.get(server.url)).status_code)
        times.append(perf_counter() - asked)
        status = await status_of(http, server, id)

    print(
        f"{kind}: {len(times)} requests in {perf_counter() - began:.2f} s of flood, "
        f"the slowest took {max(times) * 1000:.1f} ms"
    )
    assert statuses == [200] * len(times)
    assert status == "completed"
    events = await http.get(f"{server.url}{path(id)}")
    sent = re.findall(rb"^id: (.+)$", events.content, re.MULTILINE)
    assert [event_id.decode() for event_id in sent] == all_ids(id, 100_000)


@every_kind_of_server
async def test_cancels_with_the_last_viewer_that_leaves_on(
    kind: str, serve: Serve, http: httpx.AsyncClient
) -> None:
    server = serve("fleeting", kind)
    id = await start(http, server, "endless")

    async with viewer(server, id):
        async with viewer(server, id):
            pass
        async with asyncio.timeout(TIMEOUT):
            while (await about(http, server, id))["viewers"] == 2:
                pass
        with_one = await status_of(http, server, id)
    with_none = await until_over(http, server, id)

    assert (with_one, with_none) == ("started", "cancelled")


@every_kind_of_server
async def test_cancels_a_running_actor_by_delete_on(
    kind: str, serve: Serve, http: httpx.AsyncClient
) -> None:
    server = serve(kind=kind)
    id = await start(http, server, "endless")
    url = f"{server.url}/executions/{id}"

    async with httpx_sse.aconnect_sse(http, "GET", f"{url}/events") as source:
        events = source.aiter_sse()
        await anext(events)
        asked = perf_counter()
        first = await http.delete(url)
        async with asyncio.timeout(TIMEOUT):
            rest = [Seen(e.event, e.id, e.data) async for e in events]
        took = perf_counter() - asked
    again = await http.delete(url)

    print(f"{kind}: {took * 1000:.1f} ms from DELETE to the end of the stream")
    assert (first.status_code, again.status_code) == (202, 200)
    assert kinds(rest)[-3:] == ["tool_call", "cancelled", "end"]
    assert json.loads(rest[-1].data) == {"status": "cancelled"}
    assert ids(rest) == [f"{id}:{number}" for number in range(2, len(rest) + 1)]
    assert await status_of(http, server, id) == "cancelled"
