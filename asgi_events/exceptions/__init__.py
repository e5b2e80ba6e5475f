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
├── UnknownQuestion         the execution has asked no such question
├── NotAnswered             no answer to a question: raised where it was asked
│   ├── InputDeclined       somebody has declined to answer
│   └── InputExpired        nobody has answered in time
├── AnswerRefused           an answer to a question came too late
│   ├── AlreadyAnswered     another answer was first
│   └── QuestionClosed      nobody waits for the answer any more
├── Refused                 nothing was started: try again later
│   ├── Draining            the process is shutting down
│   ├── LimitReached        max_executions, max_viewers or max_queued
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

from asgi_events.exceptions.access import (
    AccessDenied,
    Forbidden,
    Unauthorized,
)
from asgi_events.exceptions.client import (
    ClientError,
    MalformedEvent,
    NotAnEventStream,
    RequestFailed,
    TooManyResets,
    Unreachable,
)
from asgi_events.exceptions.executions import (
    Draining,
    EventTooLarge,
    ExecutionCancelled,
    ExecutionFailed,
    ExecutionLost,
    Gone,
    IdempotencyConflict,
    InvalidInput,
    LimitReached,
    Refused,
    ResultGone,
    ThreadBusy,
    UnknownActor,
    UnknownExecution,
)
from asgi_events.exceptions.questions import (
    AlreadyAnswered,
    AnswerRefused,
    InputDeclined,
    InputExpired,
    NotAnswered,
    QuestionClosed,
    UnknownQuestion,
)
from asgi_events.exceptions.root import (
    AsgiEventsError,
)
from asgi_events.exceptions.stores import (
    Busy,
    Ended,
    Fenced,
    Gap,
    Missing,
    StoreError,
    Unavailable,
)

__all__ = [
    "AccessDenied",
    "AlreadyAnswered",
    "AnswerRefused",
    "AsgiEventsError",
    "Busy",
    "ClientError",
    "Draining",
    "Ended",
    "EventTooLarge",
    "ExecutionCancelled",
    "ExecutionFailed",
    "ExecutionLost",
    "Fenced",
    "Forbidden",
    "Gap",
    "Gone",
    "IdempotencyConflict",
    "InputDeclined",
    "InputExpired",
    "InvalidInput",
    "LimitReached",
    "MalformedEvent",
    "Missing",
    "NotAnEventStream",
    "NotAnswered",
    "QuestionClosed",
    "Refused",
    "RequestFailed",
    "ResultGone",
    "StoreError",
    "ThreadBusy",
    "TooManyResets",
    "Unauthorized",
    "Unavailable",
    "UnknownActor",
    "UnknownExecution",
    "UnknownQuestion",
    "Unreachable",
]
