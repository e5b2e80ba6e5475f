"""What may be printed on a terminal of what others have written."""

import re
import unicodedata
from collections.abc import Iterator

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_ASCII_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

# Control, format (bidirectional overrides, zero widths, tags), line and paragraph ends.
_HIDDEN = {"Cc", "Cf", "Zl", "Zp"}
_MARK = {"Mn", "Me"}
# Letters and marks that nobody sees: fillers, and tags and selectors that carry data.
_UNSEEN = {*"\u034f\u115f\u1160\u3164\uffa0", *map(chr, range(0xE0000, 0xE1000))}
_JOINERS = {"\u200c", "\u200d"}  # Persian and emoji cannot do without them

_MAX_MARKS = 4  # on one letter; more are not writing, and reach into other lines


def printable(text: str) -> str:
    """``text`` with U+FFFD for all that moves the cursor, hides or reorders.

    Tabs stay. So do joiners that follow a character beyond ASCII.
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
