"""Calls: what an execution publishes of each of its parts, from its start to its end.

All that publishes a call does it through this module: the decorators of
``actors.actor``, and ``call`` and ``begin`` of ``actors.calls``.
"""

from __future__ import annotations

import logging
from time import perf_counter
from types import TracebackType
from typing import Any

from pydantic import BaseModel

from asgi_events.actors.publisher import Publisher
from asgi_events.actors.state import (
    UNHEARD,
    ExecutionState,
    current,
    running_state,
)
from asgi_events.bus import NOTHING
from asgi_events.error_messages import describe
from asgi_events.events import EventType, ExecutionEvent, ExecutionStatus, Usage
from asgi_events.exceptions import EventTooLarge

logger = logging.getLogger(__name__)

_MAX_SEGMENT = 100  # characters of a name in an address
_NOT_IN_ADDRESSES = str.maketrans(dict.fromkeys("/#:?% ", "-"))


class Call(Publisher[None]):
    """One call of an execution: it publishes its start, and exactly one end.

    ``begin`` returns one that has started. Its methods may be called from any thread
    and any event loop, in any order; they wait for nothing, and nothing that happens
    in them is raised. So a full log does not slow their caller down. After the end of
    the call they do nothing.

    Args:
        parent: The state of the call that makes this one; None outside executions,
            where a call does nothing.
        event_type: The kind of its events.
        name: The name of what is called.
        detail: The text that viewers see for it.
        input: What it is given, as ``shown`` made it.

    Attributes:
        address: The path of the call in the tree; empty outside executions.
        state: Its own state; outside executions one that nobody hears.
    """

    def __init__(
        self,
        parent: ExecutionState | None,
        event_type: EventType,
        name: str,
        *,
        detail: str | None = None,
        input: Any = None,
    ) -> None:
        self.state = UNHEARD if parent is None else parent.child(_segment(name))
        self.address = self.state.address
        self._parent = parent
        self._event_type = event_type
        self._name = name
        self._detail = detail
        self._input = input
        self._started = 0.0
        self._is_entered = False
        self._status = ExecutionStatus.COMPLETED

    def __repr__(self) -> str:
        kind = self._event_type.removesuffix("_call")
        return f"<{kind} call {self.state.address or self._name}>"

    @property
    def is_open(self) -> bool:
        """Whether the call runs, and somebody may hear of it."""
        return self.address in self.state.open_calls

    def publish(self, event: BaseModel) -> None:
        """Publish any pydantic model, while the call is open."""
        if self.is_open:
            self._publish(event)

    def output(self, value: Any) -> None:
        """Show ``value`` to viewers when the call ends; see ``shown`` for its form."""
        if self.is_open:
            self.state.output(value)

    def usage(
        self, *, input_tokens: int | None = None, output_tokens: int | None = None
    ) -> None:
        """Show when the call ends how many tokens it took."""
        if self.is_open:
            self.state.usage(input_tokens=input_tokens, output_tokens=output_tokens)

    def retry(self, error: BaseException | str, *, attempt: int, delay: float) -> None:
        """Publish that an attempt has failed; the next follows in ``delay`` seconds."""
        told = {"message": self._message(error), "attempt": attempt, "delay": delay}
        self.publish(self._event(ExecutionStatus.RETRYING, **told))

    def end(self, *, output: Any = None, usage: Usage | None = None) -> None:
        """End the call as completed.

        Args:
            output: What viewers see of its result; None for nothing.
            usage: The tokens it took, if they are known.
        """
        if output is not None:
            self.output(output)
        if usage is not None:
            self.state.end_with(usage=usage)
        self._end(self._status)

    def fail(self, error: BaseException | str) -> None:
        """End the call as failed.

        Args:
            error: What was raised, of which viewers see what ``error_message`` makes of
                it, or a message for viewers.
        """
        if self.is_open:
            self._end(ExecutionStatus.FAILED, self._message(error))

    def cancel(self) -> None:
        """Mark the call, and all calls made from it, as cancelled, and end it so."""
        self.state.cancel()
        self._end(ExecutionStatus.CANCELLED)

    def recover(self) -> None:
        """Let the call end as ``recovered`` where it would be ``completed``."""
        self._status = ExecutionStatus.RECOVERED

    def start(self, *, enter: bool = False) -> None:
        """Publish that the call has started.

        Args:
            enter: What runs in this context is a part of the call, until it ends.
        """
        if self._parent is None:
            return
        self._publish(self._start())
        if enter:
            self._is_entered = True
            self._enter()

    async def __aenter__(self) -> ExecutionState:
        if self._parent is not None:
            event = self._start()
            self._enter()
            try:
                published = self.state.event_bus.publish(event)
                if published is not NOTHING:
                    await published
            except BaseException as error:
                await self.__aexit__(type(error), error, None)
                raise
        return self.state

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._parent is None or isinstance(error, GeneratorExit):
            return  # of the latter the event loop is closed
        bus = self.state.event_bus
        try:
            if error is None:
                event = self._ended(self._status)
            elif isinstance(error, Exception | SystemExit):
                event = self._ended(ExecutionStatus.FAILED, self._message(error))
            else:  # cancelled: do not wait for anything
                self.cancel()
                return
            if event is not None and (published := bus.publish(event)) is not NOTHING:
                await published
        except EventTooLarge as large:
            await bus.publish(_without_content(event, large))
        finally:
            self._leave()

    def __enter__(self) -> ExecutionState:
        if self._parent is not None:
            self._publish(self._start())
            self._enter()
        return self.state

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._parent is None:
            return
        if error is None:
            self.end()
        elif isinstance(error, Exception | SystemExit):
            self.fail(error)
        else:
            self.cancel()
        self._leave()

    def _enter(self) -> None:
        # Not what is left: a loop that enters call after call must hold none of them.
        self.state.outer = running_state()
        current.set(self.state)

    def _leave(self) -> None:
        """Undo ``_enter``, and what was entered in the block and not left, if this is
        a context in which the block runs."""
        state = current.get()
        while state is not self.state:
            if state is None:
                return
            state = state.parent
        current.set(self.state.outer)

    def _start(self) -> ExecutionEvent[Any]:
        self.state.open_calls[self.address] = self
        self._started = perf_counter()
        return self._event(ExecutionStatus.STARTED, input=self._input)

    def _event(self, status: ExecutionStatus, **fields: Any) -> ExecutionEvent[Any]:
        return ExecutionEvent(
            event_type=self._event_type,
            actor=self._name,
            address=self.address,
            execution_status=status,
            detail=self._detail,
            **fields,
        )

    def _ended(
        self, status: ExecutionStatus, message: str | None = None
    ) -> ExecutionEvent[Any] | None:
        """Take the call from the open ones; return the event, or None if it had ended.

        The calls under one that was made at the root end with it.
        """
        state = self.state
        try:
            del state.open_calls[self.address]  # in one step: the first of any threads
        except KeyError:
            return None
        if self._is_entered:
            state.is_left = True  # other contexts may still have it
            if current.get() is state:
                current.set(state.outer)
        if self._parent is not None and not self._parent.address:
            is_cancelled = status is ExecutionStatus.CANCELLED
            cancel_open_calls(state, is_expected=is_cancelled)
        return self._event(
            status,
            execution_time=perf_counter() - self._started,
            message=message,
            from_cache=status is ExecutionStatus.RECOVERED,
            **state.ends_with,
        )

    def _end(self, status: ExecutionStatus, message: str | None = None) -> None:
        event = self._ended(status, message)
        if event is not None:
            self._publish(event)

    def _message(self, error: BaseException | str) -> str:
        if isinstance(error, str):
            return error
        return describe(error, self.state.error_message, "The call failed")

    def _publish(self, event: BaseModel) -> None:
        """Publish and wait for nothing: the caller may be in any thread."""
        try:
            self.state.event_bus.publish_nowait(event, too_large=_without_content)
        except Exception:
            logger.exception("An event of %r was not published.", self)


def cancel_open_calls(state: ExecutionState, *, is_expected: bool = False) -> None:
    """End the open calls that were made from ``state``, the last one first.

    Args:
        state: Of a call that ends.
        is_expected: They were cancelled, so it is not logged that nobody ended them.
    """
    for each in reversed(list(state.open_calls.values())):
        if state.contains(each.state):
            if not is_expected:
                logger.warning("%r was not ended: it is now, as cancelled.", each)
            each.cancel()


def _segment(name: str) -> str:
    """The part of an address that stands for ``name``."""
    if name.isidentifier():
        return name[:_MAX_SEGMENT]
    printable = "".join(c if c.isprintable() else "-" for c in name)
    return printable.translate(_NOT_IN_ADDRESSES)[:_MAX_SEGMENT]


def _without_content(event: Any, large: EventTooLarge) -> Any:
    """What viewers get of an event of a call that is too large."""
    if not isinstance(event, ExecutionEvent):
        return None
    left_out: dict[str, Any] = {"detail": None, "input": None, "output": None}
    return event.model_copy(update={**left_out, "message": str(large)})
