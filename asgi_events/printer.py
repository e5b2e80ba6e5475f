"""The bus handler that shows an execution on a terminal, as a tree.

One line for each event, indented by its address. Colours appear on a terminal only,
and not when ``NO_COLOR`` is set (https://no-color.org). What actors say is printed
without what moves the cursor, hides or reorders. Streamed text stands behind a bar, so
that it looks like no line of the printer's own.
"""

import os
import sys
from dataclasses import dataclass, fields
from datetime import datetime
from math import isnan
from typing import Any, TextIO

from pydantic import BaseModel

from asgi_events.encoding import encode_json
from asgi_events.events import (
    ExecutionEvent,
    ExecutionStatus,
    LogEvent,
    ProgressEvent,
    TextDelta,
)
from asgi_events.terminal import printable

_BAR_WIDTH = 20


@dataclass(frozen=True)
class _Styles:
    """What goes before a text; ``reset`` goes after it."""

    reset: str = "\x1b[0m"
    dim: str = "\x1b[2m"
    bold: str = "\x1b[1m"
    started: str = "\x1b[36m"
    completed: str = "\x1b[32m"
    failed: str = "\x1b[31m"
    cancelled: str = "\x1b[33m"
    recovered: str = "\x1b[35m"
    warning: str = "\x1b[33m"
    error: str = "\x1b[31m"


_PLAIN = _Styles(**{field.name: "" for field in fields(_Styles)})

_MARKS = {
    ExecutionStatus.STARTED: ("▶", ">"),
    ExecutionStatus.COMPLETED: ("✔", "+"),
    ExecutionStatus.FAILED: ("✖", "x"),
    ExecutionStatus.CANCELLED: ("■", "#"),
    ExecutionStatus.RECOVERED: ("↺", "="),
}


