"""What viewers see of the agents of pydantic-ai: whole trees, in order."""

import asyncio
import importlib
import re
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import (
    Agent,
    ApprovalRequired,
    DeferredToolRequests,
    DeferredToolResults,
    ModelRetry,
    RunContext,
)
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.exceptions import ModelHTTPError, SkipToolExecution
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.function import FunctionModel

from asgi_events import ExecutionEvent, agent, current_state, tool
from asgi_events.bridges import pydantic_ai as bridge
from asgi_events.bridges.pydantic_ai import PydanticAIEvents, _can_stream, _Run
from asgi_events.events import Usage
from asgi_events.testing import capture_events, run
from tests import TIMEOUT
from tests.bridges.pydantic_ai_fakes import Seen, answers, calls, scripted, seen, thinks

HELLO = ["Hel", "lo"]


def guide(
    model: FunctionModel | FallbackModel, name: str = "guide", **options: Any
) -> Agent:
    return Agent(model, name=name, capabilities=[PydanticAIEvents(**options)])


def called(address: str, kind: str, *inside: Seen) -> list[Seen]:
    return [(address, kind, "started"), *inside, (address, kind, "completed")]


def said(address: str, *pieces: str) -> list[Seen]:
    """A whole call of the model ``address``."""
    return called(address, "llm", *((address, "says", piece) for piece in pieces))


async def by_run(bot: Agent) -> str:
    return (await bot.run("hi")).output


async def by_run_stream(bot: Agent) -> str:
    async with bot.run_stream("hi") as answer:
        return await answer.get_output()


async def by_run_stream_events(bot: Agent) -> str:
    output = ""
    async with bot.run_stream_events("hi") as events:
        async for event in events:
            if event.event_kind == "agent_run_result":
                output = event.result.output
    return output


async def by_streaming_the_nodes(bot: Agent) -> str:
    async with bot.iter("hi") as steps:
        async for node in steps:
            if Agent.is_model_request_node(node):
                async with node.stream(steps.ctx) as events:
                    async for _ in events:
                        pass
    assert steps.result is not None
    return steps.result.output


WAYS = [by_run, by_run_stream, by_run_stream_events, by_streaming_the_nodes]


@pytest.mark.parametrize("ask", WAYS)
async def test_it_shows_the_text_at_the_address_of_the_model(ask: Any) -> None:
    bot = guide(scripted([calls("look")], HELLO))

    @bot.tool_plain
    async def look() -> str:
        return "a hill"

    @agent
    async def root() -> str:
        return await ask(bot)

    result, events = await run(root)

    assert result == "Hello"
    assert seen(events) == called(
        "root",
        "agent",
        *called(
            "root/guide",
            "agent",
            *said("root/guide/model"),
            *called("root/guide/look", "tool"),
            *said("root/guide/model#2", *HELLO),
        ),
    )


async def tree(bot: Agent, *, of: Any = by_run) -> list[Seen]:
    """What viewers see of one run that is all that the actor ``root`` does."""

    @agent
    async def root() -> None:
        await of(bot)

    _, events = await run(root)
    (first, *inside, last) = seen(events)
    assert (first, last) == tuple(called("root", "agent"))
    return inside


async def tree_of_failure(bot: Agent, error: type[Exception]) -> list[Seen]:
    with capture_events() as events, pytest.raises(error):
        await bot.run("hi")
    return seen(events)


async def test_it_shows_tools_that_run_side_by_side() -> None:
    bot = guide(scripted([calls("left", "right")], HELLO))
    both = asyncio.Barrier(2)
    left_is_over = asyncio.Event()

    @bot.tool_plain
    async def left() -> str:
        await both.wait()
        await current_state().log("I was left")
        left_is_over.set()
        return ""

    @bot.tool_plain
    async def right() -> str:
        await both.wait()
        await left_is_over.wait()
        await asyncio.sleep(0)  # lets the framework hear of the end of the other one
        await current_state().log("I was right")
        return ""

    assert await tree(bot) == called(
        "root/guide",
        "agent",
        *said("root/guide/model"),
        ("root/guide/left", "tool", "started"),
        ("root/guide/right", "tool", "started"),
        ("root/guide/left", "logs", "I was left"),
        ("root/guide/left", "tool", "completed"),
        ("root/guide/right", "logs", "I was right"),
        ("root/guide/right", "tool", "completed"),
        *said("root/guide/model#2", *HELLO),
    )


