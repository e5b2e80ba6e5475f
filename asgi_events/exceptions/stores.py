"""What stores raise."""

from asgi_events.exceptions.root import AsgiEventsError


class StoreError(AsgiEventsError):
    """A store could not do what was asked."""


class Busy(StoreError):
    """Another worker holds the execution's lease."""


class Gap(StoreError):
    """The append does not continue the log.

    Attributes:
        last: The number of the newest frame stored; continue there.
    """

    def __init__(self, last: int) -> None:
        self.last = last
        super().__init__(f"The log ends at {last}; append what follows it.")


class Fenced(StoreError):
    """Another writer has taken the log over; stop writing."""


class Missing(Fenced):
    """There is no such log: it has expired, was deleted, or the store has lost it."""


class Ended(StoreError):
    """The log has its terminal event, so nothing may follow."""


class Unavailable(StoreError):
    """The store did not answer, so the outcome is unknown: repeat the same call."""
