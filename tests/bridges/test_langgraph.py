"""What people answer to the interrupts of graphs."""

from __future__ import annotations

import inspect
import operator
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Interrupt, interrupt

from asgi_events import agent, testing
from asgi_events.bridges.langgraph import ask_interrupts, run_to_end
from asgi_events.exceptions import InputDeclined, InputExpired
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
from tests.bridges.graphs import Model
from tests.bridges.graphs import model as scripted

HAS_SCHEMAS = "response_schema" in inspect.signature(interrupt).parameters
CONFIG: Any = {"configurable": {"thread_id": "1"}}
SEAT = {
    "type": "object",
    "properties": {"seat": {"type": "string", "enum": ["window", "aisle"]}},
    "required": ["seat"],
}


class Said(TypedDict, total=False):
    said: Annotated[list[Any], operator.add]


def graph_of(*values: Any, **options: Any) -> Any:
    """A graph that interrupts for all of these at once, and says what came."""
    graph = StateGraph(Said)
    for number, value in enumerate(values):

        def node(state: Said, value: Any = value) -> Any:
            return {"said": [interrupt(value, **options)]}

        graph.add_node(f"node{number}", node)
        graph.add_edge(START, f"node{number}")
    return graph.compile(checkpointer=InMemorySaver())


def asking(graph: Any, **options: Any) -> Any:
    """An actor that runs a graph to its end."""

    @agent(name="trip")
    async def trip() -> Any:
        return (await run_to_end(graph, {"said": []}, CONFIG, **options))["said"]

    return trip


def asking_sync(graph: Any) -> Any:
    @agent(name="trip")
    def trip() -> Any:
        result = graph.invoke({"said": []}, CONFIG)
        while "__interrupt__" in result:
            command: Any = ask_interrupts(result["__interrupt__"])
            result = graph.invoke(command, CONFIG)
        return result["said"]

    return trip


def asking_in_a_stream(graph: Any) -> Any:
    @agent(name="trip")
    async def trip() -> Any:
        given: Any = {"said": []}
        while given is not None:
            interrupts: list[Any] = []
            async for update in graph.astream(given, CONFIG):
                interrupts += update.get("__interrupt__", ())
            given = await ask_interrupts(interrupts) if interrupts else None
        return (await graph.aget_state(CONFIG)).values["said"]

    return trip


VALUES: list[tuple[Any, str, dict[str, Any], Any]] = [
    ("Your name?", "Your name?", {"type": "string"}, "Ann"),
    ({"message": "Sure?"}, "Sure?", {"type": "string"}, "yes"),
    (
        {"message": "Sure?", "schema": {"type": "boolean"}},
        "Sure?",
        {"type": "boolean"},
        True,
    ),
    (
        {"message": "Which?", "response_schema": SEAT, "flight": 7},
        'Which?\n{"flight": 7}',
        SEAT,
        {"seat": "aisle"},
    ),
    ({"draft": "Dear Ann"}, '{"draft": "Dear Ann"}', {"type": "string"}, "send"),
    ([1, None, "é"], '[1, null, "é"]', {"type": "string"}, ""),
    (" ", '" "', {"type": "string"}, "x"),
    (None, "null", {"type": "string"}, "x"),
]


@pytest.mark.parametrize(
    "by",
    [asking, asking_sync, asking_in_a_stream],
    ids=["async", "sync", "stream"],
)
async def test_resumes_with_the_answers_to_all_interrupts_at_once(by: Any) -> None:
    graph = graph_of(*(value for value, *_ in VALUES))
    async with running(by(graph)) as execution:
        requests = await asked(execution, len(VALUES))
        expected = [(message, form) for _, message, form, _ in VALUES]
        found = [(each.message, each.response_schema) for each in requests]
        for request, each in reversed([*zip(requests, found, strict=True)]):
            await execution.answer(request.n, VALUES[expected.index(each)][3])

        assert sorted(found, key=str) == sorted(expected, key=str)
        assert await soon(execution.result()) == [answer for *_, answer in VALUES]
        assert {request.address for request in requests} == {"trip"}


@pytest.mark.skipif(not HAS_SCHEMAS, reason="this version has no response_schema")
async def test_asks_with_the_schema_of_the_interrupt() -> None:
    graph = graph_of({"message": "Which?", "flight": 7}, response_schema=SEAT)
    async with running(asking(graph, to="manager", timeout=60.0)) as execution:
        (request,) = await asked(execution)
        await execution.answer(1, {"seat": "window"})

        assert await soon(execution.result()) == [{"seat": "window"}]
        assert (request.response_schema, request.to) == (SEAT, "manager")
        assert request.message == 'Which?\n{"flight": 7}'
        assert request.expires is not None


async def test_asks_one_after_the_other_what_one_node_wants_to_know() -> None:
    def node(state: Said) -> Any:
        return {"said": [interrupt("First?"), interrupt("Second?")]}

    graph = StateGraph(Said)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    async with running(asking(graph.compile(checkpointer=InMemorySaver()))) as it:
        assert await messages(it) == ["First?"]
        await it.answer(1, "one")
        assert await messages(it, 2) == ["First?", "Second?"]
        await it.answer(2, "two")

        assert await soon(it.result()) == ["one", "two"]


