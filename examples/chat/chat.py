"""A chat: login, two tools, Stop, history, and answers that survive a reload.

pip install "asgi-events[server]" fastapi pydantic-ai-slim
cd examples/chat
hypercorn --workers 0 chat:app

Log in as ann with the password tea. A fake model answers; MODEL=openai:gpt-5 asks a
real one, with pydantic-ai-slim[openai] and OPENAI_API_KEY.
"""

import asyncio
import os
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelRequest, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

from asgi_events import EventsMiddleware, Execution, agent, current_state
from asgi_events.bridges.pydantic_ai import PydanticAIEvents
from asgi_events.types import Scope

PASSWORDS = {"ann": "tea", "bob": "coffee"}


# The agent


async def fake(
    messages: list[ModelMessage], info: AgentInfo
) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
    """Call both tools, then answer word by word."""
    asked = messages[-1]
    assert isinstance(asked, ModelRequest)
    if not any(isinstance(part, ToolReturnPart) for part in asked.parts):
        yield {
            0: DeltaToolCall("weather", '{"city": "Rome"}'),
            1: DeltaToolCall("trains", '{"city": "Rome"}'),
        }
        return
    for word in "It is sunny in Rome, and the next train goes at 14:05.".split():
        yield f"{word} "
        await asyncio.sleep(0.1)


guide = Agent(
    os.environ.get("MODEL") or FunctionModel(stream_function=fake, model_name="fake"),
    name="guide",
    capabilities=[PydanticAIEvents()],
)


@guide.tool_plain
async def weather(city: str) -> str:
    """Tell the weather in a city."""
    await asyncio.sleep(0.2)
    return "sunny"


@guide.tool_plain
async def trains(city: str) -> list[str]:
    """List the next trains to a city."""
    await asyncio.sleep(0.4)
    return ["14:05", "15:05"]


@dataclass
class Turn:
    execution: str
    question: str
    answer: str | None = None  # None while it runs


turns: defaultdict[str, list[Turn]] = defaultdict(list)  # by user, as the next one
memory: dict[str, list[ModelMessage]] = {}


@agent
async def chat(question: str) -> str:
    user, id = current_state().owner, current_state().execution_id
    assert user and id
    turn = Turn(id, question)
    turns[user].append(turn)
    try:
        result = await guide.run(question, message_history=memory.get(user))
        memory[user] = result.all_messages()
        turn.answer = result.output
    finally:
        turn.answer = turn.answer or "(stopped)"
    return turn.answer


# The web application

sessions: dict[str, str] = {}  # the user, by the secret in the cookie
api = FastAPI()


def user_of(scope: Scope, action: str, execution: Execution | None) -> str | None:
    """Nobody finds the executions of another user."""
    return sessions.get(Request(scope).cookies.get("session", ""))


def user(request: Request) -> str:
    if name := user_of(request.scope, "", None):
        return name
    raise HTTPException(401, "Log in first.")


class Login(BaseModel):
    name: str
    password: str


@api.post("/login", status_code=204)
async def login(given: Login, response: Response) -> None:
    password = PASSWORDS.get(given.name, "")
    if not password or not secrets.compare_digest(password, given.password):
        raise HTTPException(401, "Wrong name or password.")
    secret = secrets.token_urlsafe()
    sessions[secret] = given.name
    response.set_cookie("session", secret, httponly=True, samesite="lax")


@api.get("/turns")
async def history(user: str = Depends(user)) -> list[Turn]:
    return turns[user]


@api.get("/")
async def page() -> FileResponse:
    return FileResponse(Path(__file__).with_name("index.html"))


app = EventsMiddleware(
    api, actors=[chat], authorize=user_of, max_executions_per_owner=1
)
