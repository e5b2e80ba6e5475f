"""Decides which pages may start and cancel.

A browser sends a visitor's cookies with requests of any page, and a ``POST`` without a
body needs no preflight. So a request that changes something is refused if it comes
from a page of another origin. The rules are those of Go's
``http.CrossOriginProtection``: ``Sec-Fetch-Site`` decides, which no page can forge.
Without it, over plain HTTP or from an old browser, the host in ``Origin`` must equal
``Host``. A request with neither header does not come from a browser.
"""

import re
from collections.abc import Sequence

from asgi_events.checks import check_iterables, check_texts
from asgi_events.http.problems import Problem
from asgi_events.http.request import Request

_SAFE = {"GET", "HEAD", "OPTIONS"}
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+", re.IGNORECASE)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Origins:
    """Refuses requests that change something and come from pages of other origins.

    Args:
        allowed: Origins whose pages may send them nevertheless, as browsers write
            them: ``https://example.com``; ``"*"`` allows all.

    Raises:
        TypeError, ValueError: ``allowed`` is not a list of origins.
    """

    def __init__(self, allowed: Sequence[str]) -> None:
        check_iterables(allowed_origins=allowed)
        self._all = "*" in allowed
        self._allowed = {_checked(origin) for origin in allowed if origin != "*"}

    def check(self, request: Request) -> None:
        """Check where the request comes from.

        Raises:
            Problem: 403, it comes from a page that may not send it.
        """
        if request.method in _SAFE or self._all:
            return
        origin = request.headers.get("origin", "")
        if _is_ours(request, origin) or _normal(origin) in self._allowed:
            return
        raise Problem(
            403,
            f"{request.method} from a page of another origin, {origin!r}, is refused: "
            "list it in allowed_origins, or, if it is this server's own, let the proxy "
            "pass on the Host header as the browser sent it.",
        )


def _is_ours(request: Request, origin: str) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site:
        return site in ("same-origin", "none")
    if not origin:
        return True
    scheme, _, host = _normal(origin).partition("://")
    return host != "" and host == _bare(request.headers.get("host", ""), scheme)


def _normal(origin: str) -> str:
    scheme, separator, host = origin.lower().partition("://")
    return f"{scheme}{separator}{_bare(host, scheme)}"


def _bare(host: str, scheme: str) -> str:
    """Return the host in lower case, without the default port of its scheme."""
    return host.lower().removesuffix(_DEFAULT_PORTS.get(scheme, ""))


def _checked(origin: str) -> str:
    check_texts(allowed_origins=origin)
    if not _ORIGIN.fullmatch(origin):
        raise ValueError(
            "allowed_origins must have origins such as 'https://example.com', without "
            f"a path, or '*', got {origin!r}"
        )
    return _normal(origin)
