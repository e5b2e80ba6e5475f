"""Calls as the entities of AG-UI: sub-agents, tool calls and, for models, steps."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import to_json

from asgi_events.wire.ag_ui.words import Members, Words, given

ENDS = ("completed", "recovered", "failed", "cancelled")
"""The statuses that end a call."""

_DETAIL = ("detail",)
_FACTS = ("execution_status", "execution_time", "message", "usage")
_BAD_ENDS = ("failed", "cancelled", "lost")


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call that has not ended.

    Attributes:
        kind: Its ``event_type``: ``agent_call``, ``tool_call`` or ``llm_call``.
        address: Its address.
        agent: The address of the agent that encloses it; None for the root.
        start: What is said when it starts, besides its name for an agent or a step.
    """

    kind: str
    address: str
    agent: str | None
    start: Members = field(default_factory=dict)


class Calls:
    """The calls of a run that have not ended, by their addresses.

    The root has no entity of its own in AG-UI, because the run is the root, so it is
    never among them. A call whose start nobody has seen is opened when it is mentioned.
    """

    def __init__(self, words: Words) -> None:
        self._words = words
        self._open: dict[str, OpenCall] = {}

    def take(self, event: Members) -> None:
        """Open or close a call, as an event of it says."""
        address, status = event["address"], event["execution_status"]
        if is_root(address):
            return
        if address not in self._open:
            self._begin(event)
        if status in ENDS:
            self._end(self._open.pop(address), event)

    def suspend(self, interrupts: Collection[Members]) -> None:
        """Say that the agents and steps that are open end in this run, not in all.

        Args:
            interrupts: What is waited for.
        """
        for call in reversed(self._open.values()):
            if call.kind == "llm_call":
                self._words.say("STEP_FINISHED", call.agent, stepName=call.address)
            elif call.kind == "agent_call":
                id = self._words.id(call.address)
                own = [i["id"] for i in interrupts if i.get("subagentRunId") == id]
                outcome = {"type": "suspended"} | ({"interruptIds": own} if own else {})
                self._words.say("SUBAGENT_FINISHED", call.address, outcome=outcome)

    def resume(self) -> None:
        """Say again that they start: another run goes on with them."""
        for call in self._open.values():
            self._say_start(call)

    def close_all(self, end: Members) -> None:
        """Close what is open, the last one first, with the status of the run."""
        while self._open:
            self._end(self._open.popitem()[1], end)

    def is_tool(self, address: str) -> bool:
        """Return whether an open call is a tool."""
        call = self._open.get(address)
        return call is not None and call.kind == "tool_call"

    def agent_of(self, address: str) -> str | None:
        """Return the agent for which something happens at an address; None is the root.

        It is the call at the address itself, if that is an agent.
        """
        call = self._open.get(address)
        if call is not None and call.kind == "agent_call":
            return address
        return self._agent_above(address)

    def tool_of(self, address: str) -> str | None:
        """Return the nearest open tool at an address or above it."""
        if self.is_tool(address):
            return address
        found = self._above(address, ("tool_call",))
        return found.address if found else None

    def _agent_above(self, address: str) -> str | None:
        found = self._above(address, ("agent_call",))
        return found.address if found else None

    def _tool_above(self, address: str) -> str | None:
        """Return the tool that encloses an address within its agent."""
        found = self._above(address, ("agent_call", "tool_call"))
        return found.address if found and found.kind == "tool_call" else None

    def _above(self, address: str, kinds: tuple[str, ...]) -> OpenCall | None:
        while address := address.rpartition("/")[0]:
            call = self._open.get(address)
            if call is not None and call.kind in kinds:
                return call
        return None

    def _begin(self, event: Members) -> None:
        address, kind = event["address"], event["event_type"]
        detail = given(metadata=_only(event, _DETAIL))
        start = self._start_of_agent(event) if kind == "agent_call" else detail
        call = OpenCall(kind, address, self._agent_above(address), start)
        self._open[address] = call
        if kind != "tool_call":
            self._say_start(call)
            return
        id, name = self._words.id(address), event["actor"]
        self._words.say(
            "TOOL_CALL_START", call.agent, toolCallId=id, toolCallName=name, **detail
        )
        arguments = to_json(event["input"]).decode() if "input" in event else "{}"
        self._words.say("TOOL_CALL_ARGS", toolCallId=id, delta=arguments)
        self._words.say("TOOL_CALL_END", toolCallId=id)

    def _start_of_agent(self, event: Members) -> Members:
        address = event["address"]
        agent, tool = self._agent_above(address), self._tool_above(address)
        above = {
            "parentSubagentRunId": agent and self._words.id(agent),
            "parentToolCallId": tool and self._words.id(tool),
        }
        return {
            "name": event["actor"],
            **given(description=event.get("detail"), **above),
        }

    def _say_start(self, call: OpenCall) -> None:
        if call.kind == "agent_call":
            self._words.say("SUBAGENT_STARTED", call.address, **call.start)
        elif call.kind == "llm_call":
            step = {"stepName": call.address, **call.start}
            self._words.say("STEP_STARTED", call.agent, **step)

    def _end(self, call: OpenCall, end: Members) -> None:
        status = end.get("execution_status")
        facts = given(metadata=_only(end, _FACTS))
        failed = status in _BAD_ENDS
        message = end.get("message") or f"The call has been {status}"
        if call.kind == "llm_call":
            self._words.say("STEP_FINISHED", call.agent, stepName=call.address, **facts)
        elif call.kind == "tool_call":
            self._say_result(call, message if failed else end.get("output"), facts)
        elif failed:
            error = {"message": message, "code": status}
            self._words.say("SUBAGENT_ERROR", call.address, **error, **facts)
        else:
            members = {"outcome": {"type": "success"}, **facts}
            if end.get("output") is not None:
                members["result"] = end["output"]
            self._words.say("SUBAGENT_FINISHED", call.address, **members)

    def _say_result(self, call: OpenCall, output: Any, facts: Members) -> None:
        metadata = facts.get("metadata", {})
        if metadata.get("execution_status") in _BAD_ENDS:
            # AG-UI has no word for a tool that failed; this is the one of TanStack AI.
            metadata["tanstack"] = {"state": "output-error"}
        self._words.say(
            "TOOL_CALL_RESULT",
            call.agent,
            messageId=self._words.id(call.address, "@result"),
            toolCallId=self._words.id(call.address),
            content=_text_of(output),
            role="tool",
            **facts,
        )


def is_root(address: str) -> bool:
    """Return whether an address is that of the actor which the execution runs."""
    return "/" not in address


def _only(event: Members, names: tuple[str, ...]) -> Members:
    return {name: event[name] for name in names if event.get(name) is not None}


def _text_of(output: Any) -> str:
    if output is None:
        return ""
    return output if isinstance(output, str) else to_json(output).decode()
