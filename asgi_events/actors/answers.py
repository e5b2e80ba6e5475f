"""Whether an answer fits the form of its question.

What a form lets through, values of the form's type can be made of.

Spec: https://json-schema.org/draft/2020-12/json-schema-validation; dates and times as
in RFC 3339.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from math import isfinite
from typing import Any
from urllib.parse import urlsplit

Schema = Mapping[str, Any]

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DATE_TIME = re.compile(  # with an offset; datetime reads no more than six digits
    r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:[0-5]\d)",
    re.ASCII | re.IGNORECASE,
)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_URI = re.compile(r"[a-z][a-z0-9+.-]*:[^\s\x00-\x1f]*", re.ASCII | re.IGNORECASE)
_WITH_HOST = ("http", "https", "ws", "wss", "ftp")

_WHOLE = 2.0**63  # a float from here on is no int for pydantic


def errors_in(form: Schema, content: Any) -> list[dict[str, Any]]:
    """Return what is wrong with an answer, in the shape of pydantic's errors.

    Args:
        form: As ``forms`` has made or checked it.
        content: The answer, as JSON.
    """
    return list(_errors(form, content, ()))


def _errors(
    schema: Schema, content: Any, loc: tuple[str | int, ...]
) -> Iterator[dict[str, Any]]:
    kind = schema.get("type", "string")  # the items of a list may have none
    if not _IS[kind](content):
        yield _error("type", loc, f"It must be {_A[kind]}.")
    elif kind == "object":
        yield from _errors_of_members(schema, content)
    elif kind == "array":
        yield from _errors_of_items(schema, content, loc)
    else:
        for name, says in _RULES.items():
            if name in schema and (error := says(schema[name], content)):
                yield _error(name, loc, error)


def _errors_of_members(schema: Schema, content: Schema) -> Iterator[dict[str, Any]]:
    properties = schema["properties"]
    for name in schema.get("required", ()):
        if name not in content:
            yield _error("missing", (name,), "It is required.")
    for name, value in content.items():
        if name not in properties:
            yield _error("extra_forbidden", (name,), "There is no such field.")
        else:
            yield from _errors(properties[name], value, (name,))


def _errors_of_items(
    schema: Schema, content: list[Any], loc: tuple[str | int, ...]
) -> Iterator[dict[str, Any]]:
    fewest, most = schema.get("minItems", 0), schema.get("maxItems")
    if len(content) < fewest:
        yield _error("minItems", loc, f"At least {fewest} are needed.")
    if most is not None and len(content) > most:
        yield _error("maxItems", loc, f"At most {most} are allowed.")
    if schema.get("uniqueItems") and len(set(map(str, content))) < len(content):
        yield _error("uniqueItems", loc, "No two may be the same.")
    for index, item in enumerate(content):
        yield from _errors(schema["items"], item, (*loc, index))


def _error(type: str, loc: tuple[str | int, ...], msg: str) -> dict[str, Any]:
    return {"type": type, "loc": list(loc), "msg": msg}


def _is_number(value: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return isfinite(value)  # pydantic's parser takes NaN
    except OverflowError:
        return False


def _is_whole(value: Any) -> bool:
    if isinstance(value, float):
        return value.is_integer() and abs(value) < _WHOLE
    return isinstance(value, int) and not isinstance(value, bool)


_IS: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_whole,
    "number": _is_number,
}

_A = {
    "object": "an object",
    "array": "a list",
    "string": "a text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
}


def _is_uri(text: str) -> bool:
    try:
        scheme, host, *_ = urlsplit(text)
    except ValueError:
        return False
    return bool(_URI.fullmatch(text) and (host or scheme not in _WITH_HOST))


def _is_date(text: str) -> bool:
    try:
        return bool(_DATE.fullmatch(text) and date.fromisoformat(text))
    except ValueError:
        return False


def _is_date_time(text: str) -> bool:
    parts = _DATE_TIME.fullmatch(text)
    if parts is None:
        return False
    day, time, offset = parts.groups()
    try:
        return bool(datetime.fromisoformat(f"{day}T{time}{offset.upper()}"))
    except ValueError:
        return False


FORMATS: dict[str, Callable[[str], bool]] = {
    "date": _is_date,
    "date-time": _is_date_time,
    "email": lambda text: _EMAIL.fullmatch(text) is not None,
    "uri": _is_uri,
}
"""The formats of texts, and whether a text is one."""


def _says(problem: str, is_right: Callable[[Any, Any], bool]) -> Callable[..., str]:
    def says(limit: Any, value: Any) -> str:
        return "" if is_right(limit, value) else problem.format(limit)

    return says


_IS_OFFERED = _says(
    "It must be one of those that are offered.",
    lambda options, value: value in [option["const"] for option in options],
)

_RULES: dict[str, Callable[..., str]] = {
    "enum": _says("It must be one of {}.", lambda enum, value: value in enum),
    "oneOf": _IS_OFFERED,
    "anyOf": _IS_OFFERED,
    "minimum": _says("It must be at least {}.", lambda least, value: value >= least),
    "maximum": _says("It must be at most {}.", lambda most, value: value <= most),
    "minLength": _says(
        "It must have at least {} characters.", lambda least, text: len(text) >= least
    ),
    "maxLength": _says(
        "It must have at most {} characters.", lambda most, text: len(text) <= most
    ),
    "format": _says("It must be a {}.", lambda name, text: FORMATS[name](text)),
}
