"""Bad options: each has its exception, which says what to do."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from asgi_events import EventsApp, EventsMiddleware, Executions, tool
from asgi_events.stores.memory import MemoryStore
from tests.http.refusals import count

NOT_SECONDS: list[tuple[Any, type[Exception]]] = [
    (-1, ValueError),
    (float("nan"), ValueError),
    (float("inf"), ValueError),
    ("5", TypeError),
    (True, TypeError),
]


def seconds(name: str, *more: tuple[Any, type[Exception]]) -> list[Any]:
    return [({name: bad}, name, error) for bad, error in (*NOT_SECONDS, *more)]


def counts(name: str, *more: Any) -> list[Any]:
    bad = [0, -1, 1.5, "1", True, *more]
    return [({name: value}, name, (TypeError, ValueError)) for value in bad]


ZERO = (0, ValueError)

NONE = (None, TypeError)

EXECUTIONS_OPTIONS: list[Any] = [
    *seconds("heartbeat_interval", ZERO),
    *seconds("send_timeout", ZERO),
    *seconds("max_stream_duration", ZERO),
    *seconds("cancel_after"),
    *seconds("cancel_timeout", ZERO, NONE),
    *seconds("max_duration", ZERO),
    *seconds("retention", ZERO, NONE),
    *seconds("lease", ZERO, NONE),
    *seconds("drain_grace", NONE),
    *counts("retry", None),
    *counts("max_executions"),
    *counts("max_viewers"),
    *counts("max_executions_per_owner"),
    *counts("max_viewers_per_owner"),
    *counts("max_stream_backlog"),
    *counts("max_events", None),
    *counts("max_bytes", None),
    *counts("max_event_bytes"),
    *counts("max_retained_bytes", None),
    ({"store": "nope://x"}, "store", ValueError),
    ({"store": ""}, "store", ValueError),
    ({"store": 5}, "store", TypeError),
    ({"store": None}, "store", TypeError),
    ({"store": MemoryStore}, "store", TypeError),
    ({"store": Path("events.db")}, "store", TypeError),
    ({"handlers": [5]}, "handler", TypeError),
    ({"handlers": 5}, "handler", TypeError),
    ({"error_message": "oops"}, "error_message", TypeError),
    ({"redact": "names"}, "redact", TypeError),
    ({"cache_backend": 5}, "cache_backend", TypeError),
]

APP_OPTIONS: list[Any] = [
    *counts("max_body", None),
    ({"prefix": "events"}, "prefix", ValueError),
    ({"prefix": 5}, "prefix", TypeError),
    ({"authorize": "ada"}, "authorize", TypeError),
    *seconds("body_timeout", ZERO),
    ({"allowed_origins": "*"}, "allowed_origins", TypeError),
    ({"allowed_origins": None}, "allowed_origins", TypeError),
    ({"allowed_origins": [5]}, "allowed_origins", TypeError),
    ({"allowed_origins": ["example.com"]}, "allowed_origins", ValueError),
    ({"allowed_origins": ["null"]}, "allowed_origins", ValueError),
    ({"allowed_origins": ["https://example.com/"]}, "allowed_origins", ValueError),
    ({"allowed_origins": ["https://a@example.com"]}, "allowed_origins", ValueError),
]


def by_name(options: list[Any]) -> dict[str, list[Any]]:
    """The cases of each option."""
    found: dict[str, list[Any]] = {}
    for case in options:
        found.setdefault(next(iter(case[0])), []).append(case)
    return found


async def nobody(*_: Any) -> None:
    pass


def refusals(make: Callable[..., Any], cases: list[Any]) -> list[Any]:
    """Those cases that are taken, or refused without naming the option."""
    wrong = []
    for options, name, error in cases:
        try:
            make(**options)
        except error as raised:
            if name not in str(raised):
                wrong.append((options, raised))
        except Exception as raised:
            wrong.append((options, raised))
        else:
            wrong.append((options, "taken"))
    return wrong


@pytest.mark.parametrize(
    "cases", by_name(EXECUTIONS_OPTIONS).values(), ids=by_name(EXECUTIONS_OPTIONS)
)
def test_names_the_option_of_executions_that_is_wrong(cases: list[Any]) -> None:
    assert refusals(partial(Executions, count), cases) == []


@pytest.mark.parametrize(
    "cases", by_name(APP_OPTIONS).values(), ids=by_name(APP_OPTIONS)
)
@pytest.mark.parametrize(
    "make",
    [partial(EventsApp, count), partial(EventsMiddleware, nobody, actors=[count])],
    ids=["app", "middleware"],
)
def test_names_the_option_of_the_application_that_is_wrong(
    make: Callable[..., Any], cases: list[Any]
) -> None:
    assert refusals(make, cases) == []


@pytest.mark.parametrize(
    "make",
    [partial(EventsApp, count), partial(EventsMiddleware, nobody, actors=[count])],
    ids=["app", "middleware"],
)
def test_passes_the_options_of_executions_on(make: Callable[..., Any]) -> None:
    assert refusals(make, EXECUTIONS_OPTIONS) == []


def test_takes_zero_or_none_where_it_says_so() -> None:
    Executions(
        count,
        heartbeat_interval=None,
        send_timeout=None,
        max_stream_duration=None,
        cancel_after=0,
        max_duration=None,
        max_executions=None,
        max_viewers=None,
    )
    Executions(count, cancel_after=None, drain_grace=0, max_stream_backlog=None)


@tool(name="count")
async def count_again() -> None:
    pass


@tool
async def positional(to: int, /) -> None:
    pass


@tool
async def rest(*to: int) -> None:
    pass


@tool
async def named_rest(**to: int) -> None:
    pass


def plain() -> None:
    pass


@pytest.mark.parametrize(
    ("actors", "error", "message"),
    [
        (
            [[count]],
            TypeError,
            r"one by one, got \[<function count at 0x\w+>\]: put a star before it",
        ),
        (
            [plain],
            TypeError,
            "is not an actor: decorate it with @agent, @tool or @llm.",
        ),
        (["count"], TypeError, "'count' is not an actor: decorate it with @agent"),
        (
            [count, count_again],
            ValueError,
            "Two actors are called 'count': give one of them a name=.",
        ),
        ([positional], TypeError, "JSON cannot name its parameter to: int"),
        ([rest], TypeError, r"JSON cannot name its parameter \*to: int"),
        (
            [named_rest],
            TypeError,
            r"JSON cannot name its parameter \*\*to: int",
        ),
    ],
    ids=["list", "plain", "str", "twice", "positional", "*args", "**kwargs"],
)
def test_says_what_is_wrong_with_its_actors(
    actors: list[Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Executions(*actors)
    with pytest.raises(error, match=message):
        EventsApp(*actors)


@pytest.mark.parametrize(
    "name", ["a/b", "a#b", "a:b", "a?b", "a%b", "a b", "a\n", "a\0", "executions"]
)
def test_refuses_a_name_that_can_not_stand_in_a_url(name: str) -> None:
    with pytest.raises(ValueError, match="An actor's name is part of addresses"):
        tool(name=name)(plain)


@pytest.mark.parametrize(
    "more", [{"actors": [count]}, {"max_viewers": 1}], ids=["actors", "options"]
)
def test_takes_executions_or_what_to_make_them_of(more: dict[str, Any]) -> None:
    executions = Executions(count)
    actors = more.pop("actors", [])
    message = "Give either executions, or actors and options to make them of."
    with pytest.raises(ValueError, match=message):
        EventsApp(*actors, executions=executions, **more)


def test_says_that_executions_are_wanted_and_not_a_store() -> None:
    wrong: Any = MemoryStore()
    with pytest.raises(TypeError, match="executions"):
        EventsApp(executions=wrong)


def test_says_that_the_middleware_wants_a_sequence_of_actors() -> None:
    async def app(*_: Any) -> None:
        pass

    wrong: Any = count
    with pytest.raises(TypeError, match="actors"):
        EventsMiddleware(app, actors=wrong)


@pytest.mark.parametrize(
    "bounds", [{"max_events": 3}, {"max_bytes": 0}], ids=["max_events", "max_bytes"]
)
def test_says_how_small_a_memory_store_may_be(bounds: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="max_events must be at least 4 and max_bytes"):
        MemoryStore(**bounds)


@pytest.mark.parametrize("store", [None, ""])
def test_says_how_to_take_the_store_from_the_environment(store: Any) -> None:
    with pytest.raises(
        (TypeError, ValueError), match=r'os.environ.get\("STORE"\) or "memory://"'
    ):
        EventsApp(count, store=store)


@pytest.mark.parametrize(
    "missing", ["renew", "cancel", "mark_watched", "reap", "delete", "keys", "watch"]
)
def test_refuses_a_store_that_lacks_a_method(missing: str) -> None:
    class Lacking(MemoryStore):
        pass

    setattr(Lacking, missing, None)
    with pytest.raises(TypeError, match=f"store must have {missing}"):
        EventsApp(count, store=Lacking())
