"""Recovered calls: which calls share an entry, and a cache that fails is no cache."""

import asyncio
import logging
import subprocess
import sys
from copy import copy
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, SecretStr

from asgi_events import (
    EventPrinter,
    ExecutionEvent,
    ExecutionResult,
    ExecutionState,
    current_state,
    tool,
)
from asgi_events.actors import actor_of
from asgi_events.actors.cache import cache_key
from asgi_events.aio.awaitables import resolved
from asgi_events.memory_cache import MemoryCache


class Point(BaseModel):
    x: int = 0


class Spot(BaseModel):
    x: int = 0


class Line(BaseModel):
    start: Point


class PointOfTwo(Point):
    y: int = 0


class Login(BaseModel):
    password: SecretStr


class Session(BaseModel):
    user: str = "u"
    token: str = Field(default="", exclude=True)


class Heard:
    """The status of each call, and whether the cache had it."""

    def __init__(self, state: ExecutionState) -> None:
        self.calls: list[tuple[str, str, bool]] = []
        state.event_bus.subscribe(self)

    def __call__(self, event: BaseModel) -> None:
        if isinstance(event, ExecutionEvent):
            self.calls.append(
                (event.address, str(event.execution_status), event.from_cache)
            )


def counting(**options: Any) -> tuple[Any, list[int]]:
    """A cacheable actor, and what it was really called with."""
    calls: list[int] = []

    @tool(cacheable=True, **options)
    async def double(x: int, by: int = 2) -> int:
        calls.append(x)
        return x * by

    return double, calls


async def test_flags_a_hit_in_its_event_and_counts_it() -> None:
    cache = MemoryCache()
    double, calls = counting(cache_backend=cache)
    state = ExecutionState()
    heard = Heard(state)
    results = [await actor_of(double).run(state, (4,)) for _ in range(2)]
    assert [r.result for r in results] == [8, 8]
    assert calls == [4]
    assert heard.calls == [
        ("double", "started", False),
        ("double", "completed", False),
        ("double#2", "started", False),
        ("double#2", "recovered", True),
    ]
    assert cache.get_stats() == {
        "hits": 1,
        "misses": 1,
        "hit_rate": 0.5,
        "size": 1,
        "maxsize": 1024,
    }


async def test_shows_a_hit_in_the_printer(capsys: pytest.CaptureFixture[str]) -> None:
    double, _ = counting()
    state = ExecutionState()
    state.event_bus.subscribe(EventPrinter(False, False))
    await actor_of(double).run(state, (4,))
    await actor_of(double).run(state, (4,))
    assert capsys.readouterr().out.splitlines()[-2] == "↺ double#2 from cache"


async def test_keeps_a_result_that_is_none() -> None:
    calls: list[int] = []

    @tool(cacheable=True)
    async def nothing(x: int) -> None:
        calls.append(x)

    state = ExecutionState()
    results = [await actor_of(nothing).run(state, (1,)) for _ in range(2)]
    assert ([r.result for r in results], calls) == ([None, None], [1])


