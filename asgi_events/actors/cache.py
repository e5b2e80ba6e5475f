"""The cache of cacheable actors: what a backend is, and how a call finds its entry."""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, Protocol
from uuid import UUID

from pydantic import BaseModel, SecretBytes, SecretStr

from asgi_events.aio.waiter import resolved
from asgi_events.events import ExecutionResult

logger = logging.getLogger(__name__)


class CacheBackend(Protocol):
    """Keeps results; every method may be a coroutine function.

    ``set`` is given an ``ExecutionResult``, and ``get`` returns it, or None.
    """

    def get(self, key: str) -> Any: ...

    def set(self, key: str, value: ExecutionResult[Any]) -> Any: ...

    def get_stats(self) -> Any: ...


class HasStats(Protocol):
    """All that ``EventStreamer.stream(cache_backend=…)`` asks for; sync or async."""

    def get_stats(self) -> Any: ...


def cache_key(name: str, function: str, arguments: Mapping[str, Any]) -> str | None:
    """What calls with equal arguments share; None for arguments that JSON has not.

    The types of models count: two models with equal fields are two inputs.
    """
    try:
        content = repr(
            [
                name,
                function,
                _identity(arguments),
            ]
        ).encode("utf-8", "surrogatepass")
    except (TypeError, ValueError, RecursionError):
        logger.warning(
            "A call of the cacheable actor %r is not cached: its arguments can not be "
            "written as JSON.",
            name,
        )
        return None
    return hashlib.sha256(content).hexdigest()


def _identity(value: Any) -> Any:
    """What tells ``value`` from every other, however deep the difference is.

    Not its JSON: that hides secrets and excluded fields, and two users would share.
    """
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    match value:
        case Enum() | SecretStr() | SecretBytes():
            own = value.value if isinstance(value, Enum) else value.get_secret_value()
            return kind, _identity(own)
        case None | bool() | int() | float() | str() | bytes():
            return kind, repr(value)
        case BaseModel():
            private = value.__pydantic_private__ or {}
            return kind, _identity(value.__dict__ | (value.model_extra or {}) | private)
        case Mapping():
            items = [(_identity(key), _identity(item)) for key, item in value.items()]
            return kind, sorted(items, key=repr)
        case list() | tuple():
            return kind, [_identity(item) for item in value]
        case set() | frozenset():
            return kind, sorted(map(_identity, value), key=repr)
        case date() | time() | timedelta() | Decimal() | UUID() | PurePath():
            return kind, repr(value)
        case _ if is_dataclass(value):
            return kind, _identity(vars(value))
    raise TypeError(f"{kind} has no identity that a cache could go by")


class Recall:
    """One call's entry in the cache. A cache that fails is a cache that has nothing."""

    def __init__(self, backend: CacheBackend, key: str) -> None:
        self._backend = backend
        self._key = key

    async def get(self) -> ExecutionResult[Any] | None:
        """The result kept for this call, or None."""
        try:
            found = await resolved(self._backend.get(self._key))
        except Exception:
            logger.exception("The cache %r could not be read.", self._backend)
            return None
        return found if isinstance(found, ExecutionResult) else None

    async def set(self, result: ExecutionResult[Any]) -> None:
        """Keep the result of this call."""
        try:
            await resolved(self._backend.set(self._key, result))
        except Exception:
            logger.exception("The cache %r could not be written.", self._backend)
