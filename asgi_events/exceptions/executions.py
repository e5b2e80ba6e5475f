"""What goes wrong with starting an execution, finding it, and its result."""

from __future__ import annotations

from typing import Any, Self

from pydantic import ValidationError

from asgi_events.exceptions.root import AsgiEventsError


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
    """An event has too many bytes: it was not published, or a client does not read it.

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

    @staticmethod
    def of(id: str, status: str, message: str) -> ExecutionFailed:
        """Make the exception for an execution that ended with that status."""
        return _FAILURES.get(status, ExecutionFailed)(id, status, message)

    def __str__(self) -> str:
        how = _HOW.get(self.status, f"ended as {self.status!r}")
        return f"Execution {self.id} has no result, it {how}: {self.message}"


class ExecutionCancelled(ExecutionFailed):
    """An execution has no result, because it was cancelled."""


class ExecutionLost(ExecutionFailed):
    """An execution has no result, because the process that ran it died."""


_FAILURES = {"cancelled": ExecutionCancelled, "lost": ExecutionLost}

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
    """``max_executions`` are running, ``max_viewers`` watch, or ``max_queued`` wait.

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
    """An execution of a thread runs, and the actor is to reject another one.

    Attributes:
        thread: The thread.
        execution_id: The id of the execution that runs.
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
