"""The events that a running call publishes under its address."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from asgi_events.events import (
    CustomEvent,
    LogEvent,
    ProgressEvent,
    ReasoningDelta,
    StateEvent,
    TextDelta,
)

R = TypeVar("R")


class Publisher(Generic[R]):
    """Makes events of one address, and returns what ``publish`` returns.

    Attributes:
        address: The path of the call in the tree; empty at the root.
    """

    address: str

    def publish(self, event: BaseModel) -> R:
        """Publish any pydantic model."""
        raise NotImplementedError

    def log(
        self,
        message: str,
        *,
        level: Literal["debug", "info", "warning", "error"] = "info",
    ) -> R:
        """Publish a log line."""
        return self.publish(
            LogEvent(address=self.address, level=level, message=message)
        )

    def progress(
        self, current: float, total: float | None = None, message: str | None = None
    ) -> R:
        """Publish progress: ``current`` of ``total``, None if that is not known."""
        return self.publish(
            ProgressEvent(
                address=self.address, current=current, total=total, message=message
            )
        )

    def text(self, delta: str) -> R:
        """Publish a piece of text."""
        return self.publish(TextDelta(address=self.address, delta=delta))

    def reasoning(self, delta: str) -> R:
        """Publish a piece of what a model says that it thinks."""
        return self.publish(ReasoningDelta(address=self.address, delta=delta))

    def snapshot(self, state: Any) -> R:
        """Publish the whole state that this call shares with viewers, any JSON."""
        return self.publish(StateEvent(address=self.address, state=state))

    def custom(self, name: str, data: Any = None) -> R:
        """Publish an event with a name of your own and any JSON."""
        return self.publish(CustomEvent(address=self.address, name=name, data=data))