async def test_normalises_the_arguments_of_a_call() -> None:
    double, calls = counting()

    @tool
    async def parent() -> list[int]:
        return [
            await double(4),
            await double(x=4),
            await double(4, 2),
            await double(by=2, x=4),
            await double(4, by=3),
        ]

    result = await actor_of(parent).run(ExecutionState())
    assert (result.result, calls) == ([8, 8, 8, 8, 12], [4, 4])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(Point(), Spot(), id="models of two types"),
        pytest.param([Point()], [Spot()], id="models in lists"),
        pytest.param({"a": Point()}, {"a": Spot()}, id="models in dicts"),
        pytest.param(
            Line(start=PointOfTwo(y=1)), Line(start=PointOfTwo(y=2)), id="submodels"
        ),
        pytest.param(1, True, id="int and bool"),
        pytest.param(1, 1.0, id="int and float"),
        pytest.param(1, "1", id="int and str"),
        pytest.param([1, 2], (1, 2), id="list and tuple"),
        pytest.param([b"a"], ["a"], id="bytes and str in a list"),
        pytest.param({1: "a"}, {"1": "a"}, id="keys"),
        pytest.param([float("nan")], ["NaN"], id="nan and str in a list"),
        pytest.param(None, "null", id="None and str"),
        pytest.param(SecretStr("a"), SecretStr("b"), id="secrets"),
        pytest.param(
            Login(password=SecretStr("a")),
            Login(password=SecretStr("b")),
            id="secrets in models",
        ),
        pytest.param(Session(token="a"), Session(token="b"), id="excluded fields"),
    ],
)
async def test_does_not_take_one_input_for_another(one: Any, other: Any) -> None:
    calls: list[Any] = []

    @tool(cacheable=True)
    async def look(value: Any) -> int:
        calls.append(value)
        return len(calls)

    state = ExecutionState()
    results = [await actor_of(look).run(state, (value,)) for value in (one, other)]
    assert [r.result for r in results] == [1, 2]


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: Point(x=3), id="model"),
        pytest.param(lambda: [Point(x=1), {"a": (1, 2)}], id="nested"),
        pytest.param(lambda: "é€\u2028", id="str"),
        pytest.param(lambda: {1: 2.5}, id="dict"),
    ],
)
async def test_takes_equal_inputs_for_one(make: Any) -> None:
    calls: list[Any] = []

    @tool(cacheable=True)
    async def look(value: Any) -> int:
        calls.append(value)
        return len(calls)

    state = ExecutionState()
    results = [await actor_of(look).run(state, (make(),)) for _ in range(2)]
    assert [r.result for r in results] == [1, 1]


def _one(x: int) -> None: ...


def _two(x: int) -> None: ...


def test_separates_functions_and_names_in_one_backend() -> None:
    found = {
        cache_key("a", _one, {"x": 1}),
        cache_key("b", _one, {"x": 1}),
        cache_key("a", _two, {"x": 1}),
        cache_key("a", _one, {"x": 2}),
        cache_key("a", _one, {"y": 1}),
    }
    assert len(found) == 5


def test_finds_the_same_key_in_every_process() -> None:
    program = (
        "from asgi_events.actors.cache import cache_key;"
        "print(cache_key('a', len, {'x': [1, {'k': 'v'}]}))"
    )
    keys = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            check=True,
            text=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(keys) == 1


async def test_does_not_cache_what_json_has_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls: list[Any] = []

    @tool(cacheable=True)
    async def look(value: object) -> int:
        calls.append(value)
        return len(calls)

    cache = MemoryCache()
    state = ExecutionState(cache_backend=cache)
    value = object()
    results = [await actor_of(look).run(state, (value,)) for _ in range(2)]
    assert [r.result for r in results] == [1, 2]
    assert [
        (r.levelno, "cacheable actor 'look' is not cached" in r.getMessage())
        for r in caplog.records
    ] == [(logging.WARNING, True)] * 2
    assert cache.get_stats()["size"] == 0


async def test_does_not_cache_a_call_that_failed() -> None:
    calls: list[int] = []

    @tool(cacheable=True)
    async def moody(x: int) -> int:
        calls.append(x)
        if len(calls) == 1:
            raise ValueError("not yet")
        return x

    state = ExecutionState()
    heard = Heard(state)
    results = [await actor_of(moody).run(state, (1,)) for _ in range(3)]
    assert [(r.ok, r.result) for r in results] == [(False, None), (True, 1), (True, 1)]
    assert [status for _, status, _ in heard.calls] == [
        "started",
        "failed",
        "started",
        "completed",
        "started",
        "recovered",
    ]


async def test_does_not_cache_a_call_that_was_cancelled() -> None:
    cache = MemoryCache()
    running = asyncio.Event()

    @tool(cache_backend=cache)
    async def endless(x: int) -> None:
        running.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(actor_of(endless).run(ExecutionState(), (1,)))
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cache.get_stats()["size"] == 0


