"""Prints the events of an execution of any server, as they come, and how it ended."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from shlex import quote
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict

from asgi_events.cli.form import fields
from asgi_events.cli.lines import json_line, say
from asgi_events.client import SyncClient, SyncEventStream, SyncRemoteExecution
from asgi_events.events import ExecutionStatus, InputRequestEvent
from asgi_events.printer import EventPrinter
from asgi_events.terminal import printable
from asgi_events.wire.decoding import AnyEvent, ResetEvent
from asgi_events.wire.encoding import encode_json

TROUBLE = 5
"""The exit status where the end is not known."""

EXIT: dict[str | None, int] = {
    ExecutionStatus.COMPLETED: 0,
    ExecutionStatus.FAILED: 1,
    # 2 is argparse's, for wrong options.
    ExecutionStatus.CANCELLED: 3,
    ExecutionStatus.LOST: 4,
}

_PATH = re.compile(r"(?P<base>.*)/executions/(?P<id>[^/]+)(/events)?/?")


class WrongOption(ValueError):
    """No request can be made of the URL, or of a header."""


class Other(BaseModel):
    """An event that no model of ours stands for."""

    model_config = ConfigDict(extra="allow", frozen=True)


def tail(url: str, *, after: int, headers: Mapping[str, str], as_json: bool) -> int:
    """Print the events of an execution until it ends.

    Args:
        url: The URL of the execution, or of its events.
        after: The number of the last event not to print.
        headers: Headers of each request.
        as_json: Print JSON, a line for each event.

    Returns:
        The exit status; see ``EXIT``.

    Raises:
        WrongOption: The URL is not that of an execution, or a header is not valid.
        AsgiEventsError: The server does not let it be watched.
    """
    client, id = open_client(url, headers)
    with client:
        execution = client.get(id)
        with execution.events(after) as events:
            if as_json:
                _print_json(events)
            else:
                _print(execution, events, url)
    return EXIT.get(events.status, TROUBLE)


def open_client(url: str, headers: Mapping[str, str]) -> tuple[SyncClient, str]:
    """Return a client of the server, and the id of the execution.

    Raises:
        WrongOption: The URL is not that of an execution, or a header is not valid.
    """
    try:
        base, id = place_of(url)
        return SyncClient(base, auth=headers, on_reconnect=tell), id
    except ValueError as error:
        raise WrongOption(error) from None


def place_of(url: str) -> tuple[str, str]:
    """Return the URL of the routes and the id of the execution.

    Raises:
        ValueError: It is not the URL of an execution.
    """
    parts = urlsplit(url)
    match = _PATH.fullmatch(parts.path)
    is_http = parts.scheme in ("http", "https") and parts.netloc
    if match is None or not is_http or parts.query or parts.fragment:
        raise ValueError(
            "URL must be that of an execution: write "
            "https://example.com/events/executions/ID."
        )
    if "@" in parts.netloc:
        raise ValueError(
            "URL must have no user name and no password: write --header "
            "'Authorization: …'."
        )
    return urlunsplit(parts._replace(path=match["base"])), unquote(match["id"])


def model_of(event: AnyEvent) -> BaseModel:
    """Return an event as the printer takes it."""
    return Other.model_validate(event) if isinstance(event, dict) else event


def _print(execution: SyncRemoteExecution, events: SyncEventStream, url: str) -> None:
    every = EventPrinter()
    printer = every.for_execution(execution.id, actor=execution.actor, owner=None)
    for event in events:
        _ = printer(model_of(event))  # nothing to await
        if isinstance(event, InputRequestEvent):
            say(_how_to_answer(event, url))


def _how_to_answer(request: InputRequestEvent, url: str) -> str:
    lines = [field.line for field in fields(request.response_schema)]
    lines.append(f"To answer: asgi-events answer {quote(url)} {request.n}")
    return "\n".join(f"    {line}" for line in lines)


def _print_json(events: SyncEventStream) -> None:
    for event in events:
        number = 0 if isinstance(event, ResetEvent) else events.number
        print(json_line(number, _payload(event)), end="", flush=True)


def _payload(event: Any) -> str:
    return encode_json(event).decode()


def tell(reason: str, seconds: float) -> None:
    """Say on the standard error that there is no connection."""
    text = f"{printable(reason)}; the next try is in {seconds:.1f} s"
    print(text, file=sys.stderr, flush=True)
