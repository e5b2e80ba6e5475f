"""Questions in chats of the AI SDK: a response ends, and the next request answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

import pytest

from asgi_events import Executions, agent, current_state
from asgi_events.events import InputRequestEvent
from asgi_events.exceptions import InputDeclined, InputExpired
from asgi_events.executions.execution import Execution
from asgi_events.testing import Client
from asgi_events.ui import VercelAIApp
from tests.ui.chats import chat, message
from tests.ui.conftest import Run
from tests.ui.test_vercel_ai import STREAM, Hook, read, said, user
from tests.wire.test_vercel_ai_questions import STEP
from tests.wire.ui_message_stream import DONE

PAUSE = [STEP[0], {"type": "finish", "finishReason": "tool-calls"}, DONE]

Make = Callable[..., VercelAIApp]


@agent
async def book(text: str) -> str:
    """Ask whether, and which seat; ``text`` says how long to wait."""
    state = current_state()
    timeout = float(text) if text != "-" else None
    try:
        ok = await state.ask("Book?", timeout=timeout)
        await state.text("One. ")
        seat = await state.ask("Where?", Literal["window", "aisle"])
    except (InputDeclined, InputExpired) as error:
        return type(error).__name__
    return f"{ok} {seat}"


@pytest.fixture
def make(run: Run) -> Make:
    def make(actor: Any = book, **more: Any) -> VercelAIApp:
        return VercelAIApp(run(actor), actor, **{"sdk_version": 6, **more})

    return make


def has(
    execution: Execution | str, event: int, *parts: dict[str, Any], **metadata: Any
) -> dict[str, Any]:
    """The message of the assistant as a client has it that has some events of it."""
    id = execution if isinstance(execution, str) else execution.id
    about = {"execution": id, "event": event, **metadata}
    given = [part | {"toolCallId": f"{id}/inputs/{part['n']}"} for part in parts]
    return {"id": id, "role": "assistant", "parts": given, "metadata": about}


def part(n: int, state: str, **members: Any) -> dict[str, Any]:
    return {"type": "dynamic-tool", "n": n, "state": state, **members}


def responded(n: int = 1, approved: Any = True) -> dict[str, Any]:
    approval = {"id": "a", "approved": approved}
    return part(n, "approval-responded", approval=approval)


def seated(output: Any = "aisle", n: int = 2) -> dict[str, Any]:
    return part(n, "output-available", output=output)


async def start(app: VercelAIApp, text: str = "-", **more: Any) -> Execution:
    """Post a message, and return the execution, which waits."""
    client = Client(app, **more)
    c = await client.post("/api/chat", json=chat(text))
    made = read(c.body)
    assert made[-3:] == PAUSE
    found = await app.executions.get(made[0]["messageId"])
    assert found is not None
    return found


async def post(app: VercelAIApp, *messages: Any, headers: Any = None) -> Any:
    """Post messages after one of the user."""
    body = chat(messages=[message("-"), *messages])
    return await Client(app, headers=headers or {}).post("/api/chat", json=body)


def numbers(made: list[Any]) -> list[int]:
    """The numbers of the questions that are asked."""
    return [
        chunk["input"]["n"] for chunk in made if chunk["type"] == "tool-input-available"
    ]


async def answers(execution: Execution) -> list[tuple[str, Any]]:
    """How the questions were closed."""
    asked = await execution.questions()
    return [(q.answer.action, q.answer.content) for q in asked if q.answer is not None]


async def test_goes_on_with_each_answer(make: Make) -> None:
    app = make()

    execution = await start(app)
    second = await post(app, has(execution, 3, responded()))
    third = await post(app, has(execution, 7, seated()))

    made = read(second.body)
    assert "start" not in [chunk["type"] for chunk in made[:-3]]
    assert said(second.body) == "One. "
    assert numbers(made[:-3]) == [2] and made[-3:] == PAUSE
    assert made[0]["type"] == "tool-output-available"
    place = {"execution": execution.id, "event": 6}
    assert {"type": "message-metadata", "messageMetadata": place} in made
    assert read(third.body)[-2]["messageMetadata"]["result"] == "True aisle"
    assert await answers(execution) == [("accept", True), ("accept", "aisle")]
    assert list(app.executions) == [execution]


@pytest.mark.parametrize(
    "given",
    [
        responded(approved=False),
        responded(approved=None),
        part(1, "approval-responded"),
        part(1, "output-error", errorText="No"),
        part(1, "output-denied"),
    ],
)
async def test_declines(make: Make, given: dict[str, Any]) -> None:
    app = make()
    execution = await start(app)

    c = await post(app, has(execution, 3, given))

    made = read(c.body)
    assert made[0] == {
        "type": "tool-output-denied",
        "toolCallId": f"{execution.id}/inputs/1",
    }
    assert made[-2]["messageMetadata"]["result"] == "InputDeclined"
    assert await answers(execution) == [("decline", None)]


async def test_takes_the_same_request_again(make: Make) -> None:
    app = make()
    execution = await start(app)
    body = has(execution, 3, responded())

    first, again = await post(app, body), await post(app, body)

    assert read(first.body) == read(again.body)
    assert await answers(execution) == [("accept", True)]


async def test_goes_on_where_another_answer_was_first(make: Make) -> None:
    app = make()
    execution = await start(app)
    await execution.decline(1, by="ann")
    await execution.wait()

    c = await post(app, has(execution, 3, responded()))

    made = read(c.body)
    assert (c.status, made[0]["type"]) == (200, "tool-output-denied")
    assert made[-2]["messageMetadata"]["result"] == "InputDeclined"


@pytest.mark.parametrize("approved", [True, False])
async def test_goes_on_where_another_answer_is_first_at_the_last_moment(
    make: Make, monkeypatch: pytest.MonkeyPatch, approved: bool
) -> None:
    app = make()
    execution = await start(app)
    look = Execution.questions

    async def questions(self: Execution) -> Any:
        seen = await look(self)
        if all(each.answer is None for each in seen):
            await self.answer(1, not approved)
        return seen

    monkeypatch.setattr(Execution, "questions", questions)
    c = await post(app, has(execution, 3, responded(approved=approved)))

    assert (c.status, read(c.body)[-3:]) == (200, PAUSE)
    assert (await answers(execution))[0] == ("accept", not approved)


async def test_goes_on_where_nobody_waits_any_more(make: Make) -> None:
    app = make()
    execution = await start(app, "0.2")
    await execution.wait()

    c = await post(app, has(execution, 3, responded()))

    made = read(c.body)
    assert made[0]["errorText"] == "Nobody has answered in time"
    assert made[-2]["messageMetadata"]["result"] == "InputExpired"


async def test_shows_what_waits_to_a_client_that_resumes(make: Make) -> None:
    app = make()
    execution = await start(app)

    first = read((await Client(app).get(STREAM)).body)
    await post(app, has(execution, 3, responded()))
    second = read((await Client(app).get(STREAM)).body)
    await post(app, has(execution, 7, seated()))
    third = read((await Client(app).get(STREAM)).body)

    assert [made[0]["type"] for made in (first, second, third)] == ["start"] * 3
    assert [numbers(made[:-3]) for made in (first, second)] == [[1], [1, 2]]
    assert [made[-3:] for made in (first, second)] == [PAUSE, PAUSE]
    assert (third[-2]["finishReason"], third[-1]) == ("stop", DONE)
    # Each goes on with what the one before had.
    assert second[: len(first) - 3] == first[:-3]
    assert third[: len(second) - 3] == second[:-3]


async def test_ends_the_stream_of_a_client_that_watches(make: Make) -> None:
    begun = asyncio.Event()

    @agent
    async def slow(text: str) -> bool:
        await current_state().text("Hm")
        await begun.wait()
        return bool(await current_state().ask("Well?"))

    app = make(slow)
    client = Client(app)
    async with (
        client.connect("POST", "/api/chat", json=chat()) as first,
        client.connect("GET", STREAM) as second,
    ):
        for c in (first, second):
            await c.until(b"Hm")
        begun.set()
        for c in (first, second):
            await c.end()

    assert read(first.body) == read(second.body)
    assert read(first.body)[-3:] == PAUSE


async def test_asks_what_is_asked_at_once_in_one_response(make: Make) -> None:
    @agent
    async def both(text: str) -> list[Any]:
        ask = current_state().ask
        return list(await asyncio.gather(ask("A?"), ask("B?"), return_exceptions=True))

    app = make(both)
    execution = await start(app)
    shown = read((await Client(app).get(STREAM)).body)
    open = part(2, "approval-requested")
    closed = part(1, "output-available", output={"action": "accept"})
    one = await post(app, has(execution, 4, responded(), open))
    other = await post(app, has(execution, 5, closed, responded(2)))

    assert numbers(shown[:-3]) == [1, 2]
    assert read(one.body)[-3:] == PAUSE
    assert {"execution": execution.id, "event": 5} in [
        chunk.get("messageMetadata") for chunk in read(one.body)[:-1]
    ]
    assert read(other.body)[-2]["messageMetadata"]["result"] == [True, True]


@pytest.mark.parametrize("output", ["middle", {"seat": "aisle"}, None])
async def test_answers_422_to_what_does_not_fit_and_changes_nothing(
    make: Make, output: Any
) -> None:
    app = make()
    execution = await start(app)
    await post(app, has(execution, 3, responded()))

    c = await post(app, has(execution, 7, responded(), seated(output)))

    assert c.status == 422
    assert await answers(execution) == [("accept", True)]


async def test_answers_404_to_what_was_not_asked_and_changes_nothing(
    make: Make,
) -> None:
    app = make()
    execution = await start(app)
    body = has(execution, 3, responded(), seated("x", n=9))

    c = await post(app, body)
    closed = await answers(execution)
    await execution.cancel()
    await execution.wait()
    over = await post(app, body)

    assert (c.status, (await c.json())["n"], closed) == (404, 9, [])
    assert (over.status, read(over.body)[-2]["type"]) == (200, "abort")


async def test_takes_no_answer_to_a_question_that_redact_hides(run: Run) -> None:
    def hide(event: Any) -> Any:
        return None if isinstance(event, InputRequestEvent) else event

    app = VercelAIApp(run(book, redact=hide), book, sdk_version=6)
    execution = await app.executions.start("book", {"text": "-"}, thread="c1")
    while not await execution.questions():  # noqa: ASYNC110
        await asyncio.sleep(0)

    c = await post(app, has(execution, 3, responded()))

    assert c.status == 404
    assert await answers(execution) == []


async def test_asks_for_no_approvals_by_default(make: Make) -> None:
    app = make(sdk_version=5)
    execution = await start(app)

    made = read((await Client(app).get(STREAM)).body)
    c = await post(app, has(execution, 3, seated(True, n=1)))

    assert "tool-approval-request" not in [each["type"] for each in made[:-1]]
    assert numbers(read(c.body)[:-3]) == [2]


async def test_starts_another_execution_after_a_message_that_is_whole(
    make: Make,
) -> None:
    app = make()
    execution = await start(app)
    await execution.cancel()
    await execution.wait()

    last = has(execution, 3, responded(), status="cancelled")
    c = await post(app, last)

    assert read(c.body)[0]["messageId"] != execution.id


@pytest.mark.parametrize(
    "metadata",
    [None, {}, {"event": 3}, {"execution": 1, "event": 3}, {"event": "3"}, "x"],
)
async def test_takes_a_message_without_its_place_for_a_new_request(
    make: Make, metadata: Any
) -> None:
    app = make()
    execution = await start(app)

    c = await post(app, has(execution, 3, responded()) | {"metadata": metadata})

    assert (c.status, (await c.json())["execution"]) == (409, execution.id)
    assert await answers(execution) == []


async def test_finds_the_message_that_the_request_names(make: Make) -> None:
    app = make()
    execution = await start(app)
    messages = [has(execution, 3, responded()), message("And?", id="m2")]
    body = chat(messages=[message("-"), *messages], messageId=execution.id)

    c = await Client(app).post("/api/chat", json=body)

    assert numbers(read(c.body)[:-3]) == [2]


async def test_knows_no_message_of_another_owner_chat_or_actor(run: Run) -> None:
    @agent
    async def other(text: str) -> None: ...

    executions: Executions = run(book, other)
    hook = Hook()
    app, elsewhere = (
        VercelAIApp(executions, actor, authorize=hook, sdk_version=6)
        for actor in (book, other)
    )
    mine = await start(app, headers=user("ann"))
    body = has(mine, 3, responded())

    refused = [
        await post(app, body, headers=user("bob")),
        await post(elsewhere, body, headers=user("ann")),
        await post(app, has("none", 3, responded()), headers=user("ann")),
        await Client(app, headers=user("ann")).post(
            "/api/chat", json=chat(messages=[body], id="c2")
        ),
    ]

    assert [c.status for c in refused] == [404] * 4
    assert await answers(mine) == []


async def test_asks_authorize_whether_the_caller_may_answer(make: Make) -> None:
    hook = Hook()
    app = make(authorize=hook)
    execution = await start(app, headers=user("ann"))
    hook.asked.clear()
    hook.refused.add(("ann", "answer"))

    c = await post(app, has(execution, 3, responded()), headers=user("ann"))

    assert c.status == 403
    assert hook.asked == [("start", False, "book"), ("answer", True, "book")]


async def test_goes_on_in_another_process(make: Make, tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path}/events.db"
    async with Executions(book, store=url) as one, Executions(book, store=url) as two:
        here, there = (VercelAIApp(e, book, sdk_version=6) for e in (one, two))
        execution = await start(here)

        resumed = await Client(there).get(STREAM)
        second = await post(there, has(execution, 3, responded()))
        third = await post(there, has(execution, 7, seated()))

    assert read(resumed.body)[-3:] == PAUSE
    assert said(second.body) == "One. "
    assert read(second.body)[-3:] == PAUSE
    assert read(third.body)[-2]["messageMetadata"]["result"] == "True aisle"


def test_refuses_another_version() -> None:
    with pytest.raises(ValueError, match="sdk_version must be 5, 6 or 7, got 4"):
        VercelAIApp(Executions(book), book, sdk_version=4)  # type: ignore[arg-type]
