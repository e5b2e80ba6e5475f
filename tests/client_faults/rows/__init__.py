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
    answers,
)


def named() -> list[Row]:
    """Every row but the cuts, of which there is one for each byte."""
    return [row for module in _MODULES for row in module.rows()]
