"""The actor behind a function that was decorated, without knowing what an actor is."""

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, cast


class Runnable(Protocol):
    """The members of an actor that an ``ExecutionEvent`` uses.

    ``event_type`` is an ``EventType``, and ``run`` returns an ``ExecutionResult``.
    """

    @property
    def name(self) -> str: ...

    @property
    def event_type(self) -> str: ...

    @property
    def signature(self) -> inspect.Signature: ...

    def run(
        self, state: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Coroutine[Any, Any, Any]: ...

    def bound_to(self, owner: object) -> "Runnable": ...


_RUNNABLE = "__asgi_events_actor__"


def mark_runnable(function: Callable[..., Any], actor: Runnable) -> None:
    """Make ``runnable`` find ``actor`` behind ``function``."""
    # With the function itself, since other decorators copy attributes to theirs.
    setattr(function, _RUNNABLE, (function, actor))


def runnable(given: Any) -> Runnable:
    """Return the actor behind a decorated function or a bound method.

    Raises:
        TypeError: There is none, or ``given`` is a method without its object.
    """
    if isinstance(getattr(given, "signature", None), inspect.Signature):
        return cast(Runnable, given)  # the actor itself
    is_bound = inspect.ismethod(given)
    function: Any = given.__func__ if is_bound else given
    found: Any = getattr(function, _RUNNABLE, (None, None))
    marked, actor = found
    if actor is None:
        raise TypeError(
            f"{given!r} is not an actor: decorate it with @agent, @tool or @llm."
        )
    if marked is not function:
        raise TypeError(
            f"{given!r} is an actor under another decorator: put @agent, @tool or @llm "
            "above that one."
        )
    if is_bound:
        return cast(Runnable, actor.bound_to(given.__self__))
    if is_method(function):
        raise TypeError(
            f"{function.__qualname__} is a method without its object: give the method "
            f"of an object, obj.{function.__name__}."
        )
    return cast(Runnable, actor)


def is_method(function: Any) -> bool:
    """Return whether a function was made in a class and takes ``self``."""
    name = getattr(function, "__qualname__", "")
    in_class = "." in name.rpartition("<locals>.")[2]
    first = next(iter(inspect.signature(function).parameters), "")
    return in_class and first in ("self", "cls")
