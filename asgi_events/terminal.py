"""Makes text from others safe to print on a terminal."""

import re
import unicodedata
from collections.abc import Iterator

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_ASCII_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

# Control, format (bidirectional overrides, zero widths, tags), line and paragraph ends.
_HIDDEN = {"Cc", "Cf", "Zl", "Zp"}
_MARK = {"Mn", "Me"}
# Invisible letters and marks: fillers, and tags and selectors that carry data.
_UNSEEN = {*"\u034f\u115f\u1160\u3164\uffa0", *map(chr, range(0xE0000, 0xE1000))}
_JOINERS = {"\u200c", "\u200d"}  # Persian and emoji need them

_MAX_MARKS = 4  # on one letter; no language needs more, and they cover other lines


def printable(text: str) -> str:
    """Return ``text`` with U+FFFD for characters that move the cursor, hide or reorder.

    Tabs stay, and so do joiners after a character that is not ASCII.
    """
    if text.isascii():
        return _ASCII_CONTROL.sub(_REPLACEMENT, text)
    return "".join(_visible(text))


def _visible(text: str) -> Iterator[str]:
    before = ""
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in _MARK else 0
        if character == "\t" or (character in _JOINERS and before > "\x7f"):
            yield character
        elif category in _HIDDEN or character in _UNSEEN or marks == _MAX_MARKS + 1:
            yield _REPLACEMENT
        elif marks <= _MAX_MARKS:
            yield character
        before = "" if category in _HIDDEN else character