async def test_it_nests_an_agent_that_a_tool_runs() -> None:
    scout = guide(scripted(["a ", "hill"], name="small"), "scout")
    bot = guide(scripted([calls("look")], HELLO))

    @bot.tool
    async def look(ctx: RunContext[None]) -> str:
        return (await scout.run("look", usage=ctx.usage)).output

    assert await tree(bot) == called(
        "root/guide",
        "agent",
        *said("root/guide/model"),
        *called(
            "root/guide/look",
            "tool",
            *called(
                "root/guide/look/scout",
                "agent",
                *said("root/guide/look/scout/small", "a ", "hill"),
            ),
        ),
        *said("root/guide/model#2", *HELLO),
    )


async def test_it_shows_what_a_model_thinks() -> None:
    bot = guide(scripted([thinks("Hm"), thinks("mm"), "Yes"]))

    assert await tree(bot) == called(
        "root/guide",
        "agent",
        *called(
            "root/guide/model",
            "llm",
            ("root/guide/model", "thinks", "Hm"),
            ("root/guide/model", "thinks", "mm"),
            ("root/guide/model", "says", "Yes"),
        ),
    )


async def test_it_shows_the_tokens_of_each_request() -> None:
    bot = guide(scripted(HELLO))
    with capture_events() as events:
        result = await bot.run("hi")

    (answer,) = (m for m in result.all_messages() if m.kind == "response")
    ends = {
        event.address: event.usage
        for event in events
        if isinstance(event, ExecutionEvent) and event.execution_status != "started"
    }
    assert answer.usage.output_tokens > 0
    assert ends == {
        "guide/model": Usage(
            input_tokens=answer.usage.input_tokens,
            output_tokens=answer.usage.output_tokens,
        ),
        "guide": None,
    }


async def test_it_shows_a_tool_that_fails() -> None:
    bot = guide(scripted([calls("look")]))

    @bot.tool_plain
    async def look() -> str:
        raise ValueError("too dark")

    assert await tree_of_failure(bot, ValueError) == [
        ("guide", "agent", "started"),
        *said("guide/model"),
        ("guide/look", "tool", "started"),
        ("guide/look", "tool", "failed", "too dark"),
        ("guide", "agent", "failed", "too dark"),
    ]


async def test_it_shows_a_tool_that_asks_the_model_to_try_again() -> None:
    bot = guide(scripted([calls("look")], [calls("look")], HELLO))
    tries = iter([ModelRetry("look up"), "a hill"])

    @bot.tool_plain
    async def look() -> str:
        outcome = next(tries)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert await tree(bot) == called(
        "root/guide",
        "agent",
        *said("root/guide/model"),
        ("root/guide/look", "tool", "started"),
        ("root/guide/look", "tool", "failed", "look up"),
        *said("root/guide/model#2"),
        *called("root/guide/look#2", "tool"),
        *said("root/guide/model#3", *HELLO),
    )


@pytest.mark.parametrize(
    ("show", "message"),
    [
        ((), "Invalid arguments: height"),
        (("input",), "1 validation error for look"),
    ],
)
async def test_it_shows_a_tool_that_the_model_called_with_wrong_arguments(
    show: Any, message: str
) -> None:
    wrong, right = '{"height": "secret"}', '{"height": 1}'
    bot = guide(
        scripted([calls("look", look=wrong)], [calls("look", look=right)], HELLO),
        show=show,
    )

    @bot.tool_plain
    async def look(height: int) -> str:
        return "a hill"

    first, *rest = (s for s in await tree(bot) if "/look" in s[0])
    failed, *rest = rest

    assert first == ("root/guide/look", "tool", "started")
    assert failed[:3] == ("root/guide/look", "tool", "failed")
    assert failed[3].startswith(message)
    assert ("secret" in failed[3]) is ("input" in show)
    assert rest == called("root/guide/look#2", "tool")


