"""An MCP server with a tool that asks, with mcp 1 and mcp 2, and its client."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from pydantic import BaseModel

from tests.bridges.mcp_server import IS_VERSION_2, Client, Context, Hall


class Choice(BaseModel):
    seat: str
    bags: int = 1


def _told(result: Any) -> str:
    return f"{result.action}: {getattr(result, 'data', None)!r}"


if IS_VERSION_2:
    from mcp.server.mcpserver import Elicit, ElicitationResult, Resolve

    MODES = ["legacy", "auto"]

    async def seat() -> Elicit[Choice]:
        return Elicit("Which seat?", Choice)

    async def book(
        chosen: Annotated[ElicitationResult[Choice], Resolve(seat)],
    ) -> str:
        """Ask in the middle of the call, or before it since MCP 2026-07-28."""
        return _told(chosen)

else:
    from mcp.shared.memory import create_connected_server_and_client_session

    MODES = ["legacy"]

    async def book(ctx: Context) -> str:
        """Ask in the middle of the call."""
        return _told(await ctx.elicit("Which seat?", Choice))


@asynccontextmanager
async def connected(mode: str, elicitation_callback: Any) -> AsyncIterator[Any]:
    """A client of a server with the tool ``book``."""
    server: Any = Hall().server
    server.tool(name="book")(book)
    if IS_VERSION_2:
        async with Client(
            server, mode=mode, elicitation_callback=elicitation_callback
        ) as client:
            yield client
    else:
        async with create_connected_server_and_client_session(
            server._mcp_server, elicitation_callback=elicitation_callback
        ) as session:
            yield session
