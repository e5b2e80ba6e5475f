"""How an execution ended, and what its actor has returned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from asgi_events.client import requests
from asgi_events.client.about import status_of
from asgi_events.client.actions import Plan
from asgi_events.client.following import Following, without_events
from asgi_events.client.terms import Terms
from asgi_events.events import ExecutionStatus
from asgi_events.exceptions import (
    ExecutionFailed,
    ResultGone,
    UnknownExecution,
)
from asgi_events.wire.decoding import AnyEvent, EventDecoder


def status(terms: Terms, id: str) -> Plan[str]:
    """Ask for the status."""
    return status_of((yield from requests.about(terms, id)).status)


def wait(terms: Terms, id: str) -> Plan[str]:
    """Wait for the end; return the status."""
    about = yield from requests.about(terms, id)
    if about.status != ExecutionStatus.STARTED:
        return status_of(about.status)
    following = yield from _follow(terms, id, about.last)
    return following.status or ExecutionStatus.STARTED


def result(terms: Terms, id: str, type: Any) -> Plan[Any]:
    """Wait for the end; return what the actor has returned."""
    about = yield from requests.about(terms, id)
    if about.status == ExecutionStatus.STARTED:
        following = yield from _follow(terms, id, about.last)
        if following.terminal is not None:
            word = following.status or ""
            return _settled(id, word, _members(following.terminal), type)
        try:
            about = yield from requests.about(terms, id)
        except UnknownExecution:
            raise ResultGone(id) from None
    members = {"message": about.error, "result": about.result}
    return _settled(id, about.status, members, type)


def _follow(terms: Terms, id: str, after: int) -> Plan[Following]:
    """Watch to the end; this counts as a viewer for ``cancel_after``."""
    following = Following(terms, id, after=after, decoder=EventDecoder())
    yield from without_events(following.plan())
    return following


def _settled(id: str, status: str, members: Mapping[str, Any], type: Any) -> Any:
    if status != ExecutionStatus.COMPLETED:
        message = str(members.get("message") or "")
        raise ExecutionFailed.of(id, str(status), message)
    try:
        return TypeAdapter(type).validate_python(members.get("result"))
    except ValidationError as error:
        raise ValueError(
            f"Execution {id} has returned something else than {type!r}: {error}"
        ) from error


def _members(event: AnyEvent) -> Mapping[str, Any]:
    return event if isinstance(event, dict) else dict(event)
