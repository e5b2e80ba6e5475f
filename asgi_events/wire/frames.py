"""Frames: one numbered event each, in the bytes that are stored and sent.

    data: {"event_type": "log", …}
    id: b8U9…:12

A blank line ends the frame. The id is the execution's id and the event's number.
"""

import random
import re
from functools import lru_cache
from typing import Literal, NamedTuple

from pydantic_core import to_json

from asgi_events.events import LostEvent
from asgi_events.wire.encoding import encode_json
from asgi_events.wire.sse import ServerSentEvent

# 20 digits are enough for any log; int() raises an error for thousands of them.
_EVENT_ID = re.compile(
    r"([^:]+):([0-9]{1,20})(?:\.([1-9][0-9]{0,8}))?(:lost)?", re.ASCII
)


class EventId(NamedTuple):
    """The id of a frame, or of a part of one: a format may make several blocks of it.

    Attributes:
        execution: The execution's id.
        number: The number of the last frame that who has the id has whole.
        lost: Whether the frame, or part, is of the terminal frame of an execution that
            was lost.
        blocks: How many blocks of the frame after it they have as well.
    """

    execution: str
    number: int
    lost: bool = False
    blocks: int = 0


def parse_event_id(event_id: str) -> EventId | None:
    """Return the parts of an ``id``; None if it is not one of ours."""
    match = _EVENT_ID.fullmatch(event_id)
    if match is None:
        return None
    name, number, blocks, lost = match.groups()
    return EventId(name, int(number), lost is not None, int(blocks or 0))


def block_ids(event_id: bytes, count: int) -> list[bytes]:
    """Return the ids of the blocks that a format makes of one event.

    The last block has the event's own id, so ``x:12`` of three is ``x:11.1``,
    ``x:11.2``, ``x:12``. Who has no id gets none: they are empty.

    Args:
        event_id: The event's id, or b"".
        count: How many blocks there are, 1 or more.
    """
    if not event_id:
        return [b""] * count
    name, number, *lost = event_id.split(b":")
    before = b"%b:%d." % (name, int(number) - 1)
    after = b":lost" if lost else b""
    return [*(b"%b%d%b" % (before, n, after) for n in range(1, count)), event_id]


def frame(name: bytes | None, number: int, data: bytes) -> bytes:
    """Return one block of an event stream.

    Args:
        name: The execution's id; None for a frame without an id.
        number: The event's number.
        data: The event's JSON, one line.
    """
    return frame_pattern(name) % (data if name is None else (data, number))


def frame_pattern(name: bytes | None) -> bytes:
    """Return what ``%`` makes a frame of: with the JSON, and the number for an id."""
    if name is None:
        return b"data: %b\n\n"
    return b"data: %%b\nid: %b:%%d\n\n" % name.replace(b"%", b"%%")


def json_block(json: bytes) -> bytes:
    """Return a block of one line of JSON, without an id."""
    return frame(None, 0, json)


def join(payload: bytes, event_id: bytes) -> bytes:
    """Return the frame of a payload and an id, which may be empty; undoes ``split``."""
    if not event_id:
        return b"data: %b\n\n" % payload
    return b"data: %b\nid: %b\n\n" % (payload, event_id)


def split(made: bytes) -> tuple[bytes, bytes]:
    """Return the payload of a frame, one line of JSON, and its id or b""."""
    payload, _, event_id = made.partition(b"\n")
    return payload.removeprefix(b"data: "), event_id.removeprefix(b"id: ").rstrip(b"\n")


def lost_frame(name: str, number: int) -> bytes:
    """Return the terminal frame that another process writes for a dead writer.

    Its id ends in ``:lost``: the writer may have shown another frame of that number,
    which the store has lost. A viewer who has seen that frame has not seen this one.
    """
    data = encode_json(LostEvent())
    return b"data: %b\nid: %b:%d:lost\n\n" % (data, name.encode(), number)


def unstored_lost_frame(message: str) -> bytes:
    """Return the terminal frame for the viewers of a log that cannot be read.

    It has no id, because it is stored nowhere and every process makes its own.
    """
    return json_block(encode_json(LostEvent(message=message)))


def reset(reason: str, first: int) -> bytes:
    """Return the block that says: earlier events are void, ``first`` is next."""
    data = to_json({"reason": reason, "first": first}).decode()
    return ServerSentEvent(event="reset", data=data).encode()


@lru_cache(16)  # every viewer waits for it at the end
def end(status: str | None) -> bytes:
    """Return the block that says: the execution has ended, close the stream."""
    data = to_json({"status": status}).decode()
    return ServerSentEvent(event="end", data=data).encode()


def goodbye(reason: Literal["backlog", "draining", "max_duration"]) -> bytes:
    """Return the block that says: the connection ends, reconnect.

    It has no id, so the client keeps the id that it has. The delay is random, so that
    clients that are sent away together do not come back together. After a backlog it is
    short, because there is nothing to wait for.
    """
    shortest, longest = (50, 250) if reason == "backlog" else (1000, 4000)
    return ServerSentEvent(
        event="goodbye",
        data=encode_json({"reason": reason}).decode(),
        retry=random.randint(shortest, longest),
    ).encode()
