"""What viewers see of spans: whole trees, in order."""

import asyncio
import gc
import runpy
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import (
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    set_span_in_context,
)
from pydantic import BaseModel

from asgi_events import EventBus, Executions, ExecutionState, agent, tool
from asgi_events.bridges import otel as bridge
from asgi_events.bridges.otel import EventsSpanProcessor
from asgi_events.testing import capture_events, run
from tests.bridges.golden import lines

NAME = "gen_ai.agent.name"
INVOKE = {"gen_ai.operation.name": "invoke_agent", NAME: "guide"}
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt"}
SEARCH = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
OPENINFERENCE_AGENT = {"openinference.span.kind": "AGENT", "agent.name": "guide"}


def tracer_of(processor: EventsSpanProcessor, **options: Any) -> Tracer:
    provider = TracerProvider(shutdown_on_exit=False, **options)
    provider.add_span_processor(processor)
    return provider.get_tracer("test")


@pytest.fixture
def tracer() -> Tracer:
    return tracer_of(EventsSpanProcessor())


def seen(during: Callable[[], object]) -> list[str]:
    """What viewers see of an execution that does something."""
    with capture_events() as events:
        during()
    return lines(events)


async def test_shows_agents_tools_and_models_as_they_are_nested(tracer: Tracer) -> None:
    def work() -> None:
        with tracer.start_as_current_span("invoke_agent guide", attributes=INVOKE):
            with tracer.start_as_current_span("chat gpt", attributes=CHAT) as chat:
                chat.set_attribute("gen_ai.usage.input_tokens", 12)
                chat.set_attribute("gen_ai.usage.output_tokens", 3)
            with tracer.start_as_current_span("execute_tool search", attributes=SEARCH):
                pass
            with tracer.start_as_current_span("chat gpt", attributes=CHAT):
                pass

    assert seen(work) == [
        "agent guide started",
        "llm guide/gpt started",
        'llm guide/gpt completed usage={"input_tokens": 12, "output_tokens": 3}',
        "tool guide/search started",
        "tool guide/search completed",
        "llm guide/gpt#2 started",
        "llm guide/gpt#2 completed",
        "agent guide completed",
    ]


async def test_shows_spans_through_spans_that_are_not_shown(tracer: Tracer) -> None:
    def work() -> None:
        with (
            tracer.start_as_current_span("GET /"),
            tracer.start_as_current_span("invoke_agent guide", attributes=INVOKE),
            tracer.start_as_current_span("running tools"),
            tracer.start_as_current_span("execute_tool search", attributes=SEARCH),
            tracer.start_as_current_span("SELECT"),
            tracer.start_as_current_span("chat gpt", attributes=CHAT),
        ):
            pass

    assert seen(work) == [
        "agent guide started",
        "tool guide/search started",
        "llm guide/search/gpt started",
        "llm guide/search/gpt completed",
        "tool guide/search completed",
        "agent guide completed",
    ]


@pytest.mark.parametrize(
    ("name", "options", "shown"),
    [
        ("x", {"gen_ai.operation.name": "invoke_agent"}, "agent x"),
        ("x", {"gen_ai.operation.name": "invoke_workflow"}, "agent x"),
        ("x", {"gen_ai.operation.name": "execute_tool"}, "tool x"),
        ("x", {"gen_ai.operation.name": "retrieval"}, "tool x"),
        ("x", {"gen_ai.operation.name": "chat"}, "llm x"),
        ("x", {"gen_ai.operation.name": "generate_content"}, "llm x"),
        ("x", {"gen_ai.operation.name": "text_completion"}, "llm x"),
        ("x", {"gen_ai.operation.name": "embeddings"}, "llm x"),
        ("x", {"gen_ai.operation.name": "create_agent"}, None),
        ("x", {"gen_ai.operation.name": ["chat"]}, None),
        ("chat gpt-4o", {"gen_ai.operation.name": "chat"}, "llm gpt-4o"),
        ("invoke_agent Travel guide", {}, "agent Travel-guide"),
        ("execute_tool search", {}, "tool search"),
        ("chat with friends", {}, None),
        ("chat", {}, None),
        ("invoke_agent", {}, None),
        ("GET /", {}, None),
        (
            "x",
            {"openinference.span.kind": "AGENT", "agent.name": "guide"},
            "agent guide",
        ),
        (
            "x",
            {"openinference.span.kind": "TOOL", "tool.name": "search"},
            "tool search",
        ),
        ("x", {"openinference.span.kind": "RETRIEVER"}, "tool x"),
        ("x", {"openinference.span.kind": "LLM", "llm.model_name": "gpt"}, "llm gpt"),
        ("my chat", {"openinference.span.kind": "LLM"}, "llm my-chat"),
        ("x", {"openinference.span.kind": "EMBEDDING"}, "llm x"),
        ("x", {"openinference.span.kind": "CHAIN"}, None),
        ("chat my/gpt", {"gen_ai.operation.name": "chat"}, "llm my-gpt"),
    ],
)
async def test_knows_a_call_by_the_names_of_its_span(
    tracer: Tracer, name: str, options: dict[str, Any], shown: str | None
) -> None:
    expected = [] if shown is None else [f"{shown} started", f"{shown} completed"]

    assert seen(lambda: tracer.start_span(name, attributes=options).end()) == expected