async def test_it_shows_a_model_that_fails_in_the_middle_of_its_answer() -> None:
    bot = guide(scripted(["Hel", ValueError("no more")]))

    assert await tree_of_failure(bot, ValueError) == [
        ("guide", "agent", "started"),
        ("guide/model", "llm", "started"),
        ("guide/model", "says", "Hel"),
        ("guide/model", "llm", "failed", "no more"),
        ("guide", "agent", "failed", "no more"),
    ]


@pytest.mark.parametrize("model", [answers, lambda error: scripted([error])])
async def test_it_shows_a_model_that_does_not_answer(model: Any) -> None:
    assert await tree_of_failure(guide(model(ValueError("no"))), ValueError) == [
        ("guide", "agent", "started"),
        ("guide/model", "llm", "started"),
        ("guide/model", "llm", "failed", "no"),
        ("guide", "agent", "failed", "no"),
    ]


async def test_it_shows_the_text_of_a_model_that_cannot_stream_once() -> None:
    bot = guide(answers("look", "Hello"))

    @bot.tool_plain
    async def look() -> str:
        return "a hill"

    assert await tree(bot) == called(
        "root/guide",
        "agent",
        *said("root/guide/model"),
        *called("root/guide/look", "tool"),
        *said("root/guide/model#2", "Hello"),
    )


async def test_it_shows_the_text_once_if_it_must_not_stream() -> None:
    streamed = scripted([ValueError("streamed")])
    streamed.function = answers("Hello").function
    bot = guide(streamed, stream=False)

    assert await tree(bot) == called(
        "root/guide", "agent", *said("root/guide/model", "Hello")
    )


async def test_it_streams_from_models_that_fall_back_if_all_of_them_can() -> None:
    first = scripted([ModelHTTPError(503, "first")], name="first")
    both_stream = FallbackModel(first, scripted(HELLO))
    one_cannot = FallbackModel(first, answers("Hello"))

    name = "root/guide/fallback-first,model"  # an address has no colon
    assert await tree(guide(both_stream)) == called(
        "root/guide", "agent", *said(name, *HELLO)
    )
    assert not _can_stream(one_cannot)


async def test_it_shows_the_agent_and_its_structured_output_only_if_asked() -> None:
    class Place(BaseModel):
        name: str

    place = calls("final_result", final_result='{"name": "Rome"}')
    for show, output in [((), None), (("output",), {"name": "Rome"})]:
        bot = Agent(
            scripted([place]),
            name="guide",
            output_type=Place,
            capabilities=[PydanticAIEvents(show=show)],
        )
        with capture_events() as events:
            result = await bot.run("where?")

        assert result.output == Place(name="Rome")
        assert seen(events) == called("guide", "agent", *said("guide/model"))
        assert events[-1].output == output


async def test_it_shows_input_and_output_only_if_asked() -> None:
    shown = []
    for show in [(), ("input",), ("output",), ("input", "output")]:
        bot = guide(scripted([calls("look", look='{"at": "Rome"}')], HELLO), show=show)

        @bot.tool_plain
        async def look(at: str) -> list[str]:
            return [at, "hills"]

        with capture_events() as events:
            await bot.run("hi")
        calls_of = [e for e in events if isinstance(e, ExecutionEvent)]
        shown.append(
            [
                (e.address, e.input, e.output)
                for e in calls_of
                if (e.input, e.output) != (None, None)
            ]
        )

    inputs = [("guide", "hi", None), ("guide/look", {"at": "Rome"}, None)]
    outputs = [("guide/look", None, ["Rome", "hills"]), ("guide", None, "Hello")]
    assert shown == [[], inputs, outputs, inputs + outputs]