async def test_caches_nothing_that_is_not_cacheable() -> None:
    calls: list[int] = []

    @tool
    async def look(x: int) -> int:
        calls.append(x)
        return x

    cache = MemoryCache()
    state = ExecutionState(cache_backend=cache)
    for _ in range(2):
        await actor_of(look).run(state, (1,))
    assert calls == [1, 1]
    assert cache.get_stats()["misses"] == 0


class Failing:
    """A cache that can do nothing right."""

    def __init__(self, fails: str) -> None:
        self.fails = fails
        self.kept: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        if self.fails in ("get", "both"):
            raise ConnectionError("cache is away")
        return self.kept.get(key)

    def set(self, key: str, value: Any) -> None:
        if self.fails in ("set", "both"):
            raise ConnectionError("cache is away")
        self.kept[key] = value

    def get_stats(self) -> dict[str, int]:
        return {}


class FailingLater(Failing):
    async def get(self, key: str) -> Any:
        await asyncio.sleep(0)
        return super().get(key)

    async def set(self, key: str, value: Any) -> None:
        await asyncio.sleep(0)
        super().set(key, value)


@pytest.mark.parametrize("kind", [Failing, FailingLater], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("fails", "logged"),
    [("get", "could not be read"), ("set", "could not be written")],
    ids=["get", "set"],
)
async def test_logs_a_failing_cache_and_goes_on(
    kind: type[Failing], fails: str, logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    double, calls = counting(cache_backend=kind(fails))
    state = ExecutionState()
    heard = Heard(state)
    results = [await actor_of(double).run(state, (4,)) for _ in range(2)]
    assert [(r.ok, r.result) for r in results] == [(True, 8), (True, 8)]
    assert calls == [4, 4]
    assert [status for _, status, _ in heard.calls] == [
        "started",
        "completed",
        "started",
        "completed",
    ]
    assert [logged in r.getMessage() for r in caplog.records] == [True, True]


class AsyncCache:
    """As one that is reached over a network."""

    def __init__(self) -> None:
        self.kept: dict[str, ExecutionResult[Any]] = {}
        self.hits = 0

    async def get(self, key: str) -> ExecutionResult[Any] | None:
        await asyncio.sleep(0)
        found = self.kept.get(key)
        self.hits += found is not None
        return found

    async def set(self, key: str, value: ExecutionResult[Any]) -> None:
        await asyncio.sleep(0)
        self.kept[key] = value

    async def get_stats(self) -> dict[str, int]:
        return {"hits": self.hits}


async def test_takes_an_async_backend() -> None:
    cache = AsyncCache()
    double, calls = counting()
    state = ExecutionState(cache_backend=cache)
    results = [await actor_of(double).run(state, (4,)) for _ in range(2)]
    assert ([r.result for r in results], calls) == ([8, 8], [4])
    assert await resolved(cache.get_stats()) == {"hits": 1}


class DictCache(dict[str, Any]):
    """An empty one is false."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value

    def get_stats(self) -> dict[str, int]:
        return {"size": len(self)}


@pytest.mark.parametrize("of", ["actor", "execution"])
async def test_takes_a_backend_that_is_false_while_it_is_empty(of: str) -> None:
    cache, other = DictCache(), MemoryCache()
    if of == "actor":
        double, calls = counting(cache_backend=cache)
        state = ExecutionState(cache_backend=other)
    else:
        double, calls = counting()
        state = ExecutionState(cache_backend=cache)
    for _ in range(2):
        await actor_of(double).run(state, (4,))
    assert (calls, cache.get_stats(), other.get_stats()["misses"]) == (
        [4],
        {"size": 1},
        0,
    )


async def test_prefers_the_actor_s_own_backend() -> None:
    own, execution_s = MemoryCache(), MemoryCache()
    double, _ = counting(cache_backend=own)
    await actor_of(double).run(ExecutionState(cache_backend=execution_s), (4,))
    assert (own.get_stats()["misses"], execution_s.get_stats()["misses"]) == (1, 0)


async def test_prefers_the_execution_s_backend_to_one_it_had_to_make() -> None:
    double, _ = counting()
    await actor_of(double).run(ExecutionState(), (4,))
    cache = MemoryCache()
    await actor_of(double).run(ExecutionState(cache_backend=cache), (4,))
    assert (cache.get_stats()["misses"], cache.get_stats()["size"]) == (1, 1)


async def test_ignores_what_a_backend_returns_that_is_no_result() -> None:
    class Odd(DictCache):
        def get(self, key: str, default: Any = None) -> Any:
            return "not an ExecutionResult"

    double, calls = counting(cache_backend=Odd())
    result = await actor_of(double).run(ExecutionState(), (4,))
    assert (result.result, calls) == (8, [4])


async def test_caches_nothing_outside_an_execution() -> None:
    cache = MemoryCache()
    double, calls = counting(cache_backend=cache)
    assert [await double(4), await double(4)] == [8, 8]
    assert (calls, cache.get_stats()["misses"]) == ([4, 4], 0)


async def test_caches_the_whole_text_of_a_generator() -> None:
    runs: list[str] = []

    @tool(cacheable=True)
    async def spell(word: str) -> Any:
        runs.append(current_state().address)
        for letter in word:
            yield letter

    state = ExecutionState()
    results = [await actor_of(spell).run(state, ("abc",)) for _ in range(2)]
    assert ([r.result for r in results], runs) == (["abc", "abc"], ["spell"])


@pytest.mark.parametrize("ttl", [None, 60.0], ids=["for ever", "ttl"])
def test_forgets_what_was_least_recently_used(ttl: float | None) -> None:
    cache = MemoryCache(maxsize=2, ttl=ttl)
    results = {key: ExecutionResult[str](result=key) for key in "abc"}
    cache.set("a", results["a"])
    cache.set("b", results["b"])
    assert cache.get("a") == results["a"]
    cache.set("c", results["c"])
    assert [cache.get(key) for key in "abc"] == [results["a"], None, results["c"]]
    assert cache.get_stats() == {
        "hits": 3,
        "misses": 1,
        "hit_rate": 0.75,
        "size": 2,
        "maxsize": 2,
    }


def test_has_a_hit_rate_before_it_was_asked() -> None:
    assert MemoryCache(maxsize=5).get_stats() == {
        "hits": 0,
        "misses": 0,
        "hit_rate": 0.0,
        "size": 0,
        "maxsize": 5,
    }


def test_names_the_extra_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cachetools", None)
    monkeypatch.delitem(sys.modules, "asgi_events.memory_cache")
    with pytest.raises(ImportError, match=r'pip install "asgi-events\[cache\]"'):
        __import__("asgi_events.memory_cache")


async def test_fails_a_cacheable_call_without_the_extra_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "cachetools", None)
    monkeypatch.delitem(sys.modules, "asgi_events.memory_cache")
    double, _ = counting()
    result = await actor_of(double).run(ExecutionState(), (4,))
    assert not result.ok
    assert 'pip install "asgi-events[cache]"' in (result.error_message or "")


@pytest.mark.parametrize(
    ("value", "other"),
    [
        (date(2026, 1, 2), date(2026, 1, 3)),
        (timedelta(seconds=1), timedelta(seconds=2)),
        (Decimal("1.0"), Decimal("1.00")),
        (UUID(int=1), UUID(int=2)),
        (Path("a"), Path("b")),
    ],
)
def test_knows_a_value_by_what_it_says(value: Any, other: Any) -> None:
    def key(x: Any) -> str | None:
        return cache_key("a", len, {"x": x})

    assert key(value) == key(copy(value))
    assert None not in (key(value), key(other))
    assert len({key(value), key(other), key(repr(value))}) == 3