async def test_knows_a_model_by_a_client_span_that_gets_its_attributes_later(
    tracer: Tracer,
) -> None:
    def work() -> None:
        span = tracer.start_span("chat gpt", kind=SpanKind.CLIENT)
        span.set_attributes({**CHAT, "gen_ai.usage.input_tokens": 12})
        span.end()

    assert seen(work) == [
        "llm gpt started",
        'llm gpt completed usage={"input_tokens": 12}',
    ]


async def test_shows_no_usage_of_an_agent_which_would_count_twice(
    tracer: Tracer,
) -> None:
    attributes = {**INVOKE, "gen_ai.usage.input_tokens": 12}

    assert seen(lambda: tracer.start_span("x", attributes=attributes).end()) == [
        "agent guide started",
        "agent guide completed",
    ]


def fails(tracer: Tracer, act: Callable[[], object]) -> None:
    with (
        suppress(BaseException),
        tracer.start_as_current_span("invoke_agent guide", attributes=INVOKE),
        tracer.start_as_current_span("execute_tool search", attributes=SEARCH),
    ):
        act()


def raises(error: BaseException) -> None:
    raise error


async def test_shows_the_error_of_a_span_that_fails(tracer: Tracer) -> None:
    assert seen(lambda: fails(tracer, lambda: raises(ValueError("no disk")))) == [
        "agent guide started",
        "tool guide/search started",
        'tool guide/search failed message="no disk"',
        'agent guide failed message="no disk"',
    ]


@pytest.mark.parametrize(
    ("attributes", "description", "message"),
    [
        ({}, "it broke", "it broke"),
        ({"error.type": "timeout"}, None, "timeout"),
        ({}, None, "failed"),
    ],
)
async def test_shows_why_a_span_failed_as_far_as_it_says(
    tracer: Tracer, attributes: dict[str, str], description: str | None, message: str
) -> None:
    def work() -> None:
        span = tracer.start_span("x", attributes={**SEARCH, **attributes})
        span.set_status(Status(StatusCode.ERROR, description))
        span.end()

    assert seen(work) == [
        "tool search started",
        f'tool search failed message="{message}"',
    ]


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError, KeyboardInterrupt, GeneratorExit]
)
async def test_shows_what_is_cancelled_once_for_each_open_call(
    tracer: Tracer, error: type[BaseException]
) -> None:
    assert seen(lambda: fails(tracer, lambda: raises(error()))) == [
        "agent guide started",
        "tool guide/search started",
        "tool guide/search cancelled",
        "agent guide cancelled",
    ]


async def test_shows_a_cancel_that_the_library_records_as_an_error(
    tracer: Tracer,
) -> None:
    def work() -> None:
        span = tracer.start_span("execute_tool search", attributes=SEARCH)
        span.record_exception(asyncio.CancelledError())
        span.set_status(StatusCode.ERROR)
        span.end()

    assert seen(work) == ["tool search started", "tool search cancelled"]


async def test_does_not_take_work_of_a_clean_up_for_cancelled(tracer: Tracer) -> None:
    def work() -> None:
        try:
            raise asyncio.CancelledError
        except asyncio.CancelledError:
            tracer.start_span("execute_tool search", attributes=SEARCH).end()

    assert seen(work) == ["tool search started", "tool search completed"]


async def test_leaves_the_message_of_an_error_to_the_execution(tracer: Tracer) -> None:
    bus = EventBus()
    events: list[BaseModel] = []
    bus.subscribe(events.append)
    state = ExecutionState(bus, error_message=lambda error: f"a {type(error).__name__}")

    @agent
    async def research() -> None:
        fails(tracer, lambda: raises(ValueError("no disk")))

    await state.run(research)

    assert lines(events)[3:5] == [
        'tool research/guide/search failed message="a RuntimeError"',
        'agent research/guide failed message="a RuntimeError"',
    ]


