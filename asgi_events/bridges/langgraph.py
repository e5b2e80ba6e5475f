"""LangGraph: people answer the interrupts of a graph.

``await run_to_end(graph, {"topic": "tea"}, config)`` runs a graph, asks what it
interrupts for as questions of the execution, and resumes it with the answers.

Source: https://docs.langchain.com/oss/python/langgraph/interrupts
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import Any

from asgi_events.actors.asking import ask_form
from asgi_events.actors.forms import form_from, form_of
from asgi_events.actors.shown import shown
from asgi_events.actors.state import ExecutionState, current_state
from asgi_events.bridges.approvals import approval, together, with_arguments
from asgi_events.exceptions import InputDeclined

try:
    from langgraph.types import Command, Interrupt
except ImportError as error:
    raise ImportError(
        "asgi_events.bridges.langgraph needs langgraph, and was tried with 1.1.8 to "
        '1.2.24: pip install "langgraph>=1.1.8".'
    ) from error

SCHEMAS = ("response_schema", "schema")
"""The members of the value of an interrupt that may have the schema of its answer."""

DECISIONS = frozenset({"approve", "reject"})


async def run_to_end(
    graph: Any,
    input: Any,
    config: Any = None,
    *,
    timeout: float | None = None,
    to: str | None = None,
    **options: Any,
) -> Any:
    """Run a graph as ``graph.ainvoke`` does, and ask people about its interrupts.

    Args:
        graph: A compiled graph with a checkpointer.
        input: What it is given.
        config: Its configuration, with a ``thread_id``.
        timeout: As for ``ask_interrupts``.
        to: As there.
        options: More options of ``graph.ainvoke``.

    Returns:
        What ``ainvoke`` returns when the graph has come to its end.

    Raises:
        InputDeclined: As for ``ask_interrupts``, as the following ones. The graph
            stays interrupted, at its checkpoint.
        InputExpired: Nobody has answered in time.
        TypeError: A schema is not that of a form.
        RuntimeError: There is an interrupt, and nobody can answer.
    """
    result = await graph.ainvoke(input, config, **options)
    while interrupts := _interrupts(result):
        command = await ask_interrupts(interrupts, timeout=timeout, to=to)
        result = await graph.ainvoke(command, config, **options)
    return result


def ask_interrupts(
    interrupts: Iterable[Interrupt],
    *,
    timeout: float | None = None,
    to: str | None = None,
) -> Awaitable[Command[Any]]:
    """Ask people about interrupts, all at once.

    A text is the message. So is the member ``message`` of a dict, with the other
    members as JSON below it. Of any other value it is the JSON. The answer is a text,
    unless the interrupt has a ``response_schema``, or the dict has one, or a
    ``schema``. What LangChain's ``HumanInTheLoopMiddleware`` asks is a question for
    each tool.

    Args:
        interrupts: What ``ainvoke`` has returned as ``__interrupt__``, or ``astream``.
        timeout: Seconds after which a question expires; None for any time.
        to: Who may answer besides the owner of the execution.

    Returns:
        The command to resume the graph with; in a sync actor itself, elsewhere what to
        await.

    Raises:
        InputDeclined: Somebody has declined. What the middleware asks is rejected then,
            and also if nobody answers in time.
        InputExpired: Nobody has answered in time.
        TypeError: A schema is not that of a form; the message names the field.
        RuntimeError: Nobody can answer: no ``Executions`` runs this.
    """
    here = current_state()
    asks = {each.id: _asks(here, each, timeout, to) for each in interrupts}

    async def resume() -> Command[Any]:
        answers = await together(ask() for ask in asks.values())
        return Command(resume=dict(zip(asks, answers, strict=True)))

    return here.event_bus.call(resume())


def _interrupts(result: Any) -> Iterable[Interrupt]:
    """What has interrupted a graph that returned this."""
    if isinstance(result, dict):
        found: Iterable[Interrupt] = result.get("__interrupt__", ())
        return found
    return getattr(result, "interrupts", ())  # version="v2"


def _asks(
    state: ExecutionState, interrupt: Interrupt, timeout: float | None, to: str | None
) -> Callable[[], Coroutine[Any, Any, Any]]:
    """Return what asks about one interrupt, once its form is known to be one."""
    value, schema = interrupt.value, getattr(interrupt, "response_schema", None)
    given = dict(value) if isinstance(value, Mapping) else {}
    if "action_requests" in given:
        return partial(_decide_all, state, given, timeout, to)
    if given.get("type") == "tool_approval":
        return partial(_decide, state, given, _allowed(schema), timeout, to)
    for name in SCHEMAS:
        found = given.pop(name, None)
        schema = found if schema is None else schema
    if isinstance(given.get("message"), str):
        value = given.pop("message")
        if given:
            value += f"\n{_json(given)}"
    message = value if isinstance(value, str) and value.strip() else _json(value)
    form = form_of(str) if schema is None else form_from(schema)
    return partial(ask_form, state, message, form, timeout=timeout, to=to)


async def _decide_all(
    state: ExecutionState,
    request: Mapping[str, Any],
    timeout: float | None,
    to: str | None,
) -> dict[str, Any]:
    """Ask about the tools that LangChain's middleware wants to know about at once."""
    allowed = {
        config["action_name"]: frozenset(config["allowed_decisions"])
        for config in request.get("review_configs", ())
    }
    asked = (
        _decide(state, action, allowed.get(action["name"], DECISIONS), timeout, to)
        for action in request["action_requests"]
    )
    return {"decisions": await together(asked)}


async def _decide(
    state: ExecutionState,
    action: Mapping[str, Any],
    allowed: frozenset[str],
    timeout: float | None,
    to: str | None,
) -> dict[str, Any]:
    """Ask whether a tool may be called, or what it returns if a person is the tool."""
    default = with_arguments(action["name"], action.get("args"))
    message = action.get("description") or default
    if "approve" not in allowed and "respond" in allowed:
        try:
            answer = await ask_form(
                state, message, form_of(str), timeout=timeout, to=to
            )
        except InputDeclined:
            if "reject" not in allowed:
                raise
            return {"type": "reject"}
        return {"type": "respond", "message": answer}
    decided = await approval(state, message, timeout=timeout, to=to)
    if decided.approved:
        return {"type": "approve"}
    why = {"message": decided.reason} if decided.reason else {}
    return {"type": "reject", **why}


def _allowed(schema: Any) -> frozenset[str]:
    """The decisions that the schema of a tool's approval has."""
    try:
        if "discriminator" in schema:
            return frozenset(schema["discriminator"]["mapping"])
        return frozenset({schema["properties"]["type"]["const"]})
    except (KeyError, TypeError):
        return DECISIONS


def _json(value: Any) -> str:
    return json.dumps(shown(value), ensure_ascii=False)
