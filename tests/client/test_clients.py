"""The clients for asyncio and for threads, with real servers and scripted peers."""

from __future__ import annotations

import asyncio
import gc
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
import pytest

from asgi_events import EventsMiddleware
from asgi_events.client import Client, SyncClient, patience
from asgi_events.client.http import broken_by
from asgi_events.client.terms import Terms
from asgi_events.exceptions import (
    ClientError,
    ExecutionCancelled,
    Forbidden,
    InvalidInput,
    RequestFailed,
    Unauthorized,
    UnknownActor,
    UnknownExecution,
    Unreachable,
)
from tests.apps import Numbered, count
from tests.client.peer import HEAD, RST, SILENCE, Peer, reply, stream
from tests.client.users import User
from tests.client.world import ID, event, events, finish
from tests.proxy import Cut, Proxy
from tests.servers import ROOT, TIMEOUT, Server, watched

ABOUT = reply(200, b'{"id":"4ad0","actor":"count","status":"started"}')
FAST = b"retry: 1\n"


@pytest.fixture(params=["async", "sync"])
def user(request: pytest.FixtureRequest) -> User:
    return User(request.param)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server("tests.apps:app", "uvicorn") as server, watched(server):
        yield server


@pytest.fixture
async def client(user: User, server: Server) -> AsyncIterator[Any]:
    client = user.make(server.url)
    yield client
    await user.close(client)


# With a real server


@pytest.mark.server
async def test_starts_watches_and_has_the_result(user: User, client: Any) -> None:
    run = await user.call(client.start, "count", {"to": 3, "text": "ü"})

    events = run.events(types=[])
    seen = await user.read(events)

    assert seen[1:4] == [{"number": n, "text": "ü"} for n in (1, 2, 3)]
    assert [each.event_type for each in (seen[0], *seen[4:])] == [
        "tool_call",
        "tool_call",
        "complete",
    ]
    assert (events.number, events.status) == (6, "completed")
    assert await user.call(run.result) == 3
    assert await user.call(run.result, float) == 3.0
    assert await user.call(run.status) == "completed"
    assert await user.call(run.wait) == "completed"
    assert await user.call(run.cancel) is False
    found = await user.call(run.about)
    assert (found.id, found.actor, found.last) == (run.id, "count", 6)
    assert repr(run).endswith(f"RemoteExecution {run.id} of count>")


@pytest.mark.server
async def test_finds_and_cancels(user: User, client: Any) -> None:
    started = await user.call(client.start, "quiet")
    run = await user.call(client.get, started.id)

    assert (run.id, run.actor) == (started.id, "quiet")
    assert await user.call(run.cancel) is True
    with pytest.raises(ExecutionCancelled):
        await user.call(run.result)
    assert await user.call(run.wait) == "cancelled"


@pytest.mark.server
async def test_starts_once_with_one_key(user: User, client: Any) -> None:
    runs = [
        await user.call(client.start, "count", {"to": 1}, key="k") for _ in range(2)
    ]

    assert runs[0].id == runs[1].id


@pytest.mark.server
async def test_raises_what_the_server_says(user: User, client: Any) -> None:
    with pytest.raises(UnknownExecution, match="No execution 'nope'"):
        await user.call(client.get, "nope")
    with pytest.raises(UnknownActor, match="there are: count, runs"):
        await user.call(client.start, "nope")
    with pytest.raises(InvalidInput, match="Field required"):
        await user.call(client.start, "count", {})


@pytest.mark.server
@pytest.mark.parametrize("abrupt", [False, True])
async def test_resumes_over_cuts(user: User, server: Server, abrupt: bool) -> None:
    places = [Cut(events=2, more=more) for more in (0, 9, 60)]
    places += [Cut(), Cut(more=70)]
    cuts = [Cut(events=c.events, more=c.more, abrupt=abrupt) for c in places]
    told: list[Any] = []
    async with Proxy(server.port, cuts) as proxy:
        client = user.make(proxy.url, on_reconnect=lambda *each: told.append(each))
        run = await user.call(client.start, "count", {"to": 20, "pace": 0.005})

        seen = await user.read(run.events())

        await user.close(client)
    assert seen[1:21] == [{"number": n, "text": ""} for n in range(1, 21)]
    assert len(seen) == 23
    assert (proxy.left, len(told)) == (0, len(cuts))
    assert all(0 < seconds <= 2 for _, seconds in told)


