"""The public contract of stores finds what is wrong with a store.

The contract runs in a process of its own, as in the suite of a third-party store: with
pytest alone, without a plugin, against small stores that each break one promise.
"""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from xml.etree import ElementTree

import pytest

SUITE = """
import pytest

from asgi_events.stores import Ack, memory
from asgi_events.stores.memory import MemoryStore
from asgi_events.testing.stores import StoreContract


class LosesAFrame(MemoryStore):
    async def append(self, key, grant, after, frames, *, end=None):
        kept = frames[:-1] if len(frames) > 2 else frames
        ack = await super().append(key, grant, after, kept, end=end)
        return ack._replace(last=max(ack.last, after + len(frames)))


class LetsTwoWritersIn(MemoryStore):
    async def open(self, key, *, writer, **rest):
        return await super().open(key, writer="anybody", **rest)


class ReapsOnTheFirstCall(MemoryStore):
    def __init__(self):
        super().__init__()
        self.openings = {}

    async def open(self, key, **rest):
        self.openings[key] = rest
        return await super().open(key, **rest)

    async def reap(self, key, after, frame, *, end):
        page = await self.read(key, after, 0)
        if page is None or page.alive or page.last != after:
            return False
        grant = await super().open(key, **self.openings[key])
        await self.append(key, grant, after, [frame], end=end)
        return True


class RepeatsAnAppend(MemoryStore):
    async def append(self, key, grant, after, frames, *, end=None):
        page = await self.read(key, 0, 0)
        last = after if page is None or page.end is not None else page.last
        return await super().append(key, grant, max(after, last), frames, end=end)


class FencesAWriterThatOpensAgain(MemoryStore):
    async def open(self, key, *, writer, **rest):
        grant = await super().open(key, writer=writer, **rest)
        self._logs[key].epoch += 1
        return grant.__class__(self._logs[key].epoch, grant.last)


class GivesNoHints(MemoryStore):
    async def watch(self):
        watch = await super().watch()
        watch.add = watch.discard = lambda key: None
        return watch


class ForgetsToCancel(MemoryStore):
    async def renew(self, key, grant):
        return (await super().renew(key, grant))._replace(cancel=False)


class Contract(StoreContract):
    hint_timeout = 0.05

    @pytest.fixture(autouse=True)
    def set_clock(self, monkeypatch):
        self.ahead = 0.0
        real = memory.monotonic
        monkeypatch.setattr(memory, "monotonic", lambda: real() + self.ahead)

    async def advance(self, store, seconds):
        self.ahead += seconds


def contract(kind):
    async def make(self):
        return kind()

    return type(f"Test{kind.__name__}", (Contract,), {"make": make})


TestMemoryStore = contract(MemoryStore)
TestLosesAFrame = contract(LosesAFrame)
TestLetsTwoWritersIn = contract(LetsTwoWritersIn)
TestReapsOnTheFirstCall = contract(ReapsOnTheFirstCall)
TestRepeatsAnAppend = contract(RepeatsAnAppend)
TestFencesAWriterThatOpensAgain = contract(FencesAWriterThatOpensAgain)
TestGivesNoHints = contract(GivesNoHints)
TestForgetsToCancel = contract(ForgetsToCancel)


class TestWithoutMake(Contract):
    pass
"""

EXPECTED = {
    "LosesAFrame": "test_answers_the_same_call_again_the_same",
    "LetsTwoWritersIn": "test_refuses_a_second_writer",
    "ReapsOnTheFirstCall": "test_reaps_by_no_single_call",
    "RepeatsAnAppend": "test_stores_only_what_it_has_not",
    "FencesAWriterThatOpensAgain": (
        "test_keeps_the_first_of_several_appends_at_one_number"
    ),
    "GivesNoHints": "test_hints_to_everybody_who_watches",
    "ForgetsToCancel": "test_tells_the_writer_to_cancel_with_every_answer",
}


Outcome = tuple[dict[str, set[str]], str]


def run(directory: Path, suite: str, *tests: str) -> Outcome:
    """Run a suite as a third party does.

    Returns the names of the tests that failed, by class, and what was printed.
    """
    (directory / "test_toy.py").write_text(suite)
    (directory / "pytest.ini").write_text("[pytest]\n")
    report = directory / "report.xml"
    command = [sys.executable, "-m", "pytest", "--tb=short", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, f"--junitxml={report}", *(f"test_toy.py::Test{t}" for t in tests)],
        cwd=directory,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
    )
    assert report.exists(), done.stdout + done.stderr
    failed: dict[str, set[str]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        failures = failed.setdefault(
            case.attrib["classname"].rpartition("Test")[2], set()
        )
        if case.find("failure") is not None or case.find("error") is not None:
            failures.add(case.attrib["name"].partition("[")[0])
    return failed, done.stdout


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    chosen = [f"{kind}::{test}" for kind, test in EXPECTED.items()]
    undefined = "WithoutMake::test_refuses_a_second_writer"
    directory = tmp_path_factory.mktemp("suite")
    return run(directory, SUITE, "MemoryStore", *chosen, undefined)


def test_passes_a_store_that_keeps_its_promises(outcome: Outcome) -> None:
    failed, _ = outcome
    assert failed["MemoryStore"] == set()


@pytest.mark.parametrize("kind", EXPECTED)
def test_fails_a_store_that(outcome: Outcome, kind: str) -> None:
    failed, _ = outcome
    assert failed[kind] == {EXPECTED[kind]}


def test_says_what_a_suite_has_to_define(outcome: Outcome) -> None:
    failed, printed = outcome
    assert failed["WithoutMake"] == {"test_refuses_a_second_writer"}
    assert "TestWithoutMake has to say how its store is made" in printed


def test_explains_a_failure_with_the_values(outcome: Outcome) -> None:
    _, printed = outcome
    assert "assert [True, False," in printed  # of the store that reaps at once


def test_gives_a_store_to_tests_that_a_suite_adds(tmp_path: Path) -> None:
    own = """
    class TestOwn(Contract):
        async def make(self):
            return MemoryStore()

        async def test_mine(self, store):
            assert not isinstance(store, MemoryStore)
    """
    head = SUITE[: SUITE.index("TestMemoryStore =")]

    failed, _ = run(tmp_path, head + dedent(own), "Own::test_mine")

    assert failed["Own"] == {"test_mine"}


def test_finds_a_task_that_a_store_leaves_behind(tmp_path: Path) -> None:
    leaking = """
    import asyncio

    class Leaks(MemoryStore):
        async def open(self, *args, **options):
            self.task = asyncio.create_task(asyncio.sleep(60))
            return await super().open(*args, **options)

    TestLeaks = contract(Leaks)
    """
    head = SUITE[: SUITE.index("TestMemoryStore =")]

    test = "test_opens_a_new_log_at_nothing"
    failed, printed = run(tmp_path, head + dedent(leaking), f"Leaks::{test}")

    assert failed["Leaks"] == {test}
    assert "aclose left tasks behind" in printed
