"""The route of the list of executions."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

from asgi_events.executions.listing import MOST, InvalidQuery, ListedExecution
from asgi_events.http.exchange import Exchange
from asgi_events.http.problems import Problem
from asgi_events.types import ASGIApp

_FILTERS = ("thread", "status", "actor")
_LIMIT = re.compile(r"[0-9]{1,9}")


async def list_executions(exchange: Exchange) -> ASGIApp:
    """List what belongs to the caller, page by page.

    Raises:
        Problem: 400, a parameter is wrong; 403, the application has no ``authorize``,
            so an id is all that is needed to read and cancel its execution.
        AccessDenied: The caller may not do that.
        StoreError: The store does not answer.
    """
    owner = await exchange.owner_of("list")
    if owner is None:
        raise Problem(
            403,
            "Who knows an execution's id may read and cancel it here, so there is no "
            "list of ids. Give the application an authorize hook: the list has the "
            "executions of the owner that it returns.",
        )
    asked = _asked(exchange)
    try:
        page = await exchange.executions.list(owner=owner, **asked)
    except InvalidQuery as error:
        raise Problem(400, f"{error}.") from None
    body = {
        "executions": [_about(exchange, each) for each in page.items],
        "next": page.next,
    }
    headers = {}
    if page.next is not None:
        query = urlencode(asked | {"after": page.next})
        link = f"{exchange.request.base}/executions?{query}"
        headers["link"] = f'<{link}>; rel="next"'  # RFC 8288
    return exchange.json(200, body, headers)


def links_of(exchange: Exchange, id: str) -> dict[str, str]:
    """Return the links of an execution."""
    link = f"{exchange.request.base}/executions/{id}"
    return {"self": link, "events": f"{link}/events", "cancel": link}


def _asked(exchange: Exchange) -> dict[str, Any]:
    """The parameters that are given, as ``Executions.list`` takes them."""
    query = exchange.request.query
    asked: dict[str, Any] = {
        name: value
        for name in (*_FILTERS, "after")
        if (value := query(name)) is not None
    }
    limit = query("limit")
    if limit is not None:
        if not _LIMIT.fullmatch(limit):
            raise Problem(400, f"limit must be 1 to {MOST}, got {limit!r:.80}.")
        asked["limit"] = int(limit)
    return asked


def _about(exchange: Exchange, listed: ListedExecution) -> dict[str, Any]:
    return {
        "id": listed.id,
        "actor": listed.actor,
        "thread": listed.thread,
        "status": listed.status,
        "last": listed.last,
        "created": listed.created,
        "ended": listed.ended,
        "links": links_of(exchange, listed.id),
    }
