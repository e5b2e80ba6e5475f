"""Lines of output: events as JSON, for whatever reads it, and text, for people."""

from __future__ import annotations

import sys
from typing import TextIO


def json_line(number: int, payload: str) -> str:
    """Return an event as a line of JSON: its number, and its data.

    Args:
        number: Its number; 0 for an event that has none.
        payload: Its data, which is JSON.
    """
    return f'{{"number":{number},"data":{payload}}}\n'


def say(text: str, file: TextIO | None = None) -> None:
    """Print text; the standard output is the default."""
    file = sys.stdout if file is None else file
    print(writable(text, file), file=file, flush=True)


def writable(text: str, file: TextIO) -> str:
    """Return text with escapes for characters that the encoding of a file lacks."""
    encoding = getattr(file, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