async def test_shows_no_content_unless_it_is_asked_to(tracer: Tracer) -> None:
    assert seen(lambda: talks(tracer)) == [
        "tool search started",
        "tool search completed",
        "llm gpt started",
        "llm gpt completed",
        "agent guide started",
        "agent guide completed",
    ]


async def test_shows_what_it_is_asked_to_show() -> None:
    tracer = tracer_of(EventsSpanProcessor(show=("input", "output")))

    assert seen(lambda: talks(tracer)) == [
        'tool search started input={"query": "tea"}',
        'tool search completed output=["Assam"]',
        'llm gpt started input=[{"role": "user"}]',
        'llm gpt completed output=[{"role": "assistant"}]',
        'agent guide started input="no {json"',
        'agent guide completed output="42"',
    ]


def talks(tracer: Tracer) -> None:
    for attributes, result in [
        (
            {**SEARCH, "gen_ai.tool.call.arguments": '{"query": "tea"}'},
            {"gen_ai.tool.call.result": '["Assam"]'},
        ),
        (
            {**CHAT, "gen_ai.input.messages": '[{"role": "user"}]'},
            {"gen_ai.output.messages": '[{"role": "assistant"}]'},
        ),
        ({**OPENINFERENCE_AGENT, "input.value": "no {json"}, {"output.value": "42"}),
    ]:
        span = tracer.start_span("x", attributes=attributes)
        span.set_attributes(result)
        span.end()


async def test_nests_by_the_parents_of_spans_that_are_in_no_context(
    tracer: Tracer,
) -> None:
    def work() -> None:
        root = tracer.start_span("x", attributes=INVOKE)
        inside = set_span_in_context(root)
        one = tracer.start_span("x", inside, attributes=SEARCH)
        two = tracer.start_span("x", inside, attributes=SEARCH)
        tracer.start_span("x", set_span_in_context(one), attributes=CHAT).end()
        one.end()
        tracer.start_span("x", set_span_in_context(two), attributes=CHAT).end()
        two.end()
        root.end()

    assert seen(work) == [
        "agent guide started",
        "tool guide/search started",
        "tool guide/search#2 started",
        "llm guide/search/gpt started",
        "llm guide/search/gpt completed",
        "tool guide/search completed",
        "llm guide/search#2/gpt started",
        "llm guide/search#2/gpt completed",
        "tool guide/search#2 completed",
        "agent guide completed",
    ]


async def test_nests_actors_in_spans_and_spans_in_actors(tracer: Tracer) -> None:
    @agent
    async def expert() -> None:
        with tracer.start_as_current_span("x", attributes=CHAT):
            pass

    @agent
    async def research() -> None:
        with (
            tracer.start_as_current_span("x", attributes=INVOKE),
            tracer.start_as_current_span("x", attributes=SEARCH),
        ):
            await expert()
        await expert()

    _, events = await run(research)

    assert lines(events) == [
        "agent research started",
        "agent research/guide started",
        "tool research/guide/search started",
        "agent research/guide/search/expert started",
        "llm research/guide/search/expert/gpt started",
        "llm research/guide/search/expert/gpt completed",
        "agent research/guide/search/expert completed",
        "tool research/guide/search completed",
        "agent research/guide completed",
        "agent research/expert started",
        "llm research/expert/gpt started",
        "llm research/expert/gpt completed",
        "agent research/expert completed",
        "agent research completed",
    ]


async def test_takes_a_tool_of_ours_and_the_span_of_it_for_one_call(
    tracer: Tracer,
) -> None:
    @tool
    async def search(query: str) -> str:
        with tracer.start_as_current_span("x", attributes=CHAT):
            return f"About {query}"

    @agent
    async def research() -> None:
        for query in ("tea", "streams"):
            with tracer.start_as_current_span("x", attributes=SEARCH):
                await search(query)

    _, events = await run(research)

    assert lines(events) == [
        "agent research started",
        "tool research/search started",
        "llm research/search/gpt started",
        "llm research/search/gpt completed",
        "tool research/search completed",
        "tool research/search#2 started",
        "llm research/search#2/gpt started",
        "llm research/search#2/gpt completed",
        "tool research/search#2 completed",
        "agent research completed",
    ]


