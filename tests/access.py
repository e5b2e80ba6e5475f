"""Tables of who may do what: each cell is the status of an answer, and a test."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from asgi_events.exceptions import Forbidden
from asgi_events.executions import Execution

ACTIONS = ("list", "start", "read", "cancel", "answer")


@dataclass(frozen=True)
class Row:
    """One request.

    Attributes:
        method: The method.
        path: The path, with ``{id}`` where the id of the execution goes.
        how: What else there is to the request.
        cells: The status of the answer, by the names of the columns.
    """

    method: str
    path: str
    how: str
    cells: dict[str, int]


def read(table: str) -> list[Row]:
    """Read a table: a line of names of columns, then a line for each request."""
    head, *lines = [line for line in table.splitlines() if line.strip(" -|")]
    columns = head.replace("|", " ").split()
    rows = []
    for line in lines:
        words = line.replace("|", " ").split()
        request, numbers = words[: -len(columns)], words[-len(columns) :]
        cells = dict(zip(columns, map(int, numbers), strict=True))
        rows.append(Row(request[0], request[1], " ".join(request[2:]), cells))
    return rows


def cells(rows: Iterable[Row]) -> list[Any]:
    """The parameters ``row``, ``column`` and ``status`` of a test of each cell."""
    return [
        pytest.param(
            row, column, status, id=f"{row.method} {row.path} {row.how} {column}"
        )
        for row in rows
        for column, status in row.cells.items()
    ]


def by_header(scope: Any) -> str | None:
    """The caller, whom the header ``user`` names."""
    return dict(scope["headers"]).get(b"user", b"").decode() or None


def hook(refused: str) -> Callable[..., str | None]:
    """An ``authorize`` hook that knows who calls, and refuses one action."""

    def authorize(scope: Any, action: str, execution: Execution | None) -> str | None:
        if action == refused:
            raise Forbidden
        return by_header(scope)

    return authorize


def routes_in(answer: Callable[..., Any]) -> list[str]:
    """The paths that are cases of a function; a name is ``{}``, many are ``*``."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(answer)))
    matches = [node for node in ast.walk(tree) if isinstance(node, ast.Match)]
    patterns = [case.pattern for match in matches for case in match.cases]
    return list(dict.fromkeys(f"/{'/'.join(_segments(each))}" for each in patterns))


def route_of(path: str, routes: Iterable[str]) -> str:
    """The first of the routes that a path is one of."""
    for route in routes:
        segments = re.escape(route).replace(r"\{\}", "[^/]+").replace(r"\*", ".+")
        if re.fullmatch(segments, path):
            return route
    raise AssertionError(f"There is no route for {path}")


def _segments(pattern: ast.pattern) -> list[str]:
    assert isinstance(pattern, ast.MatchSequence)
    kinds = {ast.MatchStar: "*", ast.MatchAs: "{}"}
    return [
        str(ast.literal_eval(each.value))
        if isinstance(each, ast.MatchValue)
        else kinds[type(each)]
        for each in pattern.patterns
    ]
