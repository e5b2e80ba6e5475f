"""An MCP server in memory, with mcp 1 and mcp 2."""

import asyncio
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp import ClientSession

try:
    from mcp.client import Client
    from mcp.server.mcpserver import Context
    from mcp.server.mcpserver import MCPServer as Server
    from mcp.server.mcpserver.exceptions import ToolError
except ImportError:
    from mcp.server.fastmcp import Context
    from mcp.server.fastmcp import FastMCP as Server
    from mcp.server.fastmcp.exceptions import ToolError
    from mcp.shared.memory import create_connected_server_and_client_session

    Client: Any = None

IS_VERSION_2 = Client is not None


class Hall:
    """A server whose tools a test can hold up, and its session."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of mcp 1, from its settings
            self.server = Server("hall")
        self.waits = asyncio.Event()
        self.goes_on = asyncio.Event()
        self.server.tool()(self.index)
        self.server.tool()(self.refuse)
        self.server.tool()(self.wait)

    async def index(self, pages: int, ctx: Context) -> str:
        for page in range(1, pages + 1):
            await ctx.report_progress(page, pages, f"page {page}")
        return f"{pages} pages"

    async def refuse(self) -> str:
        raise ToolError("no disk")

    async def wait(self) -> str:
        self.waits.set()
        await self.goes_on.wait()
        return "waited"


@asynccontextmanager
async def connected(hall: Hall) -> AsyncIterator[ClientSession]:
    """A session with the server of ``hall``."""
    if IS_VERSION_2:
        async with Client(hall.server) as client:
            yield client.session
    else:
        server: Any = hall.server
        async with create_connected_server_and_client_session(
            server._mcp_server
        ) as session:
            yield session
