"""The bus handler that prints an execution as a tree."""

from asgi_events.printer.printer import EventPrinter

__all__ = ["EventPrinter"]
