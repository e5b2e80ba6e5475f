"""Shows the calls that an MCP client makes as tools, and asks what servers elicit.

Write ``await call_tool(session, "index", {"path": "/"})`` in place of
``await session.call_tool("index", {"path": "/"})``, and give the client of an actor
``elicitation_callback=elicitation_callback()``.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Protocol, TypeAlias, cast

from asgi_events.actors.asking import ask_form
from asgi_events.actors.call import Call
from asgi_events.actors.calls import begin
from asgi_events.actors.forms import form_from
from asgi_events.actors.shown import Part, checked_show
from asgi_events.actors.state import ExecutionState, current_state, running_state
from asgi_events.exceptions import AsgiEventsError, InputDeclined, InputExpired

try:
    from mcp import ClientSession, types
    from mcp.types import CallToolResult
except ImportError as error:
    raise ImportError(
        "asgi_events.bridges.mcp needs mcp and was tried with 1.9 to 2.3: "
        'pip install "mcp>=1.9"'
    ) from error

if "progress_callback" not in inspect.signature(ClientSession.call_tool).parameters:
    raise ImportError(
        "ClientSession.call_tool of this version of mcp takes no progress_callback; "
        'asgi_events.bridges.mcp was tried with 1.9 to 2.3: pip install "mcp>=1.9"'
    )

logger = logging.getLogger(__name__)

ElicitationCallback: TypeAlias = Callable[[Any, Any], Awaitable[Any]]

ProgressCallback: TypeAlias = Callable[
    [float, float | None, str | None], Awaitable[None]
]


class CallsTools(Protocol):
    """A ``ClientSession``, or what calls tools as it does, such as a ``Client``."""

    @property
    def call_tool(self) -> Callable[..., Awaitable[Any]]: ...


def progress_callback(target: Call | ExecutionState | None = None) -> ProgressCallback:
    """Return a callback that publishes the progress of an MCP request.

    Args:
        target: Whose progress it is; by default that of the call that runs here.
    """
    # Looked up now, since the callback runs in the task of the session.
    state = running_state() if target is None else target
    told = state.nowait if isinstance(state, ExecutionState) else state

    async def report(
        progress: float, total: float | None = None, message: str | None = None
    ) -> None:
        try:
            # Never awaited, so that a full log does not stop the whole session.
            if told is not None:
                told.progress(progress, total, message)
        except Exception:
            logger.exception("The progress of an MCP request cannot be shown.")

    return report


def elicitation_callback(
    target: ExecutionState | None = None,
    *,
    timeout: float | None = None,
    to: str | None = None,
) -> ElicitationCallback:
    """Return a callback that asks people what an MCP server elicits.

    Their answer is the result; if they decline, that is ``decline``. If nobody answers
    in time, or the execution ends, it is ``cancel``. A URL is never opened: that is
    ``decline``.

    Args:
        target: Which call asks; by default the one that runs here.
        timeout: Seconds after which a question expires; None for any time.
        to: Who may answer besides the owner of the execution.

    Raises:
        RuntimeError: No actor is running here.
    """
    # Looked up now, since the callback may run in the task of the session.
    state = current_state() if target is None else target

    async def ask(message: str, schema: Any) -> Any:
        here = running_state()
        asker = here if here is not None and state.contains(here) else state
        form = form_from(schema)
        asking = ask_form(asker, message, form, timeout=timeout, to=to)
        return await state.event_bus.call(asking)

    async def elicit(context: Any, params: Any) -> Any:
        if getattr(params, "mode", "form") != "form":
            logger.warning("An MCP server has elicited a URL; that is declined.")
            return types.ElicitResult(action="decline")
        schema = _member(params, "requested_schema", "requestedSchema")
        try:
            content = await ask(params.message, schema)
            return types.ElicitResult(action="accept", content=content)
        except InputDeclined:
            return types.ElicitResult(action="decline")
        except InputExpired:
            return types.ElicitResult(action="cancel")
        except (TypeError, ValueError, RuntimeError, AsgiEventsError) as error:
            return types.ErrorData(code=types.INVALID_PARAMS, message=str(error))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return types.ElicitResult(action="cancel")  # the execution has ended

    return elicit


async def call_tool(
    session: CallsTools,
    name: str,
    arguments: dict[str, Any] | None = None,
    *,
    show: Collection[Part] = (),
    **options: Any,
) -> CallToolResult:
    """Call a tool of an MCP server, and publish that as a call of a tool.

    Args:
        session: What calls the tool.
        name: The name of the tool.
        arguments: The arguments of the tool.
        show: What viewers see of the call, of ``"input"`` and ``"output"``.
        options: More options of ``session.call_tool``. A ``progress_callback`` is
            called as well.

    Returns:
        What ``session.call_tool`` returns. The call has failed if that is an error.
    """
    parts = checked_show(show)
    if running_state() is None:
        return cast(CallToolResult, await session.call_tool(name, arguments, **options))
    given = arguments if "input" in parts else None
    opened = begin("tool", name, input=given, enter=True, adopt=True)
    report = progress_callback(opened)
    also = options.pop("progress_callback", None)

    async def progress(*told: Any) -> None:
        await report(*told)
        if also is not None:
            await also(*told)

    try:
        result = await session.call_tool(
            name, arguments, progress_callback=progress, **options
        )
    except Exception as error:
        opened.fail(error)
        raise
    except BaseException:
        opened.cancel()
        raise
    _end(opened, result, shows="output" in parts)
    return cast(CallToolResult, result)


def _end(opened: Call, result: Any, *, shows: bool) -> None:
    """End a call by what the server answered."""
    try:
        if shows:
            structured = _member(result, "structured_content", "structuredContent")
            opened.output(result.content if structured is None else structured)
        if _member(result, "is_error", "isError"):
            texts = [block.text for block in result.content if block.type == "text"]
            # As an exception, so that ``error_message`` decides what viewers see.
            opened.fail(RuntimeError("\n".join(texts) or "The tool failed."))
    except Exception:
        logger.exception("The result of an MCP tool cannot be shown.")
    opened.end()


def _member(result: Any, name: str, of_version_1: str) -> Any:
    return getattr(result, name, getattr(result, of_version_1, None))
