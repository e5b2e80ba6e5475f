"""The events of an execution as the events of an AG-UI run.

Spec: AG-UI 1.0. Its clients end a run at the first event that breaks a rule of theirs:
what is open is closed once, an id never names two things, and an optional member that
is absent is left out, never null.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from asgi_events.wire.ag_ui.calls import ENDS, Calls, is_root
from asgi_events.wire.ag_ui.kinds import kind_of
from asgi_events.wire.ag_ui.messages import Messages
from asgi_events.wire.ag_ui.patches import patch
from asgi_events.wire.ag_ui.questions import Questions
from asgi_events.wire.ag_ui.words import Members, Words, given, milliseconds

PROTOCOL_VERSION = "1.0"

_CODES = {"error": "failed", "lost": "lost"}


class AGUIRun:
    """Turns the events of one execution, in their order, into those of AG-UI.

    Args:
        run_id: The ``runId``, if the execution has no conversation that says it.
        thread_id: The ``threadId``, in the same case.
        knows_cancelled: Whether the client knows the outcome ``cancelled`` of 1.0. For
            others a cancelled run ends as their own client ends one that its user
            stops: with a ``RUN_ERROR`` of the code ``abort``.
        patches: Whether a change of the state is a patch, where there is one.

    Attributes:
        questions: Those that are open.
    """

    def __init__(
        self,
        run_id: str,
        thread_id: str,
        *,
        knows_cancelled: bool = True,
        patches: bool = True,
    ) -> None:
        self._ids = {"threadId": thread_id, "runId": run_id}
        self._knows_cancelled = knows_cancelled
        self._patches = patches
        self._words = Words(run_id)
        self._calls = Calls(self._words)
        self._messages = Messages(self._words, self._calls)
        self.questions = Questions(self._words, self._calls)
        self._states: list[Any] = []  # the last one, if there is any
        self._is_running = False
        self._so_far: Sequence[Members] | None = None  # what another run has said
        self._root = "result"
        self._handlers: Mapping[str | None, Callable[[Members], None]] = {
            "agent_call": self._call,
            "tool_call": self._call,
            "llm_call": self._call,
            "text_delta": self._text,
            "reasoning_delta": self._reasoning,
            "state": self._state,
            "log": self._show,
            "progress": self._show,
            "custom": self._custom,
            "conversation": self._conversation,
            "input_request": self._ask,
            "input_answer": self._answer,
            "complete": self._complete,
            "cancelled": self._cancelled,
            "error": self._fail,
            "lost": self._fail,
        }

    def take(self, event: Any, execution: str = "") -> list[Members]:
        """Return the events of AG-UI that one event becomes.

        Args:
            event: Its JSON.
            execution: The id of the execution, if it is known.
        """
        self._words.execution = execution or self._words.execution
        self._words.begin(event)
        kind = kind_of(event)
        if not self._is_running:
            is_first = kind == "conversation" and self._so_far is None
            if is_first:
                self._ids = {"threadId": event["thread"], "runId": event["run"]}
            self._start()
            if is_first:
                messages = _clean(event["messages"])
                self._words.say("MESSAGES_SNAPSHOT", messages=messages)
        handle: Callable[[Any], None] = self._handlers.get(kind, self._other)
        handle(event)
        return self._words.said

    def continues(self, event: Members) -> Members | None:
        """Return what a piece of a text that is open becomes; None for all else."""
        address, delta = event.get("address"), event.get("delta")
        if (
            event.get("event_type") == "text_delta"
            and isinstance(address, str)
            and isinstance(delta, str)
            and delta
            and (id := self._messages.open_at(address)) is not None
        ):
            said = {"type": "TEXT_MESSAGE_CONTENT", "messageId": id, "delta": delta}
            at = milliseconds(event)
            return said if at is None else {**said, "timestamp": at}
        return None

    @property
    def waits(self) -> bool:
        """Whether a question is open."""
        return self.questions.are_open

    def pause(self) -> list[Members]:
        """Return the end of a stream whose reader is to answer; the run goes on."""
        self._words.begin(None)
        if not self._is_running:
            self._say_start()
        self._messages.say_ends()
        interrupts = self.questions.interrupts()
        self._calls.suspend(interrupts)
        outcome = {"type": "interrupt", "interrupts": interrupts}
        self._words.say("RUN_FINISHED", **self._ids, outcome=outcome)
        return self._words.said

    def go_on_as(self, run_id: str, messages: Sequence[Members]) -> None:
        """Let another run begin with the next event.

        Args:
            run_id: Its ``runId``.
            messages: All messages so far, with which it begins.
        """
        self._messages.close_all()
        self._ids = {**self._ids, "runId": run_id}
        self._is_running = False
        self._so_far = messages

    def begin_at(self, first: int) -> list[Members]:
        """Return the begin of a run whose events before number ``first`` are gone."""
        self._words.begin(None)
        self._start()
        value = {"reason": "trimmed", "first": first}
        self._words.say("CUSTOM", name="reset", value=value)
        self._messages.has_text = True  # there may have been some
        return self._words.said

    def _start(self) -> None:
        self._is_running = True
        self._say_start()

    def _say_start(self) -> None:
        self._words.say("RUN_STARTED", **self._ids, protocolVersion=PROTOCOL_VERSION)
        if self._so_far is None:
            return
        self._words.say("MESSAGES_SNAPSHOT", messages=self._so_far)
        for state in self._states:
            self._words.say("STATE_SNAPSHOT", snapshot=state)
        self._calls.resume()

    def _conversation(self, event: Members) -> None:
        pass  # said when the run began; later it would take messages away

    def _ask(self, event: Members) -> None:
        # Another run may begin here, and messages of both have the same ids as in one.
        self._messages.close_all()
        self.questions.ask(event)
        self._show(event)

    def _answer(self, event: Members) -> None:
        self.questions.close(event)
        self._show(event)

    def _call(self, event: Members) -> None:
        address, status = event["address"], event["execution_status"]
        if is_root(address):
            self._root = address
        if status == "retrying":
            self._messages.close(address, metadata={"execution_status": status})
        elif status in ENDS:
            self._messages.close(address)
        elif status == "started":
            self._messages.close_around(address)
        self._calls.take(event)
        if status == "retrying":
            names = ("address", "actor", "message", "attempt", "delay")
            value = {name: event[name] for name in names if name in event}
            self._say_custom("retrying", value, address)

    def _text(self, event: Members) -> None:
        self._messages.add(event["address"], event["delta"], is_reasoning=False)

    def _reasoning(self, event: Members) -> None:
        self._messages.add(event["address"], event["delta"], is_reasoning=True)

    def _state(self, event: Members) -> None:
        state, agent = event.get("state"), self._calls.agent_of(event["address"])
        before, self._states = self._states, [state]
        changes = patch(before[0], state) if before and self._patches else None
        if changes is None:
            self._words.say("STATE_SNAPSHOT", agent, snapshot=state)
        elif changes:
            self._words.say("STATE_DELTA", agent, delta=changes)

    def _show(self, event: Members) -> None:
        left_out = ("event_type", "timestamp")
        value = {name: event[name] for name in event if name not in left_out}
        self._say_custom(event["event_type"], value, event["address"])

    def _custom(self, event: Members) -> None:
        address = event["address"]
        at = given(metadata=given(address=address))
        self._say_custom(event["name"], event.get("data"), address, **at)

    def _other(self, event: Any) -> None:
        """Pass on a model of the application, whole."""
        kind = event.get("event_type") if isinstance(event, dict) else None
        address = event.get("address") if isinstance(event, dict) else None
        address = address if isinstance(address, str) else ""
        if isinstance(kind, str) and kind:
            self._say_custom(kind, event, address)
        else:
            self._words.say("RAW", self._calls.agent_of(address), event=event)

    def _say_custom(self, name: str, value: Any, address: str, **members: Any) -> None:
        agent = self._calls.agent_of(address)
        self._words.say("CUSTOM", agent, name=name, value=value, **members)

    def _complete(self, event: Members) -> None:
        self._close_all({})
        result = event.get("result")
        if isinstance(result, str) and not self._messages.has_text:
            self._messages.add_whole(self._root, result)
        members = {} if result is None else {"result": result}
        self._finish("success", **members)

    def _cancelled(self, event: Members) -> None:
        self._close_all({"execution_status": "cancelled"})
        message = event["message"]
        if self._knows_cancelled:
            self._finish("cancelled", metadata={"message": message})
        else:
            self._words.say("RUN_ERROR", message=message, code="abort")

    def _fail(self, event: Members) -> None:
        code = _CODES[event["event_type"]]
        self._close_all({"execution_status": code, "message": event["message"]})
        self._words.say("RUN_ERROR", message=event["message"], code=code)

    def _finish(self, outcome: str, **members: Any) -> None:
        end = {**self._ids, "outcome": {"type": outcome}, **members}
        self._words.say("RUN_FINISHED", **end)

    def _close_all(self, end: Members) -> None:
        # A tool call without a result is one that the page has to run.
        self._messages.close_all()
        self._calls.close_all(end)


def _clean(messages: list[Any]) -> list[Any]:
    """Return messages without members that are null, which clients take for a fault."""
    return [
        {name: value for name, value in message.items() if value is not None}
        for message in messages
        if isinstance(message, dict)
    ]
