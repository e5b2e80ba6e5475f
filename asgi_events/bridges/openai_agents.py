"""OpenAI Agents: the spans of its tracing become calls of the execution.

    install()  # once, where the program starts
    async for event in stream(Runner.run_streamed(guide, question)): ...

A run of an agent is an agent call, a function or a guardrail a tool call, and a request
to a model an llm call. Spans know their parents, so that also the run inside of
``Agent.as_tool`` is shown, which the stream of the outer run does not contain.

``run_to_end`` asks people about the tools that need approval.

Source: https://openai.github.io/openai-agents-python/tracing/
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal, cast

from asgi_events.actors.call import Call
from asgi_events.actors.calls import begin
from asgi_events.actors.shown import Part, checked_show, shown
from asgi_events.actors.state import ExecutionState, running_state
from asgi_events.bridges.approvals import ApprovalMessage, with_arguments
from asgi_events.bridges.guard import Guard
from asgi_events.bridges.interruptions import ask_approvals, read_arguments
from asgi_events.bridges.nesting import is_between

try:
    from agents import Runner, RunResultStreaming, StreamEvent
    from agents.exceptions import AgentsException
    from agents.tracing import (
        Span,
        Trace,
        TracingProcessor,
        add_trace_processor,
        get_current_span,
    )
except ImportError as error:
    raise ImportError(
        "asgi_events.bridges.openai_agents needs openai-agents, and was tried with "
        f'0.2.0 and 0.24.0: pip install "openai-agents>=0.2". {error}'
    ) from error

__all__ = ["ask_approvals", "install", "run_to_end", "stream"]

logger = logging.getLogger(__name__)

KINDS: dict[str, Literal["agent", "tool", "llm"]] = {
    "agent": "agent",
    "function": "tool",
    "guardrail": "tool",
    "generation": "llm",
    "response": "llm",
}
"""The types of spans that are calls, and which."""

TEXT = {"response.output_text.delta", "response.refusal.delta"}
IN_STATE = {
    "context",
    "conversation_id",
    "previous_response_id",
    "auto_previous_response_id",
}
"""The options of a run that its state has when it goes on."""

REASONING = {"response.reasoning_text.delta", "response.reasoning_summary_text.delta"}


def install(show: Collection[Part] = ()) -> None:
    """Show all runs of agents in this process as calls of the execution they run in.

    It adds one tracing processor to those that are there, and leaves these alone: the
    framework goes on to upload its traces to OpenAI if it did so before. A second call
    changes ``show``. Call it after ``agents.set_trace_processors``, which removes all
    processors.

    Args:
        show: ``"input"`` shows the arguments of functions and the messages that models
            get, ``"output"`` what functions and models return. By default viewers see
            neither, because they may be private.

    Raises:
        ValueError: ``show`` names something else.
    """
    _processor.show = checked_show(show)
    if not _processor.is_added:
        _processor.is_added = True
        add_trace_processor(_processor)


def stream(result: RunResultStreaming) -> AsyncIterator[StreamEvent]:
    """Iterate over ``result.stream_events()``, and publish the text and the reasoning
    of the model.

    They appear at the address of the model's call, or else of the agent's, or else of
    the caller. Call it right after ``Runner.run_streamed``, before anything is awaited:
    what the model said before has the address of the caller.
    """
    here = running_state()
    if here is None:
        return result.stream_events()
    _processor.guard(_listen, result, here)
    return _events(result)


async def run_to_end(
    agent: Any,
    input: Any,
    *,
    timeout: float | None = None,
    to: str | None = None,
    message: ApprovalMessage = with_arguments,
    **options: Any,
) -> Any:
    """Run an agent as ``Runner.run`` does, and ask people about each tool that needs
    approval, as questions of the execution.

    Args:
        agent: The agent that starts.
        input: What it is given.
        timeout: As for ``ask_approvals``.
        to: As there.
        message: As there.
        options: More options of ``Runner.run``.

    Returns:
        The result of the run, without interruptions.

    Raises:
        RuntimeError: A tool needs approval, and nobody can answer.
    """
    result: Any = await Runner.run(agent, input, **options)
    kept = {each: options[each] for each in options if each not in IN_STATE}
    while getattr(result, "interruptions", ()):
        asking = ask_approvals(result, timeout=timeout, to=to, message=message)
        result = await Runner.run(agent, await asking, **kept)
    return result


async def _events(result: RunResultStreaming) -> AsyncIterator[StreamEvent]:
    """Pass events on, and stop the run with its reader.

    The framework stops a run only if its reader is cancelled while it waits for an
    event, not while it does something with one.
    """
    task = asyncio.current_task()
    assert task is not None

    def stop(reader: object) -> None:
        result.cancel()
        if result.trace is not None:
            _processor.leave(result.trace)

    task.add_done_callback(stop)
    try:
        async with aclosing(cast(Any, result.stream_events())) as events:
            try:
                async for event in events:
                    yield event
                if task.cancelling():  # openai-agents 0.4 swallows that
                    raise asyncio.CancelledError
            except BaseException as error:
                if task.cancelling() or isinstance(error, Exception):
                    stop(task)
                raise
    finally:
        task.remove_done_callback(stop)


def _listen(result: RunResultStreaming, here: ExecutionState) -> None:
    """Publish what goes into the queue of a run, when it goes in.

    A consumer sees an event only later, when the model's call may be over.
    """
    queue = result._event_queue
    put = queue.put_nowait

    def put_and_publish(event: Any) -> None:
        _processor.guard(_processor.said, event, here)
        put(event)

    for _ in range(queue.qsize()):
        event = queue.get_nowait()
        queue.task_done()
        put_and_publish(event)
    queue.put_nowait = put_and_publish  # type: ignore[assignment,method-assign]  # no public hook


@dataclass(slots=True, eq=False)
class _Open:
    """A span that has started.

    Attributes:
        parent: The span above, if it is known.
        call: The call of this span, or else of the nearest span above that has one.
        is_own: The call is of this span.
        handled: The exception that was handled where the span started.
        model: The call of a model that runs under this span.
        has_said: The text of this call of a model has come in pieces.
    """

    parent: _Open | None
    call: Call | None
    is_own: bool
    handled: BaseException | None
    model: _Open | None = None
    has_said: bool = False


class _Processor(TracingProcessor):
    """Begins and ends calls as spans start and end."""

    def __init__(self) -> None:
        self.is_added = False
        self.guard = Guard(
            logger,
            "The bridge to OpenAI Agents failed; the run goes on. It was tried "
            "with openai-agents 0.2.0 and 0.24.0.",
        )
        self.show: frozenset[str] = frozenset()
        self._traces: dict[str, dict[str, _Open]] = {}

    def on_span_start(self, span: Span[Any]) -> None:
        self.guard(self._start, span)

    def on_span_end(self, span: Span[Any]) -> None:
        self.guard(self._end, span)

    def on_trace_start(self, trace: Trace) -> None:
        pass

    def on_trace_end(self, trace: Trace) -> None:
        self.leave(trace)

    def shutdown(self) -> None:
        pass

    def force_flush(self) -> None:
        pass

    def leave(self, trace: Trace) -> None:
        """Cancel what is open in a trace that is over, the inner calls first."""
        for opened in reversed(list(self._traces.pop(trace.trace_id, {}).values())):
            if opened.is_own and opened.call is not None:
                opened.call.cancel()

    def said(self, event: Any, here: ExecutionState) -> None:
        """Publish a piece of a model's answer."""
        data: Any = getattr(event, "data", None)
        type = getattr(data, "type", None)
        if type not in TEXT and type not in REASONING:
            return
        span = get_current_span()
        opened = self._opened(span.trace_id, span.span_id) if span else None
        opened = opened and (opened.model or opened)
        call = opened.call if opened is not None else None
        publisher = here.nowait if call is None else call
        if type in REASONING:
            publisher.reasoning(data.delta)
            return
        publisher.text(data.delta)
        if opened is not None:
            opened.has_said = True

    def _opened(self, trace_id: str, span_id: str | None) -> _Open | None:
        return self._traces.get(trace_id, {}).get(span_id or "")

    def _start(self, span: Span[Any]) -> None:
        here = running_state()
        above = self._opened(span.trace_id, span.parent_id)
        if here is None and above is None:
            return
        data = span.span_data
        call = above.call if above is not None else None
        opened = _Open(above, call, False, sys.exc_info()[1])
        self._traces.setdefault(span.trace_id, {})[span.span_id] = opened
        kind = KINDS.get(data.type)
        if kind is None:
            return
        name = getattr(data, "name", None) or getattr(data, "model", None) or data.type
        is_inner = here and call and is_between(here, call.state)
        opened.call = begin(
            kind,
            name,
            parent=None if is_inner else call,
            enter=True,
            adopt=data.type == "function",
        )
        opened.is_own = True
        if kind == "llm" and above is not None:
            above.model = opened

    def _end(self, span: Span[Any]) -> None:
        spans = self._traces.get(span.trace_id, {})
        opened = spans.pop(span.span_id, None)
        if not spans:
            self._traces.pop(span.trace_id, None)
        if opened is None or opened.call is None:
            return
        call, data = opened.call, span.span_data
        if data.type == "handoff":
            call.custom("handoff", {"from": data.from_agent, "to": data.to_agent})
        if not opened.is_own:
            return
        if opened.parent is not None and opened.parent.model is opened:
            opened.parent.model = None
        error = sys.exc_info()[1]
        try:
            if data.type == "guardrail":
                call.custom("guardrail", {"triggered": data.triggered})
            if KINDS[data.type] == "llm":
                _tell_of_model(call, data, opened.has_said)
            self._show(call, data)
        finally:
            _finish(call, span, None if error is opened.handled else error)

    def _show(self, call: Call, data: Any) -> None:
        given, returned = getattr(data, "input", None), getattr(data, "output", None)
        response = getattr(data, "response", None)
        if "input" in self.show and given is not None:
            if data.type == "function":
                given = read_arguments(given)
            call.state.end_with(input=shown(given))
        if response is not None:
            returned = response.output
        if "output" in self.show and returned is not None:
            call.output(returned)