@pytest.mark.server
async def test_leaves_nothing_open_after_a_break(user: User, client: Any) -> None:
    run = await user.call(client.start, "endless", {"pace": 0.001})

    await user.leave_early(run.events())

    async with asyncio.timeout(10):
        while (await user.call(run.about)).viewers:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert await user.call(run.status) == "started"
    await user.call(run.cancel)


# With peers that do what a test says


async def run_of(user: User, client: Any) -> Any:
    return await user.call(client.get, ID)


async def test_closes_its_connection_when_it_is_left(user: User) -> None:
    async with Peer(ABOUT, stream(events(1, 9), SILENCE)) as peer:
        client = user.make(peer.url)
        run = await run_of(user, client)
        stream_ = run.events()
        seen = await user.next(stream_)
        await user.close(stream_)
        await peer.until(2, open=0)

        assert await user.next(stream_) is None
        await user.close(client)
    assert (seen, stream_.number, stream_.status) == ({"n": 1}, 1, None)


async def test_closes_its_connections_when_the_client_is_left(user: User) -> None:
    async with Peer(ABOUT, stream(event(1), SILENCE), stream(SILENCE)) as peer:
        client = user.make(peer.url)
        run = await run_of(user, client)
        stream_ = run.events()
        await user.next(stream_)
        await user.close(client)
        await peer.until(2, open=0)

        assert await user.next(stream_) is None
        with pytest.raises(RuntimeError, match="The client is closed"):
            await run_of(user, client)
        with pytest.raises(RuntimeError, match="The client is closed"):
            run.events()


async def test_forgets_a_stream_that_is_not_read(user: User) -> None:
    async with Peer(ABOUT) as peer:
        client = user.make(peer.url)
        run = await run_of(user, client)
        for _ in range(5):
            run.events()
        gc.collect()
        assert not client._connections
        await user.close(client)


async def test_resumes_what_a_stall_has_broken(user: User) -> None:
    told: list[str] = []
    async with Peer(
        ABOUT,
        stream(FAST + event(1) + event(2)[:9], SILENCE),
        stream(event(2) + finish(3)),
    ) as peer:
        client = user.make(
            peer.url, stall_timeout=1.0, on_reconnect=lambda why, _: told.append(why)
        )
        run = await run_of(user, client)
        seen = await user.read(run.events())
        await user.close(client)
    assert seen[:2] == [{"n": 1}, {"n": 2}]
    assert told == ["no byte for 1 s"]
    assert "last-event-id: 4ad0:1" in peer.heads[2]


async def test_resumes_after_a_reset_of_the_connection(user: User) -> None:
    async with Peer(
        ABOUT, stream(FAST + event(1), RST), [RST], stream(finish(2))
    ) as peer:
        client = user.make(peer.url)
        run = await run_of(user, client)
        seen = await user.read(run.events())
        await user.close(client)
    assert len(seen) == 2
    assert len(peer.heads) == 4


async def test_follows_redirects(user: User) -> None:
    async with Peer(stream(finish(1))) as there:
        to = b"Location: %b/x\r\n" % there.url.encode()
        async with Peer(ABOUT, reply(307, more=to)) as peer:
            client = user.make(peer.url)
            run = await run_of(user, client)
            seen = await user.read(run.events())
            await user.close(client)
    assert [each.event_type for each in seen] == ["complete"]
    assert there.heads[0].startswith("GET /x ")


