"""The messages of AG-UI that text and reasoning become, while they are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from asgi_events.wire.ag_ui.calls import Calls
from asgi_events.wire.ag_ui.words import Words


@dataclass(frozen=True, slots=True)
class OpenMessage:
    """A message that is being written.

    Attributes:
        id: Its ``messageId``.
        is_reasoning: Whether it is a reasoning, and not a text.
    """

    id: str
    is_reasoning: bool


class Messages:
    """The messages that are being written, at most one for each address.

    A message begins with its first word. It ends with its call, with a call that
    encloses that, when that call starts anew or makes another call, or where reasoning
    follows text or text reasoning. What the same address says next is another message,
    with another id: it belongs behind what has come between.

    Attributes:
        has_text: Whether there has been any text.
    """

    def __init__(self, words: Words, calls: Calls) -> None:
        self.has_text = False
        self._words = words
        self._calls = calls
        self._open: dict[str, OpenMessage] = {}
        self._counts: dict[str, int] = {}

    def add(self, address: str, delta: str, *, is_reasoning: bool) -> None:
        """Write a piece of the text or the reasoning of an address."""
        if not delta:
            return  # clients before 1.0 take an empty one for a fault
        message = self._open.get(address)
        if message is None or message.is_reasoning != is_reasoning:
            if message is not None:
                self._end(self._open.pop(address))
            message = self._begin(address, is_reasoning)
        name = "REASONING_MESSAGE_CONTENT" if is_reasoning else "TEXT_MESSAGE_CONTENT"
        self._words.say(name, messageId=message.id, delta=delta)

    def open_at(self, address: str) -> str | None:
        """Return the id of the text that is being written at an address, if any is."""
        message = self._open.get(address)
        return None if message is None or message.is_reasoning else message.id

    def close(self, address: str, **members: Any) -> None:
        """End the messages of a call and of the calls in it."""
        for each in [each for each in self._open if _is_in(each, address)]:
            self._end(self._open.pop(each), **members)

    def close_around(self, address: str) -> None:
        """End the messages of the calls that enclose an address."""
        around = [e for e in self._open if not e or address.startswith(e + "/")]
        for each in around:
            self._end(self._open.pop(each))

    def close_all(self) -> None:
        """End all messages."""
        while self._open:
            self._end(self._open.popitem()[1])

    def say_ends(self) -> None:
        """Say that all messages end, and go on with them."""
        for message in reversed(self._open.values()):
            self._end(message)

    def add_whole(self, address: str, text: str) -> None:
        """Write a whole text."""
        self.add(address, text, is_reasoning=False)
        self.close(address)

    def _begin(self, address: str, is_reasoning: bool) -> OpenMessage:
        suffix = "@reasoning" if is_reasoning else ""
        if not is_reasoning and self._calls.is_tool(address):
            suffix = "@text"  # the message of the tool call has the id without it
        id = self._words.id(address, suffix)
        count = self._counts[id] = self._counts.get(id, 0) + 1
        message = OpenMessage(id if count == 1 else f"{id}@{count}", is_reasoning)
        self._open[address] = message
        agent = self._calls.agent_of(address)
        if is_reasoning:
            self._words.say("REASONING_START", agent, messageId=message.id)
            start = {"messageId": message.id, "role": "reasoning"}
            self._words.say("REASONING_MESSAGE_START", agent, **start)
        else:
            self.has_text = True
            start = {"messageId": message.id, "role": "assistant"}
            self._words.say("TEXT_MESSAGE_START", agent, **start)
        return message

    def _end(self, message: OpenMessage, **members: Any) -> None:
        if not message.is_reasoning:
            self._words.say("TEXT_MESSAGE_END", messageId=message.id, **members)
            return
        self._words.say("REASONING_MESSAGE_END", messageId=message.id, **members)
        self._words.say("REASONING_END", messageId=message.id)


def _is_in(address: str, call: str) -> bool:
    return address == call or address.startswith(call + "/")
