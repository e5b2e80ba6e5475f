"""Events as JSON: what pydantic cannot write is replaced, and nothing breaks."""

import enum
import json
import logging
import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, create_model, field_serializer

from asgi_events.events import (
    CompleteEvent,
    ErrorEvent,
    Event,
    EventType,
    LogEvent,
    ProgressEvent,
)
from asgi_events.wire import encoding
from asgi_events.wire.encoding import encode_json
from asgi_events.wire.frames import json_block
from asgi_events.wire.sse import Decoder
from tests.payloads import without_place


class Box(BaseModel):
    value: Any = None


class Pair(BaseModel):
    left: Any = None
    right: Any = None


class Opaque:
    """Nothing that JSON or pydantic knows."""

    def __repr__(self) -> str:
        return "<opaque>"


def parsed(value: Any) -> Any:
    """What is read from the encoded value; strictly JSON."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(encode_json(value).decode(), parse_constant=refuse)


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "asgi_events.wire.encoding"
    ]


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary(max_size=8)
    | st.datetimes()
    | st.timedeltas()
    | st.uuids()
    | st.decimals()
    | st.complex_numbers()
    | st.builds(Opaque)
)
keys = st.text() | st.integers() | st.booleans() | st.none() | st.floats() | st.dates()
nested = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys | st.tuples(keys, keys), inner, max_size=4)
        | st.builds(Box, value=inner)
        | st.builds(Pair, left=inner, right=inner)
        | st.builds(CompleteEvent, result=inner)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(nested)
def test_writes_one_line_of_json_whatever_it_is_given(value: Any) -> None:
    expected = parsed(Box(value=value))
    block = json_block(encode_json(Box(value=value)))
    assert len(block.decode().splitlines()) == 2
    (event,) = Decoder().feed(block)
    assert event.data is not None
    assert json.loads(event.data) == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=10,
)


def _mended(value: Any) -> Any:
    """Lone surrogates replaced, by the letter of the rule."""
    if isinstance(value, str):
        return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in value)
    if isinstance(value, list):
        return [_mended(item) for item in value]
    if isinstance(value, dict):
        return {_mended(key): _mended(item) for key, item in value.items()}
    return value


@settings(max_examples=200, deadline=None)
@given(json_values)
def test_keeps_all_that_json_can_hold(value: Any) -> None:
    whole = _mended(value)
    assert parsed(Box(value=whole)) == {"value": whole}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.sampled_from("a\ud800é")), max_size=3))
def test_replaces_lone_surrogates_and_keeps_the_rest(value: list[str]) -> None:
    nest = {"k": value, "m": Box(value=value)}
    assert parsed(Box(value=nest)) == {
        "value": {"k": _mended(value), "m": {"value": _mended(value)}}
    }


@pytest.mark.parametrize("line_end", ["\x85", "\u2028", "\u2029"], ids=ascii)
@pytest.mark.parametrize("broken", ["", "\ud800"], ids=["fine", "repaired"])
def test_writes_line_ends_of_unicode_so_that_splitlines_keeps_the_line(
    line_end: str, broken: str
) -> None:
    value = {f"k{line_end}": f"a{line_end}b{broken}"}
    block = json_block(encode_json(Box(value=value)))
    assert line_end.encode() not in block
    first, blank = block.decode().splitlines()
    assert (json.loads(first.removeprefix("data: ")), blank) == (
        {"value": _mended(value)},
        "",
    )


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf], ids=repr)
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(lambda n: Box(value=n), {"value": None}, id="model"),
        pytest.param(lambda n: Box(value=[n]), {"value": [None]}, id="list"),
        pytest.param(lambda n: {"a": n}, {"a": None}, id="dict"),
        pytest.param(
            lambda n: Pair(left=n, right="\ud800"),
            {"left": None, "right": "\ufffd"},
            id="repaired",
        ),
        pytest.param(
            lambda n: CompleteEvent(result={"a": n}),
            {
                "event_type": "complete",
                "message": "Execution completed successfully",
                "result": {"a": None},
            },
            id="result",
        ),
    ],
)
def test_writes_null_for_what_is_no_number(
    number: float, value: Any, expected: Any
) -> None:
    assert without_place(parsed(value(number))) == expected


@pytest.mark.parametrize("base", [BaseModel, Event])
def test_writes_null_for_nan_though_the_model_wants_a_constant(
    base: type[BaseModel],
) -> None:
    class Constants(base):  # type: ignore[misc, valid-type]
        model_config = ConfigDict(ser_json_inf_nan="constants")
        event_type: EventType = EventType.LOG
        value: float

    written = parsed(Constants(value=math.nan))
    assert (written.get("value"), "NaN" in str(written)) == (None, False)


def test_holds_no_more_types_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "_writers", {})
    monkeypatch.setattr(encoding, "_MAX_WRITERS", 3)
    for number in range(7):
        model = create_model(f"Model{number}", value=(int, number))
        assert parsed(model()) == parsed(model()) == {"value": number}
    assert len(encoding._writers) == 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("a\ud800b", "a\ufffdb", id="value"),
        pytest.param({"k\udfff": 1}, {"k\ufffd": 1}, id="key"),
        pytest.param([["\ud800"], ("\udc00",)], [["\ufffd"], ["\ufffd"]], id="lists"),
        pytest.param({"a": {"b": "\ud800"}}, {"a": {"b": "\ufffd"}}, id="dicts"),
        pytest.param(Box(value="\ud800"), {"value": "\ufffd"}, id="model"),
        pytest.param(
            Box(value=[{"k\ud800": Box(value="\ud800")}]),
            {"value": [{"k\ufffd": {"value": "\ufffd"}}]},
            id="all of them",
        ),
    ],
)
def test_replaces_a_lone_surrogate_in(value: Any, expected: Any) -> None:
    assert parsed(Box(value=value)) == {"value": expected}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(Opaque(), "<opaque>", id="object"),
        pytest.param([1, Opaque()], [1, "<opaque>"], id="list"),
        pytest.param({"a": Opaque(), "b": 2}, {"a": "<opaque>", "b": 2}, id="dict"),
        pytest.param(Box(value=Opaque()), {"value": "<opaque>"}, id="model"),
        pytest.param(b"\xff", "b'\\xff'", id="bytes that are not UTF-8"),
    ],
)
def test_writes_the_repr_of_what_json_has_not(value: Any, expected: Any) -> None:
    assert parsed(Box(value=value)) == {"value": expected}


def test_keeps_the_form_of_everything_beside_what_it_replaces() -> None:
    class Colour(str, enum.Enum):  # noqa: UP042 - its str() is not its value
        RED = "red"

    class Level(enum.IntEnum):
        HIGH = 3

    beside = {
        "enum": Colour.RED,
        "int enum": Level.HIGH,
        "date": datetime(2026, 1, 2, 3, 4, 5),
        "set": {1},
        "none": None,
        "bytes": b"abc",
        "tuple": (True, 1, 1.5),
    }
    expected = parsed(Box(value=beside))["value"]
    assert parsed(Box(value={**beside, "broken": Opaque()})) == {
        "value": {**expected, "broken": "<opaque>"}
    }


def test_hides_an_excluded_field_also_when_another_is_replaced() -> None:
    class Secretive(BaseModel):
        token: str = Field(default="hush", exclude=True)
        value: Any = None

    assert parsed(Secretive(value=Opaque())) == {"value": "<opaque>"}
    assert parsed(Box(value=[Secretive(value="\ud800")])) == {
        "value": [{"value": "\ufffd"}]
    }


def test_masks_a_field_by_its_serializer_also_when_another_is_replaced() -> None:
    class Masked(BaseModel):
        card: str = "4111 1111"
        value: Any = None

        @field_serializer("card")
        def _mask(self, card: str) -> str:
            return f"…{card[-4:]}"

    assert parsed(Masked(value=Opaque())) == {"card": "…1111", "value": "<opaque>"}


def test_writes_a_field_by_its_alias_also_when_another_is_replaced() -> None:
    class Aliased(BaseModel):
        model_config = ConfigDict(serialize_by_alias=True)
        some_value: Any = Field(default=None, serialization_alias="someValue")

    assert parsed(Aliased(some_value=1)) == {"someValue": 1}
    assert parsed(Aliased(some_value=Opaque())) == {"someValue": "<opaque>"}


def _cycle() -> list[Any]:
    cycle: list[Any] = []
    cycle.append(cycle)
    return cycle


def _deep() -> list[Any]:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    return deep


class _Mute:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    __str__ = __repr__


class _Torn(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no items")

    def __len__(self) -> int:
        return 1


class _Raising(BaseModel):
    value: int = 1

    @field_serializer("value")
    def _fail(self, value: int) -> int:
        raise RuntimeError("no serializer")


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(_cycle(), id="cycle"),
        pytest.param(_deep(), id="depth"),
        pytest.param(10**5000, id="huge int"),
        pytest.param([10**5000, "\ud800"], id="huge int beside a surrogate"),
        pytest.param(_Mute(), id="raising repr"),
        pytest.param({_Mute(): 1}, id="raising key"),
        pytest.param(_Torn(), id="raising mapping"),
        pytest.param(_Raising(), id="raising serializer"),
        pytest.param(LogEvent.model_construct(message=3), id="unvalidated model"),
    ],
)
def test_never_raises(value: Any) -> None:
    encoded = encode_json(Pair(left=value, right="kept"))
    assert b"kept" in encoded
    assert encoded.startswith(b"{") and encoded.endswith(b"}")


def test_logs_once_for_each_type(caplog: pytest.LogCaptureFixture) -> None:
    class First(Box):
        pass

    class Second(Box):
        pass

    with caplog.at_level(logging.WARNING, "asgi_events"):
        for _ in range(3):
            encode_json(First(value="\ud800"))
            encode_json(Second(value=Opaque()))
        encode_json(First(value="fine"))
    messages = warnings_of(caplog)
    assert ["First" in messages[0], "Second" in messages[1]] == [True, True]
    assert len(messages) == 2


def test_says_nothing_of_what_json_can_hold(caplog: pytest.LogCaptureFixture) -> None:
    class Fine(Box):
        pass

    encode_json(Fine(value=[math.nan, "\u2028", None]))
    assert warnings_of(caplog) == []


@pytest.mark.parametrize("broken", [False, True], ids=["fine", "repaired"])
def test_leaves_out_none_of_our_own_events(broken: bool) -> None:
    message = "\ud800" if broken else "m"
    progress = parsed(ProgressEvent(current=1, message=message))
    error = parsed(ErrorEvent(message=message))
    assert set(progress) == {
        "event_type",
        "address",
        "timestamp",
        "current",
        "message",
    }
    assert set(error) == {"event_type", "message", "address", "timestamp"}


@pytest.mark.parametrize("broken", [False, True], ids=["fine", "repaired"])
def test_keeps_none_of_models_that_are_not_ours(broken: bool) -> None:
    value, expected = ("\ud800", "\ufffd") if broken else ("v", "v")
    assert parsed(Pair(right=value)) == {"left": None, "right": expected}


@pytest.mark.parametrize("broken", [False, True], ids=["fine", "repaired"])
def test_keeps_none_inside_a_result(broken: bool) -> None:
    value, expected = ("\ud800", "\ufffd") if broken else ("v", "v")
    event = CompleteEvent(result={"a": None, "b": Pair(right=value), "c": [None]})
    assert without_place(parsed(event)) == {
        "event_type": "complete",
        "message": "Execution completed successfully",
        "result": {
            "a": None,
            "b": {"left": None, "right": expected},
            "c": [None],
        },
    }


def test_keeps_the_additional_fields_of_a_model() -> None:
    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")

    assert parsed(Open.model_validate({"a": 1, "b": "\ud800"})) == {
        "a": 1,
        "b": "\ufffd",
    }


@pytest.mark.parametrize("broken", ["", "\ud800"], ids=["fine", "repaired"])
def test_writes_utf_8_and_not_escapes(broken: str) -> None:
    assert "é€😀".encode() in encode_json(Box(value=f"é€😀{broken}"))
