"""The fixtures of these tests."""

import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeAlias

import httpx
import pytest
import pytest_asyncio

from asgi_events import Executions
from tests.servers import TIMEOUT, Server, watched

Run: TypeAlias = Callable[..., Executions]


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    """Makes ``Executions``, and drains them when the test is over."""
    made: list[Executions] = []

    def run(*actors: Any, **options: Any) -> Executions:
        made.append(Executions(*actors, **options))
        return made[-1]

    yield run
    for executions in made:
        await executions.drain(0)


@pytest.fixture
def server(serve: Callable[..., Server]) -> Iterator[Server]:
    """The server that ``serve`` of a module starts."""
    with watched(serve()) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as client:
        yield client


@pytest.fixture
def id() -> str:
    """One that no other test has."""
    return secrets.token_hex(8)
