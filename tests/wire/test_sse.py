r"""The wire format: what is encoded is decoded, wherever the bytes are split.

The vectors are those of the WHATWG text, section 9.2.6, and of the web platform tests:
https://html.spec.whatwg.org/multipage/server-sent-events.html
https://github.com/web-platform-tests/wpt/tree/master/eventsource
"""

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_events.wire.sse import (
    KEEP_ALIVE,
    STREAM_START,
    Decoder,
    ServerSentEvent,
    escape_line_ends,
    replace_surrogates,
)

BOM = "\ufeff"


def decode(*chunks: bytes) -> list[ServerSentEvent]:
    decoder = Decoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)]


def every_split(stream: bytes) -> Iterator[tuple[bytes, ...]]:
    """The stream as one chunk, as two at every point, and byte by byte."""
    yield (stream,)
    for point in range(len(stream) + 1):
        yield (stream[:point], stream[point:])
    yield tuple(stream[i : i + 1] for i in range(len(stream)))


def without_comment(event: ServerSentEvent) -> ServerSentEvent:
    return dataclasses.replace(event, comment=None)


def _text(forbidden: str = "") -> st.SearchStrategy[str]:
    notable = "".join(
        set("\r\n\0 :\x0b\x0c\x85\u2028\u2029\ufeffé€😀") - set(forbidden)
    )
    return st.text(
        st.sampled_from(notable)
        | st.characters(exclude_categories=["Cs"], exclude_characters=forbidden),
        max_size=8,
    )


events = st.builds(
    ServerSentEvent,
    data=_text("\r"),
    event=st.none() | _text("\r\n\0").filter(bool),
    id=st.none() | _text("\r\n\0"),
    retry=st.none() | st.integers(0, 10**9),
    comment=st.none() | _text("\r\n"),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(events, min_size=1, max_size=3))
def test_decodes_what_it_encoded_at_every_split(sent: list[ServerSentEvent]) -> None:
    stream = b"".join(event.encode() for event in sent)
    expected = [without_comment(event) for event in sent]
    for chunks in every_split(stream):
        assert decode(*chunks) == expected, chunks


@settings(max_examples=100, deadline=None)
@given(_text())
def test_delivers_every_line_end_of_data_as_lf(data: str) -> None:
    stream = ServerSentEvent(data=data).encode()
    arrived = data.replace("\r\n", "\n").replace("\r", "\n")
    assert decode(stream) == [ServerSentEvent(data=arrived)]


@settings(max_examples=200, deadline=None)
@given(
    st.builds(
        ServerSentEvent,
        data=st.text(),
        event=st.none() | st.text(st.characters(exclude_characters="\r\n\0")),
        id=st.none() | st.text(st.characters(exclude_characters="\r\n\0")),
        retry=st.none() | st.integers(0),
        comment=st.none() | st.text(st.characters(exclude_characters="\r\n")),
    )
)
def test_writes_utf_8_without_cr_and_without_bom(event: ServerSentEvent) -> None:
    stream = event.encode()
    assert b"\r" not in stream
    assert not stream.startswith(BOM.encode())
    assert stream.endswith(b"\n\n")
    assert stream.count(b"\n\n") == 1
    assert len(decode(stream)) == 1


@pytest.mark.parametrize(
    ("event", "stream"),
    [
        pytest.param(ServerSentEvent(data="x"), b"data: x\n\n", id="data"),
        pytest.param(ServerSentEvent(data=""), b"data: \n\n", id="empty data"),
        pytest.param(
            ServerSentEvent(data="a\nb\r\nc\rd\n"),
            b"data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n",
            id="lines",
        ),
        pytest.param(
            ServerSentEvent(data="x", event="e", id="i", retry=0, comment="c"),
            b": c\nevent: e\nretry: 0\ndata: x\nid: i\n\n",
            id="all fields",
        ),
        pytest.param(ServerSentEvent(data="x", id=""), b"data: x\nid: \n\n", id="id"),
        pytest.param(ServerSentEvent(comment="c"), b": c\n", id="only a comment"),
        pytest.param(ServerSentEvent(), b"", id="nothing"),
    ],
)
def test_encodes(event: ServerSentEvent, stream: bytes) -> None:
    assert event.encode() == stream


