"""What viewers are shown of a value."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from io import BytesIO
from numbers import Integral
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr, field_serializer

from asgi_events.actors.shown import MAX_SHOWN, shown
from asgi_events.wire.encoding import encode_json


class Colour(Enum):
    RED = "red"


class User(BaseModel):
    name: str
    password: SecretStr = SecretStr("s3cret")
    hidden: str = Field("h1dden", exclude=True)
    masked: str = "m4sked"

    @field_serializer("masked")
    def _mask(self, value: str) -> str:
        return "***"


@dataclass
class Point:
    x: int
    secret: str = field(default="s", repr=False)


class Own:
    def __repr__(self) -> str:
        return f"<Own thing at {id(self):#x}>"


class Bad:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (1.5, 1.5),
        (float("nan"), None),
        (float("inf"), None),
        ("tea", "tea"),
        ("\ud800", "\ufffd"),
        (Colour.RED, "red"),
        ([1, (2, None)], [1, [2, None]]),
        ({"a": {"b": None}}, {"a": {"b": None}}),
        ({1: 2, None: 3}, {"1": 2, "None": 3}),
        (b"1234", "<bytes of 4 bytes>"),
        (
            User(name="ann"),
            {"name": "ann", "password": "**********", "masked": "***"},
        ),
        (Point(1), {"x": 1}),
        (SecretStr("s3cret"), "**********"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00Z"),
        (Decimal("1.50"), "1.50"),
        (PurePosixPath("/a"), "/a"),
        (Own(), "<Own thing>"),
        (object(), "<object>"),
        (Bad(), "<Bad>"),
        (User, "<class 'tests.actors.test_shown.User'>"),
        pytest.param(10**5000, "<int>", id="huge"),
    ],
)
def test_shows(value: Any, expected: Any) -> None:
    assert shown(value) == expected


def test_consumes_nothing() -> None:
    def numbers() -> Iterator[int]:
        yield 1

    async def later() -> int:
        return 1

    class Holder(BaseModel, arbitrary_types_allowed=True):
        items: Any

    generator, coroutine, stream = numbers(), later(), BytesIO(b"123")
    inside = numbers()
    assert shown([generator, coroutine, iter([1])]) == [
        "<generator>",
        "<coroutine>",
        "<list_iterator>",
    ]
    assert shown(stream) == "<BytesIO>"
    shown(Holder(items=inside))
    assert (list(generator), list(inside), stream.read()) == ([1], [1], b"123")
    assert asyncio.run(coroutine) == 1


def test_says_what_it_cuts() -> None:
    assert shown("x" * 200, 100) == "x" * 47 + "… (153 more characters)"
    cut = shown(list(range(1000)), 100)
    assert cut[:3] == [0, 1, 2]
    assert cut[-1] == f"… ({1000 - len(cut) + 1} more)"
    cut = shown({str(n): n for n in range(1000)}, 100)
    assert cut["…"] == f"{1000 - len(cut) + 1} more"


def test_ends_at_a_circle() -> None:
    circle: list[Any] = []
    circle.append(circle)
    assert len(encode_json(shown(circle))) < 200


nested = st.recursive(
    st.text() | st.integers() | st.floats() | st.none() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=100,
)


@settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],  # of a busy machine
)
@given(nested, st.integers(100, 400))
def test_is_never_larger_than_the_bound(value: Any, bound: int) -> None:
    made = shown(value, bound)
    assert len(encode_json(made)) <= bound
    assert json.loads(encode_json(made)) == made


@pytest.mark.parametrize(
    "value",
    [
        "é" * 10**6,
        "\u2028" * 10**5,
        "\x00" * 10**5,
        ["\x00" * 50] * 10**4,
        [[[["x" * 100] * 100] * 100] * 100],
        {"k" * 10**5: {"k" * 10**5: 1}},
        {str(n): [n] for n in range(10**5)},
    ],
    ids=["é", "u2028", "nul", "nuls", "lists", "keys", "many"],
)
def test_is_never_larger_than_the_bound_of_what_is_large(value: Any) -> None:
    size = len(encode_json(shown(value)))
    assert MAX_SHOWN / 4 < size <= MAX_SHOWN


def test_shows_numbers_of_numpy_as_numbers() -> None:
    class Int64:  # as numpy's, which are not ints
        def __int__(self) -> int:
            return 7

    Integral.register(Int64)
    assert shown(Int64()) == 7
    assert shown(Fraction(1, 4)) == 0.25
