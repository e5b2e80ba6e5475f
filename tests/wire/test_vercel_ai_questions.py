"""Questions in the UI message stream of the AI SDK."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from asgi_events.events import (
    CancelledEvent,
    CompleteEvent,
    ErrorEvent,
    InputAnswerEvent,
    InputRequestEvent,
)
from asgi_events.wire.encoding import encode_json
from asgi_events.wire.vercel_ai import VercelAIApprovalsFormat, VercelAIFormat
from asgi_events.wire.vercel_ai_questions import question_number
from asgi_events.wire.waits import last_wait
from tests.wire.test_vercel_ai import (
    BEGIN,
    TOOL,
    call,
    ended,
    finish,
    opened,
    question,
    stream,
    text,
)
from tests.wire.ui_message_stream import DONE, accept, chunks

STEP = [{"type": "finish-step"}, {"type": "start-step"}]
WIDTHS = {"type": "object", "properties": {"width": {"type": "integer"}}}

Make = type[VercelAIFormat]


def told(*events: BaseModel, make: Make = VercelAIApprovalsFormat) -> list[Any]:
    """The chunks after those of the beginning, of events in a running root."""
    made = chunks(stream([call("agent", "chat"), *events], make=make))
    assert made[:2] == BEGIN
    return made[2:]


def place(number: int) -> dict[str, Any]:
    metadata = {"execution": "e1", "event": number}
    return {"type": "message-metadata", "messageMetadata": metadata}


def asked(
    n: int = 1, at: str = "chat", *, approval: bool = True, **input: Any
) -> list[Any]:
    id = f"e1/inputs/{n}"
    shown = {"n": n, "message": "Well?", "response_schema": {"type": "boolean"}}
    part = {
        "type": "tool-input-available",
        "toolCallId": id,
        "toolName": "ask",
        "input": shown | input,
        "dynamic": True,
        "providerMetadata": {"asgi-events": {"address": at, "n": n}},
    }
    request = {"type": "tool-approval-request", "approvalId": id, "toolCallId": id}
    return [part, request] if approval else [part]


def answer(
    action: Literal["accept", "decline", "expired", "cancelled"],
    n: int = 1,
    **more: Any,
) -> InputAnswerEvent:
    return InputAnswerEvent(address="chat", n=n, action=action, **more)


def output(n: int = 1, **output: Any) -> dict[str, Any]:
    about = {"toolCallId": f"e1/inputs/{n}", "output": output, "dynamic": True}
    return {"type": "tool-output-available", **about}


def failure(message: str, n: int = 1) -> dict[str, Any]:
    about = {"toolCallId": f"e1/inputs/{n}", "errorText": message, "dynamic": True}
    return {"type": "tool-output-error", **about}


DENIED = {"type": "tool-output-denied", "toolCallId": "e1/inputs/1"}


def test_asks_in_a_step_of_its_own_after_the_texts() -> None:
    assert told(text("chat", "Hm"), question()) == [
        *opened("chat", "Hm"),
        {"type": "text-end", "id": "chat"},
        place(3),
        *STEP,
        *asked(),
    ]


def test_asks_for_any_other_form_without_an_approval() -> None:
    expires = datetime(2026, 1, 2, tzinfo=UTC)
    request = InputRequestEvent(
        address="chat/fit",
        n=3,
        message="How wide?",
        response_schema=WIDTHS,
        expires=expires,
        to="ann",
    )

    shown = {
        "message": "How wide?",
        "response_schema": WIDTHS,
        "expires": "2026-01-02T00:00:00Z",
        "to": "ann",
    }
    part = asked(3, "chat/fit", approval=False, **shown)
    assert told(request) == [place(2), *STEP, *part]


def test_asks_clients_of_version_5_for_no_approval() -> None:
    assert told(question(), make=VercelAIFormat) == [
        place(2),
        *STEP,
        *asked(approval=False),
    ]


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (answer("accept"), output(action="accept")),
        (
            answer("accept", by="ann", content=True),
            output(action="accept", by="ann", content=True),
        ),
        (answer("accept", content=False), DENIED),
        (answer("decline", by="ann"), DENIED),
        (answer("expired"), failure("Nobody has answered in time")),
        (answer("cancelled"), failure("Nobody waits for the answer any more")),
    ],
)
def test_says_how_a_question_was_closed_and_begins_another_step(
    event: BaseModel, shown: dict[str, Any]
) -> None:
    said = told(question(), event, text("chat", "So"))

    assert said[5:] == [shown, *STEP, *opened("chat", "So")]


@pytest.mark.parametrize(
    ("make", "type"),
    [(VercelAIFormat, "boolean"), (VercelAIApprovalsFormat, "string")],
)
@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (answer("accept", content=False), output(action="accept", content=False)),
        (answer("decline"), failure("Declined")),
        (answer("decline", by="ann"), failure("Declined by ann")),
    ],
)
def test_says_how_a_question_without_an_approval_was_closed(
    make: Make, type: str, event: BaseModel, shown: dict[str, Any]
) -> None:
    said = told(question(type=type), event, make=make)

    assert said[-3:] == [shown, *STEP]


def test_asks_several_questions_in_one_step_until_all_are_closed() -> None:
    said = told(question(1), question(2), answer("accept", 1), answer("decline", 2))

    assert said == [
        place(2),
        *STEP,
        *asked(1),
        place(3),
        *asked(2),
        place(4),
        output(1, action="accept"),
        DENIED | {"toolCallId": "e1/inputs/2"},
        *STEP,
    ]


def test_holds_a_tool_back_that_starts_while_a_question_is_open() -> None:
    before = [call("tool", "chat/a"), call("tool", "chat/b"), question(1, "chat/a")]
    said = told(
        *before,
        call("tool", "chat/b", "completed", output=1),
        call("tool", "chat/c"),
        call("tool", "chat/c", "failed", message="no"),
        call("tool", "chat/d"),
        answer("accept"),
        call("tool", "chat/d", "completed", output=2),
    )

    def start(name: str) -> dict[str, Any]:
        about = {"toolCallId": f"chat/{name}", "toolName": name, "input": {}}
        return {"type": "tool-input-available", **about, **TOOL}

    def end(name: str, **how: Any) -> dict[str, Any]:
        kind = "error" if "errorText" in how else "available"
        about = {"type": f"tool-output-{kind}", "toolCallId": f"chat/{name}"}
        return {**about, **how, **TOOL}

    assert said[2:] == [
        place(4),
        *STEP,
        *asked(1, "chat/a"),
        end("b", output=1),
        output(action="accept"),
        *STEP,
        start("c"),
        end("c", errorText="no"),
        start("d"),
        end("d", output=2),
    ]


def test_holds_no_more_than_a_hundred_chunks_back() -> None:
    started = [call("tool", f"chat/t#{number}") for number in range(2, 200)]

    said = told(question(), *started, answer("accept"))

    ids = [chunk.get("toolCallId", "") for chunk in said[5:]]
    shown = [int(id.partition("#")[2]) for id in ids if "#" in id]
    assert shown == [*range(102, 200), *range(2, 102)]


@pytest.mark.parametrize(
    ("end", "last"),
    [
        (CompleteEvent(), finish()[1:]),
        (
            ErrorEvent(message="broken"),
            ended("failed", {"type": "error", "errorText": "broken"}),
        ),
        (
            CancelledEvent(message="stopped"),
            ended("cancelled", {"type": "abort", "reason": "stopped"}),
        ),
    ],
)
def test_closes_a_question_that_is_open_at_the_end(
    end: BaseModel, last: list[Any]
) -> None:
    run = [call("agent", "chat"), question(), call("tool", "chat/a"), end]

    made = stream(run, end="completed", make=VercelAIApprovalsFormat)

    accept(made)
    said = chunks(made)
    closed = next(i for i, chunk in enumerate(said) if chunk in STEP and i > 5) - 1
    assert said[closed]["toolCallId"] == "e1/inputs/1"
    assert said[closed + 1 : closed + 3] == STEP
    assert [c["type"] for c in said[closed + 3 : closed + 5]] == [
        "tool-input-available",
        f"tool-output-{'available' if last[0]['type'] == 'finish' else 'error'}",
    ]
    assert said[-len(last) :] == last


def test_says_nothing_of_an_answer_to_what_it_has_not_asked() -> None:
    assert told(answer("accept", 7)) == []


def test_names_the_questions_that_are_open_where_a_response_may_end() -> None:
    format = VercelAIApprovalsFormat("e1")
    events = [
        call("agent", "chat"),
        question(1),
        question(2),
        text("chat", "Hm"),
        answer("expired", 2),
        answer("accept", 1),
        question(3),
        CompleteEvent(),
    ]

    waits = []
    for number, event in enumerate(events, 1):
        words = format.frame(number, b"e1:%d" % number, encode_json(event))
        wait = last_wait(words)
        assert wait is None or wait.stop == len(words)
        waits.append(wait and sorted(wait.questions))

    assert waits == [None, [1], [1, 2], None, [1], [], [3], []]


def test_ends_a_response_that_waits_with_a_step_and_a_message() -> None:
    finish = {"type": "finish", "finishReason": "tool-calls"}
    assert chunks(VercelAIFormat("e1").pause()) == [STEP[0], finish, DONE]


def test_finds_the_last_place_where_a_response_may_end() -> None:
    text = b'data: ": waiting 9"\n\n'
    assert last_wait(text) is None
    words = text + b": waiting 1\n" + text + b": waiting 1 2\n" + text
    found = last_wait(words)
    assert found == (len(words) - len(text), {1, 2})


@pytest.mark.parametrize(
    ("id", "n"),
    [
        ("e1/inputs/12", 12),
        ("e2/inputs/12", None),
        ("e1/inputs/", None),
        ("e1/inputs/-1", None),
        ("e1/inputs/1234567890", None),
        ("e1/inputs/\u0661", None),
        ("chat/look", None),
        (7, None),
    ],
)
def test_reads_the_number_of_a_question_from_its_id(id: Any, n: int | None) -> None:
    assert question_number("e1", id) == n
