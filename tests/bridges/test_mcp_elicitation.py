"""What people answer to what MCP servers elicit."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from mcp import types

from asgi_events import agent, current_state, testing
from asgi_events.bridges.mcp import call_tool, elicitation_callback
from tests.bridges.asked import answers, asked, end_of, running, soon
from tests.executions.asking import waiting_in

if not hasattr(types, "ElicitResult"):
    pytest.skip("this version has no elicitation", allow_module_level=True)

from tests.bridges.mcp_elicitation import MODES, Choice, connected

FORM: dict[str, Any] = {
    "type": "object",
    "title": "Choice",
    "properties": {
        "seat": {"title": "Seat", "type": "string"},
        "bags": {"title": "Bags", "type": "integer", "default": 1},
    },
    "required": ["seat"],
}


async def booked(mode: str, **options: Any) -> str:
    async with connected(mode, elicitation_callback(**options)) as client:
        result = await call_tool(client, "book")
    return str(result.content[0].text)


@agent(name="trip")
async def trip(
    mode: str = "legacy", to: str | None = None, timeout: float | None = None
) -> str:
    return await booked(mode, to=to, timeout=timeout)


@agent(name="trip")
def trip_sync(mode: str = "legacy") -> str:
    return asyncio.run(booked(mode))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("actor", [trip, trip_sync], ids=["async", "sync"])
async def test_gives_the_server_the_answer(
    actor: Any, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loops = waiting_in(monkeypatch)
    async with running(actor, mode=mode) as execution:
        (request,) = await asked(execution)
        await execution.answer(1, {"seat": "1A"}, by="ann")

        assert await soon(execution.result()) == f"accept: {Choice(seat='1A')!r}"
        schema = {"title": "Choice", **request.response_schema}  # mcp may drop it
        assert (request.message, schema) == ("Which seat?", FORM)
        assert request.address.startswith("trip")
        assert await answers(execution) == [(1, "accept", "ann", None)]
        assert loops == [asyncio.get_running_loop()]


@pytest.mark.parametrize("mode", MODES)
async def test_tells_the_server_that_it_was_declined(mode: str) -> None:
    async with running(trip, mode=mode, to="manager") as execution:
        (request,) = await asked(execution)
        await execution.decline(1)

        assert await soon(execution.result()) == "decline: None"
        assert request.to == "manager"


@pytest.mark.parametrize("mode", MODES)
async def test_cancels_what_nobody_answers_in_time(mode: str) -> None:
    async with running(trip, mode=mode, timeout=0.05) as execution:
        result = await soon(execution.result())
        closed = await answers(execution)

    assert (result, closed) == ("cancel: None", [(1, "expired", None, None)])


@pytest.mark.parametrize("mode", MODES)
async def test_closes_the_question_of_what_is_cancelled(mode: str) -> None:
    async with running(trip, mode=mode) as execution:
        await asked(execution)
        await execution.cancel()
        await end_of(execution)

        assert execution.status == "cancelled"
        assert await answers(execution) == [(1, "cancelled", None, None)]


def form(schema: Any, message: str = "Which?") -> Any:
    """What a session calls back with, in mcp 1 and mcp 2."""
    return SimpleNamespace(
        mode="form", message=message, requested_schema=schema, requestedSchema=schema
    )


class Calling:
    """An actor that lets a test call its callback, as a session does in its task."""

    def __init__(self) -> None:
        self.callback: asyncio.Future[Any] = asyncio.Future()

        @agent
        async def trip() -> None:
            self.callback.set_result(elicitation_callback())
            await asyncio.Event().wait()

        self.actor = trip

    async def __call__(self, params: Any) -> Any:
        return await (await soon(self.callback))(None, params)


async def test_asks_with_the_very_schema_of_the_server() -> None:
    calling, schema = Calling(), {**FORM, "title": "What I want"}
    async with running(calling.actor) as execution:
        result = asyncio.ensure_future(calling(form(schema)))
        (request,) = await asked(execution)
        await execution.answer(1, {"seat": "1A", "bags": 2})

        assert request.response_schema == schema
        assert await soon(result) == types.ElicitResult(
            action="accept", content={"seat": "1A", "bags": 2}
        )


@pytest.mark.parametrize(
    ("params", "why"),
    [
        (
            form({"type": "object", "properties": {"at": {"type": "object"}}}),
            "its field 'at': it is not flat",
        ),
        (form(None), "The schema of a form is an object"),
        (form(FORM, " "), "message must not be blank"),
    ],
)
async def test_tells_the_server_what_it_may_not_elicit(params: Any, why: str) -> None:
    calling = Calling()
    async with running(calling.actor) as execution:
        error = await calling(params)

        assert (error.code, why in error.message) == (types.INVALID_PARAMS, True)
        assert await execution.questions() == []


async def test_declines_to_open_a_url(caplog: pytest.LogCaptureFixture) -> None:
    calling = Calling()
    params = SimpleNamespace(mode="url", message="Log in", url="https://example.org")
    async with running(calling.actor) as execution:
        assert await calling(params) == types.ElicitResult(action="decline")
        assert await execution.questions() == []
    assert [record.message for record in caplog.records] == [
        "An MCP server has elicited a URL; that is declined."
    ]


async def test_cancels_for_a_session_that_outlives_the_execution() -> None:
    calling = Calling()
    async with running(calling.actor) as execution:
        result = asyncio.ensure_future(calling(form(FORM)))
        await asked(execution)
        await execution.cancel()

        assert await soon(result) == types.ElicitResult(action="cancel")
        assert await calling(form(FORM)) == types.ElicitResult(action="cancel")


async def test_closes_the_question_that_the_server_does_not_want_any_more() -> None:
    calling = Calling()
    async with running(calling.actor) as execution:
        result = asyncio.ensure_future(calling(form(FORM)))
        await asked(execution)
        result.cancel()
        await asyncio.wait([result])
        await execution.cancel()

        assert result.cancelled()
        assert await answers(execution) == [(1, "cancelled", None, None)]


async def test_says_that_nobody_can_answer() -> None:
    with pytest.raises(RuntimeError, match="No actor is running here"):
        elicitation_callback()
    with testing.capture_events():
        error = await elicitation_callback(current_state())(None, form(FORM))
    assert error.message.startswith("Nobody can answer here")
