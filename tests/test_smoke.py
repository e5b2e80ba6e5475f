import asyncio

from asgi_events import EventsApp, current_state, tool
from tests.asgi import Connection, call, data, kinds


@tool
async def count(to: int) -> int:
    for number in range(to):
        await current_state().progress(number, to)
    return to


async def test_streams_an_execution_from_start_to_end() -> None:
    app = EventsApp(count)
    async with Connection(
        app,
        "POST",
        "/count",
        headers={"accept": "text/event-stream", "content-type": "application/json"},
        body=b'{"to":3}',
    ) as c:
        events = await c.events()
    assert kinds(events) == ["tool_call"] + ["progress"] * 3 + ["tool_call", "complete"]
    assert events[-1].event == "end"
    r = await call(app, "GET", "/executions/" + events[0].id.split(":")[0])
    assert r.status == 200
    await app.executions.drain(0.01)
