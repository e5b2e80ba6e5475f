"""The cache of cacheable actors: what a backend is, and which entry a call has."""

from __future__ import annotations

import hashlib
import inspect
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, Protocol
from uuid import UUID

from pydantic import BaseModel, SecretBytes, SecretStr

from asgi_events.aio.awaitables import resolved
from asgi_events.events import ExecutionResult

logger = logging.getLogger(__name__)


class CacheBackend(Protocol):
    """Keeps results; every method may be a coroutine function.

    ``set`` is given an ``ExecutionResult``, and ``get`` returns it, or None.
    """

    def get(self, key: str) -> Any: ...

    def set(self, key: str, value: ExecutionResult[Any]) -> Any: ...

    def get_stats(self) -> Any: ...


class ActorCache:
    """Finds the cache entry of each call of one actor.

    Args:
        name: The actor's name.
        function: The actor's function.
        backend: The actor's own cache. Without one, calls use the cache of their
            execution, or else a ``MemoryCache`` that is made for this actor.
    """

    def __init__(
        self, name: str, function: Callable[..., Any], backend: CacheBackend | None
    ) -> None:
        self._name = name
        self._function_id = _function_id(function)
        self._signature = inspect.signature(function)
        self._backend = backend
        self._fallback: CacheBackend | None = None

    def entry(
        self,
        backend: CacheBackend | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> CacheEntry | None:
        """Return the entry of a call, or None if its arguments have no cache key.

        Args:
            backend: The cache of the execution.
            args, kwargs: The arguments of the call.

        Raises:
            TypeError: The function does not take these arguments.
        """
        if self._backend is not None:  # not "or": an empty cache may be false
            backend = self._backend
        if backend is None:
            backend = self._fallback
        if backend is None:
            from asgi_events.memory_cache import MemoryCache  # needs an extra

            backend = self._fallback = MemoryCache()
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        key = cache_key(self._name, self._function_id, bound.arguments)
        return CacheEntry(backend, key) if key is not None else None


class CacheEntry:
    """One call's entry in a cache. A cache that raises counts as empty."""

    def __init__(self, backend: CacheBackend, key: str) -> None:
        self._backend = backend
        self._key = key

    async def get(self) -> ExecutionResult[Any] | None:
        """Return the stored result of this call, or None."""
        try:
            found = await resolved(self._backend.get(self._key))
        except Exception:
            logger.exception("The cache %r could not be read.", self._backend)
            return None
        return found if isinstance(found, ExecutionResult) else None

    async def set(self, result: ExecutionResult[Any]) -> None:
        """Store the result of this call."""
        try:
            await resolved(self._backend.set(self._key, result))
        except Exception:
            logger.exception("The cache %r could not be written.", self._backend)


def cache_key(name: str, function: str, arguments: Mapping[str, Any]) -> str | None:
    """Return the key that calls with equal arguments share.

    None for arguments that are not plain data, models or dataclasses. The types of
    models count: two models with equal fields are two inputs.
    """
    try:
        content = repr([name, function, _content(arguments)])
    except (TypeError, ValueError, RecursionError) as error:
        logger.warning(
            "A call of the cacheable actor %r is not cached: %s.", name, error
        )
        return None
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


def _function_id(function: Any) -> str:
    """Return what names the function in a cache that processes share.

    One ``def`` can make several functions, with other closures or another ``self``.
    Each of these gets an id that no other process has.
    """
    module = getattr(function, "__module__", "")
    name = f"{module}.{getattr(function, '__qualname__', '')}"
    if inspect.isfunction(function) and "<locals>" not in name:
        return name
    return f"{name} {secrets.token_hex(8)}"


def _content(value: Any) -> Any:
    """Return what differs between any two different values, however deep.

    JSON would not do: it leaves secrets and excluded fields out, so two users would
    share an entry.
    """
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    match value:
        case Enum() | SecretStr() | SecretBytes():
            own = value.value if isinstance(value, Enum) else value.get_secret_value()
            return kind, _content(own)
        case None | bool() | int() | float() | str() | bytes():
            return kind, repr(value)
        case BaseModel():
            private = value.__pydantic_private__ or {}
            return kind, _content(value.__dict__ | (value.model_extra or {}) | private)
        case Mapping():
            items = [(_content(key), _content(item)) for key, item in value.items()]
            return kind, sorted(items, key=repr)
        case list() | tuple():
            return kind, [_content(item) for item in value]
        case set() | frozenset():
            return kind, sorted(map(_content, value), key=repr)
        case date() | time() | timedelta() | Decimal() | UUID() | PurePath():
            return kind, repr(value)
        case _ if is_dataclass(value):
            return kind, _content(vars(value))
    raise TypeError(f"its arguments have a {kind}, which cannot be part of a cache key")
