"""The bus handler that shows an execution on a terminal, as a tree.

One line for each event, indented by its address. Colours appear on a terminal only,
and not when ``NO_COLOR`` is set (https://no-color.org). What actors say is printed
without what moves the cursor, hides or reorders. Streamed text stands behind a bar, so
that it looks like no line of the printer's own.

Whatever has an actor with a name, a status and an address is shown as a call, whichever
library made it.
"""

import os
import sys
from collections.abc import Coroutine
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum
from math import isnan
from typing import Any, TextIO

from pydantic import BaseModel

from asgi_events.bus import NOTHING
from asgi_events.events import ExecutionStatus, LogEvent, ProgressEvent, TextDelta
from asgi_events.terminal import printable
from asgi_events.wire.encoding import encode_json

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

_MARKS: dict[str, tuple[str, str]] = {
    ExecutionStatus.STARTED: ("▶", ">"),
    ExecutionStatus.COMPLETED: ("✔", "+"),
    ExecutionStatus.FAILED: ("✖", "x"),
    ExecutionStatus.CANCELLED: ("■", "#"),
    ExecutionStatus.RECOVERED: ("↺", "="),
}
_ENDED = tuple(status for status in _MARKS if status != ExecutionStatus.STARTED)
_OTHER_MARK = ("•", "*")


@dataclass(frozen=True, slots=True)
class _Call:
    """What is printed of a call.

    Attributes:
        name: What stands for the call: its address, the actor, or both.
        status: One of ours, or the word of another library.
        seconds: How long it took, if the event says so.
    """

    name: str
    address: str
    status: str
    detail: str | None
    message: str | None
    from_cache: bool
    seconds: float | None


class EventPrinter:
    """Prints each event as it is published, and a summary at the end of each execution.

    Args:
        show_timestamp: Begin each line with the local time.
        show_address: Name the whole address of a call, not its last part only.
        file: Where to print; standard output at the time of printing by default.
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
        self._file = file
        self._counts: dict[str, int] = {}
        self._writing: str | None = None  # the address whose text the line belongs to

    def __call__(self, event: BaseModel) -> Coroutine[Any, Any, None]:
        """Print an event; nothing of the answer needs to be awaited."""
        match event:
            case TextDelta():
                self._text(event)
            case LogEvent():
                self._log(event)
            case ProgressEvent():
                self._progress(event)
            case _ if (call := _call_of(event, whole=self._show_address)) is not None:
                self._call(event, call)
            case _:
                text = encode_json(event).decode()
                self._line(event, _clean(f"{type(event).__name__} {text}"))
        return NOTHING

    def _call(self, event: BaseModel, call: _Call) -> None:
        styles, mark = self._look(call.status)
        style = getattr(styles, call.status, "")
        parts = [f"{style}{mark} {styles.bold}{_clean(call.name)}{styles.reset}"]
        if call.status not in _MARKS:
            parts.append(_clean(call.status))
        if call.detail:
            parts.append(_clean(call.detail))
        if call.message:
            parts.append(f"{styles.error}{_clean(call.message)}{styles.reset}")
        if call.from_cache:
            parts.append(f"{styles.recovered}from cache{styles.reset}")
        elif call.seconds is not None:
            parts.append(f"{styles.dim}{_seconds(call.seconds)}{styles.reset}")
        self._line(event, " ".join(parts))
        if call.status in _ENDED:
            self._counts[call.status] = self._counts.get(call.status, 0) + 1
            if "/" not in call.address:
                self._summary(event, call, styles)

    def _log(self, event: LogEvent) -> None:
        styles = self._styles()
        style = {"warning": styles.warning, "error": styles.error}.get(
            event.level, styles.dim
        )
        shown = self._show_address and event.address
        name = f"{_clean(event.address)}: " if shown else ""
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

    def _summary(self, event: BaseModel, call: _Call, styles: _Styles) -> None:
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
        indent = "  " * _depth(_address_of(event), deeper)
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

    def _look(self, status: str) -> tuple[_Styles, str]:
        return self._styles(), self._either(*_MARKS.get(status, _OTHER_MARK))

    def _either(self, wanted: str, ascii: str) -> str:
        encoding = getattr(self._out(), "encoding", None) or "utf-8"
        try:
            wanted.encode(encoding)
        except UnicodeEncodeError:
            return ascii
        return wanted


def _call_of(event: BaseModel, *, whole: bool) -> _Call | None:
    """The call that an event is about, whatever the class of the event is.

    Args:
        whole: Name the call by its whole address.
    """
    actor = _text_of(event, "actor") or _text_of(_part(event, "actor"), "name")
    status = _text_of(event, "execution_status") or _text_of(event, "status")
    address = _address_of(event)
    if not actor or not status or not hasattr(event, "address"):
        return None
    last = address.rpartition("/")[2]
    if last.partition("#")[0] == actor:
        name = address if whole else last
    else:  # the addresses of another library need not name the actor
        name = f"{actor} {address}" if whole and address else actor
    seconds = _part(event, "execution_time")
    return _Call(
        name=name,
        address=address,
        status=status.lower(),
        detail=_text_of(event, "detail"),
        message=_text_of(event, "message"),
        from_cache=_part(event, "from_cache") is True,
        seconds=seconds if isinstance(seconds, int | float) else None,
    )


def _part(value: Any, name: str) -> Any:
    try:
        return getattr(value, name, None)
    except Exception:  # a property of somebody else's
        return None


def _text_of(value: Any, name: str) -> str | None:
    """An attribute that is text, or an enum of text."""
    part = _part(value, name)
    if isinstance(part, Enum):
        part = part.value if isinstance(part.value, str) else part.name
    return part if isinstance(part, str) else None


def _address_of(event: BaseModel) -> str:
    address = _part(event, "address")
    if isinstance(address, list | tuple):
        return "/".join(map(str, address))
    return "" if address is None else str(address)


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
