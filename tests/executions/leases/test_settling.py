"""What has ended, and is lost by the store."""

from __future__ import annotations

import asyncio

import pytest

from asgi_events import Executions, agent, current_state
from asgi_events.exceptions import AlreadyAnswered, ThreadBusy, Unavailable
from asgi_events.executions.idempotency import marker_of
from asgi_events.executions.question_log import Answer, ClosedQuestion, QuestionLog
from asgi_events.executions.thread_log import thread_of
from asgi_events.testing import virtual_time
from asgi_events.wire.sse import ServerSentEvent
from tests.executions.asking import answer, answers, asked, confirm
from tests.executions.leases.processes import (
    Dictation,
    Lossy,
    Process,
    last_of,
    until,
    watched,
)
from tests.executions.scenes import soon


@agent
async def twice() -> None:
    for question in ("Sure?", "Really?"):
        await current_state().ask(question)


@pytest.fixture
def settling() -> Lossy:
    return Lossy(settle_time=60.0)


async def completed(
    executions: Executions, dictation: Dictation
) -> tuple[str, list[ServerSentEvent]]:
    execution = await executions.start(dictation.actor)
    dictation.say(1, 2, None)
    events = await watched(executions, execution.id)
    assert last_of(events) == "complete"
    return execution.id, events


async def until_stored(store: Lossy, logs: dict[str, int]) -> None:
    await until(lambda: all(store.has(key, last) for key, last in logs.items()))


@pytest.mark.parametrize("last", [None, 2], ids=["all", "its end"])
async def test_writes_an_execution_that_completed_again_when_the_store_lost(
    process: Process, dictation: Dictation, settling: Lossy, last: int | None
) -> None:
    (here, _), (there, _) = process(settling), process(settling)
    id, events = await completed(here, dictation)
    if last is None:
        settling.empty()
    else:
        settling.roll_back(id, last)
    settling.generation += 1
    await until(lambda: settling.has(id, len(events) - 1))

    assert await watched(there, id) == events
    assert await watched(there, id, 2) == events[2:]


async def test_writes_again_what_ended_though_another_log_cannot_be_read(
    process: Process, dictation: Dictation, settling: Lossy
) -> None:
    here, link = process(settling)
    first, _ = await completed(here, dictation)
    second, events = await completed(here, dictation)
    link.faults["read", first] = RuntimeError("This log cannot be read.")
    settling.empty()
    settling.generation += 1
    await until(lambda: settling.has(second, len(events) - 1))
    assert not settling.has(first, 0)

    del link.faults["read", first]
    await until(lambda: settling.has(first, len(events) - 1))


async def test_remembers_a_key_when_the_store_lost_it_under_a_living_writer(
    process: Process, dictation: Dictation, settling: Lossy
) -> None:
    settling.durable = True
    (here, _), (there, _) = process(settling), process(settling)
    execution = await here.start(dictation.actor, idempotency_key="key")
    names = (execution.id, marker_of(None, "key"))
    for _ in range(2):  # while it runs, and when it has ended
        settling.empty()
        settling.generation += 1
        await until(lambda: all(settling.has(name, 0) for name in names))
        found = await there.start(dictation.actor, idempotency_key="key")
        assert found.id == execution.id
        dictation.say(None)
        assert await execution.wait() == "completed"


async def test_remembers_a_turn_when_the_store_lost_it_under_a_living_writer(
    process: Process, dictation: Dictation, settling: Lossy
) -> None:
    settling.durable = True
    (here, _), (there, _) = process(settling), process(settling)
    log = thread_of(None, "t")
    for number in range(3):  # of its turns
        execution = await here.start(dictation.actor, thread="t")
        for lost in ("all", "the turn", "the turn before it, too"):
            if lost == "all":
                settling.empty()
            else:
                last = number if lost == "the turn" else max(number - 1, 0)
                settling.roll_back(log, last)
            settling.generation += 1
            await until_stored(settling, {log: number + 1, execution.id: 0})
            found = await there.newest("t")
            assert found is not None
            assert found.id == execution.id
            with pytest.raises(ThreadBusy) as busy:
                await there.start(dictation.actor, thread="t")
            assert busy.value.execution_id == execution.id
        dictation.say(None)
        assert await execution.wait() == "completed"
        settling.empty()
        settling.generation += 1
        await until_stored(settling, {log: number + 1})
        found = await there.newest("t")
        assert found is not None
        assert found.id == execution.id


