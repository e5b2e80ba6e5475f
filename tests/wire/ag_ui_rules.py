"""A strict reader of AG-UI: the rules by which ``@ag-ui/client`` 1.0 ends a run.

It repeats ``verify.ts`` and ``enforce.ts``, and adds what those let pass: an id is
never used again, and what is open is closed before a run fails.
"""

from __future__ import annotations

from typing import Any

Members = dict[str, Any]

_MAY_BE_NULL = {"value", "snapshot", "event", "delta", "result"}


class Rules:
    """Checks one run, event by event: ``take`` each, then ``finish``."""

    def __init__(self) -> None:
        self._is_first = True
        self._is_over = False
        self._open: dict[tuple[str, str], str | None] = {}
        self._used: set[tuple[str, str]] = set()
        self._owners: dict[tuple[str, str], str | None] = {}
        self._unanswered: set[str] = set()
        self._is_interrupted = False

    def take(self, event: Members) -> None:
        kind, agent = event["type"], event.get("subagentRunId")
        assert not self._is_over, f"{kind} after the end"
        assert self._is_first == (kind == "RUN_STARTED"), f"{kind} is out of place"
        self._is_first = False
        nulls = {name for name, value in event.items() if value is None}
        assert nulls <= _MAY_BE_NULL, f"{kind} has null in {nulls}"
        if agent is not None and not kind.startswith("SUBAGENT"):
            assert ("agent", agent) in self._used, f"{kind}: unknown agent {agent}"
        take = getattr(self, "_" + kind.lower(), None)
        if take is not None:
            take(event, agent)
        else:
            assert kind in ("RUN_STARTED", "CUSTOM", "RAW", "MESSAGES_SNAPSHOT") or (
                kind in ("STATE_SNAPSHOT", "STATE_DELTA")
            ), f"unknown: {kind}"

    def finish(self) -> None:
        assert self._is_over, "the run has no end"

    def _begin(self, kind: str, id: str, agent: str | None) -> None:
        assert (kind, id) not in self._used, f"the {kind} {id} is used again"
        self._used.add((kind, id))
        self._open[kind, id] = self._owners[kind, id] = agent

    def _check(self, kind: str, id: str, agent: str | None) -> None:
        assert (kind, id) in self._open, f"the {kind} {id} is not open"
        assert agent in (None, self._open[kind, id]), f"the {kind} {id} is another's"

    def _end(self, kind: str, id: str, agent: str | None) -> None:
        self._check(kind, id, agent)
        del self._open[kind, id]

    def _text_message_start(self, event: Members, agent: str | None) -> None:
        assert event["role"] == "assistant"
        self._begin("message", event["messageId"], agent)

    def _text_message_content(self, event: Members, agent: str | None) -> None:
        assert event["delta"]
        self._check("message", event["messageId"], agent)

    def _text_message_end(self, event: Members, agent: str | None) -> None:
        self._end("message", event["messageId"], agent)

    def _reasoning_start(self, event: Members, agent: str | None) -> None:
        self._begin("span", event["messageId"], agent)

    def _reasoning_message_start(self, event: Members, agent: str | None) -> None:
        assert event["role"] == "reasoning"
        self._begin("message", event["messageId"], agent)
        assert self._open["span", event["messageId"]] == agent

    def _reasoning_message_content(self, event: Members, agent: str | None) -> None:
        self._text_message_content(event, agent)

    def _reasoning_message_end(self, event: Members, agent: str | None) -> None:
        self._text_message_end(event, agent)

    def _reasoning_end(self, event: Members, agent: str | None) -> None:
        assert ("message", event["messageId"]) not in self._open
        self._end("span", event["messageId"], agent)

    def _tool_call_start(self, event: Members, agent: str | None) -> None:
        assert isinstance(event["toolCallName"], str)
        self._begin("tool", event["toolCallId"], agent)
        # The client makes a message of this id.
        self._used.add(("message", event["toolCallId"]))
        self._unanswered.add(event["toolCallId"])

    def _tool_call_args(self, event: Members, agent: str | None) -> None:
        assert isinstance(event["delta"], str)
        self._check("tool", event["toolCallId"], agent)

    def _tool_call_end(self, event: Members, agent: str | None) -> None:
        self._end("tool", event["toolCallId"], agent)

    def _tool_call_result(self, event: Members, agent: str | None) -> None:
        assert isinstance(event["content"], str)
        assert ("message", event["messageId"]) not in self._used
        self._used.add(("message", event["messageId"]))
        self._unanswered.remove(event["toolCallId"])
        assert self._owners["tool", event["toolCallId"]] == agent

    def _step_started(self, event: Members, agent: str | None) -> None:
        self._begin("step", event["stepName"], agent)

    def _step_finished(self, event: Members, agent: str | None) -> None:
        assert self._open.pop(("step", event["stepName"])) == agent

    def _subagent_started(self, event: Members, agent: str) -> None:
        assert isinstance(event["name"], str)
        parent = event.get("parentSubagentRunId")
        assert parent is None or ("agent", parent) in self._used
        tool = event.get("parentToolCallId")
        assert tool is None or ("tool", tool) in self._used
        self._begin("agent", agent, agent)

    def _subagent_finished(self, event: Members, agent: str) -> None:
        self._end("agent", agent, agent)

    def _subagent_error(self, event: Members, agent: str) -> None:
        assert isinstance(event["message"], str)
        self._end("agent", agent, agent)

    def _run_finished(self, event: Members, agent: None) -> None:
        self._is_over = True
        assert event["threadId"] and event["runId"]
        outcome = event["outcome"]
        if outcome["type"] == "interrupt":
            self._interrupt(outcome["interrupts"])
        else:
            assert outcome["type"] in ("success", "cancelled")
        self._check_that_nothing_is_open()

    def _run_error(self, event: Members, agent: None) -> None:
        self._is_over = True
        assert isinstance(event["message"], str)
        self._check_that_nothing_is_open()

    def _interrupt(self, interrupts: list[Members]) -> None:
        self._is_interrupted = True
        ids = [each["id"] for each in interrupts]
        assert ids and len(set(ids)) == len(ids)
        for each in interrupts:
            assert None not in each.values() and each["reason"]
            if "toolCallId" in each:
                assert each["toolCallId"] in self._unanswered
            if "subagentRunId" in each:
                assert ("agent", each["subagentRunId"]) in self._used

    def _messages_snapshot(self, event: Members, agent: None) -> None:
        """The messages of the run before, which this one goes on with."""
        self._used -= {(kind, id) for kind, id in self._used if kind == "message"}
        self._unanswered.clear()
        for message in event["messages"]:
            owner = message.get("subagentRunId")
            self._used.add(("message", message["id"]))
            for tool in message.get("toolCalls", []):
                self._used.add(("tool", tool["id"]))
                self._owners["tool", tool["id"]] = owner
                self._unanswered.add(tool["id"])
            if message["role"] == "tool":
                self._unanswered.remove(message["toolCallId"])

    def _check_that_nothing_is_open(self) -> None:
        assert not self._open, f"open at the end: {set(self._open)}"
        is_complete = self._is_interrupted or not self._unanswered
        assert is_complete, f"without a result: {self._unanswered}"
