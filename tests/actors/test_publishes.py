"""The models that an actor says it publishes."""

from enum import StrEnum
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from asgi_events import agent, llm, tool
from asgi_events.actors import actor_of


class Chart(BaseModel):
    event_type: Literal["chart"] = "chart"
    points: list[float] = []


class Table(BaseModel):
    event_type: Literal["table"]


class OtherChart(BaseModel):
    event_type: str = "chart"


class Nameless(BaseModel):
    points: list[float] = []


class Log(BaseModel):
    event_type: Literal["log"] = "log"


class Kind(StrEnum):
    CHART = "chart"


class OfAnEnum(BaseModel):
    event_type: Kind = Kind.CHART


@pytest.mark.parametrize("decorator", [agent, tool, llm])
def test_are_kept_in_the_order_given_each_once(decorator: Any) -> None:
    @decorator(publishes=[Table, Chart, Table])
    async def draw() -> None: ...

    assert actor_of(draw).publishes == (Table, Chart)


def test_are_none_by_default() -> None:
    @agent
    async def draw() -> None: ...

    assert actor_of(draw).publishes == ()


def test_may_be_named_by_an_enum() -> None:
    @agent(publishes=(OfAnEnum,))
    async def draw() -> None: ...

    assert actor_of(draw).publishes == (OfAnEnum,)


def test_are_those_of_a_method_too() -> None:
    class Studio:
        @agent(publishes=[Chart])
        async def draw(self) -> None: ...

    assert actor_of(Studio().draw).publishes == (Chart,)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (
            Chart,
            TypeError,
            f"publishes takes a list of pydantic models, got {Chart!r}: write "
            "publishes=[Chart].",
        ),
        (
            "chart",
            TypeError,
            "publishes takes a list of pydantic models, got 'chart': write "
            "publishes=[Chart].",
        ),
        (
            5,
            TypeError,
            "publishes takes a list of pydantic models, got 5: write "
            "publishes=[Chart].",
        ),
        (["chart"], TypeError, "publishes takes pydantic models, got 'chart'."),
        ([dict], TypeError, "publishes takes pydantic models, got <class 'dict'>."),
        (
            [Nameless],
            TypeError,
            "Nameless has no event_type to be known by: give it a field "
            'event_type: Literal["my_event"] = "my_event".',
        ),
        (
            [Log],
            ValueError,
            "Log has the event_type 'log', which is one of ours: give it another one.",
        ),
        (
            [Chart, OtherChart],
            ValueError,
            "Chart and OtherChart have the same event_type 'chart': give one of them "
            "another one.",
        ),
    ],
)
def test_are_checked_when_it_is_decorated(
    given: Any, error: type[Exception], message: str
) -> None:
    async def draw() -> None: ...

    with pytest.raises(error) as raised:
        agent(publishes=given)(draw)
    assert str(raised.value) == message
