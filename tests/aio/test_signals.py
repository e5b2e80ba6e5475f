"""Signals: heard by all that would keep the process waiting, and taken from nobody."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from asgi_events import EventSourceResponse, Executions, agent
from asgi_events.aio import signals
from asgi_events.aio.signals import HURRIED
from asgi_events.testing import Connection
from tests import TIMEOUT
from tests.servers import ROOT

BOTH = [signal.SIGTERM, signal.SIGINT]


class Server:
    """A handler of a server's, as uvicorn's: a method of what has a ``config``."""

    def __init__(self, *, reload: bool = False) -> None:
        self.config = SimpleNamespace(reload=reload)
        self.heard: list[int] = []

    def handle_exit(self, number: int, frame: object) -> None:
        self.heard.append(number)


class Listener:
    """Notes the seconds that it is told."""

    def __init__(self) -> None:
        self.told: list[float] = []
        self.changed = asyncio.Event()

    def tell(self, longest: float) -> None:
        self.told.append(longest)
        self.changed.set()

    async def tellings(self, count: int) -> list[float]:
        async with asyncio.timeout(TIMEOUT):
            while len(self.told) < count:
                self.changed.clear()
                await self.changed.wait()
        return self.told


def listening() -> Listener:
    listener = Listener()
    signals.listen(listener, Listener.tell)
    return listener


@pytest.fixture(autouse=True)
def handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process's own handlers, before and after; nobody has been warned."""
    before = {number: signal.getsignal(number) for number in BOTH}
    monkeypatch.setattr(signals, "_warned", False)
    yield
    signals.enable()
    for number, handler in before.items():
        signal.signal(number, handler)


def handled_by(handler: Any) -> None:
    for number in BOTH:
        signal.signal(number, handler)


@pytest.mark.parametrize("number", BOTH)
async def test_tells_who_listens_and_then_the_handler_that_was_there(
    number: int,
) -> None:
    server = Server()
    handled_by(server.handle_exit)
    listener = listening()

    signal.raise_signal(number)
    heard = list(server.heard)
    told = await listener.tellings(1)
    signals.forget(listener)

    assert heard == [number]
    assert told == [HURRIED if number == signal.SIGINT else float("inf")]


async def test_puts_the_handlers_back_when_nobody_listens_any_more() -> None:
    server = Server()
    handled_by(server.handle_exit)
    first, second = listening(), listening()
    signals.forget(first)
    while_one_listens = signal.getsignal(signal.SIGTERM)
    signals.forget(second)

    assert while_one_listens != server.handle_exit
    assert [signal.getsignal(number) for number in BOTH] == [server.handle_exit] * 2


async def test_leaves_no_grace_at_the_second_ctrl_c() -> None:
    handled_by(Server().handle_exit)
    listener = listening()

    for _ in range(2):
        signal.raise_signal(signal.SIGINT)
    told = await listener.tellings(2)
    signals.forget(listener)

    assert told == [HURRIED, 0.0]


@pytest.mark.parametrize("by_command", [False, True])
async def test_hurries_where_the_server_starts_again_at_once(
    by_command: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    handled_by(Server(reload=not by_command).handle_exit)
    monkeypatch.setattr(sys, "argv", ["x", *(["--reload"] if by_command else [])])
    listener = listening()

    signal.raise_signal(signal.SIGTERM)
    told = await listener.tellings(1)
    signals.forget(listener)

    assert told == [HURRIED]


async def test_hears_signals_whose_handler_came_later_on_the_same_loop() -> None:
    handled_by(Server().handle_exit)
    first = listening()
    server = Server()
    handled_by(server.handle_exit)
    second = listening()

    signal.raise_signal(signal.SIGTERM)
    told = await second.tellings(1) + await first.tellings(1)
    signals.forget(first)
    signals.forget(second)

    assert server.heard == [signal.SIGTERM]
    assert told == [float("inf")] * 2


async def test_hears_what_the_loop_itself_handles() -> None:
    loop = asyncio.get_running_loop()
    heard = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, heard.set)
    try:
        listener = listening()
        signal.raise_signal(signal.SIGTERM)
        told = await listener.tellings(1)
        async with asyncio.timeout(TIMEOUT):
            await heard.wait()
        signals.forget(listener)
    finally:
        loop.remove_signal_handler(signal.SIGTERM)

    assert told == [float("inf")]


async def test_tells_the_loops_of_other_threads_too() -> None:
    handled_by(Server().handle_exit)
    here = listening()
    there: list[float] = []
    ready = threading.Event()

    async def listen() -> None:
        listener = listening()
        ready.set()
        there.extend(await listener.tellings(1))
        signals.forget(listener)

    thread = threading.Thread(target=asyncio.run, args=(listen(),))
    thread.start()
    await asyncio.to_thread(ready.wait, TIMEOUT)
    signal.raise_signal(signal.SIGTERM)
    await here.tellings(1)
    await asyncio.to_thread(thread.join, TIMEOUT)
    signals.forget(here)

    assert there == [float("inf")]


async def test_says_once_that_a_thread_hears_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def listen() -> None:
        for listener in [listening(), listening()]:
            signals.forget(listener)

    await asyncio.to_thread(asyncio.run, listen())

    [message] = caplog.messages
    assert "Signals arrive in the main thread" in message
    assert "max_stream_duration" in message


async def test_leaves_alone_what_is_ignored_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    handled_by(signal.SIG_IGN)
    signals.forget(listening())
    signals.forget(listening())
    left = [signal.getsignal(number) for number in BOTH]

    assert left == [signal.SIG_IGN] * 2
    assert len(caplog.messages) == 1


