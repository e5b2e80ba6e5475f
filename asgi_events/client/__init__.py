"""Clients for Python: they start, watch and cancel the executions of a server.

They need httpx2, or httpx: ``pip install "asgi-events[client]"``. See
``docs/clients.md``.
"""

from asgi_events.client.about import About, InputAnswer, Question
from asgi_events.client.client import Client, EventStream, RemoteExecution
from asgi_events.client.sync_client import (
    SyncClient,
    SyncEventStream,
    SyncRemoteExecution,
)
from asgi_events.wire.decoding import ResetEvent

__all__ = [
    "About",
    "Client",
    "EventStream",
    "InputAnswer",
    "Question",
    "RemoteExecution",
    "ResetEvent",
    "SyncClient",
    "SyncEventStream",
    "SyncRemoteExecution",
]
