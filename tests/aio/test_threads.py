"""Sync actors in threads: so many at a time, and never waiting in a circle."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_events import EventStreamer, Executions, ExecutionState, agent, bus, tool
from asgi_events.actors import actor_of
from asgi_events.aio import threads
from asgi_events.aio.threads import MAX_THREADS, Threads
from tests import TIMEOUT


class Crowd:
    """How many are at work, and how many were at most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = self.most = 0

    def __enter__(self) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._now -= 1


def limited(limit: int | None) -> ExecutionState:
    state = ExecutionState()
    state.threads = Threads(limit)
    return state


async def soon(waiting: Any) -> Any:
    return await asyncio.wait_for(waiting, TIMEOUT)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT):
        while not condition():  # noqa: ASYNC110 - threads set it
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("limit", [1, 3, None])
async def test_runs_no_more_at_a_time_than_it_may(limit: int | None) -> None:
    crowd, together = Crowd(), threading.Barrier(limit or 12)

    @tool
    def work() -> None:
        with crowd:
            together.wait(TIMEOUT)  # so many do run at a time

    @agent
    async def root() -> None:
        await asyncio.gather(*(work() for _ in range(12)))

    result = await soon(actor_of(root).run(limited(limit)))

    assert result.ok, result.error_message
    assert crowd.most == (limit or 12)


async def test_is_bounded_outside_of_executions_too() -> None:
    crowd = Crowd()
    full = threading.Event()

    @tool
    def work() -> None:
        with crowd:
            if crowd.most == MAX_THREADS:
                full.set()
            full.wait(TIMEOUT)

    await soon(asyncio.gather(*(work() for _ in range(300))))

    assert crowd.most == MAX_THREADS


async def test_bounds_the_calls_of_all_its_executions_together() -> None:
    crowd, pair = Crowd(), threading.Barrier(2)

    @tool
    def work() -> None:
        with crowd:
            pair.wait(TIMEOUT)

    async with Executions(work, max_threads=2) as executions:
        started = [await executions.start(work) for _ in range(6)]
        ends = [await soon(execution.wait()) for execution in started]

    assert {str(end) for end in ends} == {"completed"}
    assert crowd.most == 2


NESTED: dict[str, Callable[[Any], Any]] = {
    "async_to_sync": lambda call: async_to_sync(call)(),
    "asyncio.run": lambda call: asyncio.run(call()),
}


@pytest.mark.parametrize("nested", NESTED.values(), ids=NESTED)
@pytest.mark.parametrize("limit", [1, 2])
async def test_never_waits_for_itself_however_deep_its_calls_are(
    limit: int, nested: Callable[[Any], Any]
) -> None:
    @tool
    def deeper(depth: int) -> int:
        async def call() -> int:
            return await deeper(depth - 1)

        return 1 + nested(call) if depth else 0

    result = await soon(actor_of(deeper).run(limited(limit), (60,)))

    assert (result.ok, result.result) == (True, 60)


@pytest.mark.parametrize("limit", [1, 4])
async def test_runs_a_thousand_calls_below_each_of_several(limit: int) -> None:
    crowd = Crowd()

    @tool
    def leaf() -> int:
        with crowd:
            return 1

    @tool
    def branch() -> int:
        async def all_leaves() -> int:
            return sum(await asyncio.gather(*(leaf() for _ in range(250))))

        return async_to_sync(all_leaves)()

    @agent
    async def root() -> int:
        return sum(await asyncio.gather(*(branch() for _ in range(4))))

    result = await asyncio.wait_for(actor_of(root).run(limited(limit)), 6 * TIMEOUT)

    assert (result.ok, result.result) == (True, 1000)
    assert crowd.most <= limit


# Of each call: whether it runs in a thread, and what it calls.
trees = st.recursive(
    st.tuples(st.booleans(), st.just(())),
    lambda inner: st.tuples(st.booleans(), st.lists(inner, max_size=4).map(tuple)),
)


def size(tree: Any) -> int:
    return 1 + sum(map(size, tree[1]))