@pytest.mark.parametrize("ask", WAYS)
async def test_it_cancels_each_open_call_once_in_the_middle_of_tools(
    ask: Any,
) -> None:
    bot = guide(scripted([calls("left", "right")], HELLO))
    both = asyncio.Barrier(3)

    @bot.tool_plain
    async def left() -> None:
        await both.wait()
        await asyncio.Future()

    @bot.tool_plain
    async def right() -> None:
        await both.wait()
        await asyncio.Future()

    with capture_events() as events:
        task = asyncio.create_task(ask(bot))
        async with asyncio.timeout(TIMEOUT):
            await both.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert seen(events) == [
        ("guide", "agent", "started"),
        *said("guide/model"),
        ("guide/left", "tool", "started"),
        ("guide/right", "tool", "started"),
        ("guide/left", "tool", "cancelled"),
        ("guide/right", "tool", "cancelled"),
        ("guide", "agent", "cancelled"),
    ]


@pytest.mark.parametrize("ask", WAYS)
async def test_it_cancels_each_open_call_once_in_the_middle_of_a_text(
    ask: Any,
) -> None:
    has_begun = asyncio.Event()

    async def wait() -> None:
        has_begun.set()
        await asyncio.Future()

    waits = wait()
    bot = guide(scripted(["Hel", waits, "lo"]))
    with capture_events() as events:
        task = asyncio.create_task(ask(bot))
        async with asyncio.timeout(TIMEOUT):
            await has_begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert seen(events) == [
        ("guide", "agent", "started"),
        ("guide/model", "llm", "started"),
        ("guide/model", "says", "Hel"),
        ("guide/model", "llm", "cancelled"),
        ("guide", "agent", "cancelled"),
    ]


async def test_it_cancels_an_agent_in_the_tool_of_a_cancelled_agent() -> None:
    has_begun = asyncio.Event()

    async def wait() -> None:
        has_begun.set()
        await asyncio.Future()

    scout = guide(scripted([wait()], name="small"), "scout")
    bot = guide(scripted([calls("look")], HELLO))

    @bot.tool_plain
    async def look() -> str:
        return (await scout.run("look")).output

    with capture_events() as events:
        task = asyncio.create_task(bot.run("hi"))
        async with asyncio.timeout(TIMEOUT):
            await has_begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert seen(events) == [
        ("guide", "agent", "started"),
        *said("guide/model"),
        ("guide/look", "tool", "started"),
        ("guide/look/scout", "agent", "started"),
        ("guide/look/scout/small", "llm", "started"),
        ("guide/look/scout/small", "llm", "cancelled"),
        ("guide/look/scout", "agent", "cancelled"),
        ("guide/look", "tool", "cancelled"),
        ("guide", "agent", "cancelled"),
    ]


async def test_it_cancels_what_a_caller_leaves_in_the_middle() -> None:
    bot = guide(scripted([calls("look")], HELLO))

    @bot.tool_plain
    async def look() -> str:
        return "a hill"

    with capture_events() as events:
        async with bot.iter("hi") as steps:
            async for node in steps:
                if Agent.is_call_tools_node(node):
                    break

    assert seen(events) == [
        ("guide", "agent", "started"),
        *said("guide/model"),
        ("guide", "agent", "cancelled"),
    ]


async def test_it_cancels_the_text_that_a_caller_fails_to_read() -> None:
    bot = guide(scripted(HELLO))

    with capture_events() as events, pytest.raises(ValueError, match="enough"):
        async with bot.run_stream("hi") as answer:
            async for _ in answer.stream_text(delta=True, debounce_by=None):
                raise ValueError("enough")

    assert seen(events) == [
        ("guide", "agent", "started"),
        ("guide/model", "llm", "started"),
        ("guide/model", "says", "Hel"),
        ("guide/model", "llm", "cancelled"),
        ("guide", "agent", "failed", "enough"),
    ]


