"""An event as one line of JSON in UTF-8; the only code that encodes.

Pydantic writes it. What pydantic can not write never breaks a running stream: it is
replaced, a lone surrogate by U+FFFD and an unserialisable value by its ``repr``.
"""

import json
import logging
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_json

from asgi_events.events import Event, TerminalEvent
from asgi_events.sse import replace_surrogates

logger = logging.getLogger(__name__)

_warned: set[type] = set()


def encode_json(value: Any) -> bytes:
    """``value`` as JSON: a pydantic model, or anything pydantic knows how to write.

    Of our own events, fields that are None are left out. NaN and the infinities, which
    JSON does not have, become null.
    """
    try:
        if isinstance(value, BaseModel):
            return value.__pydantic_serializer__.to_json(
                value, exclude_none=isinstance(value, Event)
            )
        return to_json(value, inf_nan_mode="null")
    except Exception as error:
        _warn_once(type(value), error)
        return json.dumps(_repaired(value), ensure_ascii=False).encode()


def _warn_once(kind: type, error: Exception) -> None:
    if kind not in _warned:
        _warned.add(kind)
        logger.warning(
            "Part of a %s could not be written as JSON and was replaced (%s). "
            "This is said once for each type.",
            kind.__qualname__,
            error,
        )


def _repaired(value: Any) -> Any:
    """``value`` from parts that JSON has; as much of it as can be kept."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return replace_surrogates(str(value))
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, BaseModel):
        ours = isinstance(value, Event | TerminalEvent)
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        fields |= value.model_extra or {}
        return {
            name: _repaired(field)
            for name, field in fields.items()
            if not (ours and field is None)
        }
    if isinstance(value, Mapping):
        return {
            replace_surrogates(str(key)): _repaired(item) for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_repaired(item) for item in value]
    try:
        return json.loads(to_json(value))
    except Exception:
        return replace_surrogates(_safe_repr(value))


def _safe_repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception:
        return f"<{type(value).__qualname__}>"
