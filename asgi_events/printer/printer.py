"""The bus handler that prints an execution as a tree.

It prints one line for each event, indented by the event's address. Colours appear on a
terminal only, and not when ``NO_COLOR`` is set (https://no-color.org). Characters that
move the cursor, hide or reorder text are replaced. Streamed text follows a bar, so that
nobody takes it for a line of the printer; reasoning is dim and follows a dotted bar. Of
input, output and custom data a line has the beginning.

Any event with an actor, a status and an address is printed as a call, whichever library
made it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from math import isnan
from typing import Any, TextIO
from weakref import WeakSet

from pydantic import BaseModel

from asgi_events.bus import NOTHING
from asgi_events.events import (
    ConversationEvent,
    CustomEvent,
    Event,
    EventType,
    ExecutionEvent,
    ExecutionStatus,
    InputAnswerEvent,
    InputRequestEvent,
    LogEvent,
    ProgressEvent,
    ReasoningDelta,
    StateEvent,
    TerminalEvent,
    TextDelta,
    Usage,
)
from asgi_events.printer.calls import Call, address_of, call_of, depth
from asgi_events.terminal import printable
from asgi_events.wire.encoding import encode_json

_BAR_WIDTH = 20
_MOST = 100  # characters of the JSON of a value


@dataclass(frozen=True)
class _Styles:
    """The terminal codes before a text; ``reset`` comes after it."""

    reset: str = "\x1b[0m"
    dim: str = "\x1b[2m"
    bold: str = "\x1b[1m"
    started: str = "\x1b[36m"
    retrying: str = "\x1b[33m"
    completed: str = "\x1b[32m"
    failed: str = "\x1b[31m"
    cancelled: str = "\x1b[33m"
    recovered: str = "\x1b[35m"
    warning: str = "\x1b[33m"
    error: str = "\x1b[31m"


_PLAIN = _Styles(**{field.name: "" for field in fields(_Styles)})

_MARKS: dict[str, tuple[str, str]] = {
    ExecutionStatus.STARTED: ("▶", ">"),
    ExecutionStatus.RETRYING: ("↻", "~"),
    ExecutionStatus.COMPLETED: ("✔", "+"),
    ExecutionStatus.FAILED: ("✖", "x"),
    ExecutionStatus.CANCELLED: ("■", "#"),
    ExecutionStatus.RECOVERED: ("↺", "="),
}
_RUNNING = (ExecutionStatus.STARTED, ExecutionStatus.RETRYING)
_ENDED = tuple(status for status in _MARKS if status not in _RUNNING)
_OTHER_MARK = ("•", "*")
_STATUS_AT_END: dict[str, str] = {
    EventType.COMPLETE: ExecutionStatus.COMPLETED,
    EventType.CANCELLED: ExecutionStatus.CANCELLED,
    EventType.ERROR: ExecutionStatus.FAILED,
    EventType.LOST: ExecutionStatus.FAILED,
}
_ACTIONS = {"accept": "answered", "decline": "declined"}
_MADE_ID = re.compile("[A-Za-z0-9]{22}|[0-9a-f]{32}")  # the second in old stores


class _Screen:
    """The output that the printers of several executions share.

    Args:
        file: Where to print; by default standard output at the time of printing.

    Attributes:
        running: The printers of the executions that have not ended. Weak, because an
            execution that another process takes over sends no terminal event here.
        writing: The printer, the type and the address of the unfinished line's text.
    """

    def __init__(self, file: TextIO | None) -> None:
        self._file = file
        self.running: WeakSet[EventPrinter] = WeakSet()
        self.writing: tuple[EventPrinter, type[BaseModel], str] | None = None

    def finish_line(self) -> str:
        """Return a line end if a line is unfinished."""
        unfinished, self.writing = self.writing is not None, None
        return "\n" if unfinished else ""

    def write(self, text: str) -> None:
        """Write, with escapes for characters that the file's encoding lacks."""
        out = self._out()
        encoding = getattr(out, "encoding", None) or "utf-8"
        out.write(text.encode(encoding, "backslashreplace").decode(encoding))
        out.flush()

    def styles(self) -> _Styles:
        """Return the codes for colours, empty ones where there are no colours."""
        # https://no-color.org: set to anything but the empty string
        coloured = self._out().isatty() and not os.environ.get("NO_COLOR")
        return _Styles() if coloured else _PLAIN

    def either(self, wanted: str, ascii: str) -> str:
        """Return ``wanted`` if the file's encoding has it, or else ``ascii``."""
        encoding = getattr(self._out(), "encoding", None) or "utf-8"
        try:
            wanted.encode(encoding)
        except UnicodeEncodeError:
            return ascii
        return wanted

    def _out(self) -> TextIO:
        return self._file if self._file is not None else sys.stdout


