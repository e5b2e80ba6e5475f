"""Problems as the routes answer them."""

from collections.abc import Callable

from asgi_events import EventsApp, agent, tool

Make = Callable[..., EventsApp]


@tool
async def count(to: int) -> int:
    return to


@agent
async def idle() -> None:
    pass
