"""Formats: what the frames of a log look like to one kind of client.

A log stores native frames, so the native format copies them. Any other format
translates: it is given the JSON of each event, in order, and may keep what it needs
to know of earlier events of the same execution. It is pure: the same events give the
same bytes, live and in a replay. One new module with a class of this shape is all that
a new format needs; give the class to ``ExecutionResponse(execution, format=…)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from asgi_events.wire import frames
from asgi_events.wire.sse import KEEP_ALIVE, MEDIA_TYPE, STREAM_START

Reason = Literal["backlog", "draining", "max_duration"]
"""Why a connection ends though its execution runs on."""


class Format(Protocol):
    """The state of one viewer in one format; a class of it is a format.

    Where a method returns None, the client has no word for that and would take the
    clean end of the body for success: the connection is broken off instead.

    Attributes:
        media_type: The content type of the response.
        headers: Further response headers.
        greeting: What is sent as soon as the connection is there; may be empty.
        heartbeat: What is sent when nothing else was for a while.
    """

    media_type: str
    headers: Mapping[str, str]
    greeting: bytes
    heartbeat: bytes

    def retry(self, milliseconds: int) -> bytes:
        """How long a client waits before it reconnects; it precedes the first frame."""

    def frame(self, number: int, event_id: bytes, payload: bytes) -> bytes:
        """One event; empty where this format has no word for it.

        Args:
            number: The event's number in its execution, from 1.
            event_id: Its id, with which a client resumes; empty where it has none.
            payload: Its JSON, one line.
        """

    def reset(self, reason: str, first: int) -> bytes | None:
        """What came before is void; events follow from number ``first``."""

    def end(self, status: str | None) -> bytes | None:
        """The execution is over, and this is the end of its stream."""

    def goodbye(self, reason: Reason) -> bytes | None:
        """The connection ends, its execution does not; the client is to reconnect."""


class NativeFormat:
    """Server-Sent Events as ``docs/wire.md`` describes them: frames as they are."""

    media_type = MEDIA_TYPE
    headers: Mapping[str, str] = {}
    greeting = STREAM_START
    heartbeat = KEEP_ALIVE

    def retry(self, milliseconds: int) -> bytes:
        """A line of the first block: a block of its own would be an empty message."""
        return b"retry: %d\n" % milliseconds

    def frame(self, number: int, event_id: bytes, payload: bytes) -> bytes:
        """The frame of an event, byte for byte as it is stored."""
        return frames.join(payload, event_id)

    def reset(self, reason: str, first: int) -> bytes:
        """An event named ``reset``."""
        return frames.reset(reason, first)

    def end(self, status: str | None) -> bytes:
        """An event named ``end``, at which an ``EventSource`` closes."""
        return frames.end(status)

    def goodbye(self, reason: Reason) -> bytes:
        """An event named ``goodbye``, with a delay of its own."""
        return frames.goodbye(reason)


NATIVE = NativeFormat()
"""The native format, which keeps nothing of its viewers."""