class EventPrinter:
    """Prints each event as it is published, and a summary at the end of each execution.

    Subscribe it to a bus, or write ``Executions(handlers=[EventPrinter()])``. Then it
    counts the calls of each execution on their own, and once several run at the same
    time each of their lines has the execution's id.

    Args:
        show_timestamp: Begin each line with the local time.
        show_address: Print the whole address of a call, not only its last part.
        file: Where to print; by default standard output at the time of printing.
    """

    def __init__(
        self,
        show_timestamp: bool = True,
        show_address: bool = True,
        *,
        file: TextIO | None = None,
    ) -> None:
        self._show_timestamp = show_timestamp
        self._show_address = show_address
        self._screen = _Screen(file)
        self._counts: dict[str, int] = {}
        self._actor = ""
        self._label = ""
        self._is_labelled = False

    def for_execution(
        self, execution_id: str, *, actor: str, owner: str | None
    ) -> EventPrinter:
        """Return a printer for one execution, which prints to the same file."""
        printer = EventPrinter(self._show_timestamp, self._show_address)
        printer._screen = self._screen
        printer._actor = actor
        is_made = _MADE_ID.fullmatch(execution_id)  # its first 8 digits are enough
        printer._label = _clean(execution_id[:8] if is_made else execution_id)
        running = self._screen.running
        running.add(printer)
        if len(running) > 1:  # from now on each line needs the id
            for each in running:
                each._is_labelled = True
        return printer

    def __call__(self, event: BaseModel) -> Coroutine[Any, Any, None]:
        """Print an event. The result need not be awaited."""
        match event:
            case TextDelta() | ReasoningDelta():
                self._text(event)
            case CustomEvent():
                self._value(event, event.name, event.data)
            case StateEvent():
                self._value(event, "state", event.state)
            case ConversationEvent():
                self._value(event, "conversation", event.messages)
            case LogEvent():
                self._log(event)
            case ProgressEvent():
                self._progress(event)
            case InputRequestEvent():
                self._question(event)
            case InputAnswerEvent():
                self._answer(event)
            case TerminalEvent():
                self._end(event)
            case _ if (call := call_of(event, whole=self._show_address)) is not None:
                self._call(event, call)
            case _:
                text = encode_json(event).decode()
                self._line(event, _clean(f"{type(event).__name__} {text}"))
        return NOTHING

    def _call(self, event: BaseModel, call: Call) -> None:
        styles, mark = self._look(call.status)
        style = getattr(styles, call.status, "")
        parts = [f"{style}{mark} {styles.bold}{_clean(call.name)}{styles.reset}"]
        if call.status not in _MARKS:
            parts.append(_clean(call.status))
        if call.detail:
            parts.append(_clean(call.detail))
        if call.message:
            parts.append(f"{styles.error}{_clean(call.message)}{styles.reset}")
        if call.status == ExecutionStatus.RETRYING:
            parts.append(_again(call))
        if call.from_cache:
            parts.append(f"{styles.recovered}from cache{styles.reset}")
        elif call.seconds is not None:
            parts.append(f"{styles.dim}{_seconds(call.seconds)}{styles.reset}")
        if isinstance(event, ExecutionEvent):
            parts += (f"{styles.dim}{part}{styles.reset}" for part in _shown(event))
        self._line(event, " ".join(parts))
        if call.status in _ENDED:
            self._counts[call.status] = self._counts.get(call.status, 0) + 1
            if "/" not in call.address:
                self._summary(event, call, styles)

    def _end(self, event: TerminalEvent) -> None:
        status = _STATUS_AT_END.get(event.event_type, "")
        styles, mark = self._look(status)
        name = f"{styles.bold}{_clean(self._actor)}:{styles.reset} "
        text = f"{name if self._actor else ''}{_clean(event.message)}"
        style = getattr(styles, status, "")
        self._line(event, f"{style}{mark}{styles.reset} {text}")
        self._screen.running.discard(self)

    def _log(self, event: LogEvent) -> None:
        styles = self._screen.styles()
        style = {"warning": styles.warning, "error": styles.error}.get(
            event.level, styles.dim
        )
        name, text = self._speaker(event.address), _clean(event.message)
        level = "" if event.level == "info" else f"{event.level}: "
        self._line(event, f"{style}{name}{level}{text}{styles.reset}", deeper=1)

    def _value(self, event: Event, name: str, value: Any) -> None:
        styles, mark = self._look("")
        shown = f"{styles.bold}{_clean(name)}{styles.reset}"
        data = "" if value is None else f" {_value(value)}"
        speaker = self._speaker(event.address)
        self._line(event, f"{mark} {speaker}{shown}{data}", deeper=1)

    def _question(self, event: InputRequestEvent) -> None:
        styles = self._screen.styles()
        to = f" (to {_clean(event.to)})" if event.to is not None else ""
        text = f"{styles.bold}{_clean(event.message)}{styles.reset}{to}"
        speaker = self._speaker(event.address)
        self._line(event, f"? {speaker}{event.n}: {text}", deeper=1)

    def _answer(self, event: InputAnswerEvent) -> None:
        how = _ACTIONS.get(event.action, event.action)
        by = f" by {_clean(event.by)}" if event.by is not None else ""
        content = "" if event.content is None else f" {_value(event.content)}"
        speaker = self._speaker(event.address)
        self._line(event, f"! {speaker}{event.n}: {how}{by}{content}", deeper=1)

    def _progress(self, event: ProgressEvent) -> None:
        styles = self._screen.styles()
        count = f"{event.current:g}"
        bar = ""
        if event.total and not isnan(event.current / event.total):
            share = min(max(event.current / event.total, 0.0), 1.0)
            full = round(share * _BAR_WIDTH)
            filled, empty = tuple(self._screen.either("█░", "#-"))
            bar = f"{filled * full}{empty * (_BAR_WIDTH - full)} {share:4.0%} "
            count = f"{count}/{event.total:g}"
        message = f" {_clean(event.message)}" if event.message else ""
        text = f"{styles.dim}{bar}{count}{message}{styles.reset}"
        self._line(event, text, deeper=1)

    def _text(self, event: TextDelta | ReasoningDelta) -> None:
        """Print text, on the same line as the last text of the same call."""
        styles = self._screen.styles()
        begin, end, bar = "", "", ("│ ", "| ")
        if isinstance(event, ReasoningDelta):
            begin, end, bar = styles.dim, styles.reset, ("┆ ", ": ")
        indent = "  " * depth(event.address, 1)
        margin = f"{self._name()}{indent}{self._screen.either(*bar)}"
        start = ""
        writing = (self, type(event), event.address)
        if self._screen.writing != writing:
            start = self._screen.finish_line() + margin
            self._screen.writing = writing
        lines = (f"{begin}{_clean(line)}{end}" for line in event.delta.split("\n"))
        self._screen.write(start + f"\n{margin}".join(lines))

    def _summary(self, event: BaseModel, call: Call, styles: _Styles) -> None:
        counts = {status: self._counts.get(status, 0) for status in _ENDED}
        parts = [f"{sum(counts.values())} calls"]
        parts += [f"{count} {status}" for status, count in counts.items() if count]
        taken = "" if call.seconds is None else f" in {_seconds(call.seconds)}"
        name = _clean(call.address or call.name)
        self._line(
            event, f"{styles.bold}{name}: {', '.join(parts)}{taken}{styles.reset}"
        )
        self._counts.clear()

    def _line(self, event: BaseModel, text: str, *, deeper: int = 0) -> None:
        indent = "  " * depth(address_of(event), deeper)
        start = f"{self._screen.finish_line()}{self._time(event)}{self._name()}"
        self._screen.write(f"{start}{indent}{text}\n")

    def _speaker(self, address: str) -> str:
        return f"{_clean(address)}: " if self._show_address and address else ""

    def _name(self) -> str:
        """Return the execution's id once another one has run beside it."""
        if not self._is_labelled:
            return ""
        styles = self._screen.styles()
        return f"{styles.dim}{self._label}{styles.reset} "

    def _time(self, event: BaseModel) -> str:
        if not self._show_timestamp:
            return ""
        timestamp = getattr(event, "timestamp", None)
        if not isinstance(timestamp, datetime):
            timestamp = datetime.now().astimezone()
        styles = self._screen.styles()
        time = timestamp.astimezone().strftime("%H:%M:%S.%f")[:-3]
        return f"{styles.dim}{time}{styles.reset} "

    def _look(self, status: str) -> tuple[_Styles, str]:
        return self._screen.styles(), self._screen.either(
            *_MARKS.get(status, _OTHER_MARK)
        )


def _clean(text: str) -> str:
    """Return ``text`` as a part of one line."""
    return printable(text.replace("\n", " "))


def _again(call: Call) -> str:
    failed = "retrying" if call.attempt is None else f"attempt {call.attempt} failed"
    again = "" if call.delay is None else f", next in {_seconds(call.delay)}"
    return f"({failed}{again})"


def _shown(event: ExecutionEvent[Any]) -> Iterator[str]:
    """Yield what a call of ours shows of its input, its output and its cost."""
    if event.input is not None:
        yield f"input {_value(event.input)}"
    if event.output is not None:
        yield f"output {_value(event.output)}"
    if event.usage is not None:
        yield from _usage(event.usage)


def _usage(usage: Usage) -> Iterator[str]:
    if usage.input_tokens is not None:
        yield f"{usage.input_tokens} tokens in"
    if usage.output_tokens is not None:
        yield f"{usage.output_tokens} tokens out"


def _value(value: Any) -> str:
    """Return the JSON of a value, as much of it as fits into a line."""
    text = encode_json(value).decode()
    return _clean(text[:_MOST]) + ("..." if len(text) > _MOST else "")


def _seconds(seconds: float) -> str:
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 119.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"
