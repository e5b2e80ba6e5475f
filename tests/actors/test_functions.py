"""What the decorators return: a function, for Python, for frameworks and for us."""

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, get_type_hints

import pytest
from fastapi import Depends, FastAPI
from pydantic import BaseModel, ValidationError

from asgi_events import (
    EventsApp,
    EventsMiddleware,
    ExecutionEvent,
    Executions,
    ExecutionState,
    Message,
    agent,
    current_state,
    llm,
    tool,
)
from asgi_events.actors import Actor, actor_of
from asgi_events.testing import Client


class Report(BaseModel):
    text: str


@agent
async def research(topic: str, depth: int = 1) -> Report:
    """Write a report.

    A long one.
    """
    return Report(text=f"{topic} {depth}")


@tool
def sync_search(query: str) -> list[str]:
    """Search."""
    return [query]


@llm
async def write(prompt: str) -> AsyncIterator[str]:
    """Write."""
    for word in prompt.split():
        yield word


@llm
def write_sync(prompt: "str") -> Iterator[str]:
    yield prompt


class Service:
    def __init__(self, factor: int = 1) -> None:
        self.factor = factor

    @tool
    async def times(self, number: int) -> int:
        """Multiply."""
        return self.factor * number

    @tool
    def times_in_thread(self, number: int) -> int:
        return self.factor * number

    @llm
    async def spell(self, text: str) -> AsyncIterator[str]:
        for letter in text:
            yield letter * self.factor

    @agent
    async def twice(self, number: int) -> int:
        return await self.times(number) + await self.times_in_thread(number)

    @staticmethod
    @tool
    async def static_above(number: int) -> int:
        return number + 1

    @tool
    @staticmethod
    async def static_below(number: int) -> int:
        return number + 2

    @classmethod
    @tool
    async def class_above(cls, number: int) -> tuple[str, int]:
        return cls.__name__, number

    @tool
    @classmethod
    async def class_below(cls, number: int) -> tuple[str, int]:
        return cls.__name__, -number


# As Python sees it


@pytest.mark.parametrize("actor", [research, sync_search, write, write_sync])
def test_is_a_coroutine_function(actor: Any) -> None:
    assert inspect.isfunction(actor)
    assert inspect.iscoroutinefunction(actor)
    assert not inspect.isasyncgenfunction(inspect.unwrap(actor))
    assert not inspect.isgeneratorfunction(inspect.unwrap(actor))


def test_has_the_name_docstring_and_signature_of_its_function() -> None:
    assert (research.__name__, research.__qualname__) == ("research", "research")
    assert research.__module__ == __name__
    assert inspect.getdoc(research) == "Write a report.\n\nA long one."
    assert str(inspect.signature(research)) == (
        f"(topic: str, depth: int = 1) -> {__name__}.Report"
    )
    assert get_type_hints(research) == {"topic": str, "depth": int, "return": Report}


@pytest.mark.parametrize("actor", [write, write_sync])
def test_returns_the_text_of_a_generator_by_its_signature_too(actor: Any) -> None:
    assert str(inspect.signature(actor)) == "(prompt: str) -> str"
    assert get_type_hints(actor) == {"prompt": str, "return": str}


def test_names_the_function_of_an_object_that_has_no_name() -> None:
    actor = tool(name="it")(functools.partial(len))
    assert actor.__name__ == "it"


def test_reads_what_annotations_name_only_if_that_is_known() -> None:
    @llm
    async def later(prompt: "NotYet") -> AsyncIterator[str]:  # type: ignore[name-defined]  # noqa: F821
        yield ""

    assert str(inspect.signature(later)) == "(prompt: 'NotYet') -> str"


# Methods


async def test_binds_self() -> None:
    service = Service(3)
    assert await service.times(2) == 6
    assert await service.times_in_thread(2) == 6
    assert await service.spell("ab") == "aaabbb"
    assert await Service.times(service, 4) == 12
    assert inspect.iscoroutinefunction(service.times)
    assert str(inspect.signature(service.times)) == "(number: int) -> int"


