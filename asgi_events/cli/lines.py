"""Events as lines of JSON, for whatever reads the output of a command."""

from __future__ import annotations


def json_line(number: int, payload: str) -> str:
    """Return an event as a line of JSON: its number, and its data.

    Args:
        number: Its number; 0 for an event that has none.
        payload: Its data, which is JSON.
    """
    return f'{{"number":{number},"data":{payload}}}\n'
