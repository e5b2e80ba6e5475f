"""pydantic-ai: a capability that shows the runs of an agent as calls.

    agent = Agent(model, name="guide", capabilities=[PydanticAIEvents()])

A run is an agent call, a request to the model an llm call with its text, reasoning and
usage, and a tool a tool call. What a tool calls, another agent too, nests under it.

``HandleDeferredToolCalls(ask_approvals)`` asks people about tools that need approval.

Source: https://ai.pydantic.dev/capabilities/
"""

import logging
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Collection,
    Iterator,
)
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from pydantic import ValidationError

from asgi_events.actors.call import Call
from asgi_events.actors.calls import Kind, begin
from asgi_events.actors.shown import Part, checked_show
from asgi_events.actors.state import current_state, running_state
from asgi_events.bridges.approvals import (
    ApprovalMessage,
    approvals,
    with_arguments,
)
from asgi_events.bridges.guard import Guard, guarded

try:
    from pydantic_ai import (
        DeferredToolRequests,
        DeferredToolResults,
        RunContext,
        ToolDenied,
    )
    from pydantic_ai.capabilities import AbstractCapability
    from pydantic_ai.exceptions import (
        ApprovalRequired,
        CallDeferred,
        SkipToolExecution,
    )
    from pydantic_ai.messages import (
        AgentStreamEvent,
        ModelResponse,
        PartDeltaEvent,
        PartStartEvent,
        TextPart,
        TextPartDelta,
        ThinkingPart,
        ThinkingPartDelta,
    )
    from pydantic_ai.models import Model
    from pydantic_ai.models.fallback import FallbackModel
    from pydantic_ai.models.function import FunctionModel
    from pydantic_ai.models.wrapper import WrapperModel

    if not hasattr(AbstractCapability, "combine"):
        raise ImportError("Its version is too old.")
except ImportError as error:
    raise ImportError(
        "asgi_events.bridges.pydantic_ai needs pydantic-ai, and was tried with 2.38.0 "
        f'to 2.68.0: pip install "pydantic-ai-slim>=2.38". {error}'
    ) from error

logger = logging.getLogger(__name__)


@dataclass
class PydanticAIEvents(AbstractCapability[Any]):
    """Shows the runs of an agent, while an execution runs, as calls of that execution.

    Args:
        show: ``"input"`` shows the prompts of agents and the arguments of tools,
            ``"output"`` what agents and tools return. By default viewers see neither,
            because they may be private. They always see what a model says.
        stream: Let ``agent.run`` stream from the model, so that its text appears while
            it comes. Without it, and for a model that cannot stream, the text appears
            once, when the model has answered.

    Raises:
        ValueError: ``show`` names something else.
    """

    show: Collection[Part] = ()
    stream: bool = True
    _: KW_ONLY
    id: str | None = "asgi_events"

    def __post_init__(self) -> None:
        checked_show(self.show)

    async def for_run(self, ctx: RunContext[Any]) -> AbstractCapability[Any]:
        if running_state() is None:
            return self  # no hook of this class does anything
        streams = self.stream and _can_stream(ctx.model)
        return _Run(frozenset(self.show), streams, id=self.id)


