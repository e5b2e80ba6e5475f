"""Type checks only, never run: a misspelt option is an error."""

from asgi_events import EventsApp, EventStreamer, Executions, agent


@agent
async def work() -> None: ...


EventsApp(work, cancel_after=10, max_executions=5, prefix="/a")
EventsApp(work, cancel_aftr=10)  # type: ignore[call-arg]
EventsApp(work, cancel_after="10")  # type: ignore[arg-type]
Executions(work, store="memory://")
Executions(work, stor="memory://")  # type: ignore[call-arg]
EventStreamer(True, 0.25)
EventStreamer(heartbeat=0.25)  # type: ignore[call-arg]
