"""The fixtures of these tests."""

import pytest

from asgi_events import (
    ExecutionState,
)
from tests.actors.heard import Heard


@pytest.fixture
def state() -> ExecutionState:
    return ExecutionState()


@pytest.fixture
async def heard(state: ExecutionState) -> Heard:
    return Heard(state)
