"""What viewers are shown of a value: JSON of a bounded size, made of any object.

Nothing is consumed: of an iterator, a stream or a file viewers see the type. What is
cut says so.
"""

from __future__ import annotations

import re
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
)
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from enum import Enum
from math import isfinite
from numbers import Integral, Real
from pathlib import PurePath
from typing import Any, Literal, TypeAlias, get_args

from pydantic import BaseModel
from pydantic_core import to_json, to_jsonable_python

MAX_SHOWN = 16 * 1024
"""The bytes of JSON that are shown of one input or output."""

_MAX_DEPTH = 20
_MAX_REPR = 200  # characters of an object that JSON does not have
_ESCAPED = {b"\xc2\x85": 4, b"\xe2\x80\xa8": 3, b"\xe2\x80\xa9": 3}

_SURROGATE = re.compile("[\ud800-\udfff]")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


Part: TypeAlias = Literal["input", "output"]
"""What viewers may be shown of a call: what it was given, and what it returned."""


def checked_show(show: Collection[Part]) -> frozenset[Part]:
    """Return the parts of calls that an option ``show`` names.

    Raises:
        ValueError: It names something else.
    """
    if isinstance(show, str) or not set(show) <= set(get_args(Part)):
        raise ValueError(f'show takes a tuple of "input" and "output", got {show!r}.')
    return frozenset(show)


def shown(value: Any, max_bytes: int = MAX_SHOWN) -> Any:
    """Return what viewers see of ``value``.

    Args:
        value: Any object. Models and dataclasses are shown by their fields, secrets
            as stars, and what JSON does not have by its ``repr`` or its type.
        max_bytes: The bytes its JSON may have, 100 at least.

    Returns:
        None, a bool, number or str, or lists and dicts of these. A text that was cut
        ends with how many characters are missing. So does a list, with an item more,
        and a dict, with the key ``"…"``.
    """
    left = max_bytes
    while True:
        made = _Budget(left).show(value, 0)
        if _bytes(made) <= max_bytes:
            return made
        left //= 2  # the notes of what was cut took too much


class _Budget:
    """The bytes that are left of one value."""

    def __init__(self, left: int) -> None:
        self._left = left

    def show(self, value: Any, depth: int) -> Any:
        """Return ``value`` as JSON types, and take its bytes from the budget."""
        try:
            return self._shown(value, depth)
        except Exception:  # a property, a repr or an iteration of somebody else's
            return self._text(f"<{type(value).__qualname__}>")

    def _shown(self, value: Any, depth: int) -> Any:
        if isinstance(value, Enum):
            value = value.value
        if value is None or isinstance(value, bool):
            self._left -= 5
            return value
        if isinstance(value, str):
            return self._text(str.__str__(value))
        if isinstance(value, Real):
            return self._number(value)
        if depth >= _MAX_DEPTH:
            return self._text(f"<{type(value).__qualname__}>")
        if isinstance(value, BaseModel):
            # As its author wants it: without what is excluded, aliased or masked.
            value = value.__pydantic_serializer__.to_python(value, warnings=False)
            return self._shown(value, depth + 1)
        if is_dataclass(value) and not isinstance(value, type):
            items = ((f.name, getattr(value, f.name)) for f in fields(value) if f.repr)
            return self._object(items, len(fields(value)), depth)
        if isinstance(value, Mapping):
            return self._object(value.items(), len(value), depth)
        if isinstance(value, list | tuple | AbstractSet):
            return self._list(value, len(value), depth)
        return self._other(value)

    def _text(self, text: str) -> str:
        text = _SURROGATE.sub("\ufffd", text)
        size = max(self._left, 0)
        kept = text[:size]
        while (took := _bytes(kept)) > size and kept:
            kept = kept[: len(kept) * size // (took + 1)]
        self._left -= took
        missing = len(text) - len(kept)
        return f"{kept}… ({missing} more characters)" if missing else text

    def _number(self, value: Real) -> Any:
        if isinstance(value, Integral):
            number: int | float = int(value)
            self._left -= len(str(number))
            return number
        number = float(value)
        self._left -= 24
        return number if isfinite(number) else None

    def _object(
        self, items: Iterable[tuple[Any, Any]], size: int, depth: int
    ) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for n, (key, item) in enumerate(items):
            if self._is_spent():
                found["…"] = f"{size - n} more"
                break
            found[self._key(key)] = self.show(item, depth + 1)
            self._left -= 4  # quotes, colon and comma
        return found

    def _list(self, items: Iterable[Any], size: int, depth: int) -> list[Any]:
        found: list[Any] = []
        for n, item in enumerate(items):
            if self._is_spent():
                found.append(f"… ({size - n} more)")
                break
            found.append(self.show(item, depth + 1))
            self._left -= 1
        return found

    def _key(self, key: Any) -> str:
        if not isinstance(key, str):
            (key,) = to_jsonable_python({key: None})
        return self._text(key)

    def _other(self, value: Any) -> Any:
        """Of what JSON does not have: its JSON if pydantic knows one, or its repr."""
        kind = type(value)
        if isinstance(value, bytes | bytearray | memoryview):
            return self._text(f"<{kind.__qualname__} of {len(value)} bytes>")
        if isinstance(value, PurePath):
            return self._text(str(value))
        # These are read once, and that is for the actor to do.
        if not isinstance(value, Iterator | AsyncIterator | Awaitable):
            try:
                return self._text(str(to_jsonable_python(value)))
            except ValueError:  # pydantic does not know it
                pass
            if getattr(kind, "__repr__", None) is not object.__repr__:
                return self._text(_ADDRESS.sub("", repr(value))[:_MAX_REPR])
        return self._text(f"<{kind.__qualname__}>")

    def _is_spent(self) -> bool:
        return self._left <= 0


def _bytes(value: Any) -> int:
    """The bytes of JSON as they are sent, where line ends of Unicode are escaped."""
    json = to_json(value)
    return len(json) + sum(more * json.count(end) for end, more in _ESCAPED.items())