async def test_may_be_a_static_or_a_class_method() -> None:
    class Other(Service): ...

    for owner in (Service, Service(), Other):
        assert await owner.static_above(1) == 2
        assert await owner.static_below(1) == 3
    assert await Service.class_above(1) == ("Service", 1)
    assert await Other().class_below(1) == ("Other", -1)


async def test_runs_a_method_in_an_execution() -> None:
    state = ExecutionState()
    calls: list[tuple[str, str]] = []
    state.event_bus.subscribe(
        lambda event: calls.append((event.address, str(event.execution_status)))
    )
    result = await state.run(Service(3).twice, 2)
    assert (result.ok, result.result) == (True, 12)
    assert calls == [
        ("twice", "started"),
        ("twice/times", "started"),
        ("twice/times", "completed"),
        ("twice/times_in_thread", "started"),
        ("twice/times_in_thread", "completed"),
        ("twice", "completed"),
    ]


async def test_starts_a_method_with_its_input() -> None:
    executions = Executions(Service(3).times, Service.static_above, Service.class_above)
    schema = executions.inputs["times"].schema()
    assert list(schema["properties"]) == ["number"]
    execution = await executions.start("times", {"number": 2})
    assert await execution.wait() == "completed"
    await executions.drain(0)


async def test_gives_a_method_as_many_arguments_as_it_takes() -> None:
    event = ExecutionEvent[int](actor=Service(3).times)
    result = await event(5, "", ExecutionState())
    assert (event.event_type, result.result) == ("tool_call", 15)


async def test_keeps_the_results_of_each_object_for_itself() -> None:
    @dataclass
    class Scale:
        factor: int

        @tool(cacheable=True)
        async def times(self, number: int) -> int:
            calls.append(number)
            return self.factor * number

    calls: list[int] = []
    state = ExecutionState()
    results = [await state.run(Scale(f).times, 5) for f in (2, 3, 2)]
    assert [result.result for result in results] == [10, 15, 10]
    assert calls == [5, 5]


async def test_shows_a_method_s_detail_its_object_too() -> None:
    class Shelf:
        name = "left"

        @tool(detail=lambda self, book: f"{book} on {self.name}")
        async def find(self, book: str) -> None: ...

    state = ExecutionState()
    details: list[Any] = []
    state.event_bus.subscribe(lambda event: details.append(event.detail))
    await state.run(Shelf().find, "Ulysses")
    assert details == ["Ulysses on left"] * 2


TAKES: dict[str, Callable[[Any], Any]] = {
    "Executions": Executions,
    "EventsApp": EventsApp,
    "EventsMiddleware": lambda f: EventsMiddleware(FastAPI(), actors=[f]),
    "ExecutionEvent": lambda f: ExecutionEvent[Any](actor=f),
    "actor_of": actor_of,
    "run": lambda f: ExecutionState().run(f, 1),
}


@pytest.mark.parametrize("take", TAKES.values(), ids=TAKES)
def test_refuses_a_method_without_its_object(take: Any) -> None:
    with pytest.raises((TypeError, ValidationError)) as raised:
        take(Service.times)
    assert (
        "Service.times is a method without its object: give the method of an object, "
        "obj.times."
    ) in str(raised.value)


# The actor behind it


def test_leads_to_its_actor() -> None:
    actor = actor_of(research)
    assert isinstance(actor, Actor)
    assert (actor.name, actor.event_type) == ("research", "agent_call")
    assert (actor.description, str(actor)) == ("Write a report.", "<agent research>")
    assert actor_of(actor) is actor
    assert actor_of(Service(2).times).name == "times"


