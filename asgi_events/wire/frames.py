"""Frames: one event each, numbered, as they are stored and as they are sent.

    data: {"event_type": "log", …}
    id: 6b7d…:12

and a blank line. The id is the execution's id and the event's number.
"""

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
    """One block of an event stream.

    Args:
        name: The execution's id; None for a frame without an id.
        number: The event's number.
        data: The event's JSON, one line.
    """
    if name is None:
        return b"data: %b\n\n" % data
    return b"data: %b\nid: %b:%d\n\n" % (data, name, number)


def json_block(json: bytes) -> bytes:
    """A block of one line of JSON, without an id."""
    return frame(None, 0, json)


def join(payload: bytes, event_id: bytes) -> bytes:
    """The frame of a payload and an id, which may be empty; undoes ``split``."""
    if not event_id:
        return b"data: %b\n\n" % payload
    return b"data: %b\nid: %b\n\n" % (payload, event_id)


def split(made: bytes) -> tuple[bytes, bytes]:
    """The payload of a frame, one line of JSON, and its id, which may be empty."""
    data, _, rest = made.partition(b"\n")
    return data.removeprefix(b"data: "), rest.removeprefix(b"id: ").rstrip(b"\n")


def lost_frame(name: str, number: int) -> bytes:
    """The terminal frame that another process writes for a writer that has died.

    Its id ends in ``:lost``: the writer may have shown another frame of that number,
    which the store has lost. Who has seen that one has not seen this one.
    """
    data = encode_json(LostEvent())
    return b"data: %b\nid: %b:%d:lost\n\n" % (data, name.encode(), number)


def unstored_lost_frame(message: str) -> bytes:
    """The terminal frame for viewers of this process of a log that nobody can read.

    It has no id: it is stored nowhere, and every process makes one of its own.
    """
    return json_block(encode_json(LostEvent(message=message)))


def reset(reason: str, first: int) -> bytes:
    """What came before is void, for ``reason``; events follow from number ``first``."""
    data = to_json({"reason": reason, "first": first}).decode()
    return ServerSentEvent(event="reset", data=data).encode()


def end(status: str | None) -> bytes:
    """The execution is over; an ``EventSource`` has to close by itself."""
    data = to_json({"status": status}).decode()
    return ServerSentEvent(event="end", data=data).encode()


def goodbye(reason: Literal["backlog", "draining", "max_duration"]) -> bytes:
    """The connection ends, its execution does not: the client reconnects.

    It has no id, so the client's place stands. The delay is random, so that clients
    that are sent away together do not come back together; after a backlog there is
    nothing to wait for.
    """
    shortest, longest = (50, 250) if reason == "backlog" else (1000, 4000)
    return ServerSentEvent(
        event="goodbye",
        data=encode_json({"reason": reason}).decode(),
        retry=random.randint(shortest, longest),
    ).encode()
