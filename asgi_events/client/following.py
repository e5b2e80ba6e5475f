"""The plan of a stream: from an event to the end, over any number of connections."""

from __future__ import annotations

from asgi_events.client import requests
from asgi_events.client.about import status_of
from asgi_events.client.actions import (
    Broken,
    Close,
    Done,
    Emit,
    Plan,
    Read,
    Send,
    Steps,
)
from asgi_events.client.patience import Patience
from asgi_events.client.refusals import of_execution
from asgi_events.client.terms import Terms
from asgi_events.events import EventType, ExecutionStatus
from asgi_events.exceptions import MalformedEvent, NotAnEventStream, TooManyResets
from asgi_events.wire.decoding import AnyEvent, EventDecoder, ResetEvent, read_json
from asgi_events.wire.frames import parse_event_id
from asgi_events.wire.sse import MEDIA_TYPE, Decoder, ServerSentEvent

MAX_RESETS = 5
"""Resets without a new event after which the server is not believed any more."""

_ENDS: dict[str, str] = {
    EventType.COMPLETE: ExecutionStatus.COMPLETED,
    EventType.ERROR: ExecutionStatus.FAILED,
    EventType.CANCELLED: ExecutionStatus.CANCELLED,
    EventType.LOST: ExecutionStatus.LOST,
}

_NO_END = Broken("the stream has ended before its end")
_GAP = Broken("the stream has skipped events")

_HEADERS = {
    "accept": MEDIA_TYPE,
    # What compresses a stream may hold it back.
    "accept-encoding": "identity",
    "cache-control": "no-store",
}


class Following:
    """A stream of one execution, as one user sees it.

    Args:
        terms: What all requests have in common.
        id: The execution's id.
        after: The number of the last event that the user has.
        decoder: Makes the events.

    Attributes:
        number: The number of the last event that the user has got.
        status: How the execution ended; None until that is known.
        terminal: The terminal event; None until it has come.
    """

    def __init__(
        self, terms: Terms, id: str, *, after: int, decoder: EventDecoder
    ) -> None:
        self.number = after
        self.status: str | None = None
        self.terminal: AnyEvent | None = None
        self._terms = terms
        self._id = id
        self._url = f"{terms.execution(id)}/events"
        self._decoder = decoder
        self._patience = Patience(terms, self._url)
        self._last_id = self._id_of(after)
        self._highest = after
        self._resets = 0
        self._is_over = False

    def plan(self) -> Plan[None]:
        """Yield each event once, in order, until the end."""
        while not self._is_over:
            yield from self._watch()
        if self.status is None:
            about = yield from requests.about(self._terms, self._id)
            self.status = status_of(about.status)

    def _watch(self) -> Plan[None]:
        """Have one connection; wait before the next one if there has to be one."""
        headers = dict(_HEADERS)
        if self._last_id is not None:
            headers["last-event-id"] = self._last_id
        answer = yield from requests.answered(
            self._terms,
            self._patience,
            Send(method="GET", url=self._url, headers=headers),
            of_execution(self._id),
        )
        if answer.status == 204:
            yield Close()
            self._is_over = True
            return
        if answer.media_type != MEDIA_TYPE:
            content_type = answer.headers.get("content-type", "")
            raise NotAnEventStream(answer.url, content_type)
        ended = yield from self._read(answer.url)
        yield Close()
        if isinstance(ended, ServerSentEvent) and ended.event == "end":
            self._end(ended)
        elif self.terminal is not None:
            self._is_over = True
        elif isinstance(ended, ServerSentEvent):
            pause = self._patience.retry if ended.retry is None else ended.retry / 1000
            yield from self._patience.wait(f"goodbye, {_reason_of(ended)}", pause)
        else:
            yield from requests.lost(self._patience, ended, answer.url)

    def _read(self, url: str) -> Plan[ServerSentEvent | Broken]:
        """Read one response; return the block that ends it, or what has broken it."""
        stream = Decoder()
        held = 0  # bytes since the last whole block
        is_new = True
        while True:
            chunk = yield Read()
            if not isinstance(chunk, bytes):
                return chunk or _NO_END
            if is_new:
                self._patience.connected()
                is_new = False
            blocks = stream.feed(chunk)
            held = 0 if blocks else held + len(chunk)
            self._terms.check_size("event", held)
            for block in blocks:
                if block.event in ("end", "goodbye"):
                    return block
                if block.retry is not None:
                    self._patience.retry = block.retry / 1000
                if not (yield from self._take(block, url)):
                    self._patience.discount()
                    return _GAP
            if stream.retry is not None:  # also one that stands alone
                self._patience.retry = stream.retry / 1000

    def _take(self, block: ServerSentEvent, url: str) -> Plan[bool]:
        """Give the user an event that is new; return False if it is not the next."""
        event = self._decode(block, url)
        if isinstance(event, ResetEvent) and block.event == "reset":
            yield from self._reset(event, url)
            return True
        number = self._number_of(block)
        if number is not None:
            if number <= self.number:
                return True
            if number > self.number + 1:
                return False
            self.number = number
            self._last_id = block.id
            if number > self._highest:
                self._highest, self._resets = number, 0
        self._patience.advanced()
        if event is None:  # it has a name that only a later version knows
            return True
        self.status = _ENDS.get(_type_of(event))
        self.terminal = None if self.status is None else event
        yield Emit(event)
        return True

    def _reset(self, event: ResetEvent, url: str) -> Plan[None]:
        self._resets += 1
        if self._resets >= MAX_RESETS:
            raise TooManyResets(url, self._resets, event.reason)
        self.number = max(event.first - 1, 0)
        # With the id before it, a connection that breaks now would bring another reset.
        self._last_id = self._id_of(self.number)
        self.status = self.terminal = None
        yield Emit(event)

    def _end(self, block: ServerSentEvent) -> None:
        self._is_over = True
        word = _member(block, "status")
        if word is not None:
            self.status = status_of(word)

    def _id_of(self, number: int) -> str | None:
        return f"{self._id}:{number}" if number else None

    def _decode(self, block: ServerSentEvent, url: str) -> AnyEvent | None:
        try:
            return self._decoder.from_sse(block)
        except ValueError:
            raise MalformedEvent(block.id, url) from None

    def _number_of(self, block: ServerSentEvent) -> int | None:
        """Return the event's number; None if its id is none of this execution's."""
        event_id = parse_event_id(block.id or "")
        if event_id is None or event_id.execution != self._id:
            return None
        return event_id.number


def without_events(plan: Plan[None]) -> Plan[None]:
    """Run the plan of a stream for its end alone."""
    steps = Steps(plan)
    action = steps.begin()
    while not isinstance(action, Done):
        outcome = None if isinstance(action, Emit) else (yield action)
        action = steps.done(outcome)


def _type_of(event: AnyEvent) -> str:
    if isinstance(event, dict):
        return str(event.get("event_type"))
    return str(getattr(event, "event_type", None))


def _member(block: ServerSentEvent, name: str) -> str | None:
    """Return a str of the JSON object in a block; None if there is none."""
    try:
        data = read_json(block.data or "null")
    except ValueError:
        return None
    found = data.get(name) if isinstance(data, dict) else None
    return found if isinstance(found, str) else None


def _reason_of(goodbye: ServerSentEvent) -> str:
    return _member(goodbye, "reason") or "without a reason"
