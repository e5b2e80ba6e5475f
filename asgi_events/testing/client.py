"""A client of an ASGI application, with the application's lifespan."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

from asgi_events.testing.connection import TIMEOUT, Connection, Headers
from asgi_events.types import ASGIApp


class Client:
    """Sends requests to an ASGI application in the event loop of the test.

    ``async with Client(app) as client`` runs the application's lifespan around the
    block. A client that is not entered sends no lifespan: not every application has
    one.

    Args:
        app: The ASGI application.
        headers: Headers of every request.
        scope: Members of the ASGI scope of every request.
    """

    def __init__(self, app: ASGIApp, *, headers: Headers = (), **scope: Any) -> None:
        self._app = app
        self._headers = _pairs(headers)
        self._scope = scope
        self._state: dict[str, Any] | None = None
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        self._state = {}
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self._state,
        }
        self._lifespan = asyncio.ensure_future(
            self._app(scope, self._to_app.get, self._from_app.put)
        )
        await self._tell("startup")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._tell("shutdown")
            await asyncio.wait_for(self._lifespan, TIMEOUT)
        finally:
            self._lifespan.cancel()

    async def request(
        self, method: str, path: str, *, headers: Headers = (), **options: Any
    ) -> Connection:
        """Send a request and wait until the application has returned.

        Args:
            method: The method.
            path: The path, with ``?`` and the query if there is one.
            headers: The request's headers, beside those of the client.
            options: As of ``Connection``: ``json``, ``body`` and the others.

        Returns:
            The connection, whose response is complete.

        Raises:
            TimeoutError: The response has no end; ``stream`` reads such a one.
        """
        connection = self.connect(method, path, headers=headers, **options)
        async with connection:
            await connection.end()
        return connection

    async def get(self, path: str, **options: Any) -> Connection:
        """``request`` with ``GET``."""
        return await self.request("GET", path, **options)

    async def head(self, path: str, **options: Any) -> Connection:
        """``request`` with ``HEAD``."""
        return await self.request("HEAD", path, **options)

    async def post(self, path: str, **options: Any) -> Connection:
        """``request`` with ``POST``."""
        return await self.request("POST", path, **options)

    async def delete(self, path: str, **options: Any) -> Connection:
        """``request`` with ``DELETE``."""
        return await self.request("DELETE", path, **options)

    @asynccontextmanager
    async def stream(
        self, path: str, method: str = "GET", **options: Any
    ) -> AsyncIterator[Connection]:
        """Send a request and read its response inside of the block.

        The block begins when the status and the headers are there. At its end the
        client disconnects, and waits until the application has returned.
        """
        async with self.connect(method, path, **options) as connection:
            await connection.start()
            yield connection

    def connect(
        self, method: str, path: str, *, headers: Headers = (), **options: Any
    ) -> Connection:
        """A ``Connection`` to enter: its block begins before there is a response."""
        options = self._scope | options
        if self._state is not None:
            options.setdefault("state", self._state.copy())
        return Connection(
            self._app,
            method,
            path,
            headers=[*self._headers, *_pairs(headers)],
            **options,
        )

    async def _tell(self, event: str) -> None:
        """Send a lifespan event, and wait for its answer."""
        self._to_app.put_nowait({"type": f"lifespan.{event}"})
        answer = asyncio.ensure_future(self._from_app.get())
        await asyncio.wait(
            {answer, self._lifespan},
            timeout=TIMEOUT,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if answer.done():
            if answer.result()["type"] == f"lifespan.{event}.complete":
                return
            message = answer.result().get("message", "")
            raise RuntimeError(f"The application's {event} has failed: {message}")
        answer.cancel()
        if not self._lifespan.done():
            self._lifespan.cancel()
            raise TimeoutError(f"The application's {event} took over {TIMEOUT:g} s.")
        await self._lifespan
        raise RuntimeError(
            f"The application has returned without an answer to lifespan.{event}. If "
            "it has no lifespan, use the client without `async with`."
        )


def _pairs(headers: Headers) -> list[tuple[str, str]]:
    return list(headers.items() if isinstance(headers, Mapping) else headers)
