"""Stream what a long async job is doing to the browser, live and resumable.

An execution publishes events; its log numbers them; a stream is a cursor on that log.
"""

from asgi_events.actors.actor import agent, llm, tool
from asgi_events.actors.calls import begin, call
from asgi_events.actors.state import ExecutionState, current_state
from asgi_events.bus import EventBus
from asgi_events.events import (
    EventType,
    ExecutionEvent,
    ExecutionResult,
    ExecutionStatus,
    Message,
)
from asgi_events.executions.execution import Execution
from asgi_events.executions.executions import Executions
from asgi_events.http.app import EventsApp
from asgi_events.http.middleware import EventsMiddleware
from asgi_events.http.response import EventSourceResponse
from asgi_events.http.streamer import EventStreamer
from asgi_events.http.viewing import ExecutionResponse
from asgi_events.log import log as _log
from asgi_events.printer import EventPrinter
from asgi_events.wire.sse import ServerSentEvent

__version__ = "0.1.0"

compiled = _log.__file__.endswith((".so", ".pyd"))
"""Whether the compiled modules run, and not their sources; see docs/release.md."""

__all__ = [
    "EventBus",
    "EventPrinter",
    "EventSourceResponse",
    "EventStreamer",
    "EventType",
    "EventsApp",
    "EventsMiddleware",
    "Execution",
    "ExecutionEvent",
    "ExecutionResponse",
    "ExecutionResult",
    "ExecutionState",
    "ExecutionStatus",
    "Executions",
    "Message",
    "ServerSentEvent",
    "agent",
    "begin",
    "call",
    "current_state",
    "llm",
    "tool",
]
