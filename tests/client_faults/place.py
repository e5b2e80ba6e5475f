"""What is behind a prefix of the path of a peer: an execution, and its answers."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from asgi_events.wire import frames
from asgi_events.wire.frames import parse_event_id
from tests.client_faults.log import Log

SSE = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
    "x-content-type-options": "nosniff",
}

_REASONS = {200: "OK", 202: "Accepted", 204: "No Content", 302: "Found", 503: "Busy"}


@dataclass(frozen=True, slots=True)
class Request:
    """A request that has arrived.

    Attributes:
        kind: ``start``, ``about``, ``events``, ``cancel``, ``answer`` or ``other``.
        method: The method.
        path: The path below the place.
        place: The name of the place.
        headers: The headers by their names in lower case.
        body: The body.
    """

    kind: str
    method: str
    path: str
    place: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def last_event_id(self) -> str | None:
        return self.headers.get("last-event-id")

    @property
    def token(self) -> str | None:
        return self.headers.get("authorization")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a request gets.

    Attributes:
        status: The status.
        headers: The headers, without those of the framing.
        body: The pieces of the body, each written by itself.
        framing: ``chunked``, ``length``, or ``close``: the end of the connection is the
            end of the body.
        cut: How many bytes of the response pass, its head and its framing among them;
            None for all.
        then: What follows them: ``end``, the end of the body; ``fin`` and ``rst``, that
            of the connection; ``hang``, nothing.
        pause: Seconds between the pieces.
        raw: Bytes that come before the head; with ``then="fin"`` in place of all.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Iterable[bytes] = ()
    framing: str = "chunked"
    cut: int | None = None
    then: str = "end"
    pause: float = 0.0
    raw: bytes = b""

    @property
    def head(self) -> bytes:
        """The head of the response."""
        lines = [f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Fault')}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.status == 204 or self.framing == "close":
            pass
        elif self.framing == "chunked":
            lines.append("transfer-encoding: chunked")
        else:
            lines.append(f"content-length: {sum(map(len, self.body))}")
        return "\r\n".join([*lines, "connection: close", "", ""]).encode()

    def pieces(self) -> Iterable[bytes]:
        """The bytes of the response, as they are written."""
        if self.raw:
            yield self.raw
            if self.then == "fin":
                return
        yield self.head
        for piece in self.body:
            yield b"".join(self._framed(piece))
        if self.framing == "chunked" and self.status != 204 and self.then == "end":
            yield b"0\r\n\r\n"

    def _framed(self, piece: bytes) -> tuple[bytes, bytes, bytes]:
        if self.framing != "chunked":
            return b"", piece, b""
        return b"%x\r\n" % len(piece), piece, b"\r\n"

    def passed(self) -> bytes:
        """The part of the body that passes before the cut."""
        assert self.cut is not None
        left = self.cut - len(self.head)
        passed = b""
        for piece in self.body:
            before, piece, after = self._framed(piece)
            left -= len(before)
            passed += piece[: max(left, 0)]
            left -= len(piece) + len(after)
        return passed


Answer: TypeAlias = Callable[[Log, Request], Reply]
"""Makes the reply to a request for a log."""


@dataclass(kw_only=True)
class Place:
    """A prefix of the path, with what is behind it.

    Attributes:
        log: The execution there.
        plan: The answers to the next requests, by the kind of request. ``about later``
            are those after a request for events.
        requests: Those that have arrived.
        open: The connections that are open.
        started: The execution of each ``Idempotency-Key``.
        cancelled: Whether a ``DELETE`` has arrived.
        running: Whether the execution runs: until its stream was sent as usual.
        answered: The body of the answer to question 1; None while it is open.
    """

    log: Log
    plan: dict[str, deque[Answer]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    open: int = 0
    started: dict[str | None, str] = field(default_factory=dict)
    cancelled: bool = False
    running: bool = False
    answered: bytes | None = None

    def of(self, kind: str) -> list[Request]:
        """The requests of a kind."""
        return [request for request in self.requests if request.kind == kind]

    def answer(self, request: Request) -> Reply:
        """What a request gets next."""
        self.requests.append(request)
        if request.kind == "cancel":
            self.cancelled = True
        kind = request.kind
        if kind == "about" and self.of("events"):
            kind = "about later"
        plan = self.plan.get(kind)
        if not plan:
            return self.usual(request)
        reply = plan.popleft()(self.log, request)
        if kind == "answer" and reply.cut is not None:  # it was taken all the same
            self.taken(request)
        return reply

    def usual(self, request: Request) -> Reply:
        """What a real server answers."""
        match request.kind:
            case "start":
                key = request.headers.get("idempotency-key")
                self.started.setdefault(key, self.log.name)
                return told(202, about(self.log))
            case "about" if self.running:
                return told(200, about(self.log, **_RUNNING))
            case "about" | "cancel":
                return told(200, about(self.log))
            case "events":
                self.running = False
                return resumed(self.log, request)
            case "answer":
                return self.taken(request)
        return problem(404, f"There is nothing at {request.path!r}.")

    def taken(self, request: Request) -> Reply:
        """What a real server answers to an answer; the first one counts."""
        first, self.answered = self.answered, self.answered or request.body
        if first is None or first == request.body:
            return told(201 if first is None else 200, QUESTION)
        return problem(409, "It was answered.", action="accept", by="bob")


QUESTION = {
    "n": 1,
    "address": "research",
    "message": "More tea?",
    "response_schema": {"type": "boolean"},
    "expires": None,
    "to": None,
    "answer": {"action": "accept", "by": "ann", "timestamp": "2026-01-02T03:04:06Z"},
}
"""What a server says of a question that was answered."""

_RUNNING = {
    "status": "started",
    "ended": None,
    "result": None,
    "error": None,
    "last": 0,
}


def about(log: Log, **more: Any) -> dict[str, Any]:
    """What a server says of an execution that has ended."""
    terminal = log.value(log.last)
    failed = log.status != "completed"
    return {
        "id": log.name,
        "actor": "research",
        "status": log.status,
        "created": "2026-01-02T03:04:05Z",
        "ended": terminal["timestamp"],
        "result": terminal.get("result"),
        "error": terminal["message"] if failed else None,
        "progress": None,
        "last": log.last,
        "viewers": 0,
        "links": {},
        **more,
    }


def told(
    status: int,
    value: Any,
    headers: Mapping[str, str] | None = None,
    media_type: str = "application/json",
) -> Reply:
    """A response of JSON."""
    return Reply(
        status=status,
        headers={"content-type": media_type, **(headers or {})},
        body=[json.dumps(value).encode()],
        framing="length",
    )


def problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None, **more: Any
) -> Reply:
    """A problem (RFC 9457)."""
    body = {"type": "about:blank", "title": "A fault", "status": status}
    body |= {"detail": detail, **more}
    return told(status, body, headers, "application/problem+json")


def resumed(log: Log, request: Request) -> Reply:
    """The stream after ``Last-Event-ID``, as ``docs/wire.md`` describes it."""
    position, reason = _position(log, request.last_event_id)
    if position == log.last:
        return Reply(status=204)
    body = log.start
    if reason is not None:
        body += frames.reset(reason, 1)
    body += log.frames(position) + log.end
    return Reply(headers=SSE, body=[body])


def _position(log: Log, last_event_id: str | None) -> tuple[int, str | None]:
    if not last_event_id:
        return 0, None
    parsed = parse_event_id(last_event_id)
    if parsed is None:
        return 0, "malformed"
    if parsed.execution != log.name:
        return 0, "foreign"
    if parsed.number > log.last or parsed.lost != (
        log.lost and parsed.number == log.last
    ):
        return 0, "future"
    return parsed.number, None