async def test_it_shows_that_an_agent_went_on_after_an_error_was_recovered() -> None:
    class Recover(AbstractCapability[None]):
        async def wrap_tool_execute(self, ctx: Any, **facts: Any) -> str:
            with pytest.raises(ValueError, match="too dark"):
                await facts["handler"](facts["args"])
            return "nothing seen"

    bot = Agent(
        scripted([calls("look")], HELLO),
        name="guide",
        capabilities=[PydanticAIEvents(), Recover()],
    )

    @bot.tool_plain
    async def look() -> str:
        raise ValueError("too dark")

    assert await tree(bot) == called(
        "root/guide",
        "agent",
        *said("root/guide/model"),
        *called("root/guide/look", "tool"),
        *said("root/guide/model#2", *HELLO),
    )


async def test_it_shows_a_result_that_another_capability_knows() -> None:
    class Skip(AbstractCapability[None]):
        async def wrap_tool_execute(self, ctx: Any, **facts: Any) -> str:
            raise SkipToolExecution("known")

    bot = Agent(
        scripted([calls("look")], HELLO),
        name="guide",
        capabilities=[PydanticAIEvents(show=("output",)), Skip()],
    )

    @bot.tool_plain
    async def look() -> str:
        raise AssertionError("was called")

    with capture_events() as events:
        await bot.run("hi")

    ends = [
        (e.address, str(e.execution_status), e.output)
        for e in events
        if isinstance(e, ExecutionEvent) and e.address == "guide/look"
    ]
    assert ends[1:] == [("guide/look", "completed", "known")]


async def test_it_shows_the_answer_that_another_capability_knows_once() -> None:
    class Known(AbstractCapability[None]):
        async def wrap_model_request(self, ctx: Any, **facts: Any) -> ModelResponse:
            return ModelResponse(parts=[TextPart("Hello")])

    bot = Agent(
        scripted([ValueError("was asked")]),
        name="guide",
        capabilities=[PydanticAIEvents(), Known()],
    )

    for ask in WAYS:
        assert await tree(bot, of=ask) == called(
            "root/guide", "agent", *said("root/guide/model", "Hello")
        )


async def test_it_hides_the_values_that_a_tool_could_not_validate() -> None:
    class Place(BaseModel):
        height: int

    bot = guide(scripted([calls("look")], HELLO))

    @bot.tool_plain
    async def look() -> str:
        Place.model_validate({"height": "secret"})
        return "a hill"

    assert ("root/guide/look", "tool", "failed", "Invalid arguments: height") in (
        await tree(bot)
    )


async def test_it_cancels_a_tool_that_needs_approval_until_it_has_it() -> None:
    bot = Agent(
        scripted([calls("buy")], HELLO),
        name="guide",
        output_type=[str, DeferredToolRequests],
        capabilities=[PydanticAIEvents()],
    )

    @bot.tool
    async def buy(ctx: RunContext[None]) -> str:
        if not ctx.tool_call_approved:
            raise ApprovalRequired
        return "bought"

    @agent
    async def root() -> None:
        asked = await bot.run("hi")
        await bot.run(
            message_history=asked.all_messages(),
            deferred_tool_results=DeferredToolResults(approvals={"id-0": True}),
        )

    _, events = await run(root)

    assert seen(events) == called(
        "root",
        "agent",
        *called(
            "root/guide",
            "agent",
            *said("root/guide/model"),
            ("root/guide/buy", "tool", "started"),
            ("root/guide/buy", "logs", "Needs approval"),
            ("root/guide/buy", "tool", "cancelled"),
        ),
        *called(
            "root/guide#2",
            "agent",
            *called("root/guide#2/buy", "tool"),
            *said("root/guide#2/model", *HELLO),
        ),
    )


