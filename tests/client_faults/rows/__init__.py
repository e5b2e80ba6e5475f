"""The rows of the matrix, one module for each kind of fault."""

from __future__ import annotations

from tests.client_faults.row import Row
from tests.client_faults.rows import (
    answers,
    connections,
    contents,
    elsewhere,
    lost,
    questions,
    refusals,
    repeats,
    resets,
    retries,
    shapes,
    silences,
    starts,
    tokens,
    words,
)

_MODULES = (
    connections,
    refusals,
    retries,
    tokens,
    words,
    resets,
    silences,
    shapes,
    elsewhere,
    repeats,
    contents,
    lost,
    starts,
    questions,
)


def named() -> list[Row]:
    """Every row but the cuts, of which there is one for each byte, and the answers."""
    return [row for module in _MODULES for row in module.rows()]


def answering() -> list[Row]:
    """The rows of answers to questions, for clients that can give any."""
    return list(answers.rows())
