r"""The wire format of Server-Sent Events, without I/O.

Spec: https://html.spec.whatwg.org/multipage/server-sent-events.html

Four rules are our own. A real client breaks without each of them:

1. Lines end in LF, never CRLF: @ag-ui/client splits frames on two LFs only.
2. A comment is ONE line and no blank line follows: ``: keep-alive\n``. A blank line
   after a comment is an empty message in fetch-event-source, and in httpx-sse and
   openai after the first id.
3. A block always has ``data``: one with only ``id`` or ``retry`` is a phantom message
   in the same clients.
4. ``id`` comes after ``data``. fetch-event-source takes an event as seen when it has
   read the id. If the id came first and the connection broke in the data, the event
   would be lost.
"""

import codecs
import re
from dataclasses import dataclass

MEDIA_TYPE = "text/event-stream"

STREAM_START = b": stream-start\n"
KEEP_ALIVE = b": keep-alive\n"

MAX_CHUNK = 64 * 1024
"""Bytes to join into one write. Above this, the cost is in bytes, not in calls."""

_LINE_END = re.compile(r"\r\n|\r|\n")
_FORBIDDEN = {"\r": "CR", "\n": "LF", "\0": "NUL"}


def _reject(field: str, value: str, forbidden: str) -> None:
    for character in forbidden:
        if character in value:
            raise ValueError(
                f"{field} must not contain {_FORBIDDEN[character]}, got {value!r}: "
                "it would end the line and start another field."
            )


def replace_surrogates(text: str) -> str:
    """Return ``text`` with U+FFFD for lone surrogates, which UTF-8 cannot encode."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSentEvent:
    r"""One block of an event stream.

    Args:
        data: The payload. CR LF, CR and LF separate its lines and arrive as LF.
        event: The name for ``addEventListener``; without one ``onmessage`` gets it.
        id: The client sends it as ``Last-Event-ID``; an empty one resets that.
        retry: Milliseconds that the client waits before it reconnects.
        comment: Text that clients ignore.

    Raises:
        ValueError: CR, LF or NUL in ``event`` or ``id``, CR or LF in ``comment``,
            a negative ``retry``, or ``event``, ``id`` or ``retry`` without ``data``.
        TypeError: A field of another type.
    """

    data: str | None = None
    event: str | None = None
    id: str | None = None
    retry: int | None = None
    comment: str | None = None

    def __post_init__(self) -> None:
        for field in ("data", "event", "id", "comment"):
            value = getattr(self, field)
            if value is not None and not isinstance(value, str):
                raise TypeError(f"{field} must be a str, got {type(value).__name__}")
        if self.event is not None:
            _reject("event", self.event, "\r\n\0")
        if self.id is not None:
            _reject("id", self.id, "\r\n\0")
        if self.comment is not None:
            _reject("comment", self.comment, "\r\n")
        if self.retry is not None:
            if not isinstance(self.retry, int) or isinstance(self.retry, bool):
                raise TypeError(
                    f"retry must be an int of milliseconds, got {self.retry!r}"
                )
            if self.retry < 0:
                raise ValueError(f"retry must not be negative, got {self.retry}")
        if self.data is None and (self.event, self.id, self.retry) != (
            None,
            None,
            None,
        ):
            raise ValueError(
                "event, id and retry need data: clients drop a block without it, or "
                'take it for an empty message. Pass data="".'
            )

    def encode(self) -> bytes:
        """Return the block in UTF-8."""
        lines = []
        if self.comment is not None:
            lines.append(f": {self.comment}\n")
        if self.event is not None:
            lines.append(f"event: {self.event}\n")
        if self.retry is not None:
            lines.append(f"retry: {self.retry}\n")
        if self.data is not None:
            lines.extend(f"data: {line}\n" for line in _LINE_END.split(self.data))
        if self.id is not None:
            lines.append(f"id: {self.id}\n")
        if self.data is not None:
            lines.append("\n")
        text = "".join(lines)
        try:
            return text.encode()
        except UnicodeEncodeError:
            return replace_surrogates(text).encode()


def escape_line_ends(json: bytes) -> bytes:
    """Escape U+0085, U+2028 and U+2029, which occur only in the strings of JSON.

    Clients that split lines with ``str.splitlines`` would split there.
    """
    return (
        json.replace(b"\xe2\x80\xa8", b"\\u2028")
        .replace(b"\xe2\x80\xa9", b"\\u2029")
        .replace(b"\xc2\x85", b"\\u0085")
    )


class Decoder:
    """Turns the bytes of an event stream, in chunks of any size, into events.

    Spec: section 9.2.6, "Interpreting an event stream", of the text linked above.

    Attributes:
        last_event_id: The id that a client sends when it reconnects.
        retry: The reconnection time in milliseconds, None until the stream set one.
    """

    def __init__(self, *, last_event_id: str = "") -> None:
        self.last_event_id = last_event_id
        self.retry: int | None = None
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending: list[str] = []
        self._at_start = True
        self._after_cr = False
        self._data: list[str] = []
        self._event = ""
        self._id: str | None = None
        self._retry: int | None = None

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Return the events that ``chunk`` completes, each with its own fields.

        As the specification says, comments are dropped, and a block that no blank line
        has ended is not an event.
        """
        text = self._utf8.decode(chunk)
        if text and self._at_start:
            self._at_start = False
            text = text.removeprefix("\ufeff")
        if text and self._after_cr:
            self._after_cr = False
            text = text.removeprefix("\n")
        if not text:
            return []
        # NOTE: CR ends the line at once. An LF at the start of the next chunk belongs
        # to it. To wait for the LF would delay the last event of a quiet stream.
        self._after_cr = text.endswith("\r")
        first, *lines = _LINE_END.split(text)
        # Joined once: a long line that is joined with each chunk takes quadratic time.
        self._pending.append(first)
        if not lines:
            return []
        *lines, rest = "".join(self._pending), *lines
        self._pending = [rest]
        return [event for line in lines if (event := self._take(line)) is not None]

    def _take(self, line: str) -> ServerSentEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            # Clients keep it in 32 bits; int() raises for thousands of digits.
            self._retry = self.retry = int(value[:15])
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        if self._id is not None:
            self.last_event_id = self._id
        event = None
        if self._data:
            event = ServerSentEvent(
                data="\n".join(self._data),
                event=self._event.replace("\0", "\ufffd") or None,
                id=self._id,
                retry=self._retry,
            )
        self._data, self._event, self._id, self._retry = [], "", None, None
        return event