async def test_keeps_its_headers_from_another_origin(user: User) -> None:
    async with Peer(ABOUT, stream(finish(1))) as there:
        to = b"Location: %b/x\r\n" % there.url.encode()
        here = b"Location: /y\r\n"
        async with Peer(reply(307, more=here), reply(302, more=to)) as peer:
            auth = {"Authorization": "a", "X-Key": "b"}
            client = user.make(peer.url, auth=auth)
            await run_of(user, client)
            await user.close(client)
    assert ["x-key: b" in head for head in peer.heads] == [True, True]
    assert ["authorization: a" in head for head in peer.heads] == [True, True]
    assert "x-key" not in there.heads[0]
    assert "authorization" not in there.heads[0]


async def test_goes_on_after_a_redirect_that_was_interrupted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "LONGEST", 0.01)
    async with Peer([SILENCE]) as there:
        to = b"Location: %b/x\r\n" % there.url.encode()
        async with (
            Peer(ABOUT, reply(307, more=to), stream(finish(1))) as peer,
            Client(peer.url) as client,
        ):
            stream_ = (await client.get(ID)).events()
            waiting = asyncio.ensure_future(anext(stream_))
            await there.until(1)
            waiting.cancel()
            await asyncio.wait([waiting])
            await there.until(1, open=0)
            seen = [event async for event in stream_]
    assert [each.event_type for each in seen if not isinstance(each, dict)] == [
        "complete"
    ]


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_makes_no_question_of_an_answer(user: User, status: int) -> None:
    async with Peer(reply(status, more=b"Location: /login\r\n")) as peer:
        client = user.make(peer.url)
        with pytest.raises(RequestFailed, match="redirects to a GET"):
            await user.call(client.execution(ID).answer, 1, True)
        await user.close(client)
    assert len(peer.heads) == 1


async def test_gives_up_redirects_without_an_end(user: User) -> None:
    around = reply(307, more=b"Location: /again\r\n")
    async with Peer(*[around] * 30) as peer:
        client = user.make(peer.url)
        with pytest.raises(Unreachable, match="too many redirects"):
            await run_of(user, client)
        await user.close(client)
    assert len(peer.heads) == 21


async def test_gives_up_at_last(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "LONGEST", 0.02)
    async with Peer() as peer:
        url = peer.url
    client = user.make(url, give_up_after=0.01)
    with pytest.raises(Unreachable, match="given up after 0.01 s"):
        await run_of(user, client)
    await user.close(client)


async def test_gives_up_in_time_a_server_that_says_nothing(user: User) -> None:
    async with Peer([SILENCE], ABOUT, stream(FAST + event(1), RST), [SILENCE]) as peer:
        client = user.make(peer.url, give_up_after=0.5)
        begun = time.monotonic()
        with pytest.raises(Unreachable, match="given up after 0.5 s; no answer for"):
            await run_of(user, client)
        run = await run_of(user, client)
        with pytest.raises(Unreachable, match="given up after 0.5 s; no answer for"):
            await user.read(run.events())
        assert time.monotonic() - begun < 10
        await user.close(client)


async def test_lets_a_stream_be_silent_that_was_resumed_late(user: User) -> None:
    told: list[str] = []
    async with Peer(
        ABOUT,
        stream(FAST + event(1), RST),
        stream(event(2), 1.5, finish(3)),
    ) as peer:
        client = user.make(
            peer.url, give_up_after=0.5, on_reconnect=lambda why, _: told.append(why)
        )
        run = await run_of(user, client)
        assert len(await user.read(run.events())) == 3
        await user.close(client)
    assert len(told) == 1


async def test_uses_a_client_that_is_given_and_leaves_it_open(user: User) -> None:
    for library in (httpx2, httpx):
        kind = "AsyncClient" if user.kind == "async" else "Client"
        http = getattr(library, kind)(headers={"x-mine": "1"})
        async with Peer(ABOUT, stream(FAST + event(1), RST), stream(finish(2))) as peer:
            client = user.make(peer.url, http=http)
            run = await run_of(user, client)
            assert len(await user.read(run.events())) == 2
            await user.close(client)
        assert not http.is_closed
        assert "x-mine: 1" in peer.heads[1]
        await user.close(http)


# Who asks


