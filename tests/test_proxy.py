"""Where the proxy of the tests cuts an answer."""

from __future__ import annotations

from tests.proxy import Cut

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
EVENT = b"data: 1\n\n"
WHOLE = HEAD + b"9\r\n" + EVENT + b"\r\n0\r\n\r\n"


def test_cuts_after_as_many_events_and_bytes() -> None:
    assert Cut().place(WHOLE) == 0
    assert Cut(events=1).place(WHOLE) == WHOLE.index(EVENT) + len(EVENT)
    assert Cut(events=1, more=2).place(WHOLE) == WHOLE.index(EVENT) + len(EVENT) + 2


def test_waits_for_more_of_the_answer() -> None:
    assert Cut(events=2).place(WHOLE) is None
    assert Cut(more=len(HEAD) + 1).place(HEAD) is None


def test_cuts_off_the_last_byte_but_never_nothing() -> None:
    size = len(WHOLE)

    assert Cut(more=size - 1).place(WHOLE) == size - 1
    assert Cut(more=size).place(WHOLE) is None
    assert Cut(more=len(HEAD)).place(HEAD) == len(HEAD)
