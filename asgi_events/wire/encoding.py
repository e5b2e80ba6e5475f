"""Encodes an event as one line of JSON in UTF-8; the only code that encodes.

Pydantic writes it. A value that pydantic cannot write does not break a running stream:
U+FFFD replaces a lone surrogate, and its ``repr`` replaces any other value.
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from json import dumps, loads
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_json

from asgi_events.events import Event
from asgi_events.wire.sse import escape_line_ends, replace_surrogates

logger = logging.getLogger(__name__)

_warned: set[type] = set()

_write_any = partial(to_json, inf_nan_mode="null")

_writers: dict[type, Callable[[Any], bytes]] = {dict: _write_any}
_MAX_WRITERS = 1000  # types may be made at run time, and this keeps them alive

_MAX_DEPTH = 200  # of a value that is repaired; pydantic itself stops at 255


def encode_json(value: Any) -> bytes:
    """Return ``value``, a pydantic model or anything that pydantic can write, as JSON.

    Fields of our own events that are None are left out. NaN and the infinities, which
    JSON does not have, become null. The JSON has no character that any client takes
    for a line end.
    """
    kind = type(value)
    write = _writers.get(kind)
    try:
        json = write(value) if write is not None else _writer(kind)(value)
    except Exception as error:
        _warn_once(kind, error)
        json = _rewritten(value)
    return json if json.isascii() else escape_line_ends(json)


def _writer(kind: type) -> Callable[[Any], bytes]:
    """Find the function that writes values of a type, once for each type."""
    if not issubclass(kind, BaseModel):
        return _write_any
    write: Callable[[Any], bytes] = kind.__pydantic_serializer__.to_json
    if kind.model_config.get("ser_json_inf_nan") == "constants":
        write = _rewritten
    elif issubclass(kind, Event):
        write = partial(kind.__pydantic_serializer__.to_json, exclude_none=True)
    if len(_writers) >= _MAX_WRITERS:
        _writers.clear()
    _writers[kind] = write
    return write


def _rewritten(value: Any) -> bytes:
    return dumps(_repaired(value), ensure_ascii=False).encode()


def _warn_once(kind: type, error: Exception) -> None:
    if kind not in _warned:
        _warned.add(kind)
        logger.warning(
            "Part of a %s could not be written as JSON and was replaced (%s). "
            "This is logged once for each type.",
            kind.__qualname__,
            error,
        )


def _repaired(value: Any, depth: int = 0) -> Any:
    """Return ``value`` as JSON types, with as much of it as possible."""
    try:
        return _rebuilt(value, depth)
    except Exception:  # RecursionError too
        return replace_surrogates(_safe_repr(value))


def _rebuilt(value: Any, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise RecursionError
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        int.__repr__(value)  # raises for thousands of digits, as json.dumps would
        return value
    if isinstance(value, str):
        return replace_surrogates(str.__str__(value))
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, BaseModel):
        return _rebuilt_model(value, depth)
    if isinstance(value, Mapping):
        return {_key(key): _repaired(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_repaired(item, depth + 1) for item in value]
    return loads(to_json(value))


def _rebuilt_model(value: BaseModel, depth: int) -> dict[str, Any]:
    """Let pydantic write field by field, so that hidden fields stay hidden."""
    write = value.__pydantic_serializer__.to_python
    ours = isinstance(value, Event)
    rebuilt: dict[str, Any] = {}
    for name in [*type(value).model_fields, *(value.model_extra or {})]:
        try:
            written = write(value, include={name}, exclude_none=ours, warnings=False)
        except Exception:
            part = getattr(value, name)
            inner = isinstance(part, BaseModel | Mapping | list | tuple)
            written = {name: part if inner else f"<{type(part).__qualname__}>"}
        rebuilt |= {
            _key(key): _repaired(part, depth + 1) for key, part in written.items()
        }
    return rebuilt


def _key(key: Any) -> str:
    if isinstance(key, str):
        return replace_surrogates(str.__str__(key))
    try:
        (text,) = loads(to_json({key: None}))
    except Exception:
        text = replace_surrogates(_safe_repr(key))
    return str(text)


def _safe_repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception:
        return f"<{type(value).__qualname__}>"