@pytest.mark.parametrize("take", TAKES.values(), ids=TAKES)
def test_refuses_an_actor_that_another_decorator_hides(take: Any) -> None:
    @functools.wraps(research)
    async def hidden(*args: Any) -> Any: ...

    with pytest.raises((TypeError, ValidationError)) as raised:
        take(hidden)
    assert (
        "is an actor under another decorator: put @agent, @tool or @llm above that one."
    ) in str(raised.value)


async def _coroutine() -> None: ...


async def _items() -> AsyncIterator[str]:
    yield ""


CALLS: dict[str, Callable[[], Any]] = {
    "coroutine": _coroutine,
    "async generator": _items,
    "generator": lambda: (x for x in "a"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_is_not_made_from_a_call(call: Any) -> None:
    with pytest.raises(TypeError, match="which is a call of one: write tool.function."):
        tool(call())


def test_says_how_to_name_an_actor() -> None:
    with pytest.raises(TypeError, match="to name the actor write @tool.name='search'."):
        tool("search")  # type: ignore[call-overload]  # that is the point


# The short call, and what a call knows


async def test_runs_an_actor_below_a_state() -> None:
    result = await ExecutionState().run(research, "tea", depth=2)
    assert (result.ok, result.result) == (True, Report(text="tea 2"))


async def test_does_not_raise_what_the_actor_raised() -> None:
    @agent
    async def fail() -> None:
        raise ValueError("broken")

    result = await ExecutionState().run(fail)
    assert (result.ok, result.error_message) == (False, "broken")


@pytest.mark.parametrize("wrong", [_coroutine, 3, "research", [research], Report])
def test_refuses_to_run_at_once_what_is_not_an_actor(wrong: Any) -> None:
    with pytest.raises(TypeError, match="is not an actor: decorate it with @agent"):
        ExecutionState().run(wrong)


async def test_knows_the_execution_and_its_owner() -> None:
    @tool
    def look() -> tuple[str | None, str | None]:
        return current_state().execution_id, current_state().owner

    @agent
    async def root() -> Any:
        return await look()

    state = ExecutionState(execution_id="e1", owner="ann")
    assert (await state.run(root)).result == ("e1", "ann")
    assert (await ExecutionState().run(root)).result == (None, None)


# FastAPI


def application() -> FastAPI:
    app = FastAPI()
    service = Service(3)
    app.get("/research/{topic}")(research)
    app.get("/search")(sync_search)
    app.get("/write")(write)
    app.get("/times")(service.times)

    @app.get("/dependent")
    async def dependent(
        report: Annotated[Report, Depends(research)],
        hits: Annotated[list[str], Depends(sync_search)],
        text: Annotated[str, Depends(write)],
        text_sync: Annotated[str, Depends(write_sync)],
        product: Annotated[int, Depends(service.times)],
    ) -> list[Any]:
        return [report.text, hits, text, text_sync, product]

    @app.post("/message")
    @agent
    async def answer(message: Message) -> Message:
        return message

    return app


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/research/tea?depth=3", {"text": "tea 3"}),
        ("/search?query=q", ["q"]),
        ("/write?prompt=a+b", "ab"),
        ("/times?number=4", 12),
        (
            "/dependent?topic=t&query=q&prompt=p+p&number=2",
            ["t 1", ["q"], "pp", "p p", 6],
        ),
    ],
)
async def test_is_an_endpoint_and_a_dependency_of_fastapi(
    path: str, expected: Any
) -> None:
    answer = await Client(application()).get(path)
    assert (answer.status, await answer.json()) == (200, expected)


async def test_is_validated_by_fastapi() -> None:
    app = application()
    answer = await Client(app).post("/message", json={"content": "hi"})
    assert await answer.json() == {"content": "hi", "author": "user"}
    assert (await Client(app).get("/times?number=x")).status == 422
    paths = (await (await Client(app).get("/openapi.json")).json())["paths"]
    assert paths["/research/{topic}"]["get"]["description"] == (
        "Write a report.\n\nA long one."
    )
