"""The answers of a faulty server: each makes the reply to one request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

from asgi_events.wire import frames
from asgi_events.wire.frames import parse_event_id
from tests.client_faults.log import Log
from tests.client_faults.place import (
    SSE,
    Answer,
    Reply,
    Request,
    problem,
    resumed,
    told,
)


def usual(log: Log, request: Request) -> Reply:
    """What a real server sends."""
    return resumed(log, request)


def position(log: Log, request: Request) -> int:
    """The number of the last event that the client has."""
    parsed = parse_event_id(request.last_event_id or "")
    return 0 if parsed is None or parsed.execution != log.name else parsed.number


def part(
    upto: int,
    tail: bytes = b"",
    *,
    then: str = "end",
    framing: str = "chunked",
    after: int | None = None,
) -> Answer:
    """The events up to one of them, and what is broken after them.

    Args:
        upto: The number of the last event.
        tail: Bytes that follow.
        then: What follows the bytes.
        framing: How the body is framed.
        after: The number after which it begins, instead of what the client wants.
    """

    def answer(log: Log, request: Request) -> Reply:
        begin = position(log, request) if after is None else after
        body = log.start + log.frames(begin, upto) + tail
        return Reply(headers=SSE, body=[body], framing=framing, then=then)

    return answer


def shaped(
    shape: Callable[[bytes], list[bytes]], coding: str | None = None, **how: Any
) -> Answer:
    """The usual stream, in other pieces or other bytes."""
    headers = SSE if coding is None else {**SSE, "content-encoding": coding}

    def answer(log: Log, request: Request) -> Reply:
        whole = b"".join(resumed(log, request).body)
        return Reply(headers=headers, body=shape(whole), **how)

    return answer


def said(make: Callable[[Log], bytes], **how: Any) -> Answer:
    """A stream of exactly those bytes, after its first bytes."""

    def answer(log: Log, request: Request) -> Reply:
        return Reply(headers=SSE, body=[log.start + make(log)], **how)

    return answer


def cut_at(at: int, *, then: str, framing: str = "chunked") -> Answer:
    """The usual stream, one piece for each block, of which only some bytes pass."""

    def answer(log: Log, request: Request) -> Reply:
        return cut_reply(log, at, then=then, framing=framing)

    return answer


def cut_reply_at(at: int, whole: Reply) -> Answer:
    """A reply, of which some bytes pass."""
    return lambda log, request: replace(whole, cut=at, then="fin")


def cut_reply(log: Log, at: int, *, then: str, framing: str) -> Reply:
    """The reply of ``cut_at`` to a client that has nothing yet."""
    return replace(whole_reply(log, framing), cut=at, then=then)


def whole_reply(log: Log, framing: str) -> Reply:
    """The stream of a client that has nothing yet, one piece for each block."""
    return Reply(headers=SSE, body=blocks(log.stream()), framing=framing)


def blocks(body: bytes) -> list[bytes]:
    """Split a stream after each blank line."""
    return [block + b"\n\n" for block in body.split(b"\n\n")[:-1]]


def refuse(
    status: int,
    detail: str = "This is a fault.",
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Answer:
    """A problem."""

    def answer(log: Log, request: Request) -> Reply:
        return problem(status, detail, headers, **more)

    return answer


def plain(status: int, media_type: str, text: str) -> Answer:
    """A response of a proxy, or of another application."""

    def answer(log: Log, request: Request) -> Reply:
        return Reply(
            status=status,
            headers={"content-type": media_type},
            body=[text.encode()],
            framing="length",
        )

    return answer


def empty(status: int) -> Answer:
    """A response without a body."""

    def answer(log: Log, request: Request) -> Reply:
        return Reply(status=status, framing="length")

    return answer


def nothing(then: str) -> Answer:
    """No byte of a response."""

    def answer(log: Log, request: Request) -> Reply:
        return Reply(cut=0, then=then)

    return answer


def redirect(status: int, location: str) -> Answer:
    """Another place, below the one that was asked."""

    def answer(log: Log, request: Request) -> Reply:
        return told(status, {}, {"location": location})

    return answer


def reset(reason: str, first: int) -> bytes:
    """The word of a server for: what you have is void."""
    return frames.reset(reason, first)


def goodbye(reason: str, retry: int) -> bytes:
    """The word of a server for: come back, with a delay that a test knows."""
    made = frames.goodbye(reason)  # type: ignore[arg-type]  # a name of the three
    lines = made.split(b"\n")
    told = [b"retry: %d" % retry if x.startswith(b"retry:") else x for x in lines]
    return b"\n".join(told)


def odd(event_id: bytes) -> bytes:
    """An event of no known type."""
    return frames.join(b'{"event_type":"odd"}', event_id)


def rest(log: Log, after: int) -> bytes:
    """The events after a number, and the end."""
    return log.frames(after) + log.end


def busy_until(seconds: float) -> Answer:
    """A 503 with a date in its ``Retry-After``."""

    def answer(log: Log, request: Request) -> Reply:
        date = datetime.now(UTC) + timedelta(seconds=seconds)
        headers = {"retry-after": format_datetime(date, usegmt=True)}
        return problem(503, "This is a fault.", headers)

    return answer


def raw(head: bytes) -> Answer:
    """Bytes that are no response, and the end of the connection."""

    def answer(log: Log, request: Request) -> Reply:
        return Reply(raw=head, then="fin")

    return answer


def events_of(seen: list[Any]) -> list[int]:
    """The numbers of the events that were seen."""
    return [number for kind, number, _ in seen if kind == "event"]


def is_rising(tokens: list[int]) -> bool:
    """Whether each is later than the one before it."""
    return all(before < after for before, after in pairwise(tokens))