async def test_asks_for_its_headers_before_each_request(user: User) -> None:
    tokens = iter("abcdef")

    def auth() -> dict[str, str]:
        return {"Authorization": next(tokens)}

    async with Peer(ABOUT, stream(FAST + event(1)), reply(401), stream(finish(2))) as p:
        client = user.make(p.url, auth=auth)
        run = await run_of(user, client)
        await user.read(run.events())
        await user.close(client)
    sent = [head.lower().partition("authorization: ")[2][:1] for head in p.heads]
    assert sent == ["a", "b", "c", "d"]


async def test_awaits_its_headers() -> None:
    async def auth() -> dict[str, str]:
        await asyncio.sleep(0)
        return {"X-Token": "t"}

    async with Peer(ABOUT) as peer, Client(peer.url, auth=auth) as client:
        await client.get(ID)
    assert "x-token: t" in peer.heads[0]


async def test_sends_the_headers_that_it_is_given(user: User) -> None:
    async with Peer(ABOUT, ABOUT) as peer:
        for auth in ({"X-Token": "tü"}, lambda: None):
            client = user.make(peer.url, auth=auth)
            await run_of(user, client)
            await user.close(client)
    assert ["x-token: tü\r\n" in head for head in peer.heads] == [True, False]


async def test_raises_what_auth_raises(user: User) -> None:
    def auth() -> dict[str, str]:
        raise LookupError("no token")

    client = user.make("http://127.0.0.1:1", auth=auth)
    with pytest.raises(LookupError):
        await run_of(user, client)
    await user.close(client)


@pytest.mark.parametrize(
    "headers, error",
    [
        ("Bearer s3cret", TypeError),
        ({"Authorization": 1}, TypeError),
        ({"Authorization": "s3cret\n"}, ValueError),
        ({"X Token": "s3cret"}, ValueError),
        ({"": "s3cret"}, ValueError),
    ],
)
async def test_refuses_headers_that_are_none(
    user: User, headers: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="auth") as raised:
        user.make("http://127.0.0.1:1", auth=headers)
    client = user.make("http://127.0.0.1:1", auth=lambda: headers)
    with pytest.raises(error, match="auth"):
        await run_of(user, client)
    await user.close(client)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    "status, error", [(401, Unauthorized), (403, Forbidden), (404, UnknownExecution)]
)
async def test_raises_in_the_middle(
    user: User, status: int, error: type[Exception]
) -> None:
    async with Peer(
        ABOUT, stream(FAST + event(1), RST), reply(status), reply(status)
    ) as peer:
        client = user.make(peer.url)
        run = await run_of(user, client)
        stream_ = run.events()
        assert await user.next(stream_) == {"n": 1}
        with pytest.raises(error):
            await user.next(stream_)
        assert await user.next(stream_) is None
        await peer.until(3, open=0)
        await user.close(client)


async def test_closes_its_connection_when_the_server_is_not_believed(
    user: User,
) -> None:
    html = [HEAD % (200, b"text/html", b""), SILENCE]
    for script in (html, stream(b"data: {\n\n", SILENCE)):
        async with Peer(ABOUT, script) as peer:
            client = user.make(peer.url)
            stream_ = (await run_of(user, client)).events()
            with pytest.raises(ClientError):
                await user.next(stream_)
            await peer.until(2, open=0)
            assert await user.next(stream_) is None
            await user.close(client)


# The event loop


@asynccontextmanager
async def given(library: Any) -> AsyncIterator[Any]:
    """A client of an HTTP library, to give; None for the one that ``Client`` makes."""
    if library is None:
        yield None
    else:
        async with library.AsyncClient() as http:
            yield http


async def test_goes_on_after_a_time_out_of_its_user() -> None:
    async with (
        Peer(
            ABOUT, stream(FAST + event(1), SILENCE), stream(event(2) + finish(3))
        ) as peer,
        Client(peer.url) as client,
    ):
        stream_ = (await client.get(ID)).events()
        seen = [await anext(stream_)]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream_), 0.01)
        await peer.until(2, open=0)
        seen += [event async for event in stream_]
    assert seen[:2] == [{"n": 1}, {"n": 2}]
    assert "last-event-id: 4ad0:1" in peer.heads[2]