async def test_leaves_the_graph_interrupted_if_somebody_declines() -> None:
    graph = graph_of("First?", "Second?")

    @agent
    async def trip() -> Any:
        try:
            await run_to_end(graph, {"said": []}, CONFIG)
        except InputDeclined as declined:
            pending = (await graph.aget_state(CONFIG)).interrupts
            return [declined.message, *(each.value for each in pending)]

    async with running(trip) as execution:
        await asked(execution, 2)
        await execution.decline(1, by="ann")

        assert await soon(execution.result()) == ["First?", "First?", "Second?"]
        assert sorted(await answers(execution)) == [
            (1, "decline", "ann", None),
            (2, "cancelled", None, None),
        ]


async def test_raises_that_nobody_has_answered_in_time() -> None:
    @agent
    async def trip() -> str:
        with pytest.raises(InputExpired) as caught:
            await run_to_end(graph_of("Name?"), {"said": []}, CONFIG, timeout=0.05)
        return str(caught.value)

    async with running(trip) as execution:
        assert await soon(execution.result()) == (
            "Question 1 was not answered within 0.05 s: Name?"
        )


@pytest.mark.parametrize("by", [asking, asking_sync], ids=["async", "sync"])
async def test_closes_the_questions_of_what_is_cancelled(by: Any) -> None:
    async with running(by(graph_of("Name?"))) as execution:
        await asked(execution)
        await execution.cancel()
        await end_of(execution)

        assert await answers(execution) == [(1, "cancelled", None, None)]


async def test_asks_nothing_if_one_schema_is_not_that_of_a_form() -> None:
    @agent
    async def trip() -> None:
        nested = {"type": "object", "properties": {"at": {"type": "object"}}}
        with pytest.raises(TypeError, match="its field 'at': it is not flat"):
            await ask_interrupts(
                [
                    Interrupt("Name?", id="a"),
                    Interrupt({"message": "Where?", "schema": nested}, id="b"),
                ]
            )

    async with running(trip) as execution:
        await soon(execution.result())
        assert await execution.questions() == []


async def test_says_that_nobody_can_answer() -> None:
    trip = asking(graph_of("Name?"))
    with pytest.raises(RuntimeError, match="No actor is running here"):
        await trip()
    with pytest.raises(RuntimeError, match="Nobody can answer here"):
        with testing.capture_events():
            await trip()


# The middleware of LangChain


@tool
def refund(amount: int) -> str:
    """Refund an amount."""
    return f"refunded {amount}"


class Caller(Model):
    def bind_tools(self, *args: Any, **options: Any) -> Any:
        return self


def reviewed(allowed: Any, **options: Any) -> Any:
    """An agent of LangChain that wants to refund twice, reviewed by its middleware."""
    agents = pytest.importorskip("langchain.agents")
    from langchain.agents.middleware import HumanInTheLoopMiddleware
    from langchain_core.messages import AIMessage, ToolCall

    calls = [
        ToolCall(name="refund", args={"amount": amount}, id=f"id-{amount}")
        for amount in (5, 6)
    ]
    model = Caller(messages=scripted(AIMessage("", tool_calls=calls), "done").messages)
    review = HumanInTheLoopMiddleware(interrupt_on={"refund": allowed}, **options)
    return agents.create_agent(
        model, tools=[refund], middleware=[review], checkpointer=InMemorySaver()
    )


def reviewing(graph: Any, **options: Any) -> Any:
    @agent
    async def shop() -> list[str]:
        result = await run_to_end(
            graph, {"messages": [("user", "Refund it")]}, CONFIG, **options
        )
        return sorted(str(m.content) for m in result["messages"] if m.type == "tool")

    return shop


REJECTED = "User rejected the tool call for `refund` with reason: too much"


@pytest.mark.parametrize("mode", ["batched", "per_call"])
@pytest.mark.parametrize(
    "allowed", [True, {"allowed_decisions": ["approve", "reject"]}]
)
async def test_decides_on_each_tool_of_the_middleware(allowed: Any, mode: str) -> None:
    graph = reviewed(allowed, interrupt_mode=mode)
    async with running(reviewing(graph)) as execution:
        # The graph runs the calls of "per_call" side by side, so either is the first.
        five, six = sorted(await asked(execution, 2), key=lambda asked: asked.message)
        await execution.answer(five.n, APPROVED)
        await execution.answer(six.n, DENIED)

        assert five.message == (
            "Tool execution requires approval\n\nTool: refund\nArgs: {'amount': 5}"
        )
        assert six.response_schema["required"] == ["approved"]
        assert await soon(execution.result()) == [REJECTED, "refunded 5"]


@pytest.mark.parametrize("mode", ["batched", "per_call"])
async def test_answers_in_place_of_a_tool_that_may_only_be_answered(mode: str) -> None:
    allowed = {"allowed_decisions": ["respond", "reject"], "description": "How much?"}
    graph = reviewed(allowed, interrupt_mode=mode)
    async with running(reviewing(graph)) as execution:
        first, _ = await asked(execution, 2)
        await execution.answer(1, "nothing")
        await execution.decline(2)

        assert (first.message, first.response_schema) == (
            "How much?",
            {"type": "string"},
        )
        rejected, answer = await soon(execution.result())
        assert answer == "nothing"
        assert rejected.startswith("User rejected the tool call for `refund`")


async def test_rejects_what_nobody_decides_in_time() -> None:
    async with running(reviewing(reviewed(True), timeout=0.05)) as execution:
        rejected = await soon(execution.result())

    assert (
        rejected
        == [REJECTED.replace("too much", "Nobody has decided within 0.05 s.")] * 2
    )