@settings(max_examples=60, deadline=None)
@given(tree=trees, limit=st.integers(1, 3))
def test_ends_whatever_calls_what(tree: Any, limit: int) -> None:
    async def call_all(trees: Any) -> int:
        calls = [(in_thread if each[0] else in_loop)(each) for each in trees]
        return sum(await asyncio.gather(*calls))

    @tool
    async def in_loop(tree: Any) -> int:
        return 1 + await call_all(tree[1])

    @tool
    def in_thread(tree: Any) -> int:
        return 1 + async_to_sync(call_all)(tree[1])

    async def run() -> Any:
        state = limited(limit)
        result = await soon(actor_of(in_thread).run(state, (tree,)))
        await until(lambda: state.threads.free == limit)
        assert not state.threads.waiting
        return result

    assert asyncio.run(run()).result == size(tree)


async def test_forgets_a_call_that_is_cancelled_while_it_waits() -> None:
    begun, leave = threading.Event(), threading.Event()
    ran: list[str] = []

    @tool
    def first() -> None:
        begun.set()
        leave.wait(TIMEOUT)

    @tool
    def second() -> None:
        ran.append("second")

    state = limited(1)
    holding = asyncio.create_task(actor_of(first).run(state))
    await until(begun.is_set)
    waiting = asyncio.create_task(actor_of(second).run(state))
    await until(lambda: len(state.threads.waiting) == 1)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert not state.threads.waiting
    leave.set()
    await soon(holding)
    await until(lambda: state.threads.free == 1)
    assert ran == []


async def test_gives_its_place_back_when_there_are_no_more_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class NoThread:
        def __init__(self, **_: object) -> None: ...

        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    @tool
    def work() -> int:
        return 1

    state = limited(1)
    with monkeypatch.context() as patch:
        patch.setattr(threads, "Thread", NoThread)
        failed = await soon(actor_of(work).run(state))

    assert (failed.ok, failed.error_message) == (False, "can't start new thread")
    assert (await soon(actor_of(work).run(state))).result == 1


async def test_lets_others_run_while_it_waits_for_a_reader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bus, "_PATIENCE", 0.01)

    @tool
    def flood() -> Any:
        for _ in range(50):
            yield "x"

    @tool
    def work() -> int:
        return 1

    streamer = EventStreamer(max_events=4)
    state = limited(1)
    state.event_bus.subscribe(streamer)
    other = limited(1)
    other.threads = state.threads

    stuck = asyncio.create_task(actor_of(flood).run(state))
    await until(lambda: streamer.log.last > 4)
    done = await soon(actor_of(work).run(other))

    assert done.result == 1
    assert not stuck.done()
    async for _ in streamer.stream(stuck):
        pass
    assert (await soon(stuck)).result == "x" * 50


DJANGO = """
import asyncio, sys, warnings
import django
from django.conf import settings

settings.configure(
    DATABASES={"default": {
        "ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1] + "/db.sqlite3"
    }},
)
django.setup()
from django.db import connection

from asgi_events import ExecutionState, agent, tool

opened = []

@tool
def query():
    with connection.cursor() as cursor:
        cursor.execute("select 1")
        opened.append(connection.connection)
        return cursor.fetchone()[0]

@tool
def stream():
    yield str(query.__wrapped__())

@agent
async def root():
    found = await asyncio.gather(*(query() for _ in range(20)))
    return sum(found), await stream()

result = asyncio.run(ExecutionState().run(root))
print(result.result, len(opened))

import sqlite3

for each in opened:
    try:
        each.execute("select 1")
    except sqlite3.ProgrammingError as error:
        assert "closed database" in str(error), error
    else:
        print("still open")
"""


async def test_closes_the_connections_that_django_opened(tmp_path: Any) -> None:
    run = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "error", "-c", DJANGO, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (run.stdout, run.stderr) == ("(20, '1') 21\n", "")


async def test_runs_where_django_is_there_but_not_set_up() -> None:
    code = (
        "import asyncio, django.db\n"
        "from asgi_events import ExecutionState, tool\n"
        "@tool\n"
        "def one(): return 1\n"
        "print(asyncio.run(ExecutionState().run(one)).result)\n"
    )
    run = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (run.stdout, run.stderr) == ("1\n", "")
