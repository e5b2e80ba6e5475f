"""Finds the call that a framework's run belongs to."""

from asgi_events.actors.state import ExecutionState


def is_between(here: ExecutionState, above: ExecutionState) -> bool:
    """Return whether a run that starts here belongs here, and not to ``above``.

    A framework names the run above the new one, and knows nothing of an actor between
    the two, or of another execution that a tool has started.

    Args:
        here: What runs in this context.
        above: The call of the run that the framework names.
    """
    return here.event_bus is not above.event_bus or above.contains(here)
