"""What ``asgi_events.client`` raises."""

from typing import Any

from asgi_events.exceptions.root import AsgiEventsError


class ClientError(AsgiEventsError):
    """A client could not do what was asked, and the server's own words do not fit."""


class RequestFailed(ClientError):
    """The server has answered with an error that no other exception stands for.

    Attributes:
        status: The HTTP status.
        detail: What the server says about it, or what the status means.
        url: Who has answered.
        problem: The members of the problem document (RFC 9457), ``errors`` say; empty
            if the response was none.
    """

    def __init__(
        self, status: int, detail: str, *, url: str, problem: dict[str, Any]
    ) -> None:
        self.status = status
        self.detail = detail
        self.url = url
        self.problem = problem
        super().__init__(f"{url} has answered {status}: {detail}")


class Unreachable(ClientError):
    """There was no connection, for ``give_up_after`` seconds or for good.

    Attributes:
        url: What was asked for.
        reason: What went wrong at last.
    """

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        self.reason = reason
        super().__init__(f"{url} cannot be reached: {reason}")


class NotAnEventStream(ClientError):
    """A stream was asked for, and the response is something else.

    Attributes:
        url: Who has answered.
        content_type: What the response is; empty if it does not say.
    """

    def __init__(self, url: str, content_type: str) -> None:
        self.url = url
        self.content_type = content_type
        what = content_type or "no content type"
        super().__init__(f"{url} has answered with {what}, not with an event stream.")


class MalformedEvent(ClientError):
    """The data of an event is not JSON.

    Attributes:
        id: The id of the event; None if it has none.
    """

    def __init__(self, id: str | None, url: str) -> None:
        self.id = id
        self.url = url
        what = "An event without an id" if id is None else f"Event {id}"
        super().__init__(f"{what} of {url} is not JSON.")


class TooManyResets(ClientError):
    """The server has reset the stream again and again, without a new event.

    Attributes:
        count: How often.
        reason: The reason of the last reset.
    """

    def __init__(self, url: str, count: int, reason: str) -> None:
        self.url = url
        self.count = count
        self.reason = reason
        super().__init__(
            f"{url} has reset the stream {count} times ({reason}) without a new event."
        )