async def test_names_the_cure_in_a_worker_of_hypercorn(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spawning = SimpleNamespace(parent_process=lambda: object())
    monkeypatch.setitem(sys.modules, "multiprocessing.process", spawning)
    monkeypatch.setitem(sys.modules, "hypercorn", SimpleNamespace())
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signals.forget(listening())

    [message] = caplog.messages
    assert "--workers 0" in message


async def test_looks_at_one_listener_only_when_one_of_many_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_at = []

    class Listeners(WeakKeyDictionary[Any, Any]):
        def values(self) -> Iterator[Any]:
            for value in super().values():
                looked_at.append(value)
                yield value

    monkeypatch.setattr(signals, "_listeners", Listeners())
    many = [listening() for _ in range(100)]

    for listener in many:
        signals.forget(listener)

    assert len(looked_at) == 99


async def test_hears_nothing_where_it_is_switched_off() -> None:
    server = Server()
    handled_by(server.handle_exit)
    signals.disable()
    listener = listening()
    handler = signal.getsignal(signal.SIGTERM)
    signals.tell(1.5)
    signals.forget(listener)

    assert handler == server.handle_exit
    assert listener.told == [1.5]


async def test_stops_the_others_when_one_can_not_be_stopped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(listener: object, longest: float) -> None:
        raise RuntimeError("broken")

    broken = Listener()
    signals.listen(broken, fail)
    listener = listening()
    signals.tell()
    for each in (broken, listener):
        signals.forget(each)

    assert listener.told == [float("inf")]
    assert "could not be stopped" in caplog.text


@pytest.mark.parametrize("options", [{}, {"handle_signals": False}], ids=str)
async def test_is_on_unless_executions_say_otherwise(options: dict[str, bool]) -> None:
    server = Server()
    handled_by(server.handle_exit)
    executions = Executions(idle, **options)  # type: ignore[arg-type]
    executions.open()
    chained = signal.getsignal(signal.SIGTERM) != server.handle_exit
    await executions.drain(0)

    assert chained == (not options)
    assert signal.getsignal(signal.SIGTERM) == server.handle_exit


@agent
async def idle() -> None:
    await asyncio.Event().wait()


async def test_ends_a_stream_that_is_open_when_the_signal_comes() -> None:
    async def items() -> Any:
        yield "a"
        await asyncio.Event().wait()

    server = Server()
    handled_by(server.handle_exit)
    async with Connection(EventSourceResponse(items())) as c:
        await c.until(b"data: a\n\n")
        signal.raise_signal(signal.SIGTERM)
        await c.end()

    assert c.ended
    assert b'"event_type":"cancelled"' in c.body
    assert signal.getsignal(signal.SIGTERM) == server.handle_exit


# Scripts, whose signals nobody handles

SCRIPT = """
import asyncio, os, signal, sys
from asgi_events import Executions, agent

@agent
async def work() -> None:
    print("begun", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        print("cleaned up", flush=True)

async def main() -> None:
    async with Executions(work, drain_grace={grace}) as executions:
        execution = await executions.start(work)
        {child}
        print(await execution.wait(), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def run_script(*numbers: int, grace: float = 0.0, child: str = "") -> tuple[str, int]:
    """What a script prints that is sent signals, and how it ends."""
    script = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SCRIPT.format(grace=grace, child=child)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    assert script.stdout is not None
    try:
        printed = script.stdout.readline()
        for number in numbers:
            script.send_signal(number)
        printed += script.communicate(timeout=2 * TIMEOUT)[0]
    finally:
        script.kill()
        script.wait()
    return printed, script.returncode


def test_drains_a_script_before_sigterm_ends_it() -> None:
    printed, status = run_script(signal.SIGTERM)

    assert printed.split("\n")[:2] == ["begun", "cleaned up"]
    assert status == -signal.SIGTERM


LAST_TURN = """
import asyncio, signal
from asgi_events import Executions, tool

@tool
async def work() -> None: ...

async def main() -> None:
    await (await Executions(work).start(work)).wait()
    signal.raise_signal(signal.SIGTERM)

asyncio.run(main())
print("runs on")
"""


def test_dies_of_a_signal_that_comes_in_the_last_turn_of_its_loop() -> None:
    command = [sys.executable, "-W", "error", "-c", LAST_TURN]
    script = subprocess.run(command, capture_output=True, cwd=ROOT, timeout=3 * TIMEOUT)
    assert (script.returncode, script.stdout) == (-signal.SIGTERM, b"")


def test_drains_a_script_before_ctrl_c_ends_it() -> None:
    printed, status = run_script(signal.SIGINT)

    assert printed.split("\n")[:2] == ["begun", "cleaned up"]
    assert status == -signal.SIGINT


def test_ends_a_script_at_once_at_a_second_sigterm() -> None:
    script = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(grace=3600, child="")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert script.stdout is not None
    try:
        script.stdout.readline()
        while script.poll() is None:  # two that come together count as one
            script.send_signal(signal.SIGTERM)
            try:
                script.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        printed = script.stdout.read()
    finally:
        script.kill()
        script.wait()
        script.stdout.close()

    assert printed == ""
    assert script.returncode == -signal.SIGTERM


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_lets_a_forked_child_die_by_the_signal() -> None:
    child = (
        "pid = os.fork()\n"
        "        if not pid:\n"
        "            os.kill(os.getpid(), signal.SIGTERM)\n"
        "            os._exit(3)\n"
        "        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)\n"
    )
    printed, _ = run_script(signal.SIGTERM, child=child)

    assert f"{-signal.SIGTERM}" in printed.split("\n")
