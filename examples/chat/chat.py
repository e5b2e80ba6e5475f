"""A chat: login, two tools, Stop, history, and answers that survive a reload.

pip install "asgi-events[server]" fastapi itsdangerous pydantic-ai-slim
cd examples/chat
hypercorn --workers 0 chat:app

Log in as ann with the password tea, or as bob with coffee. A fake model answers;
MODEL=openai:gpt-5 asks a real one, with pydantic-ai-slim[openai] and OPENAI_API_KEY.
SECRET signs the cookies; with one of your own, users stay logged in over a restart.
"""

import os
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

from fastapi import Body, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse
from guide import guide
from pydantic import Field
from pydantic_ai import capture_run_messages
from pydantic_ai.messages import ModelMessagesTypeAdapter as Messages
from starlette.middleware.sessions import SessionMiddleware

from asgi_events import EventsMiddleware, Execution, agent, current_state
from asgi_events.types import Scope

PASSWORDS = {"ann": "tea", "bob": "coffee"}  # ask your user database here
DATA = os.environ.get("DATA", ".")  # the directory of both databases
Text = Annotated[str, Body()]
RECENT = "select id, question, messages from turns where user = ? order by rowid desc"


def sql(query: str, *values: str | bytes | None) -> list[Any]:
    with closing(sqlite3.connect(f"{DATA}/chat.db")) as database, database:
        return database.execute(query, values).fetchall()


sql("create table if not exists turns (id primary key, user, question, messages)")


@agent
async def chat(question: Annotated[str, Field(min_length=1, max_length=4000)]) -> str:
    id, user = current_state().execution_id, current_state().owner
    turns = sql(f"{RECENT} limit 20", user)[::-1]
    history = [m for *_, said in turns for m in Messages.validate_json(said or "[]")]
    sql("insert into turns values (?, ?, ?, null)", id, user, question)
    with capture_run_messages() as messages:
        try:
            return (await guide.run(question, message_history=history)).output
        finally:  # after Stop too: the next answer knows what was said until then
            said = Messages.dump_json(messages[len(history) :]).decode()
            sql("update turns set messages = ? where id = ?", said, id)


api = FastAPI()


def user_of(scope: Scope, action: str, execution: Execution | None) -> str | None:
    """Nobody finds the executions of another user."""
    user: str | None = scope["session"].get("user")
    return user


@api.post("/login", status_code=204)
async def login(request: Request, name: Text, password: Text) -> None:
    known = PASSWORDS.get(name, secrets.token_hex())
    if not secrets.compare_digest(known.encode(), password.encode()):
        raise HTTPException(401, "Wrong name or password.")
    request.session["user"] = name


@api.post("/logout", status_code=204)
async def logout(request: Request) -> None:
    request.session.clear()


@api.get("/turns")
def turns(request: Request) -> dict[str, Any]:
    if user := user_of(request.scope, "list", None):
        return {"user": user, "turns": sql(f"{RECENT} limit 50", user)[::-1]}
    raise HTTPException(401, "Log in first.")


@api.get("/")
async def page() -> FileResponse:
    return FileResponse(Path(__file__).with_name("index.html"))


events = EventsMiddleware(
    api,
    actors=[chat],
    authorize=user_of,
    store=f"sqlite:///{DATA}/events.db",
    max_executions_per_owner=1,
)
app = SessionMiddleware(events, os.environ.get("SECRET") or secrets.token_hex())
