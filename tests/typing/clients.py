"""Type checks only, never run: the clients, as their callers see them."""

from typing import Any, Literal, assert_type

import httpx
import httpx2
from pydantic import BaseModel

from asgi_events.client import (
    About,
    Client,
    EventStream,
    InputAnswer,
    Question,
    RemoteExecution,
    SyncClient,
    SyncEventStream,
    SyncRemoteExecution,
)
from asgi_events.wire.decoding import AnyEvent


class Report(BaseModel):
    title: str


class Chart(BaseModel):
    event_type: Literal["chart"] = "chart"


async def token() -> dict[str, str]:
    return {}


def sync_token() -> dict[str, str] | None:
    return None


def told(reason: str, seconds: float) -> None: ...


async def watches() -> None:
    async with Client("https://a", auth=token, on_reconnect=told) as client:
        assert_type(client, Client)
        execution = await client.start("research", Report(title="a"), key="k")
        assert_type(execution, RemoteExecution)
        assert_type(await client.get("a"), RemoteExecution)
        events = execution.events(after=0, types=[Chart])
        assert_type(events, EventStream)
        async for event in events:
            assert_type(event, AnyEvent)
        assert_type(events.number, int)
        assert_type(events.status, str | None)
        assert_type(await execution.result(), Any)
        assert_type(await execution.result(Report), Report)
        assert_type(await execution.result(list[Report]), list[Report])
        assert_type(await execution.result(Report | None), Any)
        assert_type(await execution.about(), About)
        assert_type(await execution.status(), str)
        assert_type(await execution.wait(), str)
        assert_type(await execution.cancel(), bool)
        assert_type(client.execution("a"), RemoteExecution)
        assert_type(await execution.waiting(), list[Question])
        question = await execution.question(1)
        assert_type(question, Question)
        assert_type(question.answer, InputAnswer | None)
        assert_type(await execution.answer(question.n, Report(title="a")), bool)
        assert_type(await execution.decline(1), bool)
        async with execution.events() as entered:
            assert_type(entered, EventStream)


def sync_watches() -> None:
    with SyncClient("https://a", auth=sync_token) as client:
        execution = client.start("research", {"topic": "tea"})
        assert_type(execution, SyncRemoteExecution)
        for event in execution.events(3):
            assert_type(event, AnyEvent)
        assert_type(execution.result(Report), Report)
        assert_type(execution.result(), Any)
        assert_type(execution.cancel(), bool)
        assert_type(client.execution("a"), SyncRemoteExecution)
        assert_type(execution.waiting(), list[Question])
        assert_type(execution.question(1), Question)
        assert_type(execution.answer(1, True), bool)
        assert_type(execution.decline(1), bool)
        with execution.events() as entered:
            assert_type(entered, SyncEventStream)


Client("https://a", http=httpx.AsyncClient(), auth={"A": "b"})
Client("https://a", http=httpx2.AsyncClient(), auth=sync_token, give_up_after=None)
SyncClient("https://a", http=httpx2.Client())


async def wrong_calls(client: Client, execution: RemoteExecution) -> None:
    Client("https://a", http=httpx.Client())  # type: ignore[arg-type]
    SyncClient("https://a", auth=token)  # type: ignore[arg-type]
    Client("https://a", token)  # type: ignore[call-arg]
    Client("https://a", retry=3)  # type: ignore[call-arg]
    await client.start(Report)  # type: ignore[arg-type]
    await client.start("a", None, "k")  # type: ignore[call-arg]
    execution.events(after="3")  # type: ignore[arg-type]
    await execution.answer("1", True)  # type: ignore[arg-type]
    await execution.answer(1)  # type: ignore[call-arg]
    execution.events(types=[3])  # type: ignore[list-item]
