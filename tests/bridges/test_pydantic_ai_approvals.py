"""What people decide of tools of pydantic-ai that need approval."""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from pydantic_ai import Agent, CallDeferred, DeferredToolRequests, capabilities
from pydantic_ai.capabilities import HandleDeferredToolCalls
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.test import TestModel

from asgi_events import agent, testing
from asgi_events.bridges.pydantic_ai import PydanticAIEvents, ask_approvals
from asgi_events.events import InputRequestEvent
from asgi_events.testing import virtual_time
from tests import TIMEOUT
from tests.bridges.asked import (
    APPROVED,
    DENIED,
    answers,
    asked,
    end_of,
    messages,
    running,
    soon,
)
from tests.servers import ROOT

RequestInput: Any = getattr(capabilities, "RequestInput", None)
needs_request_input = pytest.mark.skipif(
    RequestInput is None, reason="this version has no RequestInput"
)


async def refunds(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """Ask for two refunds, and say what became of them."""
    if len(messages) == 1:
        calls = [
            ToolCallPart("refund", {"amount": amount}, tool_call_id=f"id-{amount}")
            for amount in (5, 6)
        ]
        return ModelResponse(parts=calls)
    parts: Any = messages[-1].parts
    return ModelResponse(parts=[TextPart("; ".join(str(p.content) for p in parts))])


def shop(
    handler: Any, *, is_over: threading.Event | None = None, model: Any = refunds
) -> Any:
    """An actor whose agent needs approval for its tool.

    With ``is_over`` it is a sync actor, and sets that when its thread is over.
    """
    guide = Agent(
        FunctionModel(model) if model is refunds else model,
        name="guide",
        capabilities=[PydanticAIEvents(), handler],
    )

    @guide.tool_plain(requires_approval=True)
    def refund(amount: int) -> str:
        return f"refunded {amount}"

    @agent(name="shop")
    async def shop() -> str:
        return str((await guide.run("Refund it")).output)

    @agent(name="shop")
    def shop_sync() -> str:
        try:
            return str(guide.run_sync("Refund it").output)
        finally:
            asyncio.get_event_loop().close()  # pydantic-ai keeps one for each thread
            asyncio.set_event_loop(None)
            if is_over is not None:
                is_over.set()

    return shop if is_over is None else shop_sync


@pytest.fixture(params=[False, True], ids=["async", "sync"])
async def is_over(
    request: pytest.FixtureRequest,
) -> AsyncIterator[threading.Event | None]:
    """Set by a sync actor; None for an async one."""
    event = threading.Event() if request.param else None
    yield event
    if event is not None:
        assert await asyncio.to_thread(event.wait, TIMEOUT)


ASKED = ['Call refund with {"amount": 5}?', 'Call refund with {"amount": 6}?']


async def test_calls_what_is_approved_and_tells_the_model_why_not(
    is_over: threading.Event | None,
) -> None:
    handler = HandleDeferredToolCalls(ask_approvals)
    async with running(shop(handler, is_over=is_over)) as execution:
        assert await messages(execution, 2) == ASKED
        await execution.answer(2, DENIED, by="ann")
        await execution.answer(1, APPROVED)

        assert await soon(execution.result()) == "refunded 5; too much"
        assert sorted(await answers(execution)) == [
            (1, "accept", None, None),
            (2, "accept", "ann", None),
        ]


async def test_asks_in_the_run_of_the_agent_with_a_form_for_the_reason() -> None:
    handler = HandleDeferredToolCalls(
        partial(
            ask_approvals,
            to="manager",
            timeout=60.0,
            message=lambda name, arguments: f"{name}: {arguments['amount']} €",
        )
    )
    async with running(shop(handler)) as execution:
        first, second = await asked(execution, 2)

    assert (first.message, second.message) == ("refund: 5 €", "refund: 6 €")
    assert (first.address, first.to) == ("shop/guide", "manager")
    assert first.expires is not None
    assert first.response_schema == {
        "type": "object",
        "title": "Approval",
        "description": "May the tool be called?",
        "required": ["approved"],
        "properties": {
            "approved": {"title": "Approved", "type": "boolean"},
            "reason": {"title": "Reason", "type": "string"},
        },
    }


async def test_denies_what_is_declined() -> None:
    async with running(shop(HandleDeferredToolCalls(ask_approvals))) as execution:
        await asked(execution, 2)
        await execution.decline(1, by="ann@example.org")
        await execution.answer(2, APPROVED)

        assert await soon(execution.result()) == "Declined.; refunded 6"


async def test_denies_what_nobody_decides_in_time() -> None:
    handler = HandleDeferredToolCalls(partial(ask_approvals, timeout=0.05))
    async with running(shop(handler)) as execution:
        result = await soon(execution.result())
        closed = await answers(execution)

    assert result == "; ".join(["Nobody has decided within 0.05 s."] * 2)
    assert sorted(closed) == [(n, "expired", None, None) for n in (1, 2)]


async def test_denies_without_a_reason_in_the_words_of_the_framework() -> None:
    async with running(shop(HandleDeferredToolCalls(ask_approvals))) as execution:
        await asked(execution, 2)
        await execution.answer(1, {"approved": False})
        await execution.answer(2, APPROVED)

        assert await soon(execution.result()) == (
            "The tool call was denied.; refunded 6"
        )


async def test_closes_the_questions_of_what_is_cancelled(
    is_over: threading.Event | None,
) -> None:
    handler = HandleDeferredToolCalls(ask_approvals)
    async with running(shop(handler, is_over=is_over)) as execution:
        await asked(execution, 2)
        await execution.cancel()
        await end_of(execution)

        assert execution.status == "cancelled"
        assert sorted(await answers(execution)) == [
            (1, "cancelled", None, None),
            (2, "cancelled", None, None),
        ]


async def test_asks_for_what_a_test_model_calls() -> None:
    handler = HandleDeferredToolCalls(ask_approvals)
    async with running(shop(handler, model=TestModel())) as execution:
        assert await messages(execution) == ['Call refund with {"amount": 0}?']
        await execution.answer(1, APPROVED)

        assert await soon(execution.result()) == '{"refund":"refunded 0"}'


async def test_leaves_tools_that_are_called_elsewhere_to_others() -> None:
    guide = Agent(
        FunctionModel(refunds),
        output_type=[str, DeferredToolRequests],
        capabilities=[HandleDeferredToolCalls(ask_approvals)],
    )

    @guide.tool_plain
    def refund(amount: int) -> str:
        raise CallDeferred

    @agent
    async def shop() -> list[str]:
        output: Any = (await guide.run("Refund it")).output
        return [call.tool_call_id for call in output.calls]

    async with running(shop) as execution:
        assert await soon(execution.result()) == ["id-5", "id-6"]
        assert await execution.questions() == []


@needs_request_input
async def test_answers_a_request_for_input(is_over: threading.Event | None) -> None:
    handler = RequestInput(ask=partial(ask_approvals, to="manager"))
    async with running(shop(handler, is_over=is_over)) as execution:
        first, _ = await asked(execution, 2)
        await execution.answer(1, APPROVED)
        await execution.answer(2, DENIED)

        assert await soon(execution.result()) == "refunded 5; too much"
        assert first.to == "manager"


@needs_request_input
async def test_closes_the_questions_of_a_request_that_is_over() -> None:
    handler = RequestInput(ask=ask_approvals, timeout=timedelta(minutes=1))
    with virtual_time():
        async with running(shop(handler)) as execution:
            result = str(await execution.result())
            closed = await answers(execution)

    assert result.count("No decision on this tool call arrived") == 2
    assert sorted(closed) == [(n, "cancelled", None, None) for n in (1, 2)]


async def test_says_that_nobody_can_answer() -> None:
    actor = shop(HandleDeferredToolCalls(ask_approvals))

    with pytest.raises(RuntimeError, match="No actor is running here"):
        await actor()
    with pytest.raises(RuntimeError, match="Nobody can answer here"):
        with testing.capture_events() as events:
            await actor()
    assert [e for e in events if isinstance(e, InputRequestEvent)] == []


async def test_the_example_asks_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "examples")
    monkeypatch.setenv("MODEL", "")
    app = importlib.import_module("with_approval").app
    client = testing.Client(app)
    started = await client.post("/shop", json={"complaint": "My cup is broken"})
    path = started.headers["location"]
    execution = await app.executions.get(path.rpartition("/")[2])
    await asked(execution)
    (waiting,) = (await (await client.get(path)).json())["waiting"]
    content = {"approved": False, "reason": "Ask for a photo first."}
    answered = await client.post(
        f"{path}/inputs/1", json={"action": "accept", "content": content}
    )
    result = await soon(execution.result())
    await app.executions.drain(0)

    assert waiting["message"] == 'Call refund with {"amount": 12}?'
    assert answered.status == 201
    assert result == "This is what I could do: Ask for a photo first."