async def test_runs_tools_in_parallel_and_in_threads(tracer: Tracer) -> None:
    def thread(context: Any) -> None:
        tracer.start_span("chat gpt", context, attributes=CHAT).end()

    async def use(barrier: asyncio.Barrier) -> None:
        with tracer.start_as_current_span("x", attributes=SEARCH) as span:
            await barrier.wait()
            own = threading.Thread(target=thread, args=[set_span_in_context(span)])
            own.start()
            await asyncio.to_thread(own.join)
            await barrier.wait()

    @agent
    async def research() -> None:
        barrier = asyncio.Barrier(2)
        with tracer.start_as_current_span("x", attributes=INVOKE):
            await asyncio.gather(use(barrier), use(barrier))

    _, events = await run(research)

    seen = lines(events)
    assert sorted(seen) == sorted(
        line
        for call in (
            "agent research",
            "agent research/guide",
            "tool research/guide/search",
            "tool research/guide/search#2",
            "llm research/guide/search/gpt",
            "llm research/guide/search#2/gpt",
        )
        for line in (f"{call} started", f"{call} completed")
    )
    assert seen[:4] == [
        "agent research started",
        "agent research/guide started",
        "tool research/guide/search started",
        "tool research/guide/search#2 started",
    ]


async def test_never_mixes_two_executions(tracer: Tracer) -> None:
    barrier = asyncio.Barrier(2)

    @agent
    async def research(topic: str) -> None:
        with tracer.start_as_current_span("x", attributes={**INVOKE, NAME: topic}):
            await barrier.wait()
            with tracer.start_as_current_span("x", attributes=CHAT):
                await barrier.wait()

    both = await asyncio.gather(run(research, "tea"), run(research, "milk"))

    assert [lines(events) for _, events in both] == [
        [
            "agent research started",
            f"agent research/{topic} started",
            f"llm research/{topic}/gpt started",
            f"llm research/{topic}/gpt completed",
            f"agent research/{topic} completed",
            "agent research completed",
        ]
        for topic in ("tea", "milk")
    ]


@pytest.mark.parametrize("is_inside", [True, False])
async def test_shows_a_span_in_the_execution_that_it_runs_in(
    tracer: Tracer, *, is_inside: bool
) -> None:
    @agent
    async def research() -> None:
        with tracer.start_as_current_span("x", attributes=CHAT):
            pass

    around = capture_events() if is_inside else nullcontext([])
    with around as outside, tracer.start_as_current_span("x", attributes=INVOKE):
        _, events = await run(research)

    assert lines(events) == [
        "agent research started",
        "llm research/gpt started",
        "llm research/gpt completed",
        "agent research completed",
    ]
    assert (
        lines(outside)
        == ["agent guide started", "agent guide completed"][: 2 * is_inside]
    )


async def test_ends_what_a_library_forgets_with_the_execution(tracer: Tracer) -> None:
    kept = []
    events: list[BaseModel] = []

    @agent
    async def research() -> None:
        kept.append(tracer.start_span("x", attributes=INVOKE))
        kept.append(tracer.start_span("x", attributes=CHAT))

    async with Executions(research, handlers=[events.append]) as executions:
        await (await executions.start("research")).wait()
        for span in kept:
            span.end()

    assert lines(events[:-1]) == [
        "agent research started",
        "agent research/guide started",
        "llm research/guide/gpt started",
        "llm research/guide/gpt cancelled",
        "agent research/guide cancelled",
        "agent research completed",
    ]


async def test_does_nothing_outside_executions(tracer: Tracer) -> None:
    fails(tracer, lambda: raises(ValueError("no disk")))


async def test_shows_nothing_that_is_not_sampled() -> None:
    tracer = tracer_of(EventsSpanProcessor(), sampler=ALWAYS_OFF)

    assert seen(lambda: talks(tracer)) == []


async def test_logs_its_own_errors_once_and_harms_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tracer: Tracer
) -> None:
    def breaks(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(bridge, "begin", breaks)

    @agent
    async def research() -> str:
        talks(tracer)
        return "done"

    result, events = await run(research)

    assert (result, lines(events)) == (
        "done",
        ["agent research started", "agent research completed"],
    )
    assert [record.message for record in caplog.records] == [
        "A span cannot be shown. This is logged once."
    ]


async def test_ends_a_call_whose_usage_is_no_number(tracer: Tracer) -> None:
    attributes = {**CHAT, "gen_ai.usage.input_tokens": "many"}

    assert seen(lambda: tracer.start_span("x", attributes=attributes).end()) == [
        "llm gpt started",
        "llm gpt completed",
    ]


async def test_keeps_nothing_of_spans_that_nobody_ends(tracer: Tracer) -> None:
    processor = EventsSpanProcessor()
    tracer = tracer_of(processor)

    def work() -> None:
        for name in ("GET /", "invoke_agent guide", "chat gpt"):
            tracer.start_span(name, attributes=CHAT)

    seen(work)
    gc.collect()

    assert processor._open == {}


async def test_names_the_fix_if_the_sdk_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)

    with pytest.raises(ImportError, match='pip install "opentelemetry-sdk>='):
        runpy.run_path(bridge.__file__)
