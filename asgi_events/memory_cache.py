"""The default cache: least recently used, in this process, built on cachetools."""

from threading import Lock
from typing import Any

from asgi_events.events import ExecutionResult

try:
    from cachetools import LRUCache, TTLCache
except ImportError as error:
    raise ImportError(
        'The default cache needs cachetools: pip install "asgi-events[cache]"'
    ) from error


class MemoryCache:
    """A ``CacheBackend`` of at most ``maxsize`` results.

    Args:
        maxsize: How many results it keeps; the least recently used one goes first.
        ttl: How many seconds it keeps a result; None means as long as there is room.
    """

    def __init__(self, *, maxsize: int = 1024, ttl: float | None = None) -> None:
        self._results: LRUCache[str, Any] | TTLCache[str, Any] = (
            LRUCache(maxsize) if ttl is None else TTLCache(maxsize, ttl)
        )
        self._lock = Lock()
        self._hits = 0
        self._misses = 0

    def get(self, key: str) -> ExecutionResult[Any] | None:
        """Return the result under ``key``, or None."""
        with self._lock:
            found: ExecutionResult[Any] | None = self._results.get(key)
            if found is None:
                self._misses += 1
            else:
                self._hits += 1
            return found

    def set(self, key: str, value: ExecutionResult[Any]) -> None:
        """Store ``value`` under ``key``."""
        with self._lock:
            self._results[key] = value

    def get_stats(self) -> dict[str, Any]:
        """Return hits, misses, the hit rate, and the number of results."""
        with self._lock:
            asked = self._hits + self._misses
            return {
                "hits": self._hits,
                "misses": self._misses,
                "hit_rate": self._hits / asked if asked else 0.0,
                "size": len(self._results),
                "maxsize": self._results.maxsize,
            }
