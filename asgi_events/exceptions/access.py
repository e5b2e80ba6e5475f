"""What an ``authorize`` hook raises."""

from asgi_events.checks import check_value
from asgi_events.exceptions.root import AsgiEventsError


class AccessDenied(AsgiEventsError):
    """An ``authorize`` hook refuses a request; raise one of the two below."""


class Unauthorized(AccessDenied):
    """The caller is not known: 401.

    Args:
        message: The message that the client gets.
        challenge: The value of ``WWW-Authenticate`` (RFC 9110, section 11.6.1).

    Raises:
        ValueError: A header cannot have that value.
    """

    def __init__(
        self, message: str = "Authentication is needed.", *, challenge: str = "Bearer"
    ) -> None:
        check_value("www-authenticate", challenge)
        self.challenge = challenge
        super().__init__(message)


class Forbidden(AccessDenied):
    """The caller is known and may not do this: 403."""

    def __init__(self, message: str = "You may not do this.") -> None:
        super().__init__(message)