@pytest.mark.parametrize("is_all_lost", [True, False], ids=["all", "the answer"])
async def test_keeps_an_answer_that_the_store_lost_before_it_was_read(
    process: Process, settling: Lossy, is_all_lost: bool
) -> None:
    (here, link), (there, _) = process(settling, confirm), process(settling)
    execution = await here.start(confirm)
    await asked(execution)
    log = f"questions:{execution.id}"
    link.faults["read", log] = Unavailable("Not now.")
    assert await answer(await there.get(execution.id), True, "ann")
    if is_all_lost:
        settling.empty()  # somebody has emptied the server, and it goes on
    else:
        settling.roll_back(log, 1)
        settling.generation += 1
    await until_stored(settling, {log: 2})

    link.faults.clear()
    assert await soon(execution.result()) == [True]
    assert await answers(execution) == [(1, "accept", "ann", None)]


async def test_opens_no_question_again_whose_answer_the_store_has_lost(
    process: Process, settling: Lossy
) -> None:
    (here, _), (there, far) = process(settling, twice), process(settling)
    execution = await here.start(twice)
    await asked(execution)
    elsewhere = await there.get(execution.id)
    await answer(elsewhere, True, "ann")
    await asked(execution, 2)
    far.cut = True  # who has answered has died
    log = f"questions:{execution.id}"
    settling.roll_back(log, 1)
    settling.generation += 1
    await until_stored(settling, {log: 3})

    far.cut = False
    with pytest.raises(AlreadyAnswered):
        await answer(elsewhere, False, "eve")
    assert [request.n for request in await elsewhere.waiting()] == [2]


async def test_says_that_an_answer_was_lost_since_there_is_another_one(
    process: Process, settling: Lossy, caplog: pytest.LogCaptureFixture
) -> None:
    (here, link), (there, far) = process(settling, confirm), process(settling)
    execution = await here.start(confirm)
    await asked(execution)
    log = f"questions:{execution.id}"
    link.faults["read", log] = Unavailable("Not now.")
    assert await answer(await there.get(execution.id), True, "ann")
    far.cut = True
    settling.roll_back(log, 1)
    (other, _) = process(settling)
    assert await answer(await other.get(execution.id), False, "bob")
    settling.generation += 1
    far.cut = False

    await until(lambda: "has another answer than it had" in caplog.text)
    link.faults.clear()
    assert await soon(execution.result()) == [False]


async def test_is_busy_here_though_the_store_has_lost_the_log(
    process: Process, dictation: Dictation, settling: Lossy
) -> None:
    here, _ = process(settling, lease=30.0)
    execution = await here.start(dictation.actor, thread="t")
    await until_stored(settling, {execution.id: 1})
    await settling.delete(execution.id)

    with pytest.raises(ThreadBusy) as busy:
        await here.start(dictation.actor, thread="t")

    assert busy.value.execution_id == execution.id