@dataclass
class _Run(AbstractCapability[Any]):
    """Shows one run."""

    show: frozenset[str]
    streams: bool
    _: KW_ONLY
    id: str | None = None
    _guard: Guard = field(init=False, repr=False, compare=False)
    _request: Call | None = field(default=None, init=False, repr=False)
    _has_said: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        self._guard = Guard(logger, "PydanticAIEvents failed; the run goes on.")

    @property
    def has_wrap_run_event_stream(self) -> bool:
        return self.streams  # True makes the framework stream in agent.run

    async def wrap_run(self, ctx: RunContext[Any], *, handler: Any) -> Any:
        name = (ctx.agent.name if ctx.agent is not None else None) or "agent"
        with self._call("agent", name, ctx.prompt) as call:
            result = await handler()
            self._returned(call, result.output)
            return result

    async def wrap_model_request(
        self, ctx: RunContext[Any], *, request_context: Any, handler: Any
    ) -> ModelResponse:
        with self._call("llm", request_context.model.model_name) as call:
            self._request, self._has_said = call, False
            response: ModelResponse = await handler(request_context)
            self._answered(call, response)
            return response

    async def wrap_run_event_stream(
        self, ctx: RunContext[Any], *, stream: AsyncIterable[AgentStreamEvent]
    ) -> AsyncIterator[AgentStreamEvent]:
        # The consumer of the stream runs this, and not the task of the model request,
        # so the call that the text belongs to is not the current one here.
        try:
            async for event in stream:
                self._heard(event)
                yield event
        except Exception as error:  # the request itself will only be cancelled
            self._ended(self._request, error)
            raise
        finally:
            if (close := getattr(stream, "aclose", None)) is not None:
                await close()

    async def wrap_tool_validate(
        self, ctx: RunContext[Any], *, call: Any, tool_def: Any, args: Any, handler: Any
    ) -> Any:
        try:
            return await handler(args)
        except (CallDeferred, ApprovalRequired):
            raise
        except Exception as error:  # the tool will not be called
            refused = self._begun("tool", call.tool_name, call.args, False, False)
            self._ended(refused, error)
            raise

    async def wrap_tool_execute(
        self, ctx: RunContext[Any], *, call: Any, tool_def: Any, args: Any, handler: Any
    ) -> Any:
        with self._call("tool", call.tool_name, args, adopt=True) as shown:
            try:
                result = await handler(args)
            except SkipToolExecution as skipped:
                self._returned(shown, skipped.result)
                self._ended(shown)
                raise
            except (CallDeferred, ApprovalRequired) as deferred:
                self._deferred(shown, deferred)
                raise
            self._returned(shown, result)
            return result

    @contextmanager
    def _call(
        self, kind: Kind, name: str, given: Any = None, *, adopt: bool = False
    ) -> Iterator[Call | None]:
        call = self._begun(kind, name, given, adopt, enter=True)
        try:
            yield call
        except BaseException as error:
            self._ended(call, error)
            raise
        self._ended(call)

    @guarded
    def _begun(
        self, kind: Kind, name: str, given: Any, adopt: bool, enter: bool
    ) -> Call | None:
        shown = given if "input" in self.show else None
        return begin(kind, name, input=shown, adopt=adopt, enter=enter)

    @guarded
    def _heard(self, event: AgentStreamEvent) -> None:
        call = self._request
        if call is None:
            return
        if isinstance(event, PartDeltaEvent):
            self._has_said = True
            if isinstance(event.delta, TextPartDelta):
                call.text(event.delta.content_delta)
            elif isinstance(event.delta, ThinkingPartDelta):
                call.reasoning(event.delta.content_delta or "")
        elif isinstance(event, PartStartEvent):
            self._has_said = True
            _say(call, event.part)

    @guarded
    def _answered(self, call: Call | None, response: ModelResponse) -> None:
        if call is None:
            return
        if not self._has_said:  # it was not streamed
            for part in response.parts:
                _say(call, part)
        usage = response.usage
        call.usage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)

    @guarded
    def _returned(self, call: Call | None, value: Any) -> None:
        if call is not None and "output" in self.show:
            call.output(value)

    @guarded
    def _deferred(self, call: Call | None, why: Exception) -> None:
        if call is not None:
            needs_approval = isinstance(why, ApprovalRequired)
            call.log("Needs approval" if needs_approval else "Deferred")
            call.cancel()

    @guarded
    def _ended(self, call: Call | None, error: BaseException | None = None) -> None:
        if call is None:
            return
        if error is None:
            call.end()
        elif isinstance(error, Exception):
            call.fail(self._reason(error))
        else:
            call.cancel()

    def _reason(self, error: Exception) -> Exception | str:
        """Return what viewers see of the error of a tool."""
        if isinstance(error, ValidationError) and "input" not in self.show:
            places = {".".join(map(str, e["loc"])) for e in error.errors()}
            return f"Invalid arguments: {', '.join(sorted(places))}"
        return error


async def ask_approvals(
    ctx: RunContext[Any],
    requests: DeferredToolRequests,
    token: str | None = None,
    *,
    timeout: float | None = None,
    to: str | None = None,
    message: ApprovalMessage = with_arguments,
) -> DeferredToolResults:
    """Ask people whether tools may be called, each as a question of the execution.

    It is what ``HandleDeferredToolCalls`` and the ``ask`` of ``RequestInput`` call. For
    options write ``HandleDeferredToolCalls(partial(ask_approvals, to="manager"))``.

    Args:
        ctx: The run.
        requests: Which tools need approval. Those that are called elsewhere are left
            to others.
        token: Not used.
        timeout: Seconds after which a call is denied; None for any time.
        to: Who may answer besides the owner of the execution.
        message: Makes the question of the name of a tool and its arguments. By default
            all viewers see the arguments.

    Returns:
        Who does not approve, declines or does not answer in time denies the call, and
        the model is told the reason.

    Raises:
        RuntimeError: Nobody can answer: no ``Executions`` runs this.
    """
    state = current_state()
    calls = [(call.tool_name, call.args_as_dict()) for call in requests.approvals]
    asking = approvals(state, calls, timeout=timeout, to=to, message=message)
    decided = await state.event_bus.call(asking)
    results = DeferredToolResults()
    for call, each in zip(requests.approvals, decided, strict=True):
        denied = ToolDenied(each.reason) if each.reason else ToolDenied()
        results.approvals[call.tool_call_id] = True if each.approved else denied
    return results


def _can_stream(model: Any) -> bool:
    """Return whether ``agent.run`` may stream from the model; it fails otherwise."""
    while isinstance(model, WrapperModel):
        model = model.wrapped
    if isinstance(model, FallbackModel):
        return all(_can_stream(one) for one in model.models)
    if isinstance(model, FunctionModel):
        return model.stream_function is not None
    return type(model).request_stream is not Model.request_stream


def _say(call: Call, part: Any) -> None:
    if isinstance(part, TextPart) and part.content:
        call.text(part.content)
    elif isinstance(part, ThinkingPart) and part.content:
        call.reasoning(part.content)
