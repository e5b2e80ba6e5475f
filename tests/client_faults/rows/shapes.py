"""The right bytes, in the wrong pieces or with other line ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from gzip import compress

from tests.client_faults.answers import shaped
from tests.client_faults.log import with_heartbeats
from tests.client_faults.place import Answer, Place
from tests.client_faults.row import Outcome, Row, all_events


def rows() -> Iterator[Row]:
    """The right bytes, in the wrong pieces or with other line ends."""

    def row(name: str, answer: Answer) -> Row:
        return Row(name=name, plan=(answer,), ids=[None], waits=[], judged=True)

    yield row("all in one piece, with a length", shaped(_whole, framing="length"))
    yield row("all in one chunk", shaped(_whole))
    yield row("one byte in a chunk", shaped(_bytes))
    yield row("one byte in a write", shaped(_bytes, framing="close"))
    yield row("seven bytes in a chunk", shaped(_sevens))
    yield row("CR LF", shaped(lambda body: [body.replace(b"\n", b"\r\n")]))
    yield row("CR LF, one byte in a chunk", shaped(_crlf_bytes))
    yield row("CR", shaped(lambda body: [body.replace(b"\n", b"\r")]))
    yield row("a BOM", shaped(lambda body: [b"\xef\xbb\xbf" + body]))
    yield row("half of a BOM in a chunk", shaped(_bom))
    yield row("gzip", shaped(_gzipped, coding="gzip"))
    yield Row(
        name="gzip, of which a part is missing",
        plan=(shaped(_half_gzipped, coding="gzip"),),
        seen=all_events,
        check=_came_back,
    )
    yield row("heartbeats", shaped(lambda body: [with_heartbeats(body)]))
    yield replace(row("blank lines, comments, no spaces", shaped(_loose)), judged=False)
    yield replace(row("the id before the data", shaped(_ids_first)), judged=False)


def _whole(body: bytes) -> list[bytes]:
    return [body]


def _bytes(body: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in body]


def _sevens(body: bytes) -> list[bytes]:
    return [body[at : at + 7] for at in range(0, len(body), 7)]


def _gzipped(body: bytes) -> list[bytes]:
    return _sevens(compress(body))


def _half_gzipped(body: bytes) -> list[bytes]:
    packed = compress(body)
    return [packed[: len(packed) // 2]]


def _came_back(place: Place, outcome: Outcome) -> str | None:
    count = len(place.of("events"))
    return None if count == 2 else f"{count} requests"


def _crlf_bytes(body: bytes) -> list[bytes]:
    return _bytes(body.replace(b"\n", b"\r\n"))


def _bom(body: bytes) -> list[bytes]:
    return [b"\xef\xbb", b"\xbf" + body]


def _loose(body: bytes) -> list[bytes]:
    loose = body.replace(b"data: ", b"data:").replace(b"id: ", b"id:")
    return [loose.replace(b"\n\n", b"\n\n\n\n:\n\n: a comment\nunknown: field\nx\n")]


def _ids_first(body: bytes) -> list[bytes]:
    blocks = body.split(b"\n\n")
    turned = [
        b"\n".join(sorted(block.split(b"\n"), key=lambda line: line[:4] != b"id: "))
        for block in blocks
    ]
    return [b"\n\n".join(turned)]
