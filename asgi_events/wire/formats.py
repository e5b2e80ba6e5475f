"""Formats: the bytes that one kind of client gets for the frames of a log.

A log stores native frames, so the native format copies them. Any other format gets the
JSON of each event, in order, and translates it. It may keep what it needs of earlier
events of the same execution. It is pure: the same events give the same bytes, live or
replayed, and for all viewers. So the viewers of one log in one format share what it
makes. To add a format, write a class of this shape in a new module, and pass it to
``ExecutionResponse(execution, format=…)``.

An event may become several blocks of an event stream, each with an id, for which there
is ``frames.block_ids``. A client then resumes after the last block that it has.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Literal, Protocol, runtime_checkable

from asgi_events.wire import frames
from asgi_events.wire.sse import KEEP_ALIVE, MEDIA_TYPE, STREAM_START

Reason = Literal["backlog", "draining", "max_duration"]
"""Why a connection ends while its execution runs on."""


class Format(Protocol):
    """One format. The class is the format: an object has the state of one translation.

    Each viewer has an object for what it is sent beside the events. Another object,
    which many viewers share, translates the events of the log. So only ``frame`` may
    depend on events, and nothing may depend on the viewer: what the class is made with
    may say of which execution the events are, and no more; see ``PausingFormat.key``.

    A method returns None if the format has no word for something and its clients take
    the clean end of a body for success. Then the connection breaks instead.

    Attributes:
        media_type: The content type of the response. If it is ``text/…`` and names no
            charset, ``charset=utf-8`` is added.
        headers: Further response headers.
        greeting: The first bytes of the body; may be empty.
        heartbeat: The bytes that are sent when nothing else was sent for a while.
    """

    media_type: str
    headers: Mapping[str, str]
    greeting: bytes
    heartbeat: bytes

    def retry(self, milliseconds: int) -> bytes:
        """Return the delay of reconnects; it precedes the first frame."""

    def frame(self, number: int, event_id: bytes, payload: bytes) -> bytes:
        """Return one event; b"" if this format has no word for it.

        It is called for all events, in order, from number 1, or from the one that
        ``reset`` has named. A client that resumes is sent the words it does not have.

        Args:
            number: The event's number in its execution, from 1.
            event_id: The id with which a client resumes; b"" if it has none.
            payload: Its JSON, one line.
        """

    def reset(self, reason: str, first: int) -> bytes | None:
        """Return: what the client has is void, events follow from number ``first``.

        It precedes all frames of a connection, and of a translation that begins with
        ``first`` because the events before it are gone. Frames may then depend on
        ``first``, but not on ``reason``. Where events are lost in the middle of a
        connection, that breaks, since a client can hardly take back what it has.
        """

    def end(self, status: str | None) -> bytes | None:
        """Return: the execution has ended, and this is the end of its stream."""

    def goodbye(self, reason: Reason) -> bytes | None:
        """Return: the connection ends, its execution does not; reconnect."""


@runtime_checkable
class PausingFormat(Format, Protocol):
    """A format whose streams end while their execution waits for somebody.

    A stream that has been given all events so far, and after which the format has
    waited for ``PAUSE`` seconds, ends with ``pause()``, and with a clean end of the
    body. Then the client makes another request.

    Attributes:
        key: What else than its class decides which words it makes: of viewers with the
            same one, ``frame`` and ``pause`` return the same.
    """

    key: Hashable

    @property
    def waits(self) -> bool:
        """Whether the execution waits for somebody, after the newest event."""

    def pause(self) -> bytes:
        """Return the end of a stream there; it changes nothing."""


PAUSE = 0.1
"""Seconds in which more may be asked, and be said in the same stream."""


class NativeFormat:
    """Server-Sent Events as ``docs/wire.md`` describes them: frames unchanged."""

    media_type = MEDIA_TYPE
    headers: Mapping[str, str] = {}
    greeting = STREAM_START
    heartbeat = KEEP_ALIVE

    def retry(self, milliseconds: int) -> bytes:
        """Return a line of the first block; as a block it would be an empty message."""
        return b"retry: %d\n" % milliseconds

    def frame(self, number: int, event_id: bytes, payload: bytes) -> bytes:
        """Return the frame of an event, byte for byte as it is stored."""
        return frames.join(payload, event_id)

    def reset(self, reason: str, first: int) -> bytes:
        """Return an event named ``reset``."""
        return frames.reset(reason, first)

    def end(self, status: str | None) -> bytes:
        """Return an event named ``end``, at which the page closes its source."""
        return frames.end(status)

    def goodbye(self, reason: Reason) -> bytes:
        """Return an event named ``goodbye``, with its own delay."""
        return frames.goodbye(reason)


NATIVE = NativeFormat()
"""The native format. It has no state, so all viewers share it."""
