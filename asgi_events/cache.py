"""The cache of cacheable actors: what a backend is, and how a call finds its entry."""

import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json

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


async def resolved(value: Any) -> Any:
    """``value``, awaited if it can be."""
    return await value if isinstance(value, Awaitable) else value


def cache_key(
    name: str, function: Callable[..., Any], arguments: Mapping[str, Any]
) -> str | None:
    """What calls with equal arguments share; None for arguments that JSON has not.

    The types of models count: two models with equal fields are two inputs.
    """
    try:
        content = to_json(
            [
                name,
                getattr(function, "__module__", ""),
                getattr(function, "__qualname__", ""),
                [
                    [key, _kinds(value), value]
                    for key, value in sorted(arguments.items())
                ],
            ],
            inf_nan_mode="strings",
        )
    except (PydanticSerializationError, ValueError):
        logger.warning(
            "A call of the cacheable actor %r is not cached: its arguments can not be "
            "written as JSON.",
            name,
        )
        return None
    return hashlib.sha256(content).hexdigest()


def _kinds(value: Any) -> str:
    if isinstance(value, BaseModel):
        return f"{type(value).__module__}.{type(value).__qualname__}"
    return type(value).__name__


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
