"""An agent of pydantic-ai that asks people before it calls a tool.

pip install "asgi-events[server]" pydantic-ai-slim
hypercorn --workers 0 with_approval:app
curl -N localhost:8000/shop --json '{"complaint": "My cup is broken"}' \\
    -H 'Accept: text/event-stream'

It asks. In another terminal, with the id of the execution, which each event has before
the colon of its ``id``:

curl localhost:8000/executions/ID
curl localhost:8000/executions/ID/inputs/1 \\
    --json '{"action": "accept", "content": {"approved": true}}'

or ``{"approved": false, "reason": "Ask for a photo first."}``, which the model is told.
A fake model answers; MODEL=openai:gpt-5 asks a real one.
"""

import os
from collections.abc import AsyncIterator
from functools import partial

from pydantic_ai import Agent
from pydantic_ai.capabilities import HandleDeferredToolCalls
from pydantic_ai.messages import ModelMessage, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

from asgi_events import EventsApp, agent
from asgi_events.bridges.pydantic_ai import PydanticAIEvents, ask_approvals


async def fake(
    messages: list[ModelMessage], info: AgentInfo
) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
    """Call the tool, then say what became of it."""
    told = messages[-1].parts[0]
    if isinstance(told, ToolReturnPart):
        yield f"This is what I could do: {told.content}"
    else:
        yield {0: DeltaToolCall("refund", '{"amount": 12}')}


guide = Agent(
    os.environ.get("MODEL") or FunctionModel(stream_function=fake, model_name="fake"),
    name="guide",
    capabilities=[
        PydanticAIEvents(),
        HandleDeferredToolCalls(partial(ask_approvals, timeout=600.0)),
    ],
)


@guide.tool_plain(requires_approval=True)
async def refund(amount: int) -> str:
    """Give a customer money back."""
    return f"refunded {amount} €"


@agent
async def shop(complaint: str) -> str:
    return (await guide.run(complaint)).output


app = EventsApp(shop)
