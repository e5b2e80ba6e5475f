"""A world without I/O and without time, in which the plans of a client run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel

from asgi_events.client.actions import (
    Answer,
    Authorize,
    Broken,
    Close,
    Done,
    Emit,
    Follow,
    Plan,
    Read,
    Send,
    Sleep,
    Steps,
)
from asgi_events.client.following import Following
from asgi_events.client.terms import Terms
from asgi_events.events import CompleteEvent, ErrorEvent
from asgi_events.wire.decoding import AnyEvent, EventDecoder
from asgi_events.wire.encoding import encode_json
from asgi_events.wire.frames import end, frame

BASE = "https://a.example/events"
ID = "4ad0"
URL = f"{BASE}/executions/{ID}"
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

REFUSED = Broken("connection refused", ConnectionRefusedError())
CUT = Broken("cut", ConnectionResetError())
SILENT = Broken("no byte")  # for as long as the client waits


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A response: its head, and what is read of it."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: tuple[bytes | Broken, ...] = ()
    redirect: str | None = None


def stream(*body: bytes | Broken) -> Reply:
    """A stream: each argument is read at once."""
    return Reply(
        headers={"content-type": "text/event-stream; charset=utf-8"}, body=body
    )


def answer(status: int, members: Any, **headers: str) -> Reply:
    """A response of JSON; ``retry_after=`` is the header ``Retry-After``."""
    kind = "application/json" if status < 400 else "application/problem+json"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(
        status=status,
        headers={"content-type": kind, **named},
        body=(encode_json(members),),
    )


def about(status: str = "started", **members: Any) -> Reply:
    """How the execution stands."""
    return answer(200, {"id": ID, "actor": "count", "status": status, **members})


def problem(status: int, detail: str, **members: Any) -> dict[str, Any]:
    return {"title": "T", "status": status, "detail": detail, **members}


def event(number: int, data: Any = None, id: str = ID) -> bytes:
    """A frame; by default of ``{"n": number}``."""
    data = {"n": number} if data is None else data
    return frame(id.encode(), number, encode_json(data))


def events(first: int, last: int) -> bytes:
    return b"".join(event(number) for number in range(first, last + 1))


def finish(number: int, result: Any = 7) -> bytes:
    """The terminal event and the end."""
    return complete(number, result) + end("completed")


def complete(number: int, result: Any = 7) -> bytes:
    return event(number, CompleteEvent(result=result))


def failed(number: int, message: str = "No tea.") -> bytes:
    return event(number, ErrorEvent(message=message)) + end("failed")


class World:
    """Answers requests in the order of its script, and notes what it is asked for.

    Args:
        script: What each request gets.
        options: Of the client: ``give_up_after`` say.

    Attributes:
        requests: Method, path below the base, ``Last-Event-ID`` or None.
        sent: The requests themselves.
        followed: The redirects that were followed.
        pauses: Seconds.
        told: What ``on_reconnect`` was told.
        tokens: What ``auth`` gives, one after the other; the last one for ever.
        asked: How often ``auth`` was asked.
    """

    def __init__(self, *script: Reply | Broken, **options: Any) -> None:
        self.requests: list[tuple[str, str, str | None]] = []
        self.sent: list[Send] = []
        self.followed: list[Follow] = []
        self.pauses: list[float] = []
        self.told: list[tuple[str, float]] = []
        self.tokens = ["t"]
        self.asked = 0
        self.time = 1000.0
        self._script = list(script)
        self._body: list[bytes | Broken] | None = None
        self.terms = Terms(
            base=BASE,
            clock=lambda: self.time,
            now=lambda: NOON + timedelta(seconds=self.time - 1000.0),
            dice=lambda: 1.0,
            on_reconnect=lambda reason, seconds: self.told.append((reason, seconds)),
            **options,
        )

    def run(self, plan: Plan[Any], seen: list[AnyEvent] | None = None) -> Any:
        """Run a plan to its end; return what it returns."""
        steps = Steps(plan)
        action = steps.begin()
        while not isinstance(action, Done):
            outcome: Any = None
            match action:
                case Authorize():
                    self.asked += 1
                    token = self.tokens[0]
                    if len(self.tokens) > 1:
                        self.tokens.pop(0)
                    outcome = {"Authorization": token}
                case Send():
                    outcome = self._send(action)
                case Follow():
                    self.followed.append(action)
                    self._body = None
                    outcome = self._send(self.sent[-1])
                case Read():
                    assert self._body is not None, "there is no response to read"
                    outcome = self._body.pop(0) if self._body else None
                case Close():
                    self._body = None
                case Sleep():
                    assert self._body is None, "a response was left open"
                    self.pauses.append(action.seconds)
                    self.time += action.seconds
                case Emit():
                    assert seen is not None
                    seen.append(action.event)
            action = steps.done(outcome)
        assert self._body is None, "a response was left open"
        assert not self._script, f"was not asked for {self._script}"
        return action.value

    def follow(
        self, after: int = 0, types: Iterable[type[BaseModel]] = ()
    ) -> tuple[list[Any], Following]:
        """Follow the execution; return what the user sees, and the stream."""
        decoder = EventDecoder(types)
        following = Following(self.terms, ID, after=after, decoder=decoder)
        seen: list[AnyEvent] = []
        self.run(following.plan(), seen)
        return seen, following

    def _send(self, send: Send) -> Answer | Broken:
        assert self._body is None, "a response was left open"
        path = send.url.removeprefix(BASE)
        self.requests.append((send.method, path, send.headers.get("last-event-id")))
        self.sent.append(send)
        assert self._script, f"nobody expects {send}"
        reply = self._script.pop(0)
        if reply is SILENT:
            waits = (self.terms.stall_timeout, send.timeout)
            self.time += min(wait for wait in waits if wait is not None)
        if isinstance(reply, Broken):
            return reply
        self._body = list(reply.body)
        return Answer(
            status=reply.status,
            url=send.url,
            headers=reply.headers,
            redirect=reply.redirect,
        )


def numbers(seen: Iterable[Any]) -> list[Any]:
    """Shorten what was seen: numbers, the reasons of resets, terminal types."""
    return [
        each["n"] if isinstance(each, dict) and "n" in each else _short(each)
        for each in seen
    ]


def _short(each: Any) -> str:
    if isinstance(each, dict):
        return str(each.get("event_type"))
    return str(getattr(each, "reason", each.event_type))
