"""The command line."""

from asgi_events.cli.command import main

__all__ = ["main"]
