"""Frames: one event each, numbered, as they are stored and as they go on the wire."""

import random
import re
from typing import Literal, NamedTuple

from pydantic_core import to_json

from asgi_events.events import LostEvent
from asgi_events.wire.encoding import encode_json
from asgi_events.wire.sse import ServerSentEvent

# 20 digits hold any number a log can reach; int() refuses thousands of them.
_EVENT_ID = re.compile(r"([^:]+):([0-9]{1,20})(:lost)?", re.ASCII)


class EventId(NamedTuple):
    """The id of a frame.

    Attributes:
        execution: The execution's id.
        number: The frame's number.
        lost: Whether it is the terminal frame of an execution that was lost.
    """

    execution: str
    number: int
    lost: bool = False


def parse_event_id(event_id: str) -> EventId | None:
    """The parts of an ``id``; None for what we never sent."""
    match = _EVENT_ID.fullmatch(event_id)
    return EventId(match[1], int(match[2]), match[3] is not None) if match else None


def frame(name: bytes | None, number: int, data: bytes) -> bytes:
    """One block of an event stream: ``data``, and last its id in an execution."""
    if name is None:
        return b"data: %b\n\n" % data
    return b"data: %b\nid: %b:%d\n\n" % (data, name, number)


def lost_frame(name: str, number: int) -> bytes:
    """The terminal frame that somebody else writes for a writer that is dead.

    Its id ends in ``:lost``, since the writer may have shown another frame of that
    number, which the store has lost: who has seen that one has not seen this.
    """
    data = encode_json(LostEvent())
    return b"data: %b\nid: %b:%d:lost\n\n" % (data, name.encode(), number)


def unstored_lost_frame(message: str) -> bytes:
    """The terminal frame for viewers here of a log that nobody can read.

    It is stored nowhere, and every process makes one of its own, so it has no id.
    """
    return frame(None, 1, encode_json(LostEvent(message=message)))


def json_block(json: bytes) -> bytes:
    """The block of one line of JSON."""
    return b"data: %b\n\n" % json


def reset(reason: str, first: int) -> bytes:
    data = to_json({"reason": reason, "first": first}).decode()
    return ServerSentEvent(event="reset", data=data).encode()


def end(status: str | None) -> bytes:
    data = to_json({"status": status}).decode()
    return ServerSentEvent(event="end", data=data).encode()


def goodbye(reason: Literal["backlog", "draining", "max_duration"]) -> bytes:
    """The end of a connection, not of its stream: the client reconnects.

    It has no id, so the client's place stands. The delay is spread, so that those who
    are sent away together do not come back together; after a backlog there is nothing
    to wait for.
    """
    shortest, longest = (50, 250) if reason == "backlog" else (1000, 4000)
    return ServerSentEvent(
        event="goodbye",
        data=encode_json({"reason": reason}).decode(),
        retry=random.randint(shortest, longest),
    ).encode()
