"""Actors: decorated functions that publish their calls.

Called inside an execution, an actor publishes when it starts and how it ends, under an
address of its own. Called anywhere else it is its function and nothing more.

What a decorator returns is a coroutine function with the name, docstring, annotations
and signature of the original, so that frameworks take it as they take any other
function. ``actor_of`` returns the ``Actor`` behind it.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterator,
    Sequence,
)
from contextlib import nullcontext
from copy import copy
from functools import update_wrapper
from time import perf_counter
from types import MethodType
from typing import Any, Generic, ParamSpec, TypeAlias, TypeVar, cast, overload

from pydantic import BaseModel

from asgi_events.actors.attempts import AsyncRetrying, check_retry, retried
from asgi_events.actors.cache import ActorCache, CacheBackend
from asgi_events.actors.call import Call
from asgi_events.actors.runners import is_generator, runner
from asgi_events.actors.shown import Part, checked_show, shown
from asgi_events.actors.state import ExecutionState, running_state
from asgi_events.actors.when_busy import WhenBusy, checked_when_busy
from asgi_events.error_messages import describe
from asgi_events.event_types import check_publishes
from asgi_events.events import (
    EventType,
    ExecutionResult,
    has_failed,
)
from asgi_events.runnables import is_method, mark_runnable, runnable

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

_Result = ExecutionResult[Any]  # which takes a microsecond to look up

ActorFunction: TypeAlias = Callable[P, Coroutine[Any, Any, R]]
"""What the decorators return: a coroutine function with an actor behind it."""


class Actor(Generic[P, R]):
    """Runs a function as part of executions; see ``agent``, ``tool`` and ``llm``.

    Args:
        function: A coroutine function, sync function, or generator of either kind.
        event_type: The kind of its events.
        name: The name in addresses and URLs; the function's own by default.
        detail: Takes the arguments of a call and returns the text that viewers see for
            it. By default they see nothing, because arguments may be private.
        show: What viewers see of each call: ``"input"``, its arguments, and
            ``"output"``, its result; see ``shown`` for their form. By default nothing.
        retry: Says when a call that fails is tried again: an ``AsyncRetrying`` of
            tenacity. A call that is cancelled is not.
        cacheable: Keep results by the arguments, in ``cache_backend``, or else in the
            execution's cache, or else in a ``MemoryCache`` of this actor.
        cache_backend: The actor's own cache; implies ``cacheable``.
        publishes: The models, each with an ``event_type``, that it and what it calls
            publish; the OpenAPI document describes them.
        when_busy: What a start in a thread does while another execution of the thread
            runs: ``"reject"`` raises ``ThreadBusy``, ``"queue"`` waits for its turn,
            ``"replace"`` cancels the others.

    Raises:
        TypeError: ``function`` is not a function, or a model has no ``event_type``.
        ValueError: The name cannot be part of an address or a URL, an ``event_type``
            is taken, or there is no such ``when_busy``.

    Attributes:
        name: The name in addresses and URLs.
        event_type: The kind of its events.
        description: The first paragraph of the function's docstring.
        function: The function itself; of a method's actor, the bound method.
        signature: The signature of ``function``.
        publishes: As given.
        when_busy: As given.
    """

    def __init__(
        self,
        function: Callable[P, Any],
        event_type: EventType,
        *,
        name: str | None = None,
        detail: Callable[P, str] | None = None,
        show: Sequence[Part] = (),
        retry: AsyncRetrying | None = None,
        cacheable: bool = False,
        cache_backend: CacheBackend | None = None,
        publishes: Sequence[type[BaseModel]] = (),
        when_busy: WhenBusy = "reject",
    ) -> None:
        _check_function(function, event_type)
        check_retry(retry)
        self.when_busy = checked_when_busy(when_busy)
        self.publishes = check_publishes(publishes)
        self.function = function
        self.event_type = event_type
        self.name: str = name or str(getattr(function, "__name__", ""))
        bad = set(self.name) & set("/#:?% ") or not self.name.isprintable()
        if bad or not self.name or self.name == "executions":
            raise ValueError(
                "An actor's name is part of addresses and URLs: "
                f'{self.name!r} must not be empty, "executions", or contain / # : ? % '
                "space or unprintable characters. Give another one with name=."
            )
        self.description = (inspect.getdoc(function) or "").partition("\n\n")[0]
        self.signature = self._signature = inspect.signature(function)
        self._is_method = is_method(function)
        self._owner: tuple[Any, ...] = ()
        self._detail = detail
        self._show = checked_show(show)
        self._offers = {  # how a framework may name it
            (event_type, self.name),
            (event_type, str(getattr(function, "__name__", ""))),
        }
        self._run = runner(function)
        if retry is not None:
            self._run = retried(self._run, function, retry)
        self._cache = (
            ActorCache(self.name, function, cache_backend)
            if cacheable or cache_backend is not None
            else None
        )

    def __repr__(self) -> str:
        return f"<{self.event_type.removesuffix('_call')} {self.name}>"

    def bound_to(self, owner: object) -> Actor[..., R]:
        """Return the actor of a method, for one object."""
        bound: Actor[..., R] = copy(self)
        bound._owner = (owner,)
        bound.function = MethodType(self.function, owner)
        bound.signature = inspect.signature(bound.function)
        return bound

    async def run(
        self,
        state: ExecutionState,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> ExecutionResult[R]:
        """Run as a call made from ``state``.

        Returns:
            The result. If the function raised, it is not ok and has the message.
        """
        if not isinstance(state, ExecutionState):
            raise TypeError(f"state must be an ExecutionState, got {state!r}.")
        started = perf_counter()
        try:
            outcome = await self._observed(
                state, (*self._owner, *args), {} if kwargs is None else kwargs
            )
        except Exception as error:
            return ExecutionResult(
                ok=False,
                error_message=describe(error, state.error_message, "Execution failed"),
                execution_time=perf_counter() - started,
            )
        # A function may return the result of another actor that it ran: that result
        # is then also the result of this call.
        own = outcome.result
        return own if isinstance(own, ExecutionResult) else outcome

    async def _observed(
        self, parent: ExecutionState, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> ExecutionResult[R]:
        """Run in a call of its own, or in the one that a framework made for it."""
        call = None
        if parent.offered in self._offers:
            parent.offered = None
        else:
            call = Call(
                parent,
                self.event_type,
                self.name,
                detail=self._describe(args, kwargs),
                input=self._arguments(args, kwargs),
            )
        async with nullcontext(parent) if call is None else call as state:
            entry = result = None
            if self._cache is not None:
                entry = self._cache.entry(state.cache_backend, args, kwargs)
            if entry is not None:
                result = await entry.get()
            if result is not None and call is not None:
                call.recover()
            if result is None:
                started = perf_counter()
                try:
                    value = await self._run(state, args, kwargs)
                except SystemExit as error:  # it must not stop the server
                    message = f"An actor called sys.exit({error.code!r})"
                    raise RuntimeError(message) from error
                result = _Result(result=value, execution_time=perf_counter() - started)
                if entry is not None and not has_failed(value):
                    await entry.set(result)
            if call is not None and "output" in self._show:
                state.output(result.result)
        return result

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What viewers see of the arguments; None if they see none.

        Nor do they see arguments that do not fit the function: the call says so itself.
        """
        if "input" not in self._show:
            return None
        try:
            arguments = self._signature.bind(*args, **kwargs).arguments
        except TypeError:
            return None
        return shown(dict(list(arguments.items())[self._is_method :]))

    def _describe(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
        if self._detail is None:
            return None
        try:
            return str(self._detail(*args, **kwargs))
        except Exception:
            logger.exception("The detail of %r failed; the call goes on.", self)
            return None


def actor_of(function: ActorFunction[P, R] | Actor[P, R]) -> Actor[P, R]:
    """Return the actor behind a decorated function, or behind a bound method.

    Raises:
        TypeError: It is not a function that ``agent``, ``tool`` or ``llm`` returned, or
            it is a method without its object.
    """
    return cast("Actor[P, R]", runnable(function))


def _function_of(actor: Actor[P, R]) -> ActorFunction[P, R]:
    """Return the coroutine function that calls the actor."""

    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        parent = running_state()
        if parent is None:
            return cast(R, await actor._run(None, args, kwargs))
        outcome = await actor._observed(parent, args, kwargs)
        return cast(R, outcome.result)

    function = actor.function
    call.__name__ = call.__qualname__ = actor.name  # if the function has none
    update_wrapper(call, function, updated=())
    if is_generator(function):
        # A caller gets the text, not a generator. Frameworks look behind __wrapped__
        # to see whether a function is a generator: FastAPI would iterate over this one.
        del call.__wrapped__  # type: ignore[attr-defined]  # update_wrapper sets it
        signature = _evaluated(function).replace(return_annotation=str)
        call.__signature__ = signature  # type: ignore[attr-defined]  # PEP 362
        call.__annotations__ = {
            parameter.name: parameter.annotation
            for parameter in signature.parameters.values()
            if parameter.annotation is not parameter.empty
        } | {"return": str}
    mark_runnable(call, actor)
    return call


def _evaluated(function: Callable[..., Any]) -> inspect.Signature:
    """The signature with types instead of their names, if all of them are known."""
    try:
        return inspect.signature(function, eval_str=True)
    except Exception:  # whatever the annotations raise
        return inspect.signature(function)


def _check_function(function: Any, event_type: EventType) -> None:
    decorator = event_type.removesuffix("_call")
    if inspect.iscoroutine(function):
        function.close()  # or Python warns that it was never awaited
    if (
        inspect.isawaitable(function)
        or inspect.isgenerator(function)
        or inspect.isasyncgen(function)
    ):
        raise TypeError(
            f"An actor is made from a function, got {function!r}, which is a call of "
            f"one: write {decorator}(function) without the parentheses of the call."
        )
    if inspect.isclass(function):
        raise TypeError(
            f"An actor is made from a function, got {function!r}: decorate a method of "
            "the class, or a function that makes the object and calls it."
        )
    if isinstance(function, str):
        raise TypeError(
            f"An actor is made from a function, got {function!r}: to name the actor "
            f"write @{decorator}(name={function!r})."
        )
    if not callable(function):
        raise TypeError(
            f"An actor is made from a function, got {function!r}: write @{decorator} "
            "above a def."
        )


class _Decorator:
    """Makes an actor of a function: ``@tool``, or ``@tool(name=…)`` with options.

    The function may be a coroutine function, a sync function, which then runs in a
    thread, or a generator of either kind, which streams text. What comes back is a
    coroutine function; that of a generator returns the whole text. Put framework
    decorators above this one, and ``@staticmethod`` or ``@classmethod`` too.

    Args:
        name: The name in addresses and URLs; the function's own by default.
        detail: Takes the arguments of a call, and of a method its object first, and
            returns the text that viewers see for it. By default they see nothing,
            because arguments may be private.
        show: What viewers see of each call: ``"input"``, its arguments, and
            ``"output"``, its result. Both are cut where they are large.
        retry: Says when a call that fails is tried again: an ``AsyncRetrying`` of
            tenacity. Viewers see each attempt, and the text that it streamed.
        cacheable: Keep results by the arguments, in ``cache_backend``, or else in the
            execution's cache, or else in a ``MemoryCache`` of this actor.
        cache_backend: The actor's own cache; implies ``cacheable``.
        publishes: The models, each with an ``event_type``, that it and what it calls
            publish; the OpenAPI document describes them.
        when_busy: What a start in a thread does while another execution of the thread
            runs: ``"reject"`` raises ``ThreadBusy``, ``"queue"`` waits for its turn,
            ``"replace"`` cancels the others.

    Raises:
        TypeError: It does not decorate a function, or a model has no ``event_type``.
        ValueError: The name cannot be part of an address or a URL, an ``event_type``
            is taken, or there is no such ``when_busy``.
    """

    def __init__(self, event_type: EventType, **options: Any) -> None:
        self._event_type = event_type
        self._options = options

    @overload
    def __call__(
        self, function: Callable[P, AsyncIterator[Any]], /
    ) -> ActorFunction[P, str]: ...
    @overload
    def __call__(
        self, function: Callable[P, Iterator[Any]], /
    ) -> ActorFunction[P, str]: ...
    @overload
    def __call__(
        self, function: Callable[P, Awaitable[R]], /
    ) -> ActorFunction[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> ActorFunction[P, R]: ...
    @overload
    def __call__(
        self,
        function: None = None,
        /,
        *,
        name: str | None = None,
        detail: Callable[..., str] | None = None,
        show: Sequence[Part] = (),
        retry: AsyncRetrying | None = None,
        cacheable: bool = False,
        cache_backend: CacheBackend | None = None,
        publishes: Sequence[type[BaseModel]] = (),
        when_busy: WhenBusy = "reject",
    ) -> _Decorator: ...

    def __call__(
        self, function: Callable[..., Any] | None = None, /, **options: Any
    ) -> Any:
        if function is None:
            return _Decorator(self._event_type, **self._options, **options)
        if isinstance(function, staticmethod | classmethod):
            return type(function)(self(function.__func__))
        return _function_of(Actor(function, self._event_type, **self._options))


agent = _Decorator(EventType.AGENT_CALL)
tool = _Decorator(EventType.TOOL_CALL)
llm = _Decorator(EventType.LLM_CALL)
