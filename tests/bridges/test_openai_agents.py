"""What viewers see of runs of openai-agents: whole trees, in order."""

import asyncio
from collections.abc import Awaitable, Collection, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrailTripwireTriggered,
    Runner,
    function_tool,
    input_guardrail,
    set_trace_processors,
    trace,
)
from agents.exceptions import UserError
from agents.tracing import agent_span, function_span, generation_span

from asgi_events import agent, current_state, tool
from asgi_events.actors.state import running_state
from asgi_events.bridges import openai_agents
from asgi_events.bridges.openai_agents import install, stream
from asgi_events.events import ExecutionEvent
from asgi_events.testing import capture_events, run
from tests import TIMEOUT
from tests.bridges.golden import events_until_cancelled, lines
from tests.bridges.openai_server import HANG, FakeOpenAI, ask, say, think

FAILED = (
    "The bridge to OpenAI Agents failed; the run goes on. It was tried with "
    "openai-agents 0.2.0 and 0.24.0."
)
USAGE = 'usage={"input_tokens": 3, "output_tokens": 5}'


@pytest.fixture(autouse=True)
def bridge(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A bridge of this test's own, and no exporter beside it."""
    monkeypatch.setattr(openai_agents, "_processor", openai_agents._Processor())
    set_trace_processors([])
    install()
    yield
    set_trace_processors([])


@function_tool
async def add(a: int, b: int) -> int:
    return a + b


@function_tool
async def double(a: int) -> int:
    current_state().log(f"doubles {a}")
    return 2 * a


@function_tool(failure_error_function=None)
async def burn() -> None:
    raise ValueError("too hot")


async def consume(guide: Agent[Any], prompt: str = "Hi") -> Any:
    result = Runner.run_streamed(guide, prompt)
    async for _ in stream(result):
        pass
    return result.final_output


async def test_two_functions_run_in_parallel_under_their_agent() -> None:
    answers = [[ask("add", a=1, b=2), ask("double", a=4)], [say("3 ", "and 8")]]
    async with FakeOpenAI(m=answers) as openai:
        guide = Agent(name="guide", model=openai.model("m"), tools=[add, double])
        with capture_events() as events:
            assert await consume(guide) == "3 and 8"

    assert lines(events) == [
        "agent guide started",
        "llm guide/response started",
        f"llm guide/response completed {USAGE}",
        "tool guide/add started",
        "tool guide/double started",
        'log guide/double level="info" message="doubles 4"',
        "tool guide/add completed",
        "tool guide/double completed",
        "llm guide/response#2 started",
        "text guide/response#2 '3 '",
        "text guide/response#2 'and 8'",
        f"llm guide/response#2 completed {USAGE}",
        "agent guide completed",
    ]


async def test_the_run_inside_of_an_agent_as_a_tool_is_shown() -> None:
    async with FakeOpenAI(
        sub=[[ask("add", a=1, b=2)], [say("three")]],
        root=[[think("Hm", "…"), ask("ask_sub", input="1 + 2?")], [say("It is 3")]],
    ) as openai:
        sub = Agent(name="sub", model=openai.model("sub"), tools=[add])
        root = Agent(
            name="root",
            model=openai.model("root"),
            tools=[sub.as_tool("ask_sub", "Asks the other one.")],
        )
        with capture_events() as events:
            await consume(root)

    assert lines(events) == [
        "agent root started",
        "llm root/response started",
        "reasoning root/response 'Hm'",
        "reasoning root/response '…'",
        f"llm root/response completed {USAGE}",
        "tool root/ask_sub started",
        "agent root/ask_sub/sub started",
        "llm root/ask_sub/sub/response started",
        f"llm root/ask_sub/sub/response completed {USAGE}",
        "tool root/ask_sub/sub/add started",
        "tool root/ask_sub/sub/add completed",
        "llm root/ask_sub/sub/response#2 started",
        "text root/ask_sub/sub/response#2 'three'",
        f"llm root/ask_sub/sub/response#2 completed {USAGE}",
        "agent root/ask_sub/sub completed",
        "tool root/ask_sub completed",
        "llm root/response#2 started",
        "text root/response#2 'It is 3'",
        f"llm root/response#2 completed {USAGE}",
        "agent root completed",
    ]


@function_tool
async def ask_inside() -> str:
    return str(await consult())


@agent
async def consult() -> Any:
    async with FakeOpenAI(m=[[say("In")]]) as openai:
        guide = Agent(name="inner", model=openai.model("m"))
        return (await Runner.run(guide, "Hi")).final_output


async def test_a_run_that_an_actor_inside_of_a_function_starts_is_under_it() -> None:
    async with FakeOpenAI(m=[[ask("ask_inside")], [say("Out")]]) as openai:
        guide = Agent(name="guide", model=openai.model("m"), tools=[ask_inside])
        with capture_events() as events:
            await Runner.run(guide, "Hi")

    assert lines(events)[3:10] == [
        "tool guide/ask_inside started",
        "agent guide/ask_inside/consult started",
        "agent guide/ask_inside/consult/inner started",
        "llm guide/ask_inside/consult/inner/response started",
        "text guide/ask_inside/consult/inner/response 'In'",
        f"llm guide/ask_inside/consult/inner/response completed {USAGE}",
        "agent guide/ask_inside/consult/inner completed",
    ]


@tool
async def search(query: str) -> str:
    """Search."""
    await current_state().log(f"looks for {query}")
    return f"{query}: found"


async def test_an_actor_as_a_function_is_one_call() -> None:
    async with FakeOpenAI(m=[[ask("search", query="tea")], [say("Tea")]]) as openai:
        guide = Agent(
            name="guide", model=openai.model("m"), tools=[function_tool(search)]
        )
        with capture_events() as events:
            await Runner.run(guide, "Hi")

    assert lines(events)[3:6] == [
        "tool guide/search started",
        'log guide/search level="info" message="looks for tea"',
        "tool guide/search completed",
    ]


async def test_a_handoff_is_an_event_and_the_next_agent_a_call_beside() -> None:
    async with FakeOpenAI(
        triage=[[ask("transfer_to_expert")]], expert=[[say("Done")]]
    ) as openai:
        expert = Agent(name="expert", model=openai.model("expert"))
        triage = Agent(name="triage", model=openai.model("triage"), handoffs=[expert])
        with capture_events() as events:
            await consume(triage)

    assert lines(events) == [
        "agent triage started",
        "llm triage/response started",
        f"llm triage/response completed {USAGE}",
        'custom triage name="handoff" data={"from": "triage", "to": "expert"}',
        "agent triage completed",
        "agent expert started",
        "llm expert/response started",
        "text expert/response 'Done'",
        f"llm expert/response completed {USAGE}",
        "agent expert completed",
    ]


@input_guardrail
async def polite(
    context: Any, guide: Agent[Any], prompt: Any
) -> GuardrailFunctionOutput:
    return GuardrailFunctionOutput(output_info=None, tripwire_triggered=prompt != "Hi")


async def test_a_guardrail_is_a_tool_call_that_says_whether_it_triggered() -> None:
    async with FakeOpenAI(m=[[say("Hi")]]) as openai:
        guide = Agent(name="guide", model=openai.model("m"), input_guardrails=[polite])
        with capture_events() as events:
            await Runner.run(guide, "Hi")

    assert [line for line in lines(events) if "polite" in line] == [
        "tool guide/polite started",
        'custom guide/polite name="guardrail" data={"triggered": false}',
        "tool guide/polite completed",
    ]


async def test_a_guardrail_that_triggers_fails_the_agent() -> None:
    async with FakeOpenAI(m=[[say("No")]]) as openai:
        guide = Agent(name="guide", model=openai.model("m"), input_guardrails=[polite])
        with capture_events() as events:
            with pytest.raises(InputGuardrailTripwireTriggered):
                await consume(guide, "Hey you")

    assert 'custom guide/polite name="guardrail" data={"triggered": true}' in lines(
        events
    )
    ended = ends(events)
    assert ended.pop("guide/polite") == ["completed"]
    # Early versions raise while the run goes on, and the bridge stops it.
    assert ended in (
        {"guide": ["failed"], "guide/response": ["completed"]},
        {"guide": ["cancelled"], "guide/response": ["cancelled"]},
    )


def ends(events: list[Any]) -> dict[str, list[str]]:
    """How each call ended, by address."""
    calls: dict[str, list[str]] = {}
    for event in events:
        if isinstance(event, ExecutionEvent):
            into = calls.setdefault(event.address, [])
            if event.execution_status != "started":
                into.append(str(event.execution_status))
    return calls


async def test_a_function_that_fails_fails_its_agent() -> None:
    async with FakeOpenAI(m=[[ask("burn")]]) as openai:
        guide = Agent(name="guide", model=openai.model("m"), tools=[burn])
        with capture_events() as events, pytest.raises(UserError):
            await consume(guide)

    assert lines(events)[3:] == [
        "tool guide/burn started",
        'tool guide/burn failed message="Error running tool burn: too hot"',
        'agent guide failed message="Error running tool burn: too hot"',
    ]


async def test_a_failure_that_the_model_is_told_of_fails_only_the_function() -> None:
    @function_tool(failure_error_function=lambda context, error: "try again")
    async def flaky() -> str:
        attempts.append(1)
        if len(attempts) == 1:
            raise ValueError("not yet")
        return "now"

    attempts: list[int] = []
    async with FakeOpenAI(m=[[ask("flaky")], [ask("flaky")], [say("Now")]]) as openai:
        guide = Agent(name="guide", model=openai.model("m"), tools=[flaky])
        with capture_events() as events:
            await consume(guide)

    assert ends(events) == {
        "guide": ["completed"],
        "guide/response": ["completed"],
        "guide/flaky": ["failed"],
        "guide/response#2": ["completed"],
        "guide/flaky#2": ["completed"],
        "guide/response#3": ["completed"],
    }
    failed = [e for e in events if getattr(e, "message", None)]
    assert [e.message.partition(":")[0] for e in failed] == [
        "Error running tool (non-fatal)"
    ]


async def test_a_model_that_fails_fails_its_call_and_the_agent() -> None:
    async with FakeOpenAI(m=[]) as openai:
        guide = Agent(name="guide", model=openai.model("m"))
        with capture_events() as events, pytest.raises(Exception, match="500"):
            await consume(guide)

    assert ends(events) == {"guide": ["failed"], "guide/response": ["failed"]}


@function_tool
async def hang() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_cancel_ends_every_open_call_once(streamed: bool) -> None:
    async with FakeOpenAI(
        sub=[[ask("hang")]], root=[[ask("hang"), ask("ask_sub", input="?")]]
    ) as openai:
        sub = Agent(name="sub", model=openai.model("sub"), tools=[hang])
        tools = [hang, sub.as_tool("ask_sub", "Asks.")]
        root = Agent(name="root", model=openai.model("root"), tools=tools)

        @agent
        async def answer() -> None:
            await (consume(root) if streamed else Runner.run(root, "Hi"))

        started = "tool answer/root/ask_sub/sub/hang started"
        events = await cancelled_at(started, answer(), openai)

    assert ends(events) == {
        "answer": ["cancelled"],
        "answer/root": ["cancelled"],
        "answer/root/response": ["completed"],
        "answer/root/hang": ["cancelled"],
        "answer/root/ask_sub": ["cancelled"],
        "answer/root/ask_sub/sub": ["cancelled"],
        "answer/root/ask_sub/sub/response": ["completed"],
        "answer/root/ask_sub/sub/hang": ["cancelled"],
    }
    assert lines(events)[-1] == "agent answer cancelled"


async def test_a_cancel_in_the_middle_of_the_text_ends_the_call_of_the_model() -> None:
    async with FakeOpenAI(m=[[say("It ", "is"), HANG]]) as openai:
        guide = Agent(name="guide", model=openai.model("m"))

        @agent
        async def answer() -> None:
            await consume(guide)

        said = "text answer/guide/response 'is'"
        events = await cancelled_at(said, answer(), openai)

    assert lines(events)[-5:] == [
        "text answer/guide/response 'It '",
        "text answer/guide/response 'is'",
        "llm answer/guide/response cancelled",
        "agent answer/guide cancelled",
        "agent answer cancelled",
    ]


async def test_a_run_stops_when_its_reader_is_cancelled_elsewhere() -> None:
    async with FakeOpenAI(m=[[say("It "), HANG]]) as openai:
        guide = Agent(name="guide", model=openai.model("m"))

        @agent
        async def answer() -> None:
            async for event in stream(Runner.run_streamed(guide, "Hi")):
                if event.type == "raw_response_event":
                    await asyncio.Event().wait()

        said = "text answer/guide/response 'It '"
        events = await cancelled_at(said, answer(), openai)

    assert set(map(tuple, ends(events).values())) == {("cancelled",)}


async def test_a_run_stops_when_its_reader_fails_and_the_exception_is_kept() -> None:
    async with FakeOpenAI(m=[[say("It "), HANG]]) as openai:
        guide = Agent(name="guide", model=openai.model("m"))

        @agent
        async def answer() -> None:
            async for event in stream(Runner.run_streamed(guide, "Hi")):
                if event.type == "raw_response_event":
                    raise ValueError("no more")

        with capture_events() as events:
            task = asyncio.create_task(answer())
            await asyncio.wait([task])  # which keeps the frames of answer
            await settled(besides=openai.tasks)

    assert str(task.exception()) == "no more"
    assert ends(events) == {
        "answer": ["failed"],
        "answer/guide": ["cancelled"],
        "answer/guide/response": ["cancelled"],
    }


async def cancelled_at(
    line: str, execution: Awaitable[Any], openai: FakeOpenAI
) -> list[Any]:
    """Cancel an execution once it has published a line, and wait for its tasks."""
    events = await events_until_cancelled(line, execution)
    ended = len(events)
    await settled(besides=openai.tasks)
    assert lines(events[ended:]) == []
    return events


async def settled(besides: Collection[asyncio.Task[Any]] = ()) -> None:
    """Wait for the tasks that were cancelled."""
    tasks = asyncio.all_tasks() - {asyncio.current_task(), *besides}
    if tasks:
        await asyncio.wait(tasks, timeout=TIMEOUT)


async def test_a_span_that_nobody_ends_is_cancelled_with_its_trace() -> None:
    with capture_events() as events:
        with trace("workflow"):
            agent_span("guide").start()
            with function_span("add"):
                pass

    assert lines(events) == [
        "agent guide started",
        "tool guide/add started",
        "tool guide/add completed",
        "agent guide cancelled",
    ]


async def test_a_span_with_a_parent_of_its_own_nests_there_in_any_thread() -> None:
    def work(parent: Any) -> None:
        with function_span("add", parent=parent):
            pass

    with capture_events() as events, trace("workflow"):
        with agent_span("guide") as span, agent_span("inner"):
            # Unlike to_thread, this does not pass the context on.
            await asyncio.get_running_loop().run_in_executor(None, work, span)

    assert lines(events) == [
        "agent guide started",
        "agent guide/inner started",
        "tool guide/add started",
        "tool guide/add completed",
        "agent guide/inner completed",
        "agent guide completed",
    ]


async def test_a_run_that_handles_an_exception_does_not_fail_for_it() -> None:
    with capture_events() as events:
        try:
            raise ValueError("the first way failed")
        except ValueError:
            with trace("workflow"), agent_span("guide"):
                pass

    assert lines(events) == ["agent guide started", "agent guide completed"]


async def test_a_model_that_nobody_streams_says_all_at_once() -> None:
    with capture_events() as events, trace("workflow"):
        with agent_span("guide"), generation_span(model="gpt") as span:
            span.span_data.usage = {"input_tokens": 3, "output_tokens": 5}
            span.span_data.output = [{"role": "assistant", "content": "Hi"}]

    assert lines(events) == [
        "agent guide started",
        "llm guide/gpt started",
        "text guide/gpt 'Hi'",
        f"llm guide/gpt completed {USAGE}",
        "agent guide completed",
    ]


async def test_names_of_agents_and_models_may_have_any_characters() -> None:
    with capture_events() as events, trace("workflow"):
        with agent_span("Triage agent"), generation_span(model="litellm/gpt"):
            pass

    assert lines(events)[:2] == [
        "agent Triage-agent started",
        "llm Triage-agent/litellm-gpt started",
    ]


async def test_runs_at_once_never_mix() -> None:
    answers = {
        f"m{n}": [[ask("double", a=n)], [say(f"It is {2 * n}")]] for n in range(4)
    }
    async with FakeOpenAI(**answers) as openai:

        @agent
        async def answer(n: int) -> Any:
            guide = Agent(name=f"g{n}", model=openai.model(f"m{n}"), tools=[double])
            return await consume(guide)

        ran = await asyncio.gather(*(run(answer, n) for n in range(4)))

    for n, (result, events) in enumerate(ran):
        assert result == f"It is {2 * n}"
        assert lines(events) == [
            "agent answer started",
            f"agent answer/g{n} started",
            f"llm answer/g{n}/response started",
            f"llm answer/g{n}/response completed {USAGE}",
            f"tool answer/g{n}/double started",
            f'log answer/g{n}/double level="info" message="doubles {n}"',
            f"tool answer/g{n}/double completed",
            f"llm answer/g{n}/response#2 started",
            f"text answer/g{n}/response#2 'It is {2 * n}'",
            f"llm answer/g{n}/response#2 completed {USAGE}",
            f"agent answer/g{n} completed",
            "agent answer completed",
        ]


async def test_two_streams_in_one_actor_keep_their_texts_apart() -> None:
    async with FakeOpenAI(a=[[say("A", "a")]], b=[[say("B", "b")]]) as openai:
        guides = [Agent(name=n, model=openai.model(n)) for n in "ab"]
        with capture_events() as events, trace("both"):
            await asyncio.gather(*map(consume, guides))

    for name in "ab":
        assert [line for line in lines(events) if line.split()[1].startswith(name)] == [
            f"agent {name} started",
            f"llm {name}/response started",
            f"text {name}/response '{name.upper()}'",
            f"text {name}/response '{name}'",
            f"llm {name}/response completed {USAGE}",
            f"agent {name} completed",
        ]


async def test_the_same_run_has_the_same_addresses() -> None:
    trees = []
    for _ in range(2):
        async with FakeOpenAI(m=[[ask("add", a=1, b=2)], [say("3")]]) as openai:
            guide = Agent(name="guide", model=openai.model("m"), tools=[add])
            with capture_events() as events:
                await consume(guide)
        trees.append(lines(events))

    assert trees[0] == trees[1]


async def test_shows_input_and_output_if_it_is_asked_to() -> None:
    install(show=("input", "output"))
    async with FakeOpenAI(m=[[ask("add", a=1, b=2)], [say("3")]]) as openai:
        guide = Agent(name="guide", model=openai.model("m"), tools=[add])
        with capture_events() as events:
            await Runner.run(guide, "1 + 2?")

    calls = [event for event in events if isinstance(event, ExecutionEvent)]
    model, function = [c for c in calls if c.execution_status == "completed"][:2]
    assert (function.input, function.output) == ({"a": 1, "b": 2}, 3)
    assert model.input == [{"content": "1 + 2?", "role": "user"}]
    assert [item["name"] for item in model.output] == ["add"]


@pytest.mark.parametrize("show", ["input", ("inputs",)])
def test_refuses_to_show_what_it_does_not_know(show: Any) -> None:
    with pytest.raises(ValueError, match='show takes a tuple of "input" and "output"'):
        install(show=show)


async def test_installs_one_processor_however_often_it_is_called() -> None:
    install()
    async with FakeOpenAI(m=[[say("Hi")]]) as openai:
        with capture_events() as events:
            await Runner.run(Agent(name="guide", model=openai.model("m")), "Hi")

    assert len(ends(events)) == 2


async def test_does_nothing_outside_of_an_execution() -> None:
    async with FakeOpenAI(m=[[ask("add", a=1, b=2)], [say("3")]]) as openai:
        guide = Agent(name="guide", model=openai.model("m"), tools=[add])
        assert await consume(guide) == "3"

    assert running_state() is None
    assert openai_agents._processor._traces == {}


async def test_keeps_nothing_of_a_run_that_is_over() -> None:
    async with FakeOpenAI(m=[[say("Hi")]]) as openai:
        with capture_events():
            await consume(Agent(name="guide", model=openai.model("m")))

    assert openai_agents._processor._traces == {}


async def test_shows_a_run_of_a_sync_actor_in_its_thread() -> None:
    @agent
    def answer() -> Any:
        return asyncio.run(inside())

    async def inside() -> Any:
        async with FakeOpenAI(m=[[ask("add", a=1, b=2)], [say("3")]]) as openai:
            guide = Agent(name="guide", model=openai.model("m"), tools=[add])
            return (await Runner.run(guide, "Hi")).final_output

    result, events = await run(answer)

    assert result == "3"
    assert lines(events) == [
        "agent answer started",
        "agent answer/guide started",
        "llm answer/guide/response started",
        f"llm answer/guide/response completed {USAGE}",
        "tool answer/guide/add started",
        "tool answer/guide/add completed",
        "llm answer/guide/response#2 started",
        "text answer/guide/response#2 '3'",
        f"llm answer/guide/response#2 completed {USAGE}",
        "agent answer/guide completed",
        "agent answer completed",
    ]


async def test_keeps_nothing_of_a_span_that_outlives_its_trace() -> None:
    with capture_events() as events:
        with trace("workflow") as over:
            pass
        with function_span("add", parent=over):
            pass

    assert lines(events) == ["tool add started", "tool add completed"]
    assert openai_agents._processor._traces == {}


async def test_what_a_scripted_model_says_is_at_its_call() -> None:
    testing = pytest.importorskip("agents.testing", reason="openai-agents 0.22")
    script = [[testing.assistant_message("Hi")]]
    model = testing.ScriptedModel(script, emit_traces=True)
    with capture_events() as events:
        await consume(Agent(name="guide", model=model))

    assert lines(events) == [
        "agent guide started",
        "llm guide/generation started",
        "text guide/generation 'Hi'",
        "llm guide/generation completed",
        "agent guide completed",
    ]


async def test_without_model_spans_the_text_has_the_address_of_the_agent() -> None:
    testing = pytest.importorskip("agents.testing", reason="openai-agents 0.22")
    model = testing.ScriptedModel([[testing.assistant_message("Hi")]])
    with capture_events() as events:
        await consume(Agent(name="guide", model=model))

    assert lines(events) == [
        "agent guide started",
        "text guide 'Hi'",
        "agent guide completed",
    ]


async def test_what_the_model_said_before_has_the_address_of_the_caller() -> None:
    async with FakeOpenAI(m=[[say("It ", "is")]]) as openai:
        guide = Agent(name="guide", model=openai.model("m"))

        @agent
        async def answer() -> None:
            result = Runner.run_streamed(guide, "Hi")
            await settled(besides=[*openai.tasks, reader])
            async for _ in stream(result):
                pass

        reader = asyncio.current_task()
        with capture_events() as events:
            await answer()

    assert lines(events)[-4:] == [
        "agent answer/guide completed",
        "text answer 'It '",
        "text answer 'is'",
        "agent answer completed",
    ]


async def test_the_stream_passes_all_events_on() -> None:
    async with FakeOpenAI(m=[[say("It ", "is")], [say("It ", "is")]]) as openai:
        guide = Agent(name="guide", model=openai.model("m"))
        plain = [e.type async for e in Runner.run_streamed(guide, "").stream_events()]
        with capture_events():
            passed = [e.type async for e in stream(Runner.run_streamed(guide, ""))]

    assert passed == plain


async def test_a_failure_of_the_bridge_is_logged_once_and_harms_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: Any, **options: Any) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(openai_agents, "begin", broken)
    async with FakeOpenAI(m=[[ask("add", a=1, b=2)], [say("3")]]) as openai:
        guide = Agent(name="guide", model=openai.model("m"), tools=[add])
        with capture_events():
            assert await consume(guide) == "3"

    assert caplog.messages == [FAILED]


async def test_a_version_without_the_queue_is_logged_and_the_text_comes_at_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def listen(result: object, here: object) -> None:
        raise AttributeError("_event_queue")

    monkeypatch.setattr(openai_agents, "_listen", listen)
    async with FakeOpenAI(m=[[say("It ", "is")]]) as openai:
        guide = Agent(name="guide", model=openai.model("m"))
        with capture_events() as events:
            assert await consume(guide) == "It is"

    assert [line for line in lines(events) if line.startswith("text")] == [
        "text guide/response 'It is'"
    ]
    assert caplog.messages == [FAILED]


@pytest.mark.parametrize("kind", ["output_text", "reasoning_text"])
async def test_waits_for_nothing_where_it_has_no_call_of_a_model(kind: str) -> None:
    """The bus lets others run after 64 events, for which a callback cannot wait."""
    event = SimpleNamespace(
        data=SimpleNamespace(type=f"response.{kind}.delta", delta="a")
    )

    @agent
    async def answer() -> None:
        for _ in range(200):
            openai_agents._processor.said(event, current_state())
        await asyncio.sleep(0)

    said = lines((await run(answer))[1])[1:-1]
    assert len(said) == 200
    assert {each.split()[1] for each in said} == {"answer"}
