"""Stream what a long async job is doing to the browser, live and resumable.

An execution publishes events; its log numbers them; a stream is a cursor on that log.
"""

from asgi_events.actors import agent, llm, tool
from asgi_events.app import EventsApp
from asgi_events.bus import EventBus
from asgi_events.events import (
    EventType,
    ExecutionEvent,
    ExecutionResult,
    ExecutionStatus,
    Message,
)
from asgi_events.executions import Executions
from asgi_events.middleware import EventsMiddleware
from asgi_events.printer import EventPrinter
from asgi_events.responses import EventSourceResponse
from asgi_events.sse import ServerSentEvent
from asgi_events.state import ExecutionState, current_state
from asgi_events.streamer import EventStreamer

__version__ = "0.1.0"

__all__ = [
    "EventBus",
    "EventPrinter",
    "EventSourceResponse",
    "EventStreamer",
    "EventType",
    "EventsApp",
    "EventsMiddleware",
    "ExecutionEvent",
    "ExecutionResult",
    "ExecutionState",
    "ExecutionStatus",
    "Executions",
    "Message",
    "ServerSentEvent",
    "agent",
    "current_state",
    "llm",
    "tool",
]
