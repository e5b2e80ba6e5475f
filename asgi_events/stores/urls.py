"""Stores by the scheme of their URL."""

from urllib.parse import urlsplit

from asgi_events.stores.contract import EventStore


def open_store(url: str) -> EventStore:
    """The store that ``url`` names by its scheme.

    ``memory://``, ``sqlite:///events.db``, ``redis://host:6379/0``, ``rediss://…`` or
    ``unix:///path/to/socket``; see ``docs/stores.md``.

    Raises:
        ValueError: There is no store of that scheme.
        StoreError: The URL is not one of its store's.
        ImportError: The store needs an extra that is not installed.
    """
    scheme = urlsplit(url).scheme
    if scheme == "memory":
        from asgi_events.stores.memory import MemoryStore

        return MemoryStore()
    if scheme == "sqlite":
        from asgi_events.stores.sqlite.store import SQLiteStore

        return SQLiteStore.from_url(url)
    if scheme in ("redis", "rediss", "unix"):
        from asgi_events.stores.redis.store import RedisStore

        return RedisStore(url)
    raise ValueError(
        f"There is no store for {scheme!r}; there are memory://, sqlite:///, redis://, "
        "rediss:// and unix://"
    )
