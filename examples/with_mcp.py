"""MCP: each call of a tool of an MCP server, live, with its progress.

pip install "asgi-events[server]" "mcp>=2"
hypercorn --workers 0 with_mcp:app
curl -N localhost:8000/research --json '{"topic": "tea"}' \\
    -H 'Accept: text/event-stream'

The MCP server runs in this process. Set MCP_URL to use another one.
"""

import asyncio
import os

from mcp.client import Client
from mcp.server.mcpserver import Context, MCPServer

from asgi_events import EventsApp, agent
from asgi_events.bridges.mcp import call_tool

library = MCPServer("library")


@library.tool()
async def index(topic: str, ctx: Context) -> str:
    """Read all pages about a topic."""
    for page in range(1, 6):
        await asyncio.sleep(0.1)
        await ctx.report_progress(page, 5, f"page {page}")
    return f"5 pages about {topic}"


@library.tool()
async def count(topic: str) -> int:
    """Count the books about a topic."""
    return len(topic)


@agent
async def research(topic: str) -> str:
    async with Client(os.environ.get("MCP_URL") or library) as client:
        results = await asyncio.gather(
            *(
                call_tool(client, name, {"topic": topic}, show=("input", "output"))
                for name in ("index", "count")
            )
        )
    texts = [
        block.text
        for result in results
        for block in result.content
        if block.type == "text"
    ]
    return ", ".join(texts)


app = EventsApp(research)