@pytest.mark.parametrize(
    "comment",
    [ServerSentEvent(comment="keep-alive").encode(), KEEP_ALIVE, STREAM_START],
    ids=["comment", "keep-alive", "stream-start"],
)
def test_ends_a_comment_with_one_newline(comment: bytes) -> None:
    assert re.fullmatch(rb": [a-z-]+\n", comment)


def test_writes_the_heartbeat_and_the_start_as_designed() -> None:
    assert (STREAM_START, KEEP_ALIVE) == (b": stream-start\n", b": keep-alive\n")


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        pytest.param(
            "data: YHOO\ndata: +2\ndata: 10\n\n", ["YHOO\n+2\n10"], id="stock"
        ),
        pytest.param("data\n\ndata\ndata\n\ndata:", ["", "\n"], id="empty"),
        pytest.param("data:test\n\ndata: test\n\n", ["test", "test"], id="one space"),
        pytest.param("data:  test\n\n", [" test"], id="two spaces"),
        pytest.param(
            f"{BOM}data:1\n\n{BOM}data:2\n\ndata:3\n\n", ["1", "3"], id="BOM once"
        ),
        pytest.param(
            f"{BOM}{BOM}data:1\n\ndata:2\n\n", ["2"], id="second BOM is a field name"
        ),
        pytest.param(
            "data:1\r:\0\n:\r\ndata:2\n:long\rdata:3\n:data:fail\r:x\ndata:4\n\n",
            ["1\n2\n3\n4"],
            id="comments",
        ),
        pytest.param("retry:1\ndata:1\n\nid:2\ndata:2", ["1"], id="unterminated"),
        pytest.param("data:1\n\ndata:2\n", ["1"], id="no blank line"),
        pytest.param("\n\n\n\ndata:x\n\n\n\n", ["x"], id="blank lines"),
        pytest.param("event: e\n\nid: 1\n\nretry: 1\n\n", [], id="blocks without data"),
        pytest.param(
            "data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\n"
            "data:3\rdata:\r\n data:32\ndata:4\n\n",
            ["\0\n 2\n1\n3\n\n4"],
            id="field names",
        ),
        pytest.param(
            "data:test\n data\ndata\nfoobar:xxx\njustsometext\n:comment\ndata:test\n\n",
            ["test\n\ntest"],
            id="unknown fields",
        ),
        pytest.param(
            "data:\ttest\rdata: \ndata:test\n\n", ["\ttest\n\ntest"], id="tab"
        ),
        pytest.param("data:a\r\ndata\ndata:b\r\n\r\n", ["a\n\nb"], id="mixed ends"),
        pytest.param("data:a\n\ndata:b\n\n", ["a", "b"], id="LF"),
        pytest.param("data:a\r\rdata:b\r\r", ["a", "b"], id="CR"),
        pytest.param("data:a\r\n\r\ndata:b\r\n\r\n", ["a", "b"], id="CRLF"),
        pytest.param("data:a\n\rdata:b\r\n\n", ["a", "b"], id="LF CR"),
        pytest.param("data:\0\n\n", ["\0"], id="NUL in data"),
        pytest.param("data:a:b: c\n\n", ["a:b: c"], id="colons"),
        pytest.param(
            "data:a\x0bb\x0cc\x1cd\x85e\u2028f\u2029g\n\n",
            ["a\x0bb\x0cc\x1cd\x85e\u2028f\u2029g"],
            id="no other line ends",
        ),
        pytest.param("data:€😀\n\n", ["€😀"], id="several bytes"),
    ],
)
def test_interprets_data_as_the_spec_says(stream: str, expected: list[str]) -> None:
    for chunks in every_split(stream.encode()):
        assert [event.data for event in decode(*chunks)] == expected, chunks


def test_interprets_ids_as_the_spec_says() -> None:
    stream = (
        b": test stream\n\ndata: first event\nid: 1\n\n"
        b"data:second event\nid\n\ndata:  third event\n"
    )
    for chunks in every_split(stream):
        decoder = Decoder()
        seen = [
            (event.data, event.id, decoder.last_event_id)
            for chunk in chunks
            for event in decoder.feed(chunk)
        ]
        assert [each[:2] for each in seen] == [
            ("first event", "1"),
            ("second event", ""),
        ]
        assert decoder.last_event_id == ""


