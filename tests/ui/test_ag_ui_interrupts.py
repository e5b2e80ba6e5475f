"""Interrupts of AG-UI, and the requests that answer them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asgi_events import agent, current_state
from asgi_events.events import InputRequestEvent
from asgi_events.exceptions import Forbidden, InputDeclined, InputExpired
from asgi_events.executions.execution import Execution
from asgi_events.testing import Client, Connection, virtual_time
from asgi_events.ui import AGUIApp
from tests import TIMEOUT
from tests.ui.conftest import Run
from tests.ui.test_ag_ui import USER, asked, read, said
from tests.wire.ag_ui_events import parsed

Make = Callable[..., AGUIApp]
Members = dict[str, Any]


@agent
async def book(text: str) -> str:
    """Ask once or twice, as the user says, and tell what came of it."""
    state = current_state()
    await state.text("I look.")
    made: list[str] = []

    async def ask(message: str, **options: Any) -> None:
        try:
            made.append(f"{message} {await state.ask(message, **options)}")
        except (InputDeclined, InputExpired) as closed:
            made.append(type(closed).__name__)

    if "both" in text:
        await asyncio.gather(ask("Book?"), ask("Who?", type=str))
    else:
        await ask("Book?", timeout=0.2 if "soon" in text else None)
    if "again" in text:
        await ask("Sure?", echo=True)
    await asyncio.sleep(0)
    await state.text(", ".join(made))
    return "done"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asgi_events.log.translated.PAUSE", 0.01)


@pytest.fixture
def make(run: Run) -> Make:
    """Makes an app of one actor."""

    def make(actor: Any = book, *, options: Any = None, **more: Any) -> AGUIApp:
        return AGUIApp(run(actor, **(options or {})), actor, **more)

    return make


def starts(text: str = "Hi", **more: Any) -> Members:
    return asked(messages=[USER | {"content": text}], **more)


def resume(run: str, interrupts: list[Members], *payloads: Any, **more: Any) -> Members:
    """A request that answers interrupts; a payload of None cancels."""
    entries = [
        {"interruptId": interrupt["id"], "status": "resolved", "payload": payload}
        if payload is not None
        else {"interruptId": interrupt["id"], "status": "cancelled"}
        for interrupt, payload in zip(interrupts, payloads, strict=True)
    ]
    return asked(run, resume=entries) | more


def interrupts_of(made: Connection) -> list[Members]:
    """What the end of a stream asks."""
    outcome = read(made)[-1]["outcome"]
    assert outcome["type"] == "interrupt"
    interrupts: list[Members] = outcome["interrupts"]
    return interrupts


def the(app: AGUIApp) -> Execution:
    (execution,) = app.executions
    return execution


async def asked_by(execution: Execution) -> None:
    """Wait until it has asked, which viewers need not see."""
    while not await execution.questions():  # noqa: ASYNC110
        await asyncio.sleep(0)


def error_of(made: Connection) -> tuple[str, str]:
    ((_, told),) = parsed(made.body)
    assert told.pop("type") == "RUN_ERROR"
    return told["code"], told["message"]


async def test_ends_with_an_interrupt_and_goes_on_with_the_answer(make: Make) -> None:
    app = make()
    client = Client(app)

    first = await client.post("/ag-ui", json=starts())
    (interrupt,) = interrupts_of(first)
    second = await client.post("/ag-ui", json=resume("r2", [interrupt], True))

    execution = the(app)
    assert first.ended
    assert interrupt == {
        "id": f"{execution.id}/1",
        "reason": "confirmation",
        "message": "Book?",
        "responseSchema": {"type": "boolean"},
        "metadata": {"address": "book"},
    }
    begin, snapshot, answer, *_, end = read(second)
    assert (begin["type"], begin["runId"], begin["threadId"]) == (
        "RUN_STARTED",
        "r2",
        "t1",
    )
    message = {"id": f"{execution.id}/book", "role": "assistant", "content": "I look."}
    assert snapshot["messages"] == [USER, message]
    assert answer["value"] == {"address": "book", "n": 1, "action": "accept"}
    assert said(second) == "Book? True"
    assert (end["runId"], end["result"]) == ("r2", "done")


async def test_asks_all_questions_at_once_and_takes_an_answer_for_each(
    make: Make,
) -> None:
    app = make()
    client = Client(app)

    first = await client.post("/ag-ui", json=starts("both"))
    two = interrupts_of(first)
    second = await client.post("/ag-ui", json=resume("r2", two, None, "Ann"))

    assert [(i["message"], i["reason"]) for i in two] == [
        ("Book?", "confirmation"),
        ("Who?", "input_required"),
    ]
    assert said(second) in ("InputDeclined, Who? Ann", "Who? Ann, InputDeclined")


async def test_asks_again_what_was_not_answered_and_what_comes_later(
    make: Make,
) -> None:
    app = make()
    client = Client(app)

    first = await client.post("/ag-ui", json=starts("both again"))
    one, other = interrupts_of(first)
    second = await client.post("/ag-ui", json=resume("r2", [one], True))
    third = await client.post("/ag-ui", json=resume("r3", [other], "Ann"))
    (last,) = interrupts_of(third)
    fourth = await client.post("/ag-ui", json=resume("r3", [last], True))

    assert interrupts_of(second) == [other]
    assert last["message"] == "Sure?"
    assert read(fourth)[2]["value"]["content"] is True
    assert said(fourth) == "Book? True, Who? Ann, Sure? True"


async def test_gives_the_same_for_the_same_answer_and_after_each_block_the_rest(
    make: Make,
) -> None:
    app = make()
    client = Client(app)
    two = interrupts_of(await client.post("/ag-ui", json=starts("both")))
    body = resume("r2", two, True, "Ann")

    first = await client.post("/ag-ui", json=body)
    again = await client.post("/ag-ui", json=body)
    other = await client.post("/ag-ui", json=body | {"runId": "r1"})

    assert first.body == again.body
    assert other.body == first.body.replace(b'"r2"', b'"r1"')
    blocks = first.body.partition(b"\n")[2].split(b"\n\n")[:-1]
    for n, block in enumerate(blocks[:-1], 1):
        id = block.partition(b"\n")[0].removeprefix(b"id: ").decode()
        headers = {"last-event-id": id}
        rest = await client.post("/ag-ui", json=body, headers=headers)
        assert rest.body.partition(b"\n")[2].split(b"\n\n")[:-1] == blocks[n:]


async def test_shows_the_interrupt_again_to_who_comes_back(make: Make) -> None:
    app = make()
    client = Client(app)

    first = await client.post("/ag-ui", json=starts())
    connected = await client.post("/ag-ui/connect", json=asked("r9"))
    joined = await client.get("/ag-ui?runId=r1")
    same = await client.post("/ag-ui", json=starts())
    newest = {"last-event-id": f"{the(app).id}:{the(app).log.last}"}
    resumed = await client.post("/ag-ui", json=starts(), headers=newest)
    about = await (await client.get("/ag-ui?threadId=t1")).json()

    assert connected.body == joined.body == same.body == first.body
    end = first.body[first.body.rindex(b"data:") :]
    assert resumed.body.partition(b"\n")[2] == end
    pending = {"runId": "r1", "pending": interrupts_of(first)}
    assert (about["interrupts"], about["activeRun"]) == (pending, {"runId": "r1"})


async def test_streams_whole_what_was_answered_elsewhere(make: Make) -> None:
    app = make()
    client = Client(app)
    first = await client.post("/ag-ui", json=starts())

    await the(app).answer(1, False, by="bob")
    connected = await client.post("/ag-ui/connect", json=asked("r9"))

    assert said(first) == "I look."
    assert said(connected) == "I look.Book? False"
    assert read(connected)[-1]["outcome"] == {"type": "success"}
    about = await (await client.get("/ag-ui?threadId=t1")).json()
    assert about["interrupts"] is None


@pytest.mark.parametrize("is_late", [True, False])
async def test_shows_what_stands_when_somebody_else_was_faster(
    make: Make, is_late: bool
) -> None:
    app = make()
    client = Client(app)
    interrupts = interrupts_of(await client.post("/ag-ui", json=starts()))

    await the(app).decline(1, by="bob")
    if is_late:
        await the(app).wait()
    second = await client.post("/ag-ui", json=resume("r2", interrupts, True))

    answer = read(second)[2]["value"]
    assert (answer["action"], answer["by"]) == ("decline", "bob")
    assert said(second) == "InputDeclined"


async def test_goes_on_after_a_question_that_has_expired(make: Make) -> None:
    app = make()
    client = Client(app)
    interrupts = interrupts_of(await client.post("/ag-ui", json=starts("soon")))
    assert interrupts[0]["expiresAt"].endswith("Z")
    await the(app).wait()

    for payload in (True, None):
        c = await client.post("/ag-ui", json=resume("r2", interrupts, payload))
        assert read(c)[2]["value"]["action"] == "expired"
        assert said(c) == "InputExpired"


async def test_refuses_a_new_message_while_it_asks(make: Make) -> None:
    app = make()
    client = Client(app)
    interrupts = interrupts_of(await client.post("/ag-ui", json=starts()))

    refused = await client.post("/ag-ui", json=asked("r2"))
    await client.post("/ag-ui", json=resume("r3", interrupts, True))
    taken = await client.post("/ag-ui", json=asked("r2"))

    problem = await refused.json()
    assert (refused.status, problem["execution"]) == (409, the_first(app).id)
    assert problem["detail"] == (
        "Thread 't1' waits for an answer; nothing was started. Answer with resume, or "
        f"cancel execution '{the_first(app).id}'. It asks: Book?"
    )
    assert interrupts_of(taken)


def the_first(app: AGUIApp) -> Execution:
    return list(app.executions)[0]


async def test_changes_nothing_where_an_answer_does_not_fit(make: Make) -> None:
    app = make()
    client = Client(app)
    two = interrupts_of(await client.post("/ag-ui", json=starts("both")))

    for payloads in ([True, 3], ["yes", "Ann"]):
        wrong = await client.post("/ag-ui", json=resume("r2", two, *payloads))
        code, message = error_of(wrong)
        assert code == "invalid_payload"
    entry = {"interruptId": two[0]["id"], "status": "resolved"}
    without = await client.post("/ag-ui", json=asked("r2", resume=[entry]))

    assert message == "Book? It must be true or false."
    assert error_of(without)[0] == "invalid_payload"
    assert len(await the(app).waiting()) == 2
    right = await client.post("/ag-ui", json=resume("r2", two, True, "Ann"))
    assert said(right).startswith("Book? True")


@pytest.mark.parametrize("id", ["{x}/2", "{x}/0", "{x}", "", "/1", "x" * 10_000])
async def test_refuses_an_interrupt_that_nobody_has_sent(make: Make, id: str) -> None:
    app = make()
    client = Client(app)
    await client.post("/ag-ui", json=starts())
    unknown = {"id": id.format(x=the(app).id)}

    c = await client.post("/ag-ui", json=resume("r2", [unknown], True))

    assert c.status == 200
    assert error_of(c)[0] == "unknown_interrupt"
    assert len(await the(app).waiting()) == 1


async def test_takes_no_answer_to_a_question_that_redact_hides(make: Make) -> None:
    def hide(event: Any) -> Any:
        return None if isinstance(event, InputRequestEvent) else event

    app = make(options={"redact": hide})
    execution = await app.executions.start("book", {"text": ""}, thread="t1")
    await asked_by(execution)
    hidden = {"id": f"{execution.id}/1"}

    refused = await Client(app).post("/ag-ui", json=resume("r2", [hidden], True))

    assert error_of(refused)[0] == "unknown_interrupt"
    (question,) = await execution.questions()
    assert question.answer is None


async def test_refuses_interrupts_of_several_runs_and_of_one_that_is_gone(
    make: Make,
) -> None:
    app = make()
    client = Client(app)
    (one,) = interrupts_of(await client.post("/ag-ui", json=starts()))
    (two,) = interrupts_of(await client.post("/ag-ui", json=asked("r2", thread="t2")))

    mixed = await client.post("/ag-ui", json=resume("r3", [one, two], True, True))
    gone = {"id": f"{'0' * 32}/1"}
    over = await client.post("/ag-ui", json=resume("r3", [gone], True))

    assert error_of(mixed)[0] == "unknown_interrupt"
    assert error_of(over) == (
        "gone",
        "Run 'r3' is over, and its events are not kept any more.",
    )


async def test_lets_nobody_else_answer(make: Make) -> None:
    def authorize(scope: Any, action: str, execution: Any) -> str:
        (name,) = [v.decode() for k, v in scope["headers"] if k == b"x-user"]
        if name == "reader":
            if action == "answer":
                raise Forbidden("not you")
            return "ann"
        if name == "both":
            return "bob" if action == "answer" else "ann"
        return str(name)

    app = make(authorize=authorize)

    def client(name: str) -> Client:
        return Client(app, headers={"x-user": name})

    interrupts = interrupts_of(await client("ann").post("/ag-ui", json=starts()))
    body = resume("r2", interrupts, True)
    stranger = await client("bob").post("/ag-ui", json=body)
    both = await client("both").post("/ag-ui", json=body)
    reader = await client("reader").post("/ag-ui", json=body)
    waiting = await the(app).waiting()
    owner = await client("ann").post("/ag-ui", json=body)

    assert error_of(stranger)[0] == error_of(both)[0] == "gone"
    assert reader.status == 403
    assert len(waiting) == 1
    assert read(owner)[2]["value"]["by"] == "ann"


async def test_ends_while_other_work_goes_on_and_repeats_no_message(
    make: Make,
) -> None:
    @agent
    async def busy(text: str) -> None:
        state = current_state()

        async def work() -> None:
            for number in range(40):
                await state.text(f"{number} ")
                await asyncio.sleep(0.005)

        async with asyncio.TaskGroup() as group:
            group.create_task(work())
            await asyncio.sleep(0)
            await state.ask("Stop?")

    app = make(busy)
    client = Client(app)
    first = await client.post("/ag-ui", json=starts())
    interrupts = interrupts_of(first)
    assert the(app).status == "started"
    second = await client.post("/ag-ui", json=resume("r2", interrupts, True))

    numbers = [f"{number} " for number in range(40)]
    seen = read(second)[1]["messages"][1:]
    before = "".join(message["content"] for message in seen)
    assert before + said(second) == "".join(numbers)
    assert said(first) == "".join(numbers)[: len(said(first))]


async def test_waits_anew_after_a_question_that_was_closed_at_once(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    @agent
    async def hesitant(text: str) -> None:
        state = current_state()
        asking = asyncio.ensure_future(state.ask("First?"))
        await asyncio.sleep(1)
        asking.cancel()
        await asyncio.sleep(60)
        asking = asyncio.ensure_future(state.ask("Second?"))
        await asyncio.sleep(1)
        await asyncio.gather(asking, state.ask("Third?"))

    monkeypatch.setattr("asgi_events.log.translated.PAUSE", 2)
    with virtual_time():
        c = await Client(make(hesitant)).post("/ag-ui", json=starts())

    assert [each["message"] for each in interrupts_of(c)] == ["Second?", "Third?"]


async def test_is_not_cancelled_before_the_client_is_back(make: Make) -> None:
    app = make(options={"cancel_after": 0})
    client = Client(app)
    interrupts = interrupts_of(await client.post("/ag-ui", json=starts()))

    await the(app).answer(1, True)
    for _ in range(20):
        await asyncio.sleep(0)
    second = await client.post("/ag-ui", json=resume("r2", interrupts, True))

    assert read(second)[-1]["outcome"] == {"type": "success"}


async def test_goes_on_in_any_process(run: Run, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/events.db"
    here, there = (AGUIApp(run(book, store=store), book) for _ in range(2))

    first = await Client(here).post("/ag-ui", json=starts())
    interrupts = interrupts_of(first)
    shown = await Client(there).post("/ag-ui/connect", json=asked("r9"))
    body = resume("r2", interrupts, True)
    second = await Client(there).post("/ag-ui", json=body)
    again = await Client(here).post("/ag-ui", json=body)

    assert shown.body == first.body
    assert said(second) == "Book? True"
    assert again.body == second.body


async def test_stops_a_run_that_asks(make: Make) -> None:
    app = make()
    client = Client(app)
    interrupts = interrupts_of(await client.post("/ag-ui", json=starts()))

    stopped = await client.post("/ag-ui/r1/stop")
    second = await client.post("/ag-ui", json=resume("r2", interrupts, True))

    assert (await stopped.json())["status"] == "cancelled"
    assert read(second)[-1]["outcome"] == {"type": "cancelled"}


async def test_shares_what_is_made_for_all_who_answer_alike(make: Make) -> None:
    app = make()
    client = Client(app)
    interrupts = interrupts_of(await client.post("/ag-ui", json=starts()))
    bodies = [resume(f"r{n % 2}", interrupts, True) for n in range(8)]

    async with asyncio.timeout(TIMEOUT):
        posts = [client.post("/ag-ui", json=body) for body in bodies]
        made = await asyncio.gather(*posts)

    assert len({c.body for c in made}) == 2
    assert [read(c)[0]["runId"] for c in made] == ["r0", "r1"] * 4
