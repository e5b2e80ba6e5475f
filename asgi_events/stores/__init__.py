"""Where logs are kept; they know frames as bytes under keys."""

from asgi_events.stores.contract import (
    Ack,
    EventStore,
    Grant,
    Page,
    Position,
    Watch,
)
from asgi_events.stores.urls import open_store

__all__ = ["Ack", "EventStore", "Grant", "Page", "Position", "Watch", "open_store"]