@pytest.mark.parametrize(
    ("stream", "last_event_id"),
    [
        pytest.param("id: 2\ndata\n\n", "2", id="given"),
        pytest.param("data\n\n", "1", id="kept"),
        pytest.param("id\ndata\n\n", "", id="reset"),
        pytest.param("id:\ndata\n\n", "", id="reset with a colon"),
        pytest.param("id: 2\0\ndata\n\n", "1", id="NUL is ignored"),
        pytest.param("id: 2\nid: 3\0\ndata\n\n", "2", id="NUL after another"),
        pytest.param("id: 2\n\n", "2", id="of a block without data"),
        pytest.param("id: 2\ndata\n", "1", id="of an unterminated block"),
        pytest.param("ID: 2\ndata\n\n", "1", id="other case"),
        pytest.param("id:  2\ndata\n\n", " 2", id="two spaces"),
        pytest.param("id: …\ndata\n\n", "…", id="non-ASCII"),
    ],
)
def test_keeps_the_last_event_id(stream: str, last_event_id: str) -> None:
    decoder = Decoder(last_event_id="1")
    decoder.feed(stream.encode())
    assert decoder.last_event_id == last_event_id


@pytest.mark.parametrize(
    ("stream", "retry"),
    [
        pytest.param("retry: 1000\n", 1000, id="digits"),
        pytest.param("retry: 007\n", 7, id="leading zeros"),
        pytest.param("retry: 0\n", 0, id="zero"),
        pytest.param("retry: 1\nretry: 2x\n", 1, id="bogus after digits"),
        pytest.param("retry\n", None, id="empty"),
        pytest.param("retry: -1\n", None, id="negative"),
        pytest.param("retry: 1e3\n", None, id="exponent"),
        pytest.param("retry: 1_000\n", None, id="underscore"),
        pytest.param("retry:  1\n", None, id="second space"),
        pytest.param("retry: ٣\n", None, id="digits of another script"),
        pytest.param("retry: ²\n", None, id="superscript"),
    ],
)
def test_takes_only_ascii_digits_for_retry(stream: str, retry: int | None) -> None:
    decoder = Decoder()
    decoder.feed(stream.encode())
    assert decoder.retry == retry


def test_survives_a_retry_of_ten_thousand_digits() -> None:
    assert len(decode(b"retry: " + b"9" * 10_000 + b"\ndata: x\n\n")) == 1


def test_gives_event_retry_and_id_to_their_own_block_only() -> None:
    stream = b"event: e\nid: 1\nretry: 5\ndata: a\n\ndata: b\n\nevent:\ndata: c\n\n"
    assert decode(stream) == [
        ServerSentEvent(event="e", id="1", retry=5, data="a"),
        ServerSentEvent(data="b"),
        ServerSentEvent(data="c"),
    ]


def test_drops_the_name_of_a_block_without_data() -> None:
    assert decode(b"event: e\n\ndata: a\n\n") == [ServerSentEvent(data="a")]


def test_dispatches_at_a_cr_without_waiting_for_an_lf() -> None:
    decoder = Decoder()
    assert decoder.feed(b"data: a\r\n\r") == [ServerSentEvent(data="a")]
    assert decoder.feed(b"\ndata: b\r\n\r\n") == [ServerSentEvent(data="b")]


def test_replaces_bytes_that_are_not_utf_8() -> None:
    assert decode(b"data: \xff\xc3\n\n") == [ServerSentEvent(data="\ufffd\ufffd")]


def test_survives_a_nul_in_the_name_of_an_event() -> None:
    (event,) = decode(b"event: a\0b\ndata: x\n\n")
    assert event.data == "x"


