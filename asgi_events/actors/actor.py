"""Actors: decorated functions whose calls are seen.

Called inside an execution, an actor publishes when it starts and how it ends, under an
address of its own. Called anywhere else it is its function and nothing more.

Coroutine functions run as they are. Sync functions run in a thread, ``max_threads`` at
a time, through asgiref. Generators, async or sync, stream: each str they yield is
published as a text delta, each pydantic model as itself, and their result is the whole
text.
"""

import asyncio
import inspect
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from functools import update_wrapper
from time import perf_counter
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from asgiref.sync import sync_to_async
from pydantic import BaseModel

from asgi_events.actors.cache import CacheBackend, Recall, cache_key
from asgi_events.actors.state import ExecutionState, current
from asgi_events.aio.threads import executor, shared, slot
from asgi_events.error_messages import describe
from asgi_events.events import (
    EventType,
    ExecutionEvent,
    ExecutionResult,
    ExecutionStatus,
    has_failed,
)
from asgi_events.exceptions import EventTooLarge

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


class Actor(Generic[P, R]):
    """A function whose calls are seen; made by ``agent``, ``tool`` and ``llm``.

    Args:
        function: A coroutine function, sync function, or generator of either kind.
        event_type: The kind of its events.
        name: The name in addresses and URLs; the function's own by default.
        detail: Takes the arguments of a call, returns what viewers read of it. Without
            it they read nothing: arguments may hold what is not for them.
        cacheable: Results are kept by the arguments, in ``cache_backend``, else in the
            execution's, else in a ``MemoryCache`` of the actor's own.
        cache_backend: The actor's own cache; implies ``cacheable``.

    Raises:
        ValueError: The name can not stand in an address or a URL.

    Attributes:
        name: The name in addresses and URLs.
        event_type: The kind of its events.
        description: The first paragraph of the function's docstring.
        function: The function itself.
    """

    _is_static = False

    def __init__(
        self,
        function: Callable[P, Any],
        event_type: EventType,
        *,
        name: str | None = None,
        detail: Callable[P, str] | None = None,
        cacheable: bool = False,
        cache_backend: CacheBackend | None = None,
    ) -> None:
        if isinstance(function, staticmethod):
            function = function.__func__
            self._is_static = True
        if inspect.isclass(function) or not callable(function):
            raise TypeError(
                f"An actor is made from a function, got {function!r}: decorate a "
                "function, which may make the object and call it."
            )
        self.function = function
        self.event_type = event_type
        self.name: str = name or str(getattr(function, "__name__", ""))
        bad = set(self.name) & set("/#:?% ") or not self.name.isprintable()
        if bad or not self.name or self.name == "executions":
            raise ValueError(
                f"An actor's name stands in addresses and URLs: {self.name!r} must not "
                'be empty, "executions", or contain / # : ? % space or the unprintable.'
            )
        self.description = (inspect.getdoc(function) or "").partition("\n\n")[0]
        self.signature = inspect.signature(function)
        self._detail = detail
        self._cacheable = cacheable or cache_backend is not None
        self._cache_backend = cache_backend
        self._last_resort: CacheBackend | None = None
        self._identity = _identity(function)
        self._run = _runner(function)
        update_wrapper(self, function, updated=())

    def __set_name__(self, owner: type, name: str) -> None:
        """Refuse to be a method: nothing would give it its ``self``."""
        made_here = f"{owner.__qualname__}.{name}"
        if self._is_static or getattr(self.function, "__qualname__", "") != made_here:
            return  # an actor from elsewhere may well be an attribute
        raise TypeError(
            f"{made_here} can not be an actor, as nothing would give it its self. "
            "Put @staticmethod above the decorator, or decorate a function of the "
            "module and call that in the method."
        )

    def __repr__(self) -> str:
        return f"<{self.event_type.removesuffix('_call')} {self.name}>"

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function; what it raises is raised here too."""
        parent = current.get()
        if parent is None:
            return cast(R, await self._run(None, args, kwargs))
        outcome = await self._observed(parent, args, kwargs)
        return cast(R, outcome.result)

    async def execute(
        self, input_data: Any, extra_context: Any, state: ExecutionState
    ) -> ExecutionResult[R]:
        """Run as the root of an execution; see ``ExecutionEvent``."""
        if not isinstance(state, ExecutionState):
            raise TypeError(f"state must be an ExecutionState, got {state!r}.")
        given = (input_data, extra_context, state)[: self._count_positional()]
        return await self.run(state, given)

    async def run(
        self,
        state: ExecutionState,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> ExecutionResult[R]:
        """Run below ``state``; what the function raises is told, not raised."""
        started = perf_counter()
        try:
            outcome = await self._observed(state, args, kwargs or {})
            # What the function returned of another's ExecutionEvent is how it went.
            own = outcome.result
            return own if isinstance(own, ExecutionResult) else outcome
        except Exception as error:
            return ExecutionResult(
                ok=False,
                error_message=describe(error, state.error_message, "Execution failed"),
                execution_time=perf_counter() - started,
            )

    def _count_positional(self) -> int:
        parameters = self.signature.parameters.values()
        if any(p.kind is p.VAR_POSITIONAL for p in parameters):
            return 3
        return sum(
            p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters
        )

    async def _observed(
        self, parent: ExecutionState, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> ExecutionResult[R]:
        """Run in a state of its own, and publish how that goes."""
        state = parent.child(self.name)
        detail = self._describe(args, kwargs)
        started = perf_counter()

        def event(status: ExecutionStatus, **fields: Any) -> ExecutionEvent[R]:
            if status is not ExecutionStatus.STARTED:
                fields["execution_time"] = perf_counter() - started
            return ExecutionEvent(
                event_type=self.event_type,
                actor=self.name,
                address=state.address,
                execution_status=status,
                detail=detail,
                **fields,
            )

        async def fail(error: BaseException) -> None:
            message = describe(error, state.error_message, "The call failed")
            try:
                await state.publish(event(ExecutionStatus.FAILED, message=message))
            except EventTooLarge as large:
                await state.publish(event(ExecutionStatus.FAILED, message=str(large)))

        token = current.set(state)
        try:
            try:
                await state.publish(event(ExecutionStatus.STARTED))
                result, recovered = await self._result(state, args, kwargs)
            except Exception as error:
                await fail(error)
                raise
            except SystemExit as error:  # of a library: the others run on
                await fail(error)
                raise RuntimeError(
                    f"An actor called sys.exit({error.code!r})"
                ) from error
            except GeneratorExit:  # its event loop is no more
                raise
            except BaseException:  # cancelled: nothing may hold this up
                state.cancel()
                state.event_bus.publish_nowait(event(ExecutionStatus.CANCELLED))
                raise
            # Not in the try: a cancel while this is published would be a second end.
            if recovered:
                await state.publish(event(ExecutionStatus.RECOVERED, from_cache=True))
            else:
                await state.publish(event(ExecutionStatus.COMPLETED))
            return result
        finally:
            current.reset(token)

    async def _result(
        self, state: ExecutionState, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[ExecutionResult[R], bool]:
        """The result of the function, and whether the cache had it."""
        recall = self._recall(state, args, kwargs)
        found = await recall.get() if recall is not None else None
        if found is not None:
            return found, True
        started = perf_counter()
        value = await self._run(state, args, kwargs)
        result = ExecutionResult[Any](
            result=value, execution_time=perf_counter() - started
        )
        if recall is not None and not has_failed(value):
            await recall.set(result)
        return result, False

    def _describe(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
        if self._detail is None:
            return None
        try:
            return str(self._detail(*args, **kwargs))
        except Exception:
            logger.exception("The detail of %r failed; the call goes on.", self)
            return None

    def _recall(
        self, state: ExecutionState, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Recall | None:
        if not self._cacheable:
            return None
        backend = self._cache_backend
        if backend is None:  # not "or": an empty cache may be false
            backend = state.cache_backend
        if backend is None:
            backend = self._last_resort
        if backend is None:
            from asgi_events.memory_cache import MemoryCache  # needs an extra

            backend = self._last_resort = MemoryCache()
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        key = cache_key(self.name, self._identity, bound.arguments)
        return Recall(backend, key) if key is not None else None


def _identity(function: Any) -> str:
    """What names the function in a shared cache.

    Of one def there may be several functions, with other closures or another self;
    these have an identity of their own, which no other process shares.
    """
    module = getattr(function, "__module__", "")
    name = f"{module}.{getattr(function, '__qualname__', '')}"
    if inspect.isfunction(function) and "<locals>" not in name:
        return name
    return f"{name} {secrets.token_hex(8)}"


_Run = Callable[
    [ExecutionState | None, tuple[Any, ...], dict[str, Any]], Awaitable[Any]
]


def _runner(function: Callable[..., Any]) -> _Run:
    """One way to run every kind of function."""
    if _is(inspect.isasyncgenfunction, function):

        async def run_async_generator(
            state: ExecutionState | None, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            return await _stream(function(*args, **kwargs), state)

        return run_async_generator

    if _is(inspect.isgeneratorfunction, function):
        stream_in_thread = _in_thread(_stream_sync)

        async def run_generator(
            state: ExecutionState | None, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            with slot(shared if state is None else state.threads):
                return await stream_in_thread(function(*args, **kwargs), state)

        return run_generator

    if _is(inspect.iscoroutinefunction, function):

        async def run_coroutine(
            state: ExecutionState | None, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            return await function(*args, **kwargs)

        return run_coroutine

    in_thread = _in_thread(function)

    async def run_sync(
        state: ExecutionState | None, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        with slot(shared if state is None else state.threads):
            return await in_thread(*args, **kwargs)

    return run_sync


def _in_thread(function: Callable[P, R]) -> Callable[P, Awaitable[R]]:
    called: Callable[P, Awaitable[R]] = sync_to_async(  # type: ignore[call-overload]  # any Executor works
        function, thread_sensitive=False, executor=executor
    )
    return called


def _is(kind: Callable[[Any], bool], function: Callable[..., Any]) -> bool:
    """Whether a function, or the ``__call__`` of an object, is of a kind."""
    return kind(function) or kind(type(function).__call__)


async def _stream(items: AsyncIterator[Any], state: ExecutionState | None) -> str:
    text = []
    try:
        async for item in items:
            if isinstance(item, str):
                text.append(item)
            published = _say(item, state)
            if published is not None:
                await published
    finally:
        await cast(Any, items).aclose()
    return "".join(text)


def _stream_sync(items: Iterator[Any], state: ExecutionState | None) -> str:
    text = []
    with closing(cast(Any, items)):  # now, not when its exception is forgotten
        for item in items:
            if state is not None and state.cancelled:
                raise asyncio.CancelledError
            if isinstance(item, str):
                text.append(item)
            _say(item, state)
    return "".join(text)


def _say(item: Any, state: ExecutionState | None) -> Awaitable[None] | None:
    if not isinstance(item, str | BaseModel):
        raise TypeError(
            "A generator actor yields str (text deltas) or pydantic models, "
            f"got {type(item).__name__}."
        )
    if state is None:
        return None
    return state.text(item) if isinstance(item, str) else state.publish(item)


class _Decorator:
    """``@tool`` and ``@tool(…)`` in one."""

    def __init__(self, event_type: EventType, **options: Any) -> None:
        self._event_type = event_type
        self._options = options

    @overload
    def __call__(
        self, function: Callable[P, AsyncIterator[Any]], /
    ) -> Actor[P, str]: ...
    @overload
    def __call__(self, function: Callable[P, Iterator[Any]], /) -> Actor[P, str]: ...
    @overload
    def __call__(self, function: Callable[P, Awaitable[R]], /) -> Actor[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Actor[P, R]: ...
    @overload
    def __call__(
        self,
        function: None = None,
        /,
        *,
        name: str | None = None,
        detail: Callable[..., str] | None = None,
        cacheable: bool = False,
        cache_backend: CacheBackend | None = None,
    ) -> "_Decorator": ...

    def __call__(
        self, function: Callable[..., Any] | None = None, /, **options: Any
    ) -> Any:
        if function is None:
            return _Decorator(self._event_type, **self._options, **options)
        return Actor(function, self._event_type, **self._options)


agent = _Decorator(EventType.AGENT_CALL)
tool = _Decorator(EventType.TOOL_CALL)
llm = _Decorator(EventType.LLM_CALL)
