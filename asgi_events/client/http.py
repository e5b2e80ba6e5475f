"""The HTTP library: httpx2, or httpx where it is missing.

The only module that imports it. Both have the same names, so a client of either one
can be given.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit, urlunsplit

from asgi_events.client.actions import Answer, Broken, Send
from asgi_events.client.terms import Terms
from asgi_events.wire.sse import MEDIA_TYPE

if TYPE_CHECKING:
    import httpx
    import httpx2

    AsyncHTTP: TypeAlias = httpx2.AsyncClient | httpx.AsyncClient
    SyncHTTP: TypeAlias = httpx2.Client | httpx.Client

_library: Any
try:
    import httpx2 as _library
except ImportError:
    try:
        import httpx as _library
    except ImportError as error:
        raise ImportError(
            'The client needs httpx2, or httpx: pip install "asgi-events[client]"'
        ) from error

CONNECT_TIMEOUT = 10.0  # seconds

INTERRUPTED = Broken("the response was left before its end")

_STALL = "asgi_events.stall_timeout"  # what the library does not know, it leaves alone

_LIBRARIES = ("httpx2", "httpx")
_FINAL = {"UnsupportedProtocol"}


def open_async(given: Any) -> tuple[Any, bool]:
    """Return a client of the library for asyncio, and whether it is ours, to close.

    Raises:
        TypeError: What is given is none.
    """
    return _open(given, "AsyncClient", "asyncio")


def open_sync(given: Any) -> tuple[Any, bool]:
    """The same for threads."""
    return _open(given, "Client", "threads")


def request_of(http: Any, send: Send, terms: Terms) -> Any:
    """Return the request to send, with our own time-outs."""
    stall = terms.stall_timeout
    bounds = [each for each in (stall, send.timeout) if each is not None]
    longest = min(bounds, default=None)
    connect = min([*bounds, CONNECT_TIMEOUT])
    timeout = {"connect": connect, "read": longest, "write": longest, "pool": longest}
    return http.build_request(
        send.method,
        send.url,
        # As bytes: as a str the library takes nothing but ASCII.
        headers=[(n.encode(), v.encode("latin-1")) for n, v in send.headers.items()],
        content=send.content,
        extensions={"timeout": timeout, _STALL: stall},
    )


def redirected(response: Any, private: Iterable[str]) -> Any:
    """Return the request to which a response redirects.

    The library itself keeps nothing but ``Authorization`` from another origin.
    """
    request = response.next_request
    if _origin(request.url) != _origin(response.request.url):
        for name in private:
            request.headers.pop(name, None)
    return request


def answer_of(response: Any) -> Answer:
    """Return the head of a response; a stream may be silent from now on."""
    answer = Answer(
        status=response.status_code,
        headers={name.lower(): value for name, value in response.headers.items()},
        url=without_password(str(response.url)),
        redirect=response.next_request and response.next_request.method,
    )
    options = response.request.extensions
    if answer.media_type == MEDIA_TYPE and _STALL in options:
        options["timeout"]["read"] = options[_STALL]
    return answer


def failures() -> tuple[type[Exception], ...]:
    """What is raised where there is no connection, or no more."""
    # The user may have given a client of the library that we have not imported.
    loaded = [sys.modules[name] for name in _LIBRARIES if name in sys.modules]
    return (
        OSError,  # what is not wrapped, of TLS say
        *(library.RequestError for library in loaded),
        *(library.StreamError for library in loaded),
    )


def broken_by(error: Exception, terms: Terms) -> Broken:
    """Return what an exception of ``failures`` means."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = f"the certificate is wrong: {cause.verify_message}"
            return Broken(reason, error, is_final=True)
    names = {kind.__name__ for kind in type(error).__mro__}
    if "ReadTimeout" in names and (waited := _waited(error)) is not None:
        what = "byte" if waited == terms.stall_timeout else "answer"
        return Broken(f"no {what} for {round(waited, 3):g} s", error)
    return Broken(_words(causes), error, is_final=bool(names & _FINAL))


def without_password(url: str) -> str:
    """Return a URL as it may be shown."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _open(given: Any, name: str, kind: str) -> tuple[Any, bool]:
    if given is None:
        # A stream takes a connection for as long as it lasts.
        limits = _library.Limits(max_connections=None, max_keepalive_connections=20)
        return getattr(_library, name)(limits=limits), True
    loaded = [sys.modules[each] for each in _LIBRARIES if each in sys.modules]
    if not isinstance(given, tuple(getattr(library, name) for library in loaded)):
        raise TypeError(
            f"http must be an httpx2.{name}, or httpx.{name}, which is for {kind}; got "
            f"{given!r}"
        )
    return given, False


def _waited(error: Any) -> float | None:
    """Return after how many seconds a read has failed, if it says its request."""
    try:
        waited: float | None = error.request.extensions.get("timeout", {}).get("read")
    except RuntimeError:
        return None
    return waited


def _origin(url: Any) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _words(causes: list[BaseException]) -> str:
    """Return what the system says, without its number, or what the library says."""
    said = [cause.strerror for cause in causes if isinstance(cause, OSError)]
    said += [str(cause) for cause in causes]
    return next((words for words in said if words), type(causes[0]).__name__)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