async def test_goes_on_after_a_pause_that_was_interrupted() -> None:
    pauses = []
    async with (
        Peer(ABOUT, stream(b"retry: 30\n" + event(1)), stream(finish(2))) as peer,
        Client(peer.url, on_reconnect=lambda _, s: pauses.append(s)) as client,
    ):
        stream_ = (await client.get(ID)).events()
        await anext(stream_)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream_), 0.005)
        rest = [event async for event in stream_]
    assert len(rest) == 1
    assert len(pauses) == 1


@pytest.mark.parametrize("what", ["stream", "client"])
@pytest.mark.parametrize("part", [SILENCE, RST])
async def test_ends_for_a_task_that_waits(what: str, part: str) -> None:
    async with (
        Peer(ABOUT, stream(b"retry: 30000\n" + event(1), part)) as peer,
        Client(peer.url) as client,
    ):
        stream_ = (await client.get(ID)).events()
        await anext(stream_)
        waiting = asyncio.ensure_future(anext(stream_, None))
        await peer.until(2, open=None if part == SILENCE else 0)
        await asyncio.sleep(0.01)
        await (stream_ if what == "stream" else client).aclose()
        assert await asyncio.wait_for(waiting, TIMEOUT) is None
        await peer.until(2, open=0)


@pytest.mark.parametrize("library", [None, httpx2, httpx])
async def test_says_that_it_was_closed_before_there_was_an_answer(library: Any) -> None:
    async with Peer([SILENCE]) as peer, given(library) as http:
        client = Client(peer.url, http=http, stall_timeout=None)
        waiting = asyncio.ensure_future(client.get(ID))
        await peer.until(1)
        await client.aclose()
        with pytest.raises(RuntimeError, match="before there was an answer"):
            await asyncio.wait_for(waiting, TIMEOUT)
        await peer.until(1, open=0)


@pytest.mark.parametrize("what", ["stream", "client"])
@pytest.mark.parametrize("is_redirected", [False, True])
async def test_ends_for_a_task_that_waits_for_an_answer(
    what: str, is_redirected: bool
) -> None:
    async with Peer([SILENCE]) as there, given(httpx2) as http:
        to = b"Location: %b/x\r\n" % there.url.encode()
        async with Peer(reply(307, more=to)) as peer:
            url = peer.url if is_redirected else there.url
            async with Client(url, http=http, stall_timeout=None) as client:
                stream_ = client.execution(ID).events()
                waiting = asyncio.ensure_future(anext(stream_, None))
                await there.until(1)
                await (stream_ if what == "stream" else client).aclose()
                assert await asyncio.wait_for(waiting, TIMEOUT) is None
                await there.until(1, open=0)


async def test_follows_no_redirect_after_it_was_closed() -> None:
    body = Slow()
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.path)
        return httpx2.Response(307, headers={"location": "/y"}, stream=body)

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        client = Client("http://a/events", http=http)
        waiting = asyncio.ensure_future(client.get(ID))
        await body.is_left.wait()
        await client.aclose()
        body.is_released.set()
        with pytest.raises(RuntimeError, match="before there was an answer"):
            await asyncio.wait_for(waiting, TIMEOUT)
    assert asked == [f"/events/executions/{ID}"]


class Slow(httpx2.AsyncByteStream):
    """A body that takes its time to be closed."""

    def __init__(self) -> None:
        self.is_left = asyncio.Event()
        self.is_released = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b""

    async def aclose(self) -> None:
        self.is_left.set()
        await self.is_released.wait()


class Hanging:
    """An ``auth`` that never has its headers.

    Args:
        error: What it raises when it is cancelled, if that is not the cancellation.
    """

    def __init__(self, error: Exception | None = None) -> None:
        self.is_asked = asyncio.Event()
        self._error = error

    async def __call__(self) -> dict[str, str]:
        self.is_asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if self._error is not None:
                raise self._error from None
            raise
        return {}


