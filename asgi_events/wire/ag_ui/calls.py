"""Calls as the entities of AG-UI: sub-agents, tool calls and, for models, steps."""

from __future__ import annotations

from dataclasses import dataclass
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
    """

    kind: str
    address: str
    agent: str | None


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
        address, name = event["address"], event["actor"]
        call = OpenCall(event["event_type"], address, self._agent_above(address))
        self._open[address] = call
        if call.kind == "agent_call":
            self._begin_agent(event, call)
            return
        detail = given(metadata=_only(event, _DETAIL))
        if call.kind == "llm_call":
            self._words.say("STEP_STARTED", call.agent, stepName=address, **detail)
            return
        id, agent = self._words.id(address), call.agent
        self._words.say(
            "TOOL_CALL_START", agent, toolCallId=id, toolCallName=name, **detail
        )
        arguments = to_json(event["input"]).decode() if "input" in event else "{}"
        self._words.say("TOOL_CALL_ARGS", toolCallId=id, delta=arguments)
        self._words.say("TOOL_CALL_END", toolCallId=id)

    def _begin_agent(self, event: Members, call: OpenCall) -> None:
        tool = self._tool_above(call.address)
        above = {
            "parentSubagentRunId": call.agent and self._words.id(call.agent),
            "parentToolCallId": tool and self._words.id(tool),
        }
        members = given(description=event.get("detail"), **above)
        self._words.say(
            "SUBAGENT_STARTED", call.address, name=event["actor"], **members
        )

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