async def test_it_never_mixes_two_runs_of_one_agent() -> None:
    both = asyncio.Barrier(2)
    answers_of = iter(["abc", "xyz"])

    async def stream(messages: Any, info: Any) -> AsyncIterator[str]:
        for piece in next(answers_of):
            await both.wait()
            yield piece

    bot = guide(FunctionModel(stream_function=stream, model_name="model"))

    async with asyncio.timeout(TIMEOUT):
        trees = await asyncio.gather(tree(bot), tree(bot))

    texts = [[s for s in seen_of if s[1] == "says"] for seen_of in trees]
    for seen_of, letters in zip(trees, ["abc", "xyz"], strict=True):
        assert seen_of == called(
            "root/guide", "agent", *said("root/guide/model", *letters)
        )
    assert len(texts[0]) == len(texts[1]) == 3


async def test_it_keeps_the_texts_of_two_runs_in_one_execution_apart() -> None:
    both = asyncio.Barrier(2)
    answers_of = iter(["abc", "xyz"])

    async def stream(messages: Any, info: Any) -> AsyncIterator[str]:
        for piece in next(answers_of):
            await both.wait()
            yield piece

    bot = guide(FunctionModel(stream_function=stream, model_name="model"))

    with capture_events() as events:
        async with asyncio.timeout(TIMEOUT):
            await asyncio.gather(bot.run("1"), bot.run("2"))

    for address, letters in [("guide", "abc"), ("guide#2", "xyz")]:
        own = [s for s in seen(events) if s[0].split("/")[0] == address]
        assert own == called(address, "agent", *said(f"{address}/model", *letters))


async def test_it_shows_an_actor_that_is_a_tool_of_the_agent_as_one_call() -> None:
    @tool
    async def look(at: str) -> str:
        await current_state().log(f"at {at}")
        return "hills"

    @tool
    def count() -> int:
        current_state().log("in a thread")
        return 7

    bot = Agent(
        scripted([calls("look", look='{"at": "Rome"}')], [calls("count")], HELLO),
        name="guide",
        tools=[look, count],
        capabilities=[PydanticAIEvents()],
    )

    assert await tree(bot) == called(
        "root/guide",
        "agent",
        *said("root/guide/model"),
        *called("root/guide/look", "tool", ("root/guide/look", "logs", "at Rome")),
        *said("root/guide/model#2"),
        *called(
            "root/guide/count", "tool", ("root/guide/count", "logs", "in a thread")
        ),
        *said("root/guide/model#3", *HELLO),
    )


async def test_it_shows_what_a_tool_in_a_thread_says() -> None:
    bot = guide(scripted([calls("look")], HELLO))

    @bot.tool_plain
    def look() -> str:
        current_state().log("in a thread")
        return "a hill"

    assert await tree(bot) == called(
        "root/guide",
        "agent",
        *said("root/guide/model"),
        *called("root/guide/look", "tool", ("root/guide/look", "logs", "in a thread")),
        *said("root/guide/model#2", *HELLO),
    )


async def test_it_shows_a_run_in_a_sync_actor() -> None:
    bot = guide(scripted([calls("look")], HELLO))

    @bot.tool_plain
    async def look() -> str:
        return "a hill"

    @agent
    def root() -> str:
        output = bot.run_sync("hi").output
        asyncio.get_event_loop().close()  # pydantic-ai keeps one for each thread
        asyncio.set_event_loop(None)
        return output

    result, events = await run(root)

    assert result == "Hello"
    assert seen(events) == called("root", "agent", *await tree(bot))


async def test_it_keeps_the_runs_of_two_threads_apart() -> None:
    both = threading.Barrier(2)

    @agent
    def root(letters: str) -> None:
        async def stream(messages: Any, info: Any) -> AsyncIterator[str]:
            for piece in letters:
                both.wait(TIMEOUT)
                yield piece

        model = FunctionModel(stream_function=stream, model_name="model")
        guide(model).run_sync("hi")
        asyncio.get_event_loop().close()  # pydantic-ai keeps one for each thread
        asyncio.set_event_loop(None)

    with capture_events() as events:
        await asyncio.gather(root("abc"), root("xyz"))

    for address, letters in [("root", "abc"), ("root#2", "xyz")]:
        own = [s for s in seen(events) if s[0].split("/")[0] == address]
        assert own == called(
            address,
            "agent",
            *called(
                f"{address}/guide", "agent", *said(f"{address}/guide/model", *letters)
            ),
        )


