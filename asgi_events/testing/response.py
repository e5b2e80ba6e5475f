"""What an ASGI application has sent in answer to a request."""

from __future__ import annotations

from typing import Any

from asgi_events.wire.sse import MEDIA_TYPE, Decoder, ServerSentEvent


class Response:
    """A response, as far as it has been sent.

    Attributes:
        messages: All messages that the application has sent.
    """

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self._decoder = Decoder()
        self._events: list[ServerSentEvent] = []  # of the messages so far

    @property
    def status(self) -> int:
        """The status of the response."""
        status: int = self._started["status"]
        return status

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the response; of one that is repeated, the last."""
        return {n.decode(): value.decode() for n, value in self._started["headers"]}

    @property
    def bodies(self) -> list[bytes]:
        """The body of each message that has one."""
        return [m["body"] for m in self.messages[1:] if m.get("body")]

    @property
    def body(self) -> bytes:
        """The body so far."""
        return b"".join(self.bodies)

    @property
    def ended(self) -> bool:
        """Whether the application has said that its body is complete."""
        return any(is_last(message) for message in self.messages)

    def _add(self, message: dict[str, Any]) -> None:
        """Take the next message, and the events in it."""
        self.messages.append(message)
        chunk = message.get("body")
        if chunk and self._is_stream():
            self._events += self._decoder.feed(chunk)

    @property
    def _started(self) -> dict[str, Any]:
        if not self.messages:
            raise RuntimeError(
                f"{self!r} has no response yet: await its start() first."
            )
        return self.messages[0]

    def _is_stream(self) -> bool:
        return any(
            name.lower() == b"content-type" and value.startswith(MEDIA_TYPE.encode())
            for name, value in self.messages[0].get("headers", ())
        )


def is_last(message: dict[str, Any]) -> bool:
    """Whether a message says that the body is complete."""
    return message["type"] == "http.response.body" and not message.get("more_body")
