"""The fixtures of these tests."""

import pytest

from tests.http.response.sources import Clock


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)
