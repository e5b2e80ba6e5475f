"""How long to wait before the next try, and when to give up."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from asgi_events.client.actions import Plan, Sleep
from asgi_events.client.terms import Terms
from asgi_events.exceptions import Refused, Unreachable

logger = logging.getLogger(__name__)

LONGEST = 15.0  # seconds between two tries
LONGEST_ASKED = 60.0  # seconds that a Retry-After may ask for
SHORTEST_TRY = 1.0  # seconds, for the last one too


class Patience:
    """Waits between the tries of one stream, or of one request.

    Args:
        terms: When to give up, and whom to tell.
        url: What is asked for.

    Attributes:
        retry: Seconds before the first new try; the server may say others.
        is_in_doubt: Whether a try that has failed may have done what it asked for.
    """

    def __init__(self, terms: Terms, url: str) -> None:
        self.retry = 1.0
        self.is_in_doubt = False
        self._terms = terms
        self._url = url
        self._failures = 0
        self._since: float | None = None
        self._before: float | None = None

    def left(self) -> float | None:
        """Count from now, if nothing has failed yet; return the seconds for a try."""
        now, longest = self._terms.clock(), self._terms.give_up_after
        if self._since is None:
            self._since = now
        return longest and max(self._since + longest - now, SHORTEST_TRY)

    def connected(self) -> None:
        """Count a connection that works: bytes have come."""
        self._before, self._since = self._since, None

    def advanced(self) -> None:
        """Count an event that is new."""
        self._failures = 0
        self._before = None

    def discount(self) -> None:
        """Take ``connected`` back: the server has skipped events."""
        self._since = self._before

    def pause(
        self, reason: str, *, error: Exception | None, asked: float | None = None
    ) -> Plan[None]:
        """Wait after a failure.

        Args:
            reason: What has failed, for people.
            error: The same as an exception.
            asked: Seconds that the server asks for.

        Raises:
            Refused: It has failed for too long, and the server says that it is busy.
            Unreachable: It has failed for too long.
        """
        now = self._terms.clock()
        if self._since is None:
            self._since = now
        longest = self._terms.give_up_after
        if longest is not None and now - self._since >= longest:
            if isinstance(error, Refused):
                raise error
            raise Unreachable(
                self._url, f"given up after {longest:g} s; {reason}"
            ) from error
        own = self._next()
        seconds = asked or own
        if longest is not None:  # the last try is at the end of that time
            seconds = min(seconds, self._since + longest - now)
        yield from self.wait(reason, seconds)

    def wait(self, reason: str, seconds: float) -> Plan[None]:
        """Wait for a time that is given, and tell."""
        if self._terms.on_reconnect is not None:
            try:
                self._terms.on_reconnect(reason, seconds)
            except Exception:
                logger.exception("on_reconnect has failed.")
        yield Sleep(seconds)

    def _next(self) -> float:
        # NOTE: 2 ** 64 is enough for any retry; no float overflows.
        seconds = min(self.retry * 2.0 ** min(self._failures, 64), LONGEST)
        self._failures += 1
        return seconds * (0.5 + self._terms.dice() / 2)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that a ``Retry-After`` asks for; None if it asks for none.

    Spec: RFC 9110, section 10.2.3.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:15]), LONGEST_ASKED)
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return min(max((date - now).total_seconds(), 0.0), LONGEST_ASKED)