async def test_says_that_a_thread_may_have_run_two_executions_at_the_same_time(
    process: Process,
    dictation: Dictation,
    settling: Lossy,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settling.durable = True
    (here, _), (there, _) = process(settling), process(settling)
    first = await here.start(dictation.actor, thread="t")
    settling.empty()
    second = await there.start(dictation.actor, thread="t")
    settling.generation += 1

    await until(lambda: "may have run another one" in caplog.text)

    assert f"of the execution {first.id} " in caplog.text
    newest = await here.newest("t")
    assert newest is not None
    assert newest.id == second.id
    dictation.say(None, None)
    assert await first.wait() == await second.wait() == "completed"


async def test_writes_what_ended_again_when_somebody_takes_its_writer_for_dead(
    process: Process, dictation: Dictation, settling: Lossy
) -> None:
    (here, _), (there, _) = process(settling, lease=3.0), process(settling, lease=3.0)
    id, events = await completed(here, dictation)
    settling.roll_back(id, 2)
    settling._logs[id].sign -= 1.6

    assert await watched(there, id) == events


async def test_does_not_write_again_what_has_another_end_now(
    process: Process,
    dictation: Dictation,
    settling: Lossy,
    caplog: pytest.LogCaptureFixture,
) -> None:
    here, _ = process(settling)
    id, _ = await completed(here, dictation)
    log = settling._logs[id]
    settling.roll_back(id, 2)
    log.hold([b"data: x\n\n"])
    log.finish("lost")
    settling.generation += 1
    await until(lambda: "but in the store as: lost" in caplog.text)

    assert log.last == 3
    assert here._held._keeper.held_bytes == 0


async def test_writes_what_is_large_again_in_several_calls(
    process: Process,
    dictation: Dictation,
    settling: Lossy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("asgi_events.executions.keeper._CHUNK", 1)
    (here, link), (there, _) = process(settling), process(settling)
    id, events = await completed(here, dictation)
    link.called.clear()
    settling.empty()
    settling.generation += 1
    await until(lambda: settling.has(id, len(events) - 1))

    assert link.called.count("append") == len(events) - 1  # ``end`` is not stored
    assert await watched(there, id) == events


async def test_says_that_a_key_may_have_started_another_execution(
    process: Process,
    dictation: Dictation,
    settling: Lossy,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settling.durable = True
    here, _ = process(settling)
    execution = await here.start(dictation.actor, idempotency_key="key")
    settling._logs[marker_of(None, "key")].finish("another starter")
    settling.generation += 1

    await until(lambda: "may have started another one" in caplog.text)

    assert f"execution {execution.id}" in caplog.text
    assert "that is now: another starter" in caplog.text
    dictation.say(None)
    assert await execution.wait() == "completed"


async def test_keeps_nothing_for_a_store_that_loses_nothing(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    here, _ = process(store)
    await completed(here, dictation)

    assert (len(here._held._keeper), here._held._keeper.held_bytes) == (0, 0)


async def test_keeps_what_has_ended_until_the_store_has_settled(
    process: Process, dictation: Dictation
) -> None:
    with virtual_time():
        here, link = process(Lossy(settle_time=5.0))
        _, events = await completed(here, dictation)
        held = here._held._keeper.held_bytes
        size = sum(len(e.encode()) for e in events[:-1])

        assert 0.9 * size < held <= 1.1 * size
        await until(lambda: len(here._held._keeper) == 0)
        assert here._held._keeper.held_bytes == 0
        assert "read" in link.called  # the probe


async def test_drops_what_it_has_kept_longest(
    process: Process, dictation: Dictation, settling: Lossy
) -> None:
    here, _ = process(settling)
    first, _ = await completed(here, dictation)
    held = here._held._keeper.held_bytes
    second, _ = await completed(here, dictation)

    here._held._keeper.drop_oldest()

    assert held * 0.9 < here._held._keeper.held_bytes < held * 1.1
    settling.empty()
    settling.generation += 1
    await until(lambda: settling.has(second, 1))
    assert not settling.has(first, 1)


async def test_tries_again_to_write_what_the_store_has_lost(
    process: Process, dictation: Dictation, settling: Lossy
) -> None:
    here, link = process(settling)
    id, events = await completed(here, dictation)
    settling.empty()
    settling.generation += 1
    link.faults["open", None] = Unavailable("Not yet.")
    await until(lambda: link.called.count("open") >= 3)
    link.faults.clear()
    await until(lambda: settling.has(id, len(events) - 1))


async def test_keeps_nothing_more_after_a_drain(
    process: Process, settling: Lossy
) -> None:
    here, _ = process(settling, confirm)
    execution = await here.start(confirm)
    (request,) = await asked(execution)
    await here.drain(0)
    before = asyncio.all_tasks()
    late = Answer(address="", n=1, action="cancelled", token="")
    log = QuestionLog(settling, execution.id, lease=10, ttl=10)
    here._held._keeper.keep_answer(ClosedQuestion(log, request, late))
    assert asyncio.all_tasks() == before
