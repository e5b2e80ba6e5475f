"""For the tests of applications: a client that streams, actors without a server, and
time that need not be waited for. See ``docs/testing.md``.

The package itself never imports this. It needs no test runner.
"""

from asgi_events.testing.client import Client
from asgi_events.testing.clock import virtual_time
from asgi_events.testing.connection import Connection
from asgi_events.testing.events import capture_events, run

__all__ = ["Client", "Connection", "capture_events", "run", "virtual_time"]
