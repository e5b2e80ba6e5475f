"""The options of ``Executions``: each is named, typed, checked and described here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Annotated, Any, TypedDict, get_args, get_type_hints

from asgi_events.actors.cache import CacheBackend
from asgi_events.aio.threads import MAX_THREADS
from asgi_events.bus import EventHandler, HandlerFactory
from asgi_events.checks import (
    check_callables,
    check_counts,
    check_flags,
    check_iterables,
    check_methods,
    check_seconds,
)
from asgi_events.error_messages import ErrorMessage
from asgi_events.redaction import Redact, check_redact
from asgi_events.stores.contract import EventStore

_STORE_METHODS = [
    name
    for name, value in vars(EventStore).items()
    if callable(value) and not name.startswith("_")
]


@dataclass(frozen=True)
class Option:
    """The default of an option, and what checks it: called with ``name=value``."""

    default: Any
    check: Callable[..., None]


def check_store(*, store: Any) -> None:
    """Raise for what is neither a URL nor a store."""
    if store is None or store == "":
        raise (TypeError if store is None else ValueError)(
            f"store must be a URL or a store, got {store!r}. Leave it out to keep "
            'events in memory; of a variable, use os.environ.get("STORE") or '
            '"memory://".'
        )
    if isinstance(store, type):
        raise TypeError(f"store must be a store, got its class {store!r}: make one.")
    if not isinstance(store, str):
        check_methods(*_STORE_METHODS, store=store)


def check_handlers(*, handlers: Any) -> None:
    """Raise for what is not a list of bus handlers, or of makers of them."""
    check_iterables(handlers=handlers)
    for handler in handlers:
        if not isinstance(handler, HandlerFactory):
            check_callables(handler=handler)


_MOST_QUEUED = 256  # each turn names all that it waits for


def _queued(*, max_queued: Any) -> None:
    check_counts(required=True, max_queued=max_queued)
    if max_queued > _MOST_QUEUED:
        raise ValueError(
            f"max_queued must be at most {_MOST_QUEUED}, got {max_queued!r}"
        )


_seconds = partial(check_seconds, required=True)
_seconds_or_none = check_seconds
_counts = partial(check_counts, required=True)
_counts_or_none = check_counts


class ExecutionsOptions(TypedDict, total=False):
    """What ``Executions``, ``EventsApp`` and ``EventsMiddleware`` can be told.

    Attributes:
        store: Where events are kept: a URL for ``open_store``, or a store, which its
            maker closes. By default there is none: events are in the memory of this
            process, and are lost with it.
        cache_backend: The cache of cacheable actors that have none of their own.
        handlers: Further handlers of the events of every execution, an
            ``EventPrinter`` for example; see ``HandlerFactory`` for one that has to
            know whose events it gets.
        heartbeat_interval: Seconds without an event until a viewer is sent a comment;
            None for never.
        send_timeout: Seconds until a viewer that takes nothing is dropped.
        max_stream_duration: Seconds until a viewer is sent away, to reconnect: the
            bound for a peer that has vanished without a word.
        max_stream_backlog: Bytes sent to a viewer until it is sent away, on servers
            that buffer without bound what a viewer does not read.
        retry: Milliseconds a client is told to wait before it reconnects.
        cancel_after: Seconds without any viewer until an execution is cancelled; 0 for
            at once, None for never. The default is never where the store lasts, and
            30 where executions are in memory only. An execution that never had a
            viewer runs on. With ``authorize`` only viewers who may cancel count.
        cancel_timeout: Seconds a cancelled actor may clean up until viewers are told.
        max_duration: Seconds an execution may take; None for any time.
        retention: Seconds an execution is kept after its end.
        lease: Seconds without a sign of life until other processes take this one for
            dead and end its executions with ``lost``.
        max_executions: How many may run; None for any number.
        max_viewers: How many may watch; None for any number.
        max_executions_per_owner: How many of each owner may run; None for any number.
            What has no owner is not counted.
        max_viewers_per_owner: How many may watch in the name of each owner, likewise.
        max_queued: How many executions of one thread may wait for their turn; see
            ``when_busy`` of actors.
        max_threads: How many sync actors may run at a time; the others wait. What a
            sync actor calls may run in its place, so nested calls wait for nobody.
            None for any number.
        max_events: Frames of each execution that are held in memory: 10,000 that wait
            to be stored or are at hand for viewers, and 1,000,000 without a store.
            Beyond that the publisher waits for the store; without one the oldest
            quarter is dropped, and a viewer that wants it is given a ``reset``.
        max_bytes: Bytes of such frames: 16 MiB, and 64 MiB without a store.
        max_retained_bytes: Bytes of memory for the frames of all executions together.
            Without a store the oldest ended executions go first, and then the oldest
            frames of the largest ones that run. With one each of many executions has
            less than ``max_bytes``.
        max_event_bytes: Bytes of JSON an event may have; None for any number. A larger
            one raises ``EventTooLarge`` at its publisher, and an execution with a
            larger result ends with ``error``.
        error_message: Makes the message that viewers see of an exception. By default
            it is a neutral sentence and an id, under which the exception is logged.
        redact: Changes and hides events before they are stored and shown: it returns
            the event to show, or None. It gets every event, the terminal one too, which
            it can change but not hide: viewers then get one with a neutral message and
            no result. An event with which it fails is hidden, and that is logged.
            ``handlers`` get all events unchanged. It runs in the event loop.
        debug: Viewers see the exception with its traceback.
        drain_grace: Seconds executions may run on once the process is told to stop;
            half a second at most after Ctrl-C (SIGINT) and where the server reloads,
            and none after a second Ctrl-C.
        handle_signals: Drain at SIGTERM and SIGINT, before the handler that was there
            is called. Most servers wait for their streams before they tell anybody
            else that they stop.
    """

    store: Annotated[str | EventStore | None, Option(None, check_store)]
    cache_backend: Annotated[
        CacheBackend | None,
        Option(None, partial(check_methods, "get", "set", "get_stats")),
    ]
    handlers: Annotated[
        Sequence[EventHandler | HandlerFactory], Option((), check_handlers)
    ]
    heartbeat_interval: Annotated[float | None, Option(15.0, _seconds_or_none)]
    send_timeout: Annotated[float | None, Option(30.0, _seconds_or_none)]
    max_stream_duration: Annotated[float | None, Option(3600.0, _seconds_or_none)]
    max_stream_backlog: Annotated[int | None, Option(256 * 1024, _counts_or_none)]
    retry: Annotated[int, Option(3000, _counts)]
    cancel_after: Annotated[
        float | None, Option(None, partial(check_seconds, zero=True))
    ]
    cancel_timeout: Annotated[float, Option(10.0, _seconds)]
    max_duration: Annotated[float | None, Option(None, _seconds_or_none)]
    retention: Annotated[float, Option(600.0, _seconds)]
    lease: Annotated[float, Option(15.0, _seconds)]
    max_executions: Annotated[int | None, Option(1000, _counts_or_none)]
    max_viewers: Annotated[int | None, Option(10_000, _counts_or_none)]
    max_executions_per_owner: Annotated[int | None, Option(None, _counts_or_none)]
    max_viewers_per_owner: Annotated[int | None, Option(None, _counts_or_none)]
    max_queued: Annotated[int, Option(16, _queued)]
    max_threads: Annotated[int | None, Option(MAX_THREADS, _counts_or_none)]
    max_events: Annotated[int, Option(10_000, _counts)]
    max_bytes: Annotated[int, Option(16 * 1024 * 1024, _counts)]
    max_retained_bytes: Annotated[int, Option(256 * 1024 * 1024, _counts)]
    max_event_bytes: Annotated[int | None, Option(1024 * 1024, _counts_or_none)]
    error_message: Annotated[ErrorMessage | None, Option(None, check_callables)]
    redact: Annotated[Redact | None, Option(None, check_redact)]
    debug: Annotated[bool, Option(False, check_flags)]
    drain_grace: Annotated[float, Option(5.0, partial(_seconds, zero=True))]
    handle_signals: Annotated[bool, Option(True, check_flags)]


_CANCEL_AFTER = 30.0  # seconds, where nobody can come back in another process

# Without a store the log is all there is, so it may hold more.
_WITHOUT_STORE = {"max_events": 1_000_000, "max_bytes": 64 * 1024 * 1024}


def complete(given: Mapping[str, Any]) -> ExecutionsOptions:
    """All options: those given, which are checked, and the defaults of the others.

    Raises:
        TypeError: There is no option of that name, or a value is of a wrong type.
        ValueError: A value is out of its range.
    """
    for name, value in given.items():
        if name not in _OPTIONS:
            raise TypeError(_unknown(name))
        _OPTIONS[name].check(**{name: value})
    options: Any = {name: option.default for name, option in _OPTIONS.items()}
    store = given.get("store")
    if not _lasts(store):
        options["cancel_after"] = _CANCEL_AFTER
    if store is None:
        options |= _WITHOUT_STORE
    options |= given
    completed: ExecutionsOptions = options
    return completed


def _lasts(store: Any) -> bool:
    """Whether viewers find an execution again, in another process or a later one."""
    if store is None or isinstance(store, str):
        return store not in (None, "memory://")
    return bool(store.durable)


def _unknown(name: str) -> str:
    near = get_close_matches(name, _OPTIONS, n=1)
    cure = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(_OPTIONS)}."
    return f"There is no option {name!r}: {cure}"


def _options() -> dict[str, Option]:
    hints = get_type_hints(ExecutionsOptions, include_extras=True)
    return {name: get_args(hint)[1] for name, hint in hints.items()}


_OPTIONS = _options()
