"""Shows OpenTelemetry spans with the GenAI names as agents, tools and llm calls.

``provider.add_span_processor(EventsSpanProcessor())`` is all it takes. The names are
those of the `GenAI semantic conventions
<https://github.com/open-telemetry/semantic-conventions-genai>`_ and of `OpenInference
<https://github.com/Arize-ai/openinference/tree/main/spec>`_.
"""

from __future__ import annotations

import json
import logging
import sys
import weakref
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from asgi_events.actors.call import Call
from asgi_events.actors.calls import Kind, begin
from asgi_events.actors.shown import Part, checked_show
from asgi_events.actors.state import ExecutionState, running_state
from asgi_events.bridges.guard import Guard
from asgi_events.bridges.nesting import is_between

try:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
    from opentelemetry.trace import SpanKind, StatusCode
except ImportError as error:
    raise ImportError(
        "asgi_events.bridges.otel needs opentelemetry-sdk and was tried with 1.20 to "
        '1.45: pip install "opentelemetry-sdk>=1.20"'
    ) from error

logger = logging.getLogger(__name__)

_OPERATIONS: dict[Any, Kind] = {
    "invoke_agent": "agent",
    "invoke_workflow": "agent",
    "execute_tool": "tool",
    "retrieval": "tool",
    "chat": "llm",
    "generate_content": "llm",
    "text_completion": "llm",
    "embeddings": "llm",
}
_OPENINFERENCE_KINDS: dict[Any, Kind] = {
    "AGENT": "agent",
    "TOOL": "tool",
    "RETRIEVER": "tool",
    "LLM": "llm",
    "EMBEDDING": "llm",
}
_NAMES: dict[Kind, tuple[str, ...]] = {
    "agent": ("gen_ai.agent.name", "gen_ai.workflow.name", "agent.name"),
    "tool": ("gen_ai.tool.name", "tool.name"),
    "llm": ("gen_ai.request.model", "llm.model_name", "embedding.model_name"),
}
_INPUT = ("gen_ai.tool.call.arguments", "gen_ai.input.messages", "input.value")
_OUTPUT = ("gen_ai.tool.call.result", "gen_ai.output.messages", "output.value")
_INPUT_TOKENS = ("gen_ai.usage.input_tokens", "llm.token_count.prompt")
_OUTPUT_TOKENS = ("gen_ai.usage.output_tokens", "llm.token_count.completion")


class _Open(NamedTuple):
    """An open span, the state for what runs in it, and its call if it is shown."""

    span: weakref.ref[Span]
    state: ExecutionState
    call: Call | None
    kind: Kind | None
    raised: int  # the id of what was being handled when it started


class EventsSpanProcessor(SpanProcessor):
    """Publishes the spans of an execution as calls, nested as the spans are.

    A span without one of the names is not shown; the spans in it are shown in its
    place. A span outside an execution, or one that the sampler drops, is not heard.

    Args:
        show: What viewers see of each call, of ``"input"`` and ``"output"``.
    """

    def __init__(self, *, show: Collection[Part] = ()) -> None:
        self._show = checked_show(show)
        self._open: dict[int, _Open] = {}
        self._shown: set[ExecutionState] = set()
        self._guard = Guard(logger, "A span cannot be shown. This is logged once.")

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Begin the call of a span."""
        self._guard(self._start, span)

    def on_end(self, span: ReadableSpan) -> None:
        """End the call of a span."""
        self._guard(self._end, span)

    def _start(self, span: Span) -> None:
        state = self._state_above(span)
        if state is None:
            return
        call = None
        kind, name = _read(span)
        if kind is not None:
            call = begin(
                kind,
                name,
                parent=state,
                input=self._content("input", span, _INPUT),
                enter=kind != "llm",
                adopt=kind != "llm",
            )
            state = call.state
            self._shown.add(state)
        key = span.context.span_id
        # A span that nobody ends takes its place with it when it is collected.
        reference = weakref.ref(span, lambda _: self._forget(key))
        self._open[key] = _Open(reference, state, call, kind, id(sys.exc_info()[1]))

    def _forget(self, key: int) -> _Open | None:
        opened = self._open.pop(key, None)
        if opened is not None and opened.call is not None:
            self._shown.discard(opened.state)
        return opened

    def _state_above(self, span: Span) -> ExecutionState | None:
        """Return the state of what a span runs in; None outside executions."""
        running = running_state()
        parent = self._open.get(span.parent.span_id) if span.parent else None
        if parent is None:
            return running
        if running is None or running in self._shown:
            return parent.state
        # An actor, which emits no spans, or another execution is between the two.
        return running if is_between(running, parent.state) else parent.state

    def _end(self, span: ReadableSpan) -> None:
        opened = self._forget(span.context.span_id)
        if opened is None or opened.call is None:
            return
        call = opened.call
        try:
            output = self._content("output", span, _OUTPUT)
            if output is not None:
                call.output(output)
            # An agent repeats the sum of what its models took.
            usage = _usage(span) if opened.kind == "llm" else None
            if usage:
                call.usage(**usage)
        finally:
            raised = sys.exc_info()[1]
            is_new = id(raised) != opened.raised
            # OpenTelemetry gives a span that was cancelled no status.
            if is_new and not isinstance(raised, Exception | None):
                call.cancel()
            elif span.status.status_code is StatusCode.ERROR:
                _fail(call, span)
            else:
                call.end()

    def _content(
        self,
        part: Part,
        span: ReadableSpan,
        keys: tuple[str, ...],
    ) -> Any:
        if part not in self._show:
            return None
        value = _first(span.attributes or {}, keys)
        if not isinstance(value, str) or not value.startswith(("{", "[")):
            return value
        try:
            return json.loads(value)
        except ValueError:
            return value


def _first(attributes: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    for key in keys:
        value = attributes.get(key)
        if value is not None:
            return value
    return None


def _read(span: Span) -> tuple[Kind | None, str]:
    """Return the kind and name of the call that a span is; no kind if it is none."""
    attributes = span.attributes or {}
    operation, _, target = span.name.partition(" ")
    if (named := attributes.get("gen_ai.operation.name")) is not None:
        kind = _OPERATIONS.get(named)
    elif (named := attributes.get("openinference.span.kind")) is not None:
        kind = _OPENINFERENCE_KINDS.get(named)
        target = span.name
    elif "_" in operation or span.kind is SpanKind.CLIENT:
        # Some libraries set the attributes later, but the name says enough.
        kind = _OPERATIONS.get(operation) if target else None
    else:
        kind = None
    if kind is None:
        return None, ""
    return kind, str(_first(attributes, _NAMES[kind]) or target or span.name)


def _usage(span: ReadableSpan) -> dict[str, int]:
    attributes = span.attributes or {}
    found = {
        "input_tokens": _first(attributes, _INPUT_TOKENS),
        "output_tokens": _first(attributes, _OUTPUT_TOKENS),
    }
    return {name: count for name, count in found.items() if count is not None}


def _fail(call: Call, span: ReadableSpan) -> None:
    """End a call by what its span says of the error."""
    raised: Mapping[str, Any] = next(
        (e.attributes or {} for e in reversed(span.events) if e.name == "exception"), {}
    )
    kind = raised.get("exception.type") or (span.attributes or {}).get("error.type")
    if str(kind).endswith("CancelledError"):
        call.cancel()
        return
    message = raised.get("exception.message") or span.status.description or kind
    # As an exception, so that ``error_message`` decides what viewers see of it.
    call.fail(RuntimeError(str(message or "failed")))