class EventPrinter:
    """Prints each event as it is published, and a summary at the end of each execution.

    Args:
        show_timestamp: Begin each line with the local time.
        show_address: Name the whole address of a call, not its last part only.
        file: Where to print; standard output at the time of printing by default.
    """

    def __init__(
        self,
        *,
        show_timestamp: bool = False,
        show_address: bool = False,
        file: TextIO | None = None,
    ) -> None:
        self._show_timestamp = show_timestamp
        self._show_address = show_address
        self._file = file
        self._counts: dict[ExecutionStatus, int] = {}
        self._writing: str | None = None  # the address whose text the line belongs to

    def __call__(self, event: BaseModel) -> None:
        """Print an event."""
        match event:
            case ExecutionEvent():
                self._call(event)
            case TextDelta():
                self._text(event)
            case LogEvent():
                self._log(event)
            case ProgressEvent():
                self._progress(event)
            case _:
                text = encode_json(event).decode()
                self._line(event, _clean(f"{type(event).__name__} {text}"))

    def _call(self, event: ExecutionEvent[Any]) -> None:
        status = event.execution_status
        self._counts[status] = self._counts.get(status, 0) + 1
        styles, mark = self._look(status)
        name = event.address if self._show_address else event.address.rpartition("/")[2]
        parts = [
            f"{getattr(styles, status)}{mark} {styles.bold}{_clean(name)}{styles.reset}"
        ]
        if event.detail:
            parts.append(_clean(event.detail))
        if event.message:
            parts.append(f"{styles.error}{_clean(event.message)}{styles.reset}")
        if event.from_cache:
            parts.append(f"{styles.recovered}from cache{styles.reset}")
        elif event.execution_time is not None:
            seconds = _seconds(event.execution_time)
            parts.append(f"{styles.dim}{seconds}{styles.reset}")
        self._line(event, " ".join(parts))
        if status is not ExecutionStatus.STARTED and "/" not in event.address:
            self._summary(event, styles)

    def _log(self, event: LogEvent) -> None:
        styles = self._styles()
        style = {"warning": styles.warning, "error": styles.error}.get(
            event.level, styles.dim
        )
        name = f"{_clean(event.address)}: " if self._show_address else ""
        text = _clean(event.message)
        level = "" if event.level == "info" else f"{event.level}: "
        self._line(event, f"{style}{name}{level}{text}{styles.reset}", deeper=1)

    def _progress(self, event: ProgressEvent) -> None:
        styles = self._styles()
        count = f"{event.current:g}"
        bar = ""
        if event.total and not isnan(event.current / event.total):
            share = min(max(event.current / event.total, 0.0), 1.0)
            full = round(share * _BAR_WIDTH)
            filled, empty = tuple(self._either("█░", "#-"))
            bar = f"{filled * full}{empty * (_BAR_WIDTH - full)} {share:4.0%} "
            count = f"{count}/{event.total:g}"
        message = f" {_clean(event.message)}" if event.message else ""
        text = f"{styles.dim}{bar}{count}{message}{styles.reset}"
        self._line(event, text, deeper=1)

    def _text(self, event: TextDelta) -> None:
        """Print text as it comes, going on in the line where the same actor stopped."""
        margin = "  " * _depth(event.address, 1) + self._either("│ ", "| ")
        start = ""
        if self._writing != event.address:
            start = self._finish_line() + margin
            self._writing = event.address
        lines = map(_clean, event.delta.split("\n"))
        self._write(start + f"\n{margin}".join(lines))

    def _summary(self, event: ExecutionEvent[Any], styles: _Styles) -> None:
        ended = [s for s in _MARKS if s is not ExecutionStatus.STARTED]
        counts = {status: self._counts.get(status, 0) for status in ended}
        parts = [f"{sum(counts.values())} calls"]
        parts += [f"{count} {status}" for status, count in counts.items() if count]
        seconds = _seconds(event.execution_time or 0.0)
        name = _clean(event.address)
        self._line(
            event, f"{styles.bold}{name}: {', '.join(parts)} in {seconds}{styles.reset}"
        )
        self._counts.clear()

    def _line(self, event: BaseModel, text: str, *, deeper: int = 0) -> None:
        indent = "  " * _depth(getattr(event, "address", ""), deeper)
        self._write(f"{self._finish_line()}{self._time(event)}{indent}{text}\n")

    def _finish_line(self) -> str:
        unfinished, self._writing = self._writing is not None, None
        return "\n" if unfinished else ""

    def _time(self, event: BaseModel) -> str:
        if not self._show_timestamp:
            return ""
        timestamp = getattr(event, "timestamp", None)
        if not isinstance(timestamp, datetime):
            timestamp = datetime.now().astimezone()
        styles = self._styles()
        time = timestamp.astimezone().strftime("%H:%M:%S.%f")[:-3]
        return f"{styles.dim}{time}{styles.reset} "

    def _write(self, text: str) -> None:
        out = self._out()
        encoding = getattr(out, "encoding", None) or "utf-8"
        out.write(text.encode(encoding, "backslashreplace").decode(encoding))
        out.flush()

    def _out(self) -> TextIO:
        return self._file if self._file is not None else sys.stdout

    def _styles(self) -> _Styles:
        # https://no-color.org: set to anything but the empty string
        coloured = self._out().isatty() and not os.environ.get("NO_COLOR")
        return _Styles() if coloured else _PLAIN

    def _look(self, status: ExecutionStatus) -> tuple[_Styles, str]:
        return self._styles(), self._either(*_MARKS[status])

    def _either(self, wanted: str, ascii: str) -> str:
        encoding = getattr(self._out(), "encoding", None) or "utf-8"
        try:
            wanted.encode(encoding)
        except UnicodeEncodeError:
            return ascii
        return wanted


def _depth(address: str, deeper: int) -> int:
    return address.count("/") + deeper if address else 0


def _clean(text: str) -> str:
    """``text`` as a part of one line."""
    return printable(text.replace("\n", " "))


def _seconds(seconds: float) -> str:
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 119.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"