def _tell_of_model(call: Call, data: Any, has_said: bool) -> None:
    """Publish what is known of an answer when it is there."""
    response = getattr(data, "response", None)
    usage = getattr(data, "usage", None)
    if response is not None and not usage:
        usage = response.usage and response.usage.model_dump()
    if usage:
        call.usage(
            input_tokens=usage.get("input_tokens"),
            output_tokens=usage.get("output_tokens"),
        )
    if has_said:
        return
    if response is not None:
        text = response.output_text
    else:  # messages as Chat Completions has them
        messages = getattr(data, "output", None) or ()
        text = "".join(str(message.get("content") or "") for message in messages)
    if text:
        call.text(text)


def _finish(call: Call, span: Span[Any], error: BaseException | None) -> None:
    """End a call as its span ended.

    Spans have no status. They end inside of the ``with`` or ``finally`` that an
    exception passes, which is therefore the one that is being handled.
    """
    if isinstance(error, Exception):
        call.fail(error)
    elif span.error is not None:
        call.fail(AgentsException(_message(span.error)))
    elif isinstance(error, GeneratorExit):
        # The stream of a model is closed, by its reader or because that is cancelled.
        task = asyncio.current_task()
        call.cancel() if task and task.cancelling() else call.end()
    elif error is not None:
        call.cancel()
    else:
        call.end()


def _message(error: Any) -> str:
    data = error.get("data") or {}
    detail = data.get("error") or data.get("message")
    return f"{error['message']}: {detail}" if detail else str(error["message"])


_processor = _Processor()
