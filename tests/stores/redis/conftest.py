"""The fixtures of these tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from asgi_events.stores.redis import RedisStore
from tests.stores.redis.links import opened
from tests.valkey import Valkey


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Valkey]:
    with Valkey(getattr(request, "param", "valkey")) as server:
        yield server


@pytest.fixture
async def store(server: Valkey) -> AsyncIterator[RedisStore]:
    async with opened(server.url) as store:
        yield store
