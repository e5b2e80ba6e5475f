"""One printer for many executions: it mixes neither their text nor their counts."""

import gc
import io
from datetime import datetime
from typing import Any

import pytest

from asgi_events import (
    EventPrinter,
    EventType,
    ExecutionEvent,
    ExecutionStatus,
)
from asgi_events.bus import HandlerFactory
from asgi_events.events import (
    CancelledEvent,
    CompleteEvent,
    ErrorEvent,
    LogEvent,
    LostEvent,
    TextDelta,
)

LOCAL = datetime(2026, 1, 2, 3, 4, 5, 678900).astimezone()


def call(address: str, status: str = "started") -> ExecutionEvent[Any]:
    return ExecutionEvent[Any](
        event_type=EventType.TOOL_CALL,
        actor=address.rpartition("/")[2],
        address=address,
        timestamp=LOCAL,
        execution_status=ExecutionStatus(status),
        execution_time=None if status == "started" else 0.25,
    )


def text(address: str, delta: str) -> TextDelta:
    return TextDelta(address=address, delta=delta)


class Printed:
    """A printer, and what it has printed since one last looked."""

    def __init__(self, **options: Any) -> None:
        self._file = io.StringIO()
        options = {"show_timestamp": False, "show_address": False} | options
        self.printer = EventPrinter(file=self._file, **options)

    def of(self, id: str, actor: str = "a") -> Any:
        return self.printer.for_execution(id, actor=actor, owner=None)

    def lines(self) -> list[str]:
        lines = self._file.getvalue().splitlines()
        self._file.seek(0)
        self._file.truncate()
        return lines


def test_is_a_factory_of_handlers() -> None:
    assert isinstance(EventPrinter(), HandlerFactory)


def test_names_no_execution_that_runs_alone() -> None:
    printed = Printed()
    for id in ("e1", "e2"):
        handler = printed.of(id)
        for event in (call("a"), call("a", "completed"), CompleteEvent()):
            handler(event)
        assert printed.lines() == [
            "▶ a",
            "✔ a 250 ms",
            "a: 1 calls, 1 completed in 250 ms",
            "✔ a: Execution completed successfully",
        ]


def test_keeps_the_text_and_counts_of_executions_apart() -> None:
    printed = Printed()
    one, two = printed.of("e1"), printed.of("e2")
    one(call("a"))
    two(call("a"))
    one(text("a", "on"))
    two(text("a", "tw"))
    two(text("a", "o\n2"))
    one(text("a", "e"))
    two(call("a/b", "failed"))
    one(call("a", "completed"))
    two(call("a", "completed"))
    assert printed.lines() == [
        "e1 ▶ a",
        "e2 ▶ a",
        "e1   │ on",
        "e2   │ two",
        "e2   │ 2",
        "e1   │ e",
        "e2   ✖ b 250 ms",
        "e1 ✔ a 250 ms",
        "e1 a: 1 calls, 1 completed in 250 ms",
        "e2 ✔ a 250 ms",
        "e2 a: 2 calls, 1 completed, 1 failed in 250 ms",
    ]


def test_names_an_execution_to_its_end_once_another_one_ran_beside_it() -> None:
    printed = Printed()
    one = printed.of("e1")
    one(call("a"))
    two = printed.of("e2")
    two(call("a"))
    two(CompleteEvent())
    one(text("a", "still"))
    one(CompleteEvent())
    three = printed.of("e3")
    three(call("a"))
    assert printed.lines() == [
        "▶ a",
        "e2 ▶ a",
        "e2 ✔ a: Execution completed successfully",
        "e1   │ still",
        "e1 ✔ a: Execution completed successfully",
        "▶ a",
    ]


def test_forgets_an_execution_that_never_ended_here() -> None:
    printed = Printed()
    gone = printed.of("e1")
    gone(call("a"))
    del gone
    gc.collect()
    printed.of("e2")(call("b"))
    assert printed.lines() == ["▶ a", "▶ b"]


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (CompleteEvent(), "✔ a: Execution completed successfully"),
        (ErrorEvent(message="too\nhot"), "✖ a: too hot"),
        (CancelledEvent(message="Enough"), "■ a: Enough"),
        (LostEvent(), "✖ a: The process that ran this execution died"),
    ],
)
def test_prints_how_an_execution_ended(event: Any, line: str) -> None:
    printed = Printed()
    printed.of("e1")(event)
    printed.printer(event)  # subscribed to a bus, it does not know the actor
    assert printed.lines() == [line, line.replace(" a:", "")]


@pytest.mark.parametrize(
    ("id", "label"),
    [
        ("aB3dE6fG9hI2jK5lM8nO1p", "aB3dE6fG"),
        ("0123456789abcdef" * 2, "01234567"),
        ("order-1234567890", "order-1234567890"),
        ("a\nb\x1b[2J", "a b\ufffd[2J"),
    ],
)
def test_shortens_the_ids_that_it_can_tell_apart(id: str, label: str) -> None:
    printed = Printed()
    other = printed.of("other")
    handler = printed.of(id)
    handler(LogEvent(address="a", message="m"))
    assert printed.lines() == [f"{label}   m"]
    other(CompleteEvent())


def test_prints_the_time_before_the_name() -> None:
    printed = Printed(show_timestamp=True)
    one, two = printed.of("e1"), printed.of("e2")
    one(call("a"))
    assert printed.lines() == ["03:04:05.678 e1 ▶ a"]
    two(CompleteEvent())