async def test_ends_for_a_task_whose_auth_waits() -> None:
    auth = Hanging()
    client = Client("http://127.0.0.1:1", auth=auth)
    waiting = asyncio.ensure_future(client.get(ID))
    await auth.is_asked.wait()
    await client.aclose()
    with pytest.raises(RuntimeError, match="before there was an answer"):
        await asyncio.wait_for(waiting, TIMEOUT)
    assert waiting.cancelling() == 0


async def test_leaves_a_stream_whose_auth_waits() -> None:
    auth = Hanging()
    async with Client("http://127.0.0.1:1", auth=auth) as client:
        stream_ = client.execution(ID).events()
        waiting = asyncio.ensure_future(anext(stream_, None))
        await auth.is_asked.wait()
        await stream_.aclose()
        assert await asyncio.wait_for(waiting, TIMEOUT) is None


async def test_is_left_twice_while_auth_takes_its_time_to_end() -> None:
    is_asked, is_left, is_released = (asyncio.Event() for _ in range(3))

    async def auth() -> dict[str, str]:
        try:
            is_asked.set()
            await asyncio.Event().wait()
        finally:
            is_left.set()
            await is_released.wait()
        return {}

    async with Client("http://127.0.0.1:1", auth=auth) as client:
        stream_ = client.execution(ID).events()
        waiting = asyncio.ensure_future(anext(stream_, None))
        await is_asked.wait()
        await stream_.aclose()
        await asyncio.wait_for(is_left.wait(), TIMEOUT)
        await stream_.aclose()
        is_released.set()
        assert await asyncio.wait_for(waiting, TIMEOUT) is None


@pytest.mark.parametrize("is_closed", [False, True])
async def test_is_cancelled_while_auth_waits(is_closed: bool) -> None:
    auth = Hanging()
    async with Client("http://127.0.0.1:1", auth=auth) as client:
        waiting = asyncio.ensure_future(client.get(ID))
        await auth.is_asked.wait()
        if is_closed:
            await client.aclose()
        waiting.cancel()
        await asyncio.wait({waiting}, timeout=TIMEOUT)
        assert waiting.cancelled()


async def test_raises_what_auth_raises_when_it_is_ended() -> None:
    auth = Hanging(LookupError("no token"))
    client = Client("http://127.0.0.1:1", auth=auth)
    waiting = asyncio.ensure_future(client.get(ID))
    await auth.is_asked.wait()
    await client.aclose()
    await asyncio.wait({waiting}, timeout=TIMEOUT)
    assert waiting.done()
    with pytest.raises(LookupError, match="no token"):
        await waiting


async def test_raises_the_time_out_of_auth() -> None:
    async def auth() -> dict[str, str]:
        raise TimeoutError("no token in time")

    async with Client("http://127.0.0.1:1", auth=auth) as client:
        with pytest.raises(TimeoutError, match="no token in time"):
            await client.get(ID)


async def test_is_closed_by_its_own_auth() -> None:
    went_on: list[bool] = []

    async def auth() -> dict[str, str]:
        await client.aclose()
        await asyncio.sleep(0)
        went_on.append(client._http.is_closed)
        return {}

    client = Client("http://127.0.0.1:1", auth=auth)
    with pytest.raises(RuntimeError, match="before there was an answer"):
        await client.get(ID)
    assert went_on == [True]


async def test_closes_its_connection_when_its_task_is_cancelled() -> None:
    async with (
        Peer(ABOUT, stream(event(1), SILENCE)) as peer,
        Client(peer.url) as client,
    ):
        run = await client.get(ID)

        async def read() -> None:
            async for _ in run.events():
                pass

        task = asyncio.create_task(read())
        await peer.until(2)
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait({task})
        await peer.until(2, open=0)
        assert task.cancelled()


