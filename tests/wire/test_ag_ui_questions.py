"""Questions as the interrupts of AG-UI."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ag_ui_validate import create_validator
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_events.wire.ag_ui import (
    AGUIDraftFormat,
    AGUIFormat,
    AGUIRewindFormat,
    AGUIRun,
    Transcript,
    parse_interrupt_id,
)
from asgi_events.wire.formats import PausingFormat
from tests.wire.ag_ui_events import (
    Members,
    answer,
    call,
    event,
    fed,
    parsed,
    question,
    text,
    thought,
)
from tests.wire.ag_ui_rules import Rules
from tests.wire.test_ag_ui import (
    CONVERSATION,
    END,
    ROOT,
    USER,
    executions,
)


def checked(*streams: list[Members]) -> list[Members]:
    """Return what is said in the streams, after all judges have passed each."""
    validator = create_validator()
    found = []
    for told in streams:
        rules = Rules()
        for each in told:
            rules.take(each)
            found += validator.feed(each)
        rules.finish()
    found += validator.finalize()
    assert [str(d) for d in found if d.severity == "error"] == []
    return [each for told in streams for each in told]


def said(format: AGUIFormat, events: list[Members], first: int = 1) -> list[Members]:
    """What is said of events, without the times."""
    return without_times(b"".join(fed(format, events, first)))


def without_times(made: bytes) -> list[Members]:
    told = [each for _, each in parsed(made)]
    return [{k: v for k, v in each.items() if k != "timestamp"} for each in told]


def until_pause(events: list[Members], format: AGUIFormat | None = None) -> Any:
    """What is said of events until their stream ends with an interrupt."""
    format = format or AGUIFormat("x", "x")
    told = said(format, events)
    assert format.waits
    return told + without_times(format.pause())


def rest(*answers: int, run: str = "r2", of: Any = AGUIFormat) -> AGUIFormat:
    """The format of the run that begins with answers."""
    made: AGUIFormat = of("x", "x", (run, frozenset(answers)))
    return made


def start(run: str = "x", thread: str = "x") -> Members:
    ids = {"threadId": thread, "runId": run}
    return {"type": "RUN_STARTED", **ids, "protocolVersion": "1.0"}


def shown(of: Members) -> Members:
    """An event of ours that is shown as it is."""
    left_out = ("event_type", "timestamp")
    value = {name: of[name] for name in of if name not in left_out}
    return {"type": "CUSTOM", "name": of["event_type"], "value": value}


ASKED = question("chat")
FINISHED = {"type": "RUN_FINISHED", "threadId": "x", "runId": "x"}
INTERRUPT = {
    "id": "x/1",
    "reason": "confirmation",
    "message": "Question 1?",
    "responseSchema": {"type": "boolean"},
    "metadata": {"address": "chat"},
}
MESSAGE = {"messageId": "x/chat"}


def test_ends_with_the_questions_that_are_open() -> None:
    told = until_pause([ROOT, text("chat", "Hi"), ASKED])

    outcome = {"type": "interrupt", "interrupts": [INTERRUPT]}
    assert checked(told) == [
        start(),
        {"type": "TEXT_MESSAGE_START", **MESSAGE, "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", **MESSAGE, "delta": "Hi"},
        {"type": "TEXT_MESSAGE_END", **MESSAGE},
        shown(ASKED),
        {**FINISHED, "outcome": outcome},
    ]


def test_goes_on_with_the_answers_in_another_run() -> None:
    events = [
        CONVERSATION,
        ROOT,
        text("chat", "H"),
        text("chat", "i"),
        event("state", "chat", state={"n": 1}),
        ASKED,
        answer("chat"),
        text("chat", "Yes"),
        END,
    ]
    made = fed(rest(1), events)

    assert made[:6] == [b""] * 6
    assert [id for id, _ in parsed(made[6])] == ["x:6.1", "x:6.2", "x:6.3", "x:7"]
    told = without_times(b"".join(made))
    before = [USER, {"id": "x/chat", "role": "assistant", "content": "Hi"}]
    more = {"messageId": "x/chat@2"}
    assert checked(told) == [
        start("r2", "t1"),
        {"type": "MESSAGES_SNAPSHOT", "messages": before},
        {"type": "STATE_SNAPSHOT", "snapshot": {"n": 1}},
        shown(answer("chat")),
        {"type": "TEXT_MESSAGE_START", **more, "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", **more, "delta": "Yes"},
        {"type": "TEXT_MESSAGE_END", **more},
        {
            "type": "RUN_FINISHED",
            "threadId": "t1",
            "runId": "r2",
            "outcome": {"type": "success"},
        },
    ]
    checked(until_pause(events[:6]), told)


def test_suspends_agents_and_steps_and_leaves_tools_without_a_result() -> None:
    tool = "chat/ask/llm/book"
    asked = question(tool, expires="2026-01-02T03:05:00Z", to="ann")
    before = [
        ROOT,
        call("agent", "chat/ask", detail="Asks"),
        call("agent", "chat/other"),
        call("llm", "chat/ask/llm"),
        call("tool", tool, input={"n": 1}),
        asked,
    ]
    after = [
        answer(tool),
        call("tool", tool, "completed", output="booked"),
        call("llm", "chat/ask/llm", "completed"),
        call("agent", "chat/ask", "completed"),
        call("agent", "chat/other", "completed"),
        END,
    ]

    first, second = until_pause(before), said(rest(1), before + after)

    checked(first, second)
    agent = {"subagentRunId": "x/chat/ask"}
    outcome = {"type": "suspended", "interruptIds": ["x/1"]}
    assert first[-4:-1] == [
        {"type": "STEP_FINISHED", "stepName": "chat/ask/llm", **agent},
        {
            "type": "SUBAGENT_FINISHED",
            "outcome": {"type": "suspended"},
            "subagentRunId": "x/chat/other",
        },
        {"type": "SUBAGENT_FINISHED", "outcome": outcome, **agent},
    ]
    assert first[-1]["outcome"]["interrupts"] == [
        INTERRUPT
        | {
            "toolCallId": f"x/{tool}",
            **agent,
            "expiresAt": "2026-01-02T03:05:00Z",
            "metadata": {"address": tool, "to": "ann"},
        }
    ]
    assert second[2:5] == [
        {"type": "SUBAGENT_STARTED", "name": "ask", "description": "Asks", **agent},
        {"type": "SUBAGENT_STARTED", "name": "other", "subagentRunId": "x/chat/other"},
        {"type": "STEP_STARTED", "stepName": "chat/ask/llm", **agent},
    ]
    assert [each["type"] for each in second[6:]] == [
        "TOOL_CALL_RESULT",
        "STEP_FINISHED",
        "SUBAGENT_FINISHED",
        "SUBAGENT_FINISHED",
        "RUN_FINISHED",
    ]


def test_asks_all_that_is_open_and_begins_behind_the_last_that_is_answered() -> None:
    form = {"type": "object", "properties": {"a": {"type": "string"}}}
    two = question("chat", 2, response_schema=form)
    events = [ROOT, ASKED, two, text("chat", "A"), answer("chat", 2), END]

    first = until_pause(events[:4])
    both = said(rest(1, 2), events)
    one = rest(1)
    partial = said(one, events[:4])

    interrupts = first[-1]["outcome"]["interrupts"]
    assert [(i["id"], i["reason"]) for i in interrupts] == [
        ("x/1", "confirmation"),
        ("x/2", "input_required"),
    ]
    begin = [start("r2"), {"type": "MESSAGES_SNAPSHOT", "messages": []}]
    assert both[:2] == begin
    assert [each["type"] for each in both[2:4]] == [
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
    ]
    # What is answered is not asked again, even if the log does not say so yet.
    assert partial[:3] == [*begin, shown(two)]
    assert one.waits
    (again,) = without_times(one.pause())[-1]["outcome"]["interrupts"]
    assert again["id"] == "x/2"
    checked(first, [*partial, *without_times(one.pause())])


@pytest.mark.parametrize("action", ["accept", "decline", "expired", "cancelled"])
def test_waits_no_more_when_a_question_is_closed(action: str) -> None:
    format = AGUIFormat("x", "x")
    fed(format, [ROOT, ASKED, question("chat", 2)])
    closed = said(format, [answer("chat", 2, action), answer("chat", 1, action)], 4)
    assert (format.waits, rest(1).waits) == (False, False)
    assert [each["value"]["action"] for each in closed] == [action] * 2


def test_needs_no_question_for_an_answer() -> None:
    format = AGUIFormat("x", "x")
    # A question that expires before the store has it is never published.
    told = said(format, [ROOT, answer("chat", 1, "expired")])
    assert (told[-1]["name"], format.waits) == ("input_answer", False)


def test_pauses_any_number_of_times_and_goes_on_as_if_it_had_not() -> None:
    whole, pausing = AGUIFormat("x", "x"), AGUIFormat("x", "x")
    events = [ROOT, call("llm", "chat/llm"), ASKED, text("chat/llm", "A"), END]
    for number, each in enumerate(events, 1):
        assert fed(pausing, [each], number) == fed(whole, [each], number)
        assert not pausing.waits or pausing.pause() == pausing.pause()


def test_begins_a_run_for_a_question_that_is_still_open() -> None:
    format = rest(1)
    assert said(format, [ROOT, ASKED, question("chat", 2)][:2]) == []
    format = rest(1)
    events = [ROOT, question("chat", 2), ASKED]
    assert said(format, events) == []
    told = without_times(format.pause())
    assert [each["type"] for each in checked(told)] == [
        "RUN_STARTED",
        "MESSAGES_SNAPSHOT",
        "RUN_FINISHED",
    ]
    assert without_times(b"".join(fed(format, [END], 4)))[:2] == told[:2]


def test_rewinds_a_client_that_has_reasoning_of_the_rest() -> None:
    events = [ROOT, ASKED, answer("chat"), thought("chat", "hm"), END]
    plain, rewound = rest(1), rest(1, of=AGUIRewindFormat)
    for number, each in enumerate(events, 1):
        (a,), (b,) = fed(plain, [each], number), fed(rewound, [each], number)
        types = [each["type"] for each in without_times(b)]
        assert (types[1:4] == ["MESSAGES_SNAPSHOT"] * 3) == (number == 3)
        assert a == b or number == 3


def test_says_the_end_of_an_execution_that_has_lost_the_question() -> None:
    lost = event("lost", message="It died")
    told = said(rest(1), [ROOT, call("agent", "chat/a"), text("chat", "A"), lost])
    message = {"id": "x/chat", "role": "assistant", "content": "A"}
    assert [each["type"] for each in checked(told)] == [
        "RUN_STARTED",
        "MESSAGES_SNAPSHOT",
        "SUBAGENT_STARTED",
        "SUBAGENT_ERROR",
        "RUN_ERROR",
    ]
    assert told[1]["messages"] == [message]


def test_says_all_that_is_kept_where_the_question_is_not() -> None:
    format = rest(1)
    begin = format.reset("trimmed", 7)
    assert begin is not None
    told = without_times(begin) + said(format, [text("chat", "A"), END], 7)
    assert told[0] == start("r2")
    assert [each["type"] for each in told[1:]] == [
        "MESSAGES_SNAPSHOT",
        "CUSTOM",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "RUN_FINISHED",
    ]


def test_shows_older_clients_the_same_interrupt() -> None:
    events = [ROOT, ASKED]
    assert until_pause(events, AGUIDraftFormat("x", "x")) == until_pause(events)


def test_is_a_format_that_pauses() -> None:
    assert isinstance(AGUIFormat("x", "x"), PausingFormat)
    assert (AGUIFormat("x", "x").key, rest(2).key) == (None, ("r2", frozenset({2})))


@pytest.mark.parametrize(
    ("id", "parts"),
    [
        ("x/1", ("x", 1)),
        ("a/b/12", ("a/b", 12)),
        *[
            (id, None)
            for id in ["", "x", "/1", "x/", "x/a", "x/-1", "x/01", "x/1 ", "x/²"]
        ],
        ("x/" + "9" * 10, None),
    ],
)
def test_reads_the_ids_of_its_interrupts(id: str, parts: Any) -> None:
    assert parse_interrupt_id(id) == parts


@settings(max_examples=50, deadline=None)
@given(events=executions(), data=st.data())
def test_is_accepted_wherever_it_is_interrupted(
    events: list[Members], data: st.DataObject
) -> None:
    *before, end = events
    at = data.draw(st.integers(1, len(before)))
    named = {each["address"] for each in before[:at] if each["address"]}
    address = data.draw(st.sampled_from(sorted({"chat", *named})))
    later = data.draw(st.integers(at, len(before)))
    asked, answered = question(address), answer(address)
    first = [*before[:at], asked, *before[at:later]]
    whole = [*first, answered, *before[later:], end]

    told, rest_told = until_pause(first), said(rest(1), whole)

    checked(told, rest_told)
    assert transcript(rest_told) == transcript(said(AGUIFormat("x", "x"), whole))
    blocks = fed(rest(1), whole)
    assert all(not made for made in blocks[: at + 1])
    ids = [id for made in blocks[:-1] for id, _ in parsed(made)]
    assert len(set(ids)) == len(ids)


def transcript(told: list[Members]) -> list[Members]:
    """The messages that a client has in the end."""
    made = Transcript()
    for each in told:
        made.add(each)
    return made.messages


def test_needs_no_ids_in_the_log() -> None:
    run = AGUIRun("r1", "t1")
    for each in (ROOT, ASKED):
        run.take(json.loads(json.dumps(each)))
    assert run.questions.interrupts()[0]["id"] == "r1/1"
