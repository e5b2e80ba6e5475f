"""What people decide of tools of openai-agents that need approval."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

scripts = pytest.importorskip("agents.testing")  # since openai-agents 0.22

from agents import (  # noqa: E402
    Agent,
    RunContextWrapper,
    Runner,
    function_tool,
    set_trace_processors,
)

from asgi_events import agent, testing  # noqa: E402
from asgi_events.bridges.openai_agents import (  # noqa: E402
    ask_approvals,
    run_to_end,
    stream,
)
from asgi_events.events import TextDelta  # noqa: E402
from tests.bridges.asked import (  # noqa: E402
    APPROVED,
    DENIED,
    answers,
    asked,
    end_of,
    messages,
    running,
    soon,
)


@pytest.fixture(autouse=True)
def no_exporter() -> Iterator[None]:
    set_trace_processors([])
    yield
    set_trace_processors([])


@function_tool(needs_approval=True)
async def refund(ctx: RunContextWrapper[Any], amount: int) -> str:
    return f"refunded {amount} {ctx.context or ''}".strip()


def guide(**options: Any) -> Agent[Any]:
    """An agent that wants to refund twice, and then says that it is done."""
    calls = [
        scripts.function_call("refund", {"amount": amount}, call_id=f"id-{amount}")
        for amount in (5, 6)
    ]
    turns = [calls, [scripts.assistant_message("done")]]
    tools = options.pop("tools", [refund])
    return Agent(
        name="guide", model=scripts.ScriptedModel(turns), tools=tools, **options
    )


def told(result: Any) -> list[str]:
    """What the tools have told the model, and what it has said."""
    outputs = [
        item.output for item in result.new_items if item.type == "tool_call_output_item"
    ]
    return [*outputs, result.final_output]


@agent(name="shop")
async def shop(timeout: float | None = None, to: str | None = None) -> list[str]:
    return told(await run_to_end(guide(), "Refund it", timeout=timeout, to=to))


@agent(name="shop")
def shop_sync() -> list[str]:
    with asyncio.Runner() as loop:  # Runner.run_sync would keep it open
        shopper: Any = guide()
        result = loop.run(Runner.run(shopper, "Refund it"))
        while result.interruptions:
            state: Any = ask_approvals(result)
            result = loop.run(Runner.run(shopper, state))
    return told(result)


@agent(name="shop")
def shop_in_its_loop() -> list[str]:
    return told(asyncio.run(run_to_end(guide(), "Refund it")))


@agent(name="shop")
async def shop_streaming() -> list[str]:
    shopper: Any = guide()
    given: Any = "Refund it"
    while True:
        result = Runner.run_streamed(shopper, given)
        async for _ in stream(result):
            pass
        if not result.interruptions:
            return told(result)
        given = await ask_approvals(result)


@pytest.mark.parametrize(
    "actor",
    [shop, shop_sync, shop_in_its_loop, shop_streaming],
    ids=["async", "sync", "loop", "streaming"],
)
async def test_calls_what_is_approved_and_tells_the_model_why_not(actor: Any) -> None:
    async with running(actor) as execution:
        assert await messages(execution, 2) == [
            'Call refund with {"amount": 5}?',
            'Call refund with {"amount": 6}?',
        ]
        await execution.answer(2, DENIED, by="ann")
        await execution.answer(1, APPROVED)

        assert await soon(execution.result()) == ["refunded 5", "too much", "done"]
        assert sorted(await answers(execution)) == [
            (1, "accept", None, None),
            (2, "accept", "ann", None),
        ]
        said = [
            event.delta
            async for event in execution.events()
            if isinstance(event, TextDelta)
        ]
        assert said == (["done"] if actor is shop_streaming else [])


async def test_rejects_what_is_declined_in_words_that_name_nobody() -> None:
    async with running(shop, to="manager") as execution:
        first, _ = await asked(execution, 2)
        await execution.decline(1, by="ann@example.org")
        await execution.answer(2, APPROVED)

        assert await soon(execution.result()) == ["Declined.", "refunded 6", "done"]
        assert (first.address, first.to) == ("shop", "manager")


async def test_rejects_what_nobody_decides_in_time() -> None:
    async with running(shop, timeout=0.05) as execution:
        result = await soon(execution.result())
        closed = await answers(execution)

    assert result == [*["Nobody has decided within 0.05 s."] * 2, "done"]
    assert sorted(closed) == [(n, "expired", None, None) for n in (1, 2)]


async def test_rejects_without_a_reason_in_the_words_of_the_framework() -> None:
    async with running(shop) as execution:
        await asked(execution, 2)
        await execution.answer(1, {"approved": False})
        await execution.answer(2, APPROVED)

        assert await soon(execution.result()) == [
            "Tool execution was not approved.",
            "refunded 6",
            "done",
        ]


async def test_closes_the_questions_of_what_is_cancelled() -> None:
    async with running(shop) as execution:
        await asked(execution, 2)
        await execution.cancel()
        await end_of(execution)

        assert execution.status == "cancelled"
        assert sorted(await answers(execution)) == [
            (n, "cancelled", None, None) for n in (1, 2)
        ]


async def test_keeps_the_context_and_asks_what_the_caller_words() -> None:
    @agent
    async def shop() -> list[str]:
        result = await run_to_end(
            guide(),
            "Refund it",
            context="for ann",
            max_turns=3,
            message=lambda name, arguments: f"{name}: {arguments['amount']} €",
        )
        return told(result)

    async with running(shop) as execution:
        assert await messages(execution, 2) == ["refund: 5 €", "refund: 6 €"]
        await execution.answer(1, APPROVED)
        await execution.answer(2, APPROVED)

        assert await soon(execution.result()) == [
            "refunded 5 for ann",
            "refunded 6 for ann",
            "done",
        ]


async def test_asks_about_the_tools_of_an_agent_that_is_a_tool() -> None:
    @agent
    async def office() -> str:
        call = scripts.function_call("shop", {"input": "Refund it"}, call_id="outer")
        turns = [[call], [scripts.assistant_message("all done")]]
        inner = guide().as_tool("shop", "The shop")
        outer: Any = Agent(
            name="office", model=scripts.ScriptedModel(turns), tools=[inner]
        )
        return str((await run_to_end(outer, "Refund it")).final_output)

    async with running(office) as execution:
        await asked(execution, 2)
        await execution.answer(1, APPROVED)
        await execution.answer(2, DENIED)

        assert await soon(execution.result()) == "all done"


async def test_says_that_nobody_can_answer() -> None:
    with pytest.raises(RuntimeError, match="No actor is running here"):
        await shop()
    with pytest.raises(RuntimeError, match="Nobody can answer here"):
        with testing.capture_events():
            await shop()


async def test_runs_anywhere_what_needs_no_approval() -> None:
    @function_tool
    async def refund(amount: int) -> str:
        return f"refunded {amount}"

    result = await run_to_end(guide(tools=[refund]), "Refund it")

    assert told(result) == ["refunded 5", "refunded 6", "done"]
