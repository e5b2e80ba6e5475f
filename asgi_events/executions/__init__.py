"""The life of an execution: start, record, follow, list, cancel, drain."""

from asgi_events.executions.execution import Execution
from asgi_events.executions.executions import Executions
from asgi_events.executions.listing import ANY_OWNER, ListedExecution, Listing
from asgi_events.executions.options import ExecutionsOptions

__all__ = [
    "ANY_OWNER",
    "Execution",
    "Executions",
    "ExecutionsOptions",
    "ListedExecution",
    "Listing",
]