SEPARATORS = {
    "CR": "\r",
    "LF": "\n",
    "CRLF": "\r\n",
    "NUL": "\0",
    "U+2028": "\u2028",
    "U+2029": "\u2029",
    "U+0085": "\x85",
    "lone surrogate": "\ud800",
}
RAISING = {
    "event": ["CR", "LF", "CRLF", "NUL"],
    "id": ["CR", "LF", "CRLF", "NUL"],
    "comment": ["CR", "LF", "CRLF"],
    "data": [],
}
TABLE = [(name, field) for name in SEPARATORS for field in RAISING]


def _hostile(separator: str) -> str:
    end = separator
    return f"a{end}event: evil{end}data: evil{end}{end}data: more{end}"


@pytest.mark.parametrize(
    ("name", "field"), [(n, f) for n, f in TABLE if n in RAISING[f]]
)
def test_refuses_to_inject(name: str, field: str) -> None:
    fields = {"data": "x"} | {field: _hostile(SEPARATORS[name])}
    with pytest.raises(ValueError, match=f"^{field} must not contain (CR|LF|NUL)"):
        ServerSentEvent(**fields)  # type: ignore[arg-type]  # a dict of str


@pytest.mark.parametrize(
    ("name", "field"), [(n, f) for n, f in TABLE if n not in RAISING[f]]
)
def test_delivers_whole_and_injects_nothing(name: str, field: str) -> None:
    hostile = _hostile(SEPARATORS[name])
    fields: dict[str, Any] = {"data": "x"} | {field: hostile}
    arriving = (
        hostile.replace("\r\n", "\n").replace("\r", "\n").replace("\ud800", "\ufffd")
    )
    expected = ServerSentEvent(**({"data": "x"} | {field: arriving}))
    stream = ServerSentEvent(**fields).encode()
    for chunks in every_split(stream):
        assert decode(*chunks) == [without_comment(expected)]


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("a\ud83d\ude00\udfff\ufeff😀")))
def test_replaces_each_lone_surrogate_and_nothing_else(text: str) -> None:
    joined = re.sub(
        "[\ud800-\udbff][\udc00-\udfff]",
        lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"),
        text,
    )
    assert replace_surrogates(text) == re.sub("[\ud800-\udfff]", "\ufffd", joined)


@pytest.mark.parametrize("field", ["data", "event", "id", "comment"])
@pytest.mark.parametrize("value", [b"x", 1, True, ["x"]], ids=repr)
def test_refuses_a_field_that_is_not_a_str(field: str, value: Any) -> None:
    fields = {"data": "x"} | {field: value}
    kind = type(value).__name__
    with pytest.raises(TypeError, match=f"^{field} must be a str, got {kind}$"):
        ServerSentEvent(**fields)


@pytest.mark.parametrize("value", ["1", 1.0, True], ids=repr)
def test_refuses_a_retry_that_is_not_an_int(value: Any) -> None:
    with pytest.raises(TypeError, match="^retry must be an int of milliseconds, got"):
        ServerSentEvent(data="x", retry=value)


def test_refuses_a_negative_retry() -> None:
    with pytest.raises(ValueError, match="^retry must not be negative, got -1$"):
        ServerSentEvent(data="x", retry=-1)


@pytest.mark.parametrize(
    "fields",
    [{"event": "e"}, {"id": "1"}, {"id": ""}, {"retry": 1}, {"retry": 0}],
    ids=repr,
)
@pytest.mark.parametrize("comment", [None, "c"], ids=["bare", "comment"])
def test_refuses_a_block_without_data(
    fields: dict[str, Any], comment: str | None
) -> None:
    with pytest.raises(ValueError, match="^event, id and retry need data: "):
        ServerSentEvent(comment=comment, **fields)


def test_is_frozen() -> None:
    event = ServerSentEvent(data="x")
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.data = "y"  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize(
    "end", ["\x85", "\u2028", "\u2029"], ids=["85", "2028", "2029"]
)
def test_escapes_what_splitlines_takes_for_a_line_end(end: str) -> None:
    json = escape_line_ends(f'{{"a":"x{end}y"}}'.encode())
    assert json == f'{{"a":"x\\u{ord(end):04x}y"}}'.encode()


def test_leaves_other_characters_of_the_same_bytes_alone() -> None:
    near = '{"a":"\x84\x86\u2027\u202a…€"}'
    assert escape_line_ends(near.encode()) == near.encode()
