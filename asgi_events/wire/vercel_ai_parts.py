"""The parts of a message of the AI SDK that are open: texts, tools and other calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias

Chunk: TypeAlias = dict[str, Any]

_PROVIDER = "asgi-events"  # whose metadata of a part it is

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
_TAKEN = frozenset(
    # The names of our own parts, and those that every JavaScript object has, which
    # the client would find in the schemas of its data parts.
    ["execution", "progress", "log", "state", "event", "reset", "constructor"]
    + ["hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toLocaleString"]
    + ["toString", "valueOf"]
)


def data_type(name: str) -> str:
    """Return the type of a part for what the application calls ``name``."""
    safe = _UNSAFE.sub("-", name)[:100]
    if safe in _TAKEN or safe.startswith("__"):
        safe = f"custom-{safe}"
    return f"data-{safe or 'event'}"


class TextParts:
    """The texts and reasonings of all addresses: each address has at most one open.

    The id of a part is its address; after a failed attempt ``<address>:<attempt>``,
    which cannot be an address. ``providerMetadata`` has both.
    """

    def __init__(self) -> None:
        self._open: dict[str, str] = {}  # the kind of the part of each address
        self._attempts: dict[str, int] = {}
        self._shown: set[str] = set()

    @property
    def is_any_shown(self) -> bool:
        """Whether there is text that is not of a failed attempt."""
        return bool(self._shown)

    def continues(self, event: Chunk) -> Chunk | None:
        """Return the chunk of a piece of a text that is open; None for all else."""
        address, delta = event.get("address"), event.get("delta")
        if (
            event.get("event_type") == "text_delta"
            and isinstance(address, str)
            and isinstance(delta, str)
            and delta
            and self._open.get(address) == "text"
        ):
            return {"type": "text-delta", "id": self._id(address), "delta": delta}
        return None

    def add(
        self, kind: Literal["text", "reasoning"], address: str, delta: str
    ) -> Iterator[Chunk]:
        """Yield a piece of text, after what opens its part."""
        if not delta:
            return
        if self._open.get(address) != kind:
            yield from self.close_at(address)
            self._open[address] = kind
            if kind == "text":
                self._shown.add(address)
            attempt = self._attempts.get(address, 1)
            of = {_PROVIDER: {"address": address, "attempt": attempt}}
            part = {"type": f"{kind}-start", "id": self._id(address)}
            yield {**part, "providerMetadata": of}
        yield {"type": f"{kind}-delta", "id": self._id(address), "delta": delta}

    def void(self, address: str) -> None:
        """Count what follows from this address as another attempt."""
        self._attempts[address] = self._attempts.get(address, 1) + 1
        self._shown = {each for each in self._shown if not _is_below(each, address)}

    def close_at(self, address: str) -> Iterator[Chunk]:
        """Close the part of one address: another part of it follows."""
        kind = self._open.pop(address, None)
        if kind is not None:
            yield {"type": f"{kind}-end", "id": self._id(address)}

    def close_below(self, address: str) -> Iterator[Chunk]:
        """Close the parts of a call that has ended, and of the calls it made."""
        return self._close_if(lambda each: _is_below(each, address))

    def close_around(self, address: str) -> Iterator[Chunk]:
        """Close the parts of the calls that have made a new call.

        What they say next belongs after the part of that call.
        """
        return self._close_if(lambda each: not each or _is_below(address, each))

    def close_all(self) -> Iterator[Chunk]:
        """Close every part: the message ends."""
        return self._close_if(lambda each: True)

    def _close_if(self, fits: Callable[[str], bool]) -> Iterator[Chunk]:
        for address in [each for each in self._open if fits(each)]:
            yield from self.close_at(address)

    def _id(self, address: str) -> str:
        attempt = self._attempts.get(address, 1)
        return address if attempt == 1 else f"{address}:{attempt}"


class CallParts:
    """The calls: tools as the tools of the AI SDK, all others as ``data-execution``.

    The id is the address. The outermost call is the message itself. It and a tool have
    a ``data-execution`` only once they are tried again.

    Attributes:
        root: The address of the outermost call, once it is known.
    """

    def __init__(self) -> None:
        self.root: str | None = None
        self._tools: set[str] = set()
        self._told: dict[str, Chunk] = {}  # the data of the calls that are open

    def tell(self, event: Chunk) -> Iterator[Chunk]:
        """Yield the parts of an event of a call."""
        address, status = event["address"], event["execution_status"]
        if self.root is None and "/" not in address:
            self.root = address
        is_root = address == self.root
        is_tool = event["event_type"] == "tool_call" and not is_root
        if is_tool:
            yield from self._tool(event)
        is_retried = status == "retrying" or address in self._told
        if is_retried or not (is_tool or is_root):
            yield self._execution(event)

    def close_all(self, status: str, message: str) -> Iterator[Chunk]:
        """Close the calls whose end was never told."""
        for address in sorted(self._tools):
            if status == "completed":
                yield _output(address, None)
            else:
                yield _failure(address, message)
        for told in self._told.values():
            yield _data({**told, "status": status})
        self._tools.clear()
        self._told.clear()

    def _tool(self, event: Chunk) -> Iterator[Chunk]:
        address, status = event["address"], event["execution_status"]
        if address not in self._tools:
            self._tools.add(address)
            yield _input(event)
        if status not in _ENDS:
            return
        self._tools.discard(address)
        if status in _FAILURES:
            yield _failure(address, event.get("message") or f"The call was {status}")
        else:
            yield _output(address, event.get("output"))

    def _execution(self, event: Chunk) -> Chunk:
        address, status = event["address"], event["execution_status"]
        told = self._told.pop(address, {})
        for name in ("delay", "message"):  # of an attempt before
            told.pop(name, None)
        told |= {
            "kind": event["event_type"].removesuffix("_call"),
            "name": event["actor"],
            "address": address,
            "status": status,
        }
        told |= {name: event[name] for name in _DETAILS if event.get(name) is not None}
        if event.get("from_cache"):
            told["from_cache"] = True
        if status not in _ENDS:
            self._told[address] = dict(told)
        return _data(told)


_FAILURES = ("failed", "cancelled")
_ENDS = ("completed", "recovered", *_FAILURES)
_DETAILS = (
    "detail",
    "input",
    "output",
    "message",
    "attempt",
    "delay",
    "execution_time",
    "usage",
)


def _is_below(address: str, other: str) -> bool:
    """Whether ``address`` is that of ``other``, or of a call made from it."""
    return address == other or address.startswith(f"{other}/")


def _data(told: Chunk) -> Chunk:
    return {"type": "data-execution", "id": told["address"], "data": told}


def _input(event: Chunk) -> Chunk:
    given = event.get("input")
    chunk = {
        "type": "tool-input-available",
        "toolCallId": event["address"],
        "toolName": event["actor"],
        "input": {} if given is None else given,
        "dynamic": True,
        "providerExecuted": True,
    }
    if event.get("detail") is not None:
        of = {"address": event["address"], "detail": event["detail"]}
        chunk["providerMetadata"] = {_PROVIDER: of}
    return chunk


def _output(address: str, output: Any) -> Chunk:
    return {
        "type": "tool-output-available",
        "toolCallId": address,
        "output": output,
        "dynamic": True,
        "providerExecuted": True,
    }


def _failure(address: str, message: str) -> Chunk:
    return {
        "type": "tool-output-error",
        "toolCallId": address,
        "errorText": message,
        "dynamic": True,
        "providerExecuted": True,
    }
