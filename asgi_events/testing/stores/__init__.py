"""The tests that every store has to pass, as a class for your own pytest suite::

    from asgi_events.testing.stores import StoreContract

    class TestToyStore(StoreContract):
        async def make(self) -> EventStore:
            return ToyStore()

        async def advance(self, store: EventStore, seconds: float) -> None:
            store.clock += seconds

``docs/stores.md`` shows how to write a store. The tests need pytest, and no plugin.
"""

import pytest

_TOPICS = "appends case hints leases lists reads requests retention writers"
pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in _TOPICS.split()))

from asgi_events.testing.stores.appends import Appends  # noqa: E402
from asgi_events.testing.stores.case import StoreCase  # noqa: E402
from asgi_events.testing.stores.hints import Hints  # noqa: E402
from asgi_events.testing.stores.leases import Leases  # noqa: E402
from asgi_events.testing.stores.lists import Lists  # noqa: E402
from asgi_events.testing.stores.reads import Reads  # noqa: E402
from asgi_events.testing.stores.requests import Requests  # noqa: E402
from asgi_events.testing.stores.retention import Retention  # noqa: E402
from asgi_events.testing.stores.writers import Writers  # noqa: E402

__all__ = ["StoreCase", "StoreContract"]


class StoreContract(
    Appends, Writers, Reads, Lists, Hints, Requests, Leases, Retention, StoreCase
):
    """All that ``EventStore`` promises; a subclass defines ``make`` and ``advance``.

    Each test gets a new store from ``make``. Fixtures reach it by attributes: define a
    fixture with ``autouse=True`` in the class, and let it set ``self.path``.
    """
