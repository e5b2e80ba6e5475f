"""The exceptions that this package raises.

AsgiEventsError
├── UnknownActor            no actor of that name
├── UnknownExecution        no such execution, or not the caller's
├── InvalidInput            the actor's input did not validate
├── IdempotencyConflict     the key was used with another request
├── EventTooLarge           an event has more bytes than max_event_bytes
├── Gone                    what was started has ended and is not kept any more
├── ExecutionFailed         no result: the execution failed
│   ├── ExecutionCancelled  no result: it was cancelled
│   └── ExecutionLost       no result: the process that ran it died
├── ResultGone              the execution has ended and its result is not kept
├── Refused                 nothing was started: try again later
│   ├── Draining            the process is shutting down
│   ├── LimitReached        max_executions or max_viewers
│   └── ThreadBusy          an execution of the thread still runs
├── AccessDenied            raised by an ``authorize`` hook
│   ├── Unauthorized        the caller is not known
│   └── Forbidden           the caller may not do this
├── ClientError             raised by ``asgi_events.client``
│   ├── RequestFailed       the server has answered with another error
│   ├── Unreachable         no connection, again and again
│   ├── NotAnEventStream    the response is something else, a page say
│   ├── MalformedEvent      an event of the stream is not JSON
│   └── TooManyResets       the server resets the stream for ever
└── StoreError              a store could not do what was asked
    ├── Busy                another worker holds the execution
    ├── Gap                 the append does not continue the log
    ├── Fenced              another writer has taken the log over
    │   └── Missing         there is no such log
    ├── Ended               the log has its terminal event
    └── Unavailable         the store did not answer: repeat the same call
"""

from typing import Any, Self

from pydantic import ValidationError

from asgi_events.checks import check_value


class AsgiEventsError(Exception):
    """The root of the tree above."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Task queues pickle what a job raises; ``__init__`` takes other arguments.
        return self._restore, (self.args, self.__dict__)

    @classmethod
    def _restore(cls, args: tuple[Any, ...], facts: dict[str, Any]) -> Self:
        error = cls.__new__(cls, *args)
        error.__dict__.update(facts)
        return error


class UnknownActor(AsgiEventsError):
    """There is no actor of that name."""

    def __init__(self, name: str, known: list[str]) -> None:
        self.name = name
        self.known = known
        super().__init__(f"No actor is called {name!r}; there are: {', '.join(known)}.")


class UnknownExecution(AsgiEventsError):
    """There is no such execution, or it belongs to another owner."""

    def __init__(self, id: str) -> None:
        self.id = id
        super().__init__(
            f"No execution {id!r}: it never was, its retention is over, it belongs to "
            "another owner, or it is held in the memory of another process, or of one "
            "that has gone: processes that share executions need a store=."
        )


class InvalidInput(AsgiEventsError):
    """The input of an actor did not validate.

    Attributes:
        errors: Pydantic's errors, without the input itself.
    """

    def __init__(self, actor: str, errors: list[Any]) -> None:
        self.actor = actor
        self.errors = errors
        super().__init__(f"The input of {actor!r} is not valid: {errors}")

    @classmethod
    def of(cls, actor: str, error: ValidationError) -> Self:
        """Make one of pydantic's error, without the input, which may be private."""
        errors = error.errors(
            include_url=False, include_input=False, include_context=False
        )
        return cls(actor, list(errors))


class IdempotencyConflict(AsgiEventsError):
    """An ``Idempotency-Key`` came again with another actor or another input."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(
            f"Idempotency-Key {key!r} was used for another request; "
            "a new request needs a new key."
        )


class EventTooLarge(AsgiEventsError, ValueError):
    """An event was not published, because it has too many bytes.

    Attributes:
        size: Bytes that it has as JSON.
        limit: Bytes that it may have: ``max_event_bytes``.
    """

    def __init__(self, kind: str, size: int, limit: int) -> None:
        self.size = size
        self.limit = limit
        super().__init__(
            f"The {kind} has {size} bytes as JSON, and max_event_bytes={limit}: "
            "publish it in parts, or where it is to be found; or raise the option."
        )


class Gone(AsgiEventsError):
    """An ``Idempotency-Key`` or an id came again after the retention of its execution.

    Attributes:
        key: The key; None if the id was given.
        id: The execution's id.
    """

    def __init__(self, key: str | None, id: str) -> None:
        self.key = key
        self.id = id
        what, new = f"Idempotency-Key {key!r} has started execution {id!r}", "key"
        if key is None:
            what, new = f"Execution {id!r} was started before", "id"
        super().__init__(
            f"{what}, which is over and no longer kept; nothing was started. "
            f"A new request needs a new {new}."
        )


class ExecutionFailed(AsgiEventsError):
    """An execution has no result, because it failed.

    Attributes:
        id: The execution's id.
        status: How it ended: ``failed``, ``cancelled`` or ``lost``.
        message: The message that viewers saw.
    """

    def __init__(self, id: str, status: str, message: str) -> None:
        super().__init__(id, status, message)  # so that queues can send it
        self.id = id
        self.status = status
        self.message = message

    def __str__(self) -> str:
        how = _HOW.get(self.status, f"ended as {self.status!r}")
        return f"Execution {self.id} has no result, it {how}: {self.message}"


class ExecutionCancelled(ExecutionFailed):
    """An execution has no result, because it was cancelled."""


class ExecutionLost(ExecutionFailed):
    """An execution has no result, because the process that ran it died."""


_HOW = {"failed": "failed", "cancelled": "was cancelled", "lost": "was lost"}


class ResultGone(AsgiEventsError):
    """An execution has ended, and its result is not kept any more.

    Attributes:
        id: The execution's id.
    """

    def __init__(self, id: str) -> None:
        super().__init__(
            f"The result of execution {id} is not kept any more; it is kept for "
            "``retention`` seconds after the end."
        )
        self.id = id


class Refused(AsgiEventsError):
    """Nothing was started: try again later.

    Attributes:
        status: The HTTP status of the response.
        retry_after: Seconds after which to try again.
    """

    status: int = 503
    retry_after: int = 5


class Draining(Refused):
    """The process is shutting down and starts nothing more."""

    def __init__(self) -> None:
        super().__init__("This process is shutting down; another one will serve you.")


class LimitReached(Refused):
    """``max_executions`` are running, or ``max_viewers`` are watching.

    Attributes:
        option: The name of the option.
        limit: Its value.
    """

    status = 429
    retry_after = 1

    def __init__(self, option: str, limit: int) -> None:
        self.option = option
        self.limit = limit
        super().__init__(f"{option}={limit} is reached; try again when one has ended.")


class ThreadBusy(Refused):
    """The newest execution of a thread still runs.

    Attributes:
        thread: The thread.
        execution_id: The id of that execution.
    """

    status = 409
    retry_after = 1

    def __init__(self, thread: str, execution_id: str) -> None:
        self.thread = thread
        self.execution_id = execution_id
        super().__init__(
            f"Thread {thread!r} is busy with execution {execution_id!r}; nothing was "
            "started. Wait for its end or cancel it, then start again."
        )


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
