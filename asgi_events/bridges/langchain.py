"""LangChain and LangGraph: their runs become calls of the execution.

``await graph.ainvoke(question, {"callbacks": [LangChainEvents()]})``

LangChain gives each run an id and the id of its parent, so that calls nest rightly in
all tasks and threads. It sometimes forgets to say that a cancelled run has ended: what
is open under a run that ends is cancelled with it.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from asgi_events.actors.call import Call
from asgi_events.actors.calls import begin
from asgi_events.actors.shown import Part, checked_show, shown
from asgi_events.actors.state import running_state
from asgi_events.bridges.guard import Guard, guarded
from asgi_events.bridges.nesting import is_between

try:
    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.messages import BaseMessage, ToolMessage
    from langchain_core.outputs import LLMResult
    from langchain_core.tools import ToolException
except ImportError as error:
    raise ImportError(
        "asgi_events.bridges.langchain needs langchain-core, and was tried with 1.3.0 "
        'to 1.8.3: pip install "langchain-core>=1.3".'
    ) from error

if TYPE_CHECKING:
    from langgraph.callbacks import GraphCallbackHandler, GraphInterruptEvent
    from langgraph.errors import GraphBubbleUp, ParentCommand
else:
    try:
        from langgraph.callbacks import GraphCallbackHandler
        from langgraph.errors import GraphBubbleUp, ParentCommand
    except ImportError:
        GraphCallbackHandler = BaseCallbackHandler
        GraphBubbleUp = ParentCommand = ()
        if find_spec("langgraph") is not None:
            warnings.warn(
                "This version of langgraph does not tell of interrupts, so viewers do "
                "not see them. asgi_events was tried with langgraph 1.1.8 to 1.2.24.",
                stacklevel=2,
            )

logger = logging.getLogger(__name__)

HIDDEN = "langsmith:hidden"  # the tags of LangGraph (langgraph/constants.py)
NO_STREAM = "nostream"


@dataclass(slots=True, eq=False)
class _Run:
    """A run of LangChain that has started.

    A run that viewers do not see has the call that its children belong to.
    """

    parent: _Run | None
    call: Call | None
    is_shown: bool
    node: str | None = None  # the name of a node of a graph
    streams: str | None = None  # which way of reporting its text came first
    children: dict[UUID, _Run] = field(default_factory=dict)


def _name(serialized: Any, run: dict[str, Any]) -> str:
    made_of = serialized or {}
    return str(
        run.get("name") or made_of.get("name") or made_of.get("id", ["chain"])[-1]
    )


def _is_internal(name: str) -> bool:
    """Return whether LangChain has given a chain the name of one of its classes."""
    return name.startswith(("Runnable", "Channel", "__"))


def _is_part_of_a_node(name: str, tags: list[str], parent: _Run | None) -> bool:
    """Return whether a chain is a router after a node, or the graph that is the node.

    A node is a sequence: its own code is step 1, what chooses the next nodes follows.
    """
    if parent is None or parent.node is None:
        return False
    steps = [tag for tag in tags if tag.startswith("seq:step:")]
    return name == parent.node or steps not in ([], ["seq:step:1"])


def _pieces(given: Any) -> Iterator[tuple[str, Any]]:
    """Yield the kind and text of what a token, chunk or generation says."""
    message = getattr(given, "message", None)
    if message is None:
        yield "text", given if isinstance(given, str) else getattr(given, "text", "")
    elif isinstance(message.content, str) and not message.additional_kwargs:
        yield "text", message.content
    else:  # in the form of its provider
        for block in message.content_blocks:
            yield block["type"], block.get("text") or block.get("reasoning")


def _plain(value: Any) -> Any:
    """Return messages, also those in a state, as viewers know them."""
    if isinstance(value, BaseMessage):
        role = {"human": "user", "ai": "assistant"}.get(value.type, value.type)
        plain = {"role": role, "content": value.content}
        calls = getattr(value, "tool_calls", None)
        return plain | {"tool_calls": calls} if calls else plain
    if isinstance(value, list):
        return [_plain(e) if isinstance(e, BaseMessage) else e for e in value]
    if isinstance(value, dict):
        return {
            key: _plain(each) if isinstance(each, BaseMessage | list) else each
            for key, each in value.items()
        }
    return value


class LangChainEvents(GraphCallbackHandler):
    """A callback handler that publishes the runs of LangChain and LangGraph as calls.

    Graphs, their nodes and chains with a name become agents; tools and retrievers
    become tools; chat models and other models become llms. One handler may serve any
    number of runs at the same time. Outside an execution it does nothing.

    Args:
        show: What viewers see of each call, of ``"input"`` and ``"output"``.
        stream: Let models that can stream do so in ``invoke`` too, so that viewers see
            each token as it comes. By default a bridge changes nothing: viewers then
            see tokens where the application streams, elsewhere the whole text at once.
        all_chains: Show every chain, also those that LangChain makes by itself: a
            RunnableSequence and its prompts and parsers, the routers of a graph, and
            what has the tag ``langsmith:hidden``.
    """

    run_inline = True  # in the task of the run, so that the code of a tool nests in it

    def __init__(
        self,
        show: Collection[Part] = (),
        *,
        stream: bool = False,
        all_chains: bool = False,
    ) -> None:
        self._show = checked_show(show)
        self._all_chains = all_chains
        self._runs: dict[UUID, _Run] = {}
        self._sweep_at = 64
        self._guard = Guard(logger, "LangChainEvents failed; the run goes on.")
        if stream:
            # What LangChain looks for in a handler (tracers/_streaming.py).
            self.tap_output_iter = self.tap_output_aiter = lambda run_id, output: output

    @property
    def open_runs(self) -> int:
        """How many runs have started and not ended."""
        return len(self._runs)

    @guarded
    def on_chain_start(self, serialized: Any, inputs: Any, **run: Any) -> None:
        name, tags = _name(serialized, run), run.get("tags") or []
        parent = self._parent(run)
        is_node = any(tag.startswith("graph:step:") for tag in tags)
        is_shown = run.get("run_type") not in ("prompt", "parser") and not (
            _is_internal(name) or _is_part_of_a_node(name, tags, parent)
        )
        # The loop over a stream is not the code of the chain: nothing nests there.
        enter = is_node or (parent is not None and inputs != {"input": ""})
        self._start("agent", run, name, inputs, is_shown=is_shown, enter=enter)
        if is_node and (started := self._runs.get(run["run_id"])):
            started.node = name

    @guarded
    def on_tool_start(self, serialized: Any, input_str: str, **run: Any) -> None:
        given = run.get("inputs") or input_str
        self._start("tool", run, _name(serialized, run), given, enter=True)

    @guarded
    def on_retriever_start(self, serialized: Any, query: str, **run: Any) -> None:
        self._start("tool", run, _name(serialized, run), query, enter=True)

    @guarded
    def on_chat_model_start(
        self, serialized: Any, messages: list[list[BaseMessage]], **run: Any
    ) -> None:
        self._start("llm", run, _name(serialized, run), messages[0])

    @guarded
    def on_llm_start(self, serialized: Any, prompts: list[str], **run: Any) -> None:
        self._start("llm", run, _name(serialized, run), prompts[0])

    @guarded
    def on_llm_new_token(self, token: Any, **run: Any) -> None:
        chunk = run.get("chunk")
        self._stream(run, "tokens", _pieces(token if chunk is None else chunk))

    @guarded
    def on_stream_event(self, event: Any, **run: Any) -> None:
        delta = event.get("delta") or {}
        piece = (
            delta.get("type", "").removesuffix("-delta"),
            delta.get("text") or delta.get("reasoning"),
        )
        self._stream(run, "events", [piece])

    @guarded
    def on_chain_end(self, outputs: Any, **run: Any) -> None:
        self._end(run, outputs)

    @guarded
    def on_retriever_end(self, documents: Any, **run: Any) -> None:
        self._end(run, documents)

    @guarded
    def on_tool_end(self, output: Any, **run: Any) -> None:
        if isinstance(output, ToolMessage) and output.status == "error":
            # LangChain tells the model of the exception, and nobody else.
            self._fail(run, ToolException(output.text))
        else:
            self._end(run, output)

    @guarded
    def on_llm_end(self, response: LLMResult, **run: Any) -> None:
        generation = response.generations[0][0]
        message = getattr(generation, "message", None)
        try:
            self._stream(run, "whole", _pieces(generation))
        finally:
            usage = getattr(message, "usage_metadata", None)
            self._end(run, generation.text if message is None else message, usage)

    @guarded
    def on_chain_error(self, error: BaseException, **run: Any) -> None:
        self._fail(run, error)

    on_tool_error = on_retriever_error = on_llm_error = on_chain_error

    @guarded
    def on_custom_event(self, name: str, data: Any, **run: Any) -> None:
        self._custom(run, name, data)

    @guarded
    def on_interrupt(self, event: GraphInterruptEvent) -> None:
        asked = [{"id": each.id, "value": each.value} for each in event.interrupts]
        data = {"status": event.status, "interrupts": asked}
        self._custom({"run_id": event.run_id}, "interrupt", data)

    def _parent(self, run: dict[str, Any]) -> _Run | None:
        return self._runs.get(run["parent_run_id"]) if run["parent_run_id"] else None

    def _start(
        self,
        kind: Literal["agent", "tool", "llm"],
        run: dict[str, Any],
        name: str,
        given: Any,
        *,
        is_shown: bool = True,
        enter: bool = False,
    ) -> None:
        parent, here = self._parent(run), running_state()
        if parent is None:
            if here is None:
                return
            self._forget_ended()
        tags = run.get("tags") or []
        is_shown = self._all_chains or (is_shown and HIDDEN not in tags)
        call = None if parent is None else parent.call
        if is_shown:
            is_inner = here and call and is_between(here, call.state)
            model = (run.get("metadata") or {}).get("ls_model_name")
            call = begin(
                kind,
                name,
                parent=None if is_inner else call,
                detail=model if kind == "llm" else None,
                input=_plain(given) if "input" in self._show else None,
                enter=enter,
                adopt=True,
            )
        started = _Run(parent, call, is_shown)
        if NO_STREAM in tags or not is_shown:
            started.streams = "nothing"
        self._runs[run["run_id"]] = started
        if parent is not None:
            parent.children[run["run_id"]] = started

    def _stream(
        self, run: dict[str, Any], way: str, pieces: Iterable[tuple[str, Any]]
    ) -> None:
        """Publish text once, in whichever of three ways LangChain reports it first."""
        started = self._runs.get(run["run_id"])
        if started is None or started.call is None:
            return
        if started.streams is None:
            started.streams = way
        if started.streams != way:
            return
        for kind, text in pieces:
            if text and kind == "text":
                started.call.text(text)
            elif text and kind == "reasoning":
                started.call.reasoning(text)

    def _custom(self, run: dict[str, Any], name: str, data: Any) -> None:
        started, here = self._runs.get(run["run_id"]), running_state()
        if started is not None and started.call is not None:
            started.call.custom(name, shown(data))
        elif here is not None:
            here.nowait.custom(name, shown(data))

    def _end(self, run: dict[str, Any], output: Any, usage: Any = None) -> None:
        call = self._close(run["run_id"])
        if call is None:
            return
        try:
            if usage:
                took = {name: usage[name] for name in ("input_tokens", "output_tokens")}
                call.usage(**took)
            if "output" in self._show:
                call.output(_plain(output))
        finally:
            call.end()

    def _fail(self, run: dict[str, Any], error: BaseException) -> None:
        call = self._close(run["run_id"])
        if call is None:
            return
        if isinstance(error, ParentCommand):  # the way to go on in another graph
            call.end()
        elif isinstance(error, Exception) and not isinstance(error, GraphBubbleUp):
            call.fail(error)
        else:  # cancelled, or interrupted: what is interrupted starts anew later
            call.cancel()

    def _close(self, run_id: UUID) -> Call | None:
        """Forget a run and what is open under it; return its call, if it has one."""
        run = self._runs.pop(run_id, None)
        if run is None:
            return None
        if run.parent is not None:
            run.parent.children.pop(run_id, None)
        for child in reversed(list(run.children)):
            if (call := self._close(child)) is not None:
                call.cancel()
        return run.call if run.is_shown else None

    def _forget_ended(self) -> None:
        """Forget the runs whose end was forgotten, now and then.

        Their calls have ended with their executions.
        """
        if len(self._runs) < self._sweep_at:
            return
        for run_id, run in list(self._runs.items()):
            if run.call is not None and not run.call.is_open:
                self._close(run_id)
        self._sweep_at = max(64, 2 * len(self._runs))