@pytest.mark.parametrize("library", [httpx2, httpx])
async def test_leaves_nothing_to_the_event_loop_after_a_break(library: Any) -> None:
    left: list[Any] = []
    hooks = sys.get_asyncgen_hooks()
    async with (
        Peer(ABOUT, stream(event(1), SILENCE)) as peer,
        library.AsyncClient() as http,
    ):
        async with Client(peer.url, http=http) as client:
            run = await client.get(ID)
            sys.set_asyncgen_hooks(finalizer=left.append)
            async for _ in run.events():
                break
        sys.set_asyncgen_hooks(*hooks)
        tasks = asyncio.all_tasks() - peer.tasks - {asyncio.current_task()}
    assert (left, tasks) == ([], set())


async def test_is_read_by_one_task_at_a_time() -> None:
    async with Peer(ABOUT, stream(SILENCE)) as peer, Client(peer.url) as client:
        stream_ = (await client.get(ID)).events()
        waiting = asyncio.ensure_future(anext(stream_, None))
        await peer.until(2)
        with pytest.raises(RuntimeError, match="Somebody else waits"):
            await anext(stream_)
        await stream_.aclose()
        await waiting


async def test_is_forgotten_in_another_thread() -> None:
    async with (
        Peer(ABOUT, stream(event(1), SILENCE)) as peer,
        Client(peer.url) as client,
    ):
        held = [(await client.get(ID)).events()]
        await anext(held[0])
        thread = threading.Thread(target=held.clear)
        thread.start()
        thread.join()
        await peer.until(2, open=0)


async def test_ends_for_a_thread_that_waits() -> None:
    async with Peer(ABOUT, stream(b"retry: 30000\n" + event(1), RST)) as peer:
        with SyncClient(peer.url) as client:
            stream_ = (await asyncio.to_thread(client.get, ID)).events()
            await asyncio.to_thread(next, stream_)
            waiting = asyncio.ensure_future(asyncio.to_thread(next, stream_, None))
            await peer.until(2, open=0)
            await asyncio.sleep(0.01)
            stream_.close()
            assert await asyncio.wait_for(waiting, TIMEOUT) is None


async def test_ends_for_a_thread_that_reads_at_the_next_byte() -> None:
    async with Peer(ABOUT, stream(FAST + event(1), SILENCE)) as peer:
        with SyncClient(peer.url, stall_timeout=1.0) as client:
            stream_ = (await asyncio.to_thread(client.get, ID)).events()
            await asyncio.to_thread(next, stream_)
            waiting = asyncio.ensure_future(asyncio.to_thread(next, stream_, None))
            await asyncio.sleep(0.01)
            stream_.close()
            assert await asyncio.wait_for(waiting, TIMEOUT) is None
        await peer.until(2, open=0)


# Applications in the same process


async def test_asks_an_application_without_a_server() -> None:
    app = EventsMiddleware(_nothing, actors=[count], prefix="/events")
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    async with http, Client("http://app/events/", http=http) as client:
        run = await client.start("count", {"to": 2})
        seen = [event async for event in run.events()]
    assert seen[1:3] == [{"number": n, "text": ""} for n in (1, 2)]


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError(scope)


# Options


