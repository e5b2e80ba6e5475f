"""Where a response may end, since its execution waits for answers.

In some protocols a client answers with another request, when the response has ended.
A format of such a protocol ends the words of an event with a comment that names the
questions that are open:

    : waiting 1 2

There, and nowhere else, a response may end with ``pause()``. What follows is the
beginning of another response. The words are the same for all viewers; each decides by
itself whether it ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple, Protocol, runtime_checkable

from asgi_events.wire.formats import Format

# No data has a line of this kind: JSON is one line.
_WAITING = re.compile(rb"^: waiting([ 0-9]*)\n", re.MULTILINE)


@runtime_checkable
class WaitingFormat(Format, Protocol):
    """A format whose responses may end while their execution waits."""

    def pause(self) -> bytes:
        """Return the end of a response whose execution waits for answers."""


class Wait(NamedTuple):
    """A place where a response may end.

    Attributes:
        stop: The number of bytes before it.
        questions: The numbers of the questions that are open there.
    """

    stop: int
    questions: frozenset[int]


def waiting(questions: Iterable[int]) -> bytes:
    """Return the comment that names the questions that are open from here on."""
    return b": waiting%b\n" % b"".join(b" %d" % n for n in questions)


def last_wait(words: bytes) -> Wait | None:
    """Return the last such place; None if the words have none."""
    if b": waiting" not in words:
        return None
    found = list(_WAITING.finditer(words))
    if not found:
        return None
    return Wait(found[-1].end(), frozenset(int(n) for n in found[-1][1].split()))
