"""Stores by the scheme of their URL.

A scheme leads to a callable that takes the whole URL and returns the store. It is
written as in an entry point, ``module:attribute``, and imported when it is needed.
Packages add schemes by entry points of the group ``asgi_events.stores``.
"""

from collections.abc import Iterable
from pkgutil import resolve_name
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from asgi_events.stores.contract import EventStore

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "asgi_events.stores"

_OWN = {
    "memory": "asgi_events.stores.memory:MemoryStore.from_url",
    "sqlite": "asgi_events.stores.sqlite:SQLiteStore.from_url",
    "redis": "asgi_events.stores.redis:RedisStore",
    "rediss": "asgi_events.stores.redis:RedisStore",
    "unix": "asgi_events.stores.redis:RedisStore",
}
_SHOWN = {"sqlite": "sqlite:///"}


def open_store(url: str) -> EventStore:
    """Open the store that ``url`` names by its scheme.

    ``memory://``, ``sqlite:///events.db``, ``redis://host:6379/0``, ``rediss://…`` or
    ``unix:///path/to/socket``, or a scheme that an installed package brings; see
    ``docs/stores.md``.

    Raises:
        ValueError: No store has that scheme, or several packages bring it.
        StoreError: The store does not accept the URL.
        ImportError: The store needs an extra that is not installed.
    """
    scheme = urlsplit(url).scheme
    if scheme in _OWN:
        store: EventStore = resolve_name(_OWN[scheme])(url)
        return store
    found = {each.value: each for each in _installed() if each.name == scheme}
    if not found:
        raise ValueError(
            f"There is no store for {scheme!r}; there are {_listed(_installed())}"
        )
    if len(found) > 1:
        raise ValueError(
            f"Several installed packages bring a store for {scheme!r}: "
            f"{', '.join(sorted(found))}; uninstall all but one."
        )
    [entry_point] = found.values()
    opened: EventStore = entry_point.load()(url)
    return opened


def _installed() -> "Iterable[EntryPoint]":
    # Imported here: it takes longer than the rest of the package, and is seldom needed.
    from importlib.metadata import entry_points

    return entry_points(group=GROUP)


def _listed(installed: "Iterable[EntryPoint]") -> str:
    own = [_SHOWN.get(scheme, f"{scheme}://") for scheme in _OWN]
    others = sorted({each.name for each in installed} - set(_OWN))
    return ", ".join([*own, *(f"{scheme}:// (installed)" for scheme in others)])
