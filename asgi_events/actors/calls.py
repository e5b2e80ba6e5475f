"""Publishes calls without a decorator: ``call`` for a block, ``begin`` otherwise."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from asgi_events.actors.call import Call
from asgi_events.actors.shown import shown
from asgi_events.actors.state import UNHEARD, ExecutionState, running_state
from asgi_events.events import EventType

Kind: TypeAlias = Literal["agent", "tool", "llm"]

_KINDS: dict[str, EventType] = {
    "agent": EventType.AGENT_CALL,
    "tool": EventType.TOOL_CALL,
    "llm": EventType.LLM_CALL,
}


class _UnheardCall(Call):
    """A call outside executions: what it would publish is not even made."""

    def _ignore(self, *args: Any, **kwargs: Any) -> Any:
        return None

    publish = text = reasoning = log = progress = custom = _ignore
    output = usage = end = fail = cancel = _ignore


_UNHEARD_CALL = _UnheardCall(None, EventType.AGENT_CALL, "")


def call(
    kind: Kind,
    name: str,
    *,
    detail: str | None = None,
    input: Any = None,
    parent: Call | ExecutionState | None = None,
    adopt: bool = False,
) -> Call:
    """Make a block a call: ``async with call("tool", "search") as state:``.

    The call starts and ends with the block: as failed, if that raises an exception, as
    cancelled, if it is cancelled, and else as completed. ``state`` is its
    ``ExecutionState``. What runs in the block is a part of the call. In sync code
    write ``with``; then nothing waits for a full log.

    Outside an execution the block runs as it is, and nobody hears of it.

    Args:
        kind: ``"agent"``, ``"tool"`` or ``"llm"``.
        name: The name of what is called. In the address, what addresses cannot have is
            replaced by ``-``.
        detail: The text that viewers see for it.
        input: What viewers see that it was given; see ``shown`` for its form.
        parent: The call that makes this one; by default the one that runs here.
        adopt: If the block calls an actor of this kind and name, that is not a call of
            its own but this one. For frameworks, which call the actors of their users.

    Raises:
        ValueError: There is no such kind.
    """
    return _made(kind, name, detail, input, parent, adopt)


def begin(
    kind: Kind,
    name: str,
    *,
    detail: str | None = None,
    input: Any = None,
    parent: Call | ExecutionState | None = None,
    adopt: bool = False,
    enter: bool = False,
) -> Call:
    """Start a call that ends with ``end``, ``fail`` or ``cancel``, for callbacks.

    The first end counts. A call that nobody ends is ended as cancelled, before the
    execution, and that is logged.

    Args:
        kind, name, detail, input, parent, adopt: As in ``call``.
        enter: What runs in this context after ``begin`` is a part of the call, until
            it ends. Calls that run side by side need a context each.

    Returns:
        The call. Outside an execution it does nothing.

    Raises:
        ValueError: There is no such kind.
    """
    made = _made(kind, name, detail, input, parent, adopt)
    made.start(enter=enter)
    return made


def _made(
    kind: Kind,
    name: str,
    detail: str | None,
    input: Any,
    parent: Call | ExecutionState | None,
    adopt: bool,
) -> Call:
    """Make a call, which does nothing outside executions."""
    event_type = _KINDS.get(kind)
    if event_type is None:
        raise ValueError(f"A call is one of {', '.join(_KINDS)}, got {kind!r}.")
    if isinstance(parent, Call):
        parent = parent.state
    elif parent is None:
        parent = running_state()
    if parent is None or parent is UNHEARD:
        return _UNHEARD_CALL
    input = None if input is None else shown(input)
    made = Call(parent, event_type, str(name) or kind, detail=detail, input=input)
    if adopt:
        made.state.offered = (event_type, name)
    return made