@pytest.mark.parametrize(
    "url, words",
    [
        ("example.com/events", "must begin with http:// or https://"),
        ("/events", "must begin with http:// or https://"),
        ("ftp://example.com", "must begin with http:// or https://"),
        ("http://", "must have a host"),
        ("http:///events", "must have a host"),
        ("http://example.com/?a=1", "must have no query"),
        ("http://example.com/#a", "must have no query"),
        ("http://ann:s3cret@example.com/", "must have no user name .* give auth="),
        ("ann:s3cret@example.com/events", "must have no user name .* give auth="),
        ("http://exa mple.com/", "must be an address"),
        ("http://example.com/\u202e", "must be an address"),
        ("http://example.com:http/", "Port could not be cast"),
    ],
)
def test_refuses_a_url(user: User, url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        user.make(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "options, error, words",
    [
        ({"stall_timeout": 0}, ValueError, "stall_timeout"),
        ({"stall_timeout": "4"}, TypeError, "stall_timeout"),
        ({"give_up_after": -1}, ValueError, "give_up_after"),
        ({"on_reconnect": 3}, TypeError, "on_reconnect"),
        ({"on_reconnect": _nothing}, TypeError, "not awaited"),
        ({"auth": 3}, TypeError, "auth must give a mapping"),
        ({"http": object()}, TypeError, "http must be an httpx2"),
        ({"timeout": 3}, TypeError, "timeout"),
    ],
)
def test_refuses_an_option(
    user: User, options: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        user.make("http://example.com", **options)


def test_refuses_what_belongs_to_the_other_client() -> None:
    with httpx2.Client() as http, pytest.raises(TypeError, match="AsyncClient"):
        Client("http://example.com", http=http)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="coroutine function"):
        SyncClient("http://example.com", auth=_nothing)
    with pytest.raises(TypeError, match="url must be a str"):
        SyncClient(3)  # type: ignore[arg-type]


async def test_refuses_arguments(user: User) -> None:
    async with Peer(ABOUT) as peer:
        client = user.make(peer.url)
        run = await run_of(user, client)
        for after, error in ((-1, ValueError), ("3", TypeError), (True, TypeError)):
            with pytest.raises(error, match="after"):
                run.events(after=after)
        with pytest.raises(TypeError, match="has no event_type"):
            run.events(types=[Numbered])
        for types in (Numbered, [int]):
            with pytest.raises(TypeError, match="types takes"):
                run.events(types=types)
        for key in ("", "a\nb", "ü", "x" * 256):
            with pytest.raises(ValueError, match="key must have"):
                await user.call(client.start, "count", key=key)
        with pytest.raises(TypeError, match="actor must be a str"):
            await user.call(client.start, count)
        await user.close(client)


# The HTTP library


def test_reads_the_causes_of_an_error() -> None:
    terms = Terms(base="http://a", stall_timeout=None)
    error = httpx2.ConnectError("")
    error.__cause__ = OSError("all connection attempts failed")

    broken = broken_by(error, terms)
    hopeless = broken_by(httpx2.UnsupportedProtocol("no such"), terms)
    silent = broken_by(httpx2.ReadTimeout(""), terms)

    assert (broken.reason, broken.is_final) == ("all connection attempts failed", False)
    assert broken_by(ConnectionResetError(104, "Reset"), terms).reason == "Reset"
    refused = ssl.SSLCertVerificationError(1, "verify failed")
    refused.verify_message = "self-signed certificate"
    error.__cause__.__cause__ = refused
    wrong = broken_by(error, terms)
    assert wrong.reason == "the certificate is wrong: self-signed certificate"
    assert wrong.is_final
    assert (hopeless.reason, hopeless.is_final) == ("no such", True)
    assert (silent.reason, silent.is_final) == ("ReadTimeout", False)


WITHOUT = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name in {blocked}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocked())
try:
    from asgi_events.client import http
    print(http._library.__name__, "httpx" in sys.modules)
except ImportError as error:
    print(error)
"""


@pytest.mark.parametrize(
    "blocked, printed",
    [
        ((), "httpx2 False"),
        (("httpx2",), "httpx True"),
        (
            ("httpx2", "httpx"),
            'The client needs httpx2, or httpx: pip install "asgi-events[client]"',
        ),
    ],
)
def test_takes_the_library_that_is_there(blocked: Any, printed: str) -> None:
    program = WITHOUT.format(blocked=blocked)
    command = [sys.executable, "-W", "error", "-c", program]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert run.stdout.strip() == printed


CARELESS = """
import asyncio, sys
from asgi_events.client import Client, SyncClient

def careless(url):
    client = SyncClient(url)
    for event in client.get("4ad0").events():
        break

async def main(url):
    async with Client(url) as client:
        async for event in (await client.get("4ad0")).events():
            break

asyncio.run(main(sys.argv[1]))
careless(sys.argv[1])
"""


async def test_warns_of_nothing_at_exit() -> None:
    script = [ABOUT, stream(event(1), SILENCE)] * 2
    async with Peer(*script) as peer:
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-W", "error", "-c", CARELESS, peer.url],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        printed, _ = await process.communicate()
    assert (process.returncode, printed.decode()) == (0, "")