async def test_it_gives_the_same_addresses_to_the_same_run() -> None:
    bot = guide(scripted([calls("look", "look")], [calls("look")], HELLO))

    @bot.tool_plain
    async def look() -> str:
        return "a hill"

    first, second = await tree(bot), await tree(bot)

    assert first == second
    assert [s[0] for s in first if s[2] == "started"] == [
        "root/guide",
        "root/guide/model",
        "root/guide/look",
        "root/guide/look#2",
        "root/guide/model#2",
        "root/guide/look#3",
        "root/guide/model#3",
    ]


async def test_it_shows_one_call_if_both_the_agent_and_the_run_have_it() -> None:
    bot = guide(scripted(HELLO))

    async def ask(bot: Agent) -> None:
        await bot.run("hi", capabilities=[PydanticAIEvents()])

    assert await tree(bot, of=ask) == await tree(bot)


async def test_it_calls_an_agent_without_a_name_by_its_variable() -> None:
    guide_of_rome = Agent(scripted(HELLO), capabilities=[PydanticAIEvents()])

    with capture_events() as events:
        await guide_of_rome.run("hi")

    assert seen(events)[0] == ("guide_of_rome", "agent", "started")


@pytest.mark.parametrize("ask", WAYS)
async def test_it_leaves_a_run_outside_of_executions_as_it_is(
    ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hook(*args: Any, **facts: Any) -> None:
        raise AssertionError("was called")

    for name in ("wrap_run", "wrap_model_request", "wrap_run_event_stream"):
        monkeypatch.setattr(_Run, name, hook)
    model = scripted(HELLO)
    model.function = answers("Hello").function
    bot = guide(model)

    assert await ask(bot) == "Hello"


async def test_it_does_not_make_a_run_outside_of_executions_stream() -> None:
    streamed = scripted([ValueError("streamed")])
    streamed.function = answers("Hello").function

    assert (await guide(streamed).run("hi")).output == "Hello"


async def test_it_never_disturbs_the_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*args: Any, **options: Any) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(bridge, "begin", fails)
    bot = guide(scripted([calls("look", look='{"at": 1}')], [calls("look")], HELLO))

    @bot.tool_plain
    async def look() -> str:
        return "a hill"

    with capture_events() as events:
        assert (await bot.run("hi")).output == "Hello"
    assert events == []
    assert [record.getMessage() for record in caplog.records] == [
        "PydanticAIEvents failed; the run goes on."
    ]


@pytest.mark.parametrize("show", ["input", ("inputs",)])
def test_it_refuses_to_show_what_it_does_not_know(show: Any) -> None:
    with pytest.raises(ValueError, match="show takes"):
        PydanticAIEvents(show=show)


def test_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic_ai.capabilities", None)
    monkeypatch.delitem(sys.modules, bridge.__name__)

    with pytest.raises(ImportError, match=r'pip install "pydantic-ai-slim>=2'):
        importlib.import_module(bridge.__name__)


async def test_the_code_of_the_docs_shows_what_they_say() -> None:
    page = (Path(__file__).parents[2] / "docs/bridges.md").read_text()
    section = page.partition("\n## pydantic-ai\n")[2].partition("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    names: dict[str, Any] = {"__name__": "docs"}
    exec(code, names)

    result, events = await run(names["chat"], "Is it warm?")

    assert result == '{"weather":"sunny"}'
    assert seen(events) == called(
        "chat",
        "agent",
        *called(
            "chat/guide",
            "agent",
            *said("chat/guide/test"),
            *called("chat/guide/weather", "tool"),
            *said("chat/guide/test#2", '{"weather', '":"sunny"}'),
        ),
    )
