"""The life of an execution: start, record, follow, cancel, drain."""

from asgi_events.executions.execution import Execution
from asgi_events.executions.executions import Executions
from asgi_events.executions.options import ExecutionsOptions

__all__ = ["Execution", "Executions", "ExecutionsOptions"]
