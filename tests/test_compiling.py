"""``ASGI_EVENTS_COMPILE``: what is built with it, and what is said where it cannot be.

The compiler takes a minute for all modules, so the builds here are of one.
"""

import ast
import asyncio
import copy
import inspect
import os
import re
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Coroutine
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec
from weakref import ref
from zipfile import ZipFile

import pytest
from pydantic import BaseModel

import asgi_events
from asgi_events import EventBus, EventStreamer, Message
from asgi_events.events import TerminalEvent
from asgi_events.log.log import Log
from tests.servers import require

ROOT = Path(__file__).parents[1]
SETUP = (ROOT / "setup.py").read_text()
ONE = "asgi_events/aio/waiter.py"

MODULES = re.findall(r'^    "(asgi_events/.*\.py)",$', SETUP, re.MULTILINE)
PUBLIC = {
    module: re.findall(r"\w+", names)
    for module, names in re.findall(
        r"^\| `(asgi_events\.[\w.]+)` \| (.*?) \|",
        (ROOT / "docs/api.md").read_text(),
        re.MULTILINE,
    )
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small source tree, of which one module is compiled."""
    (tmp_path / ONE).parent.mkdir(parents=True)
    (tmp_path / "asgi_events/__init__.py").write_text('__version__ = "1.0.0"')
    (tmp_path / "asgi_events/aio/__init__.py").touch()
    for name in (ONE, "setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    one = re.sub(r"(?s)MODULES = \(.*?\n\)", f'MODULES = ("{ONE}",)', SETUP)
    (tmp_path / "setup.py").write_text(one)
    return tmp_path


def run(
    source: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=source,
        env=os.environ | {"ASGI_EVENTS_COMPILE": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )


def build(kind: str, source: Path, **environment: str) -> str:
    """Build as pip does, in the environment that is there; return what is printed."""
    code = f"from setuptools import build_meta as b; print(b.build_{kind}('dist'))"
    return run(source, "-c", code, **environment).stdout


def names(source: Path) -> list[str]:
    (wheel,) = (source / "dist").glob("*.whl")
    with ZipFile(wheel) as archive:
        return archive.namelist()


def test_finds_the_modules() -> None:
    assert len(MODULES) == SETUP.count("asgi_events/") > 5


def test_compiles_nothing_public() -> None:
    """So signatures, help() and pickling are the same in both builds."""
    assert len(PUBLIC) > 20
    assert {name.replace(".", "/") + ".py" for name in PUBLIC} & set(MODULES) == set()


@pytest.mark.parametrize("module", ["asgi_events", *PUBLIC])
def test_derives_nothing_public_from_what_is_compiled(module: str) -> None:
    imported = pytest.importorskip(module, exc_type=ImportError)
    names = PUBLIC.get(module, asgi_events.__all__)
    public = [getattr(imported, name) for name in names]
    bases = {b.__module__ for each in public for b in getattr(each, "__mro__", ())}
    assert {base.replace(".", "/") + ".py" for base in bases} & set(MODULES) == set()


def test_shows_what_a_streamer_takes_in_both_builds() -> None:
    assert list(inspect.signature(EventStreamer()).parameters) == ["event"]
    streamer = create_autospec(EventStreamer, instance=True)
    with pytest.raises(TypeError, match="missing a required argument: 'event'"):
        streamer()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_copies_a_streamer_in_both_builds(
    copied: Callable[[EventStreamer], EventStreamer],
) -> None:
    streamer = EventStreamer(heartbeat_interval=3.0)
    streamer.cancel_message = "Why"
    streamer(Message(content="1"))

    other = copied(streamer)

    assert vars(other).keys() == vars(streamer).keys()
    assert (other.heartbeat_interval, other.cancel_message) == (3.0, "Why")
    other(Message(content="2"))
    assert (other.log.last, streamer.log.last) == (2, 2 if copied is copy.copy else 1)


async def test_ends_as_a_subclass_has_it_in_both_builds() -> None:
    class Streamer(EventStreamer):
        def end(self, event: TerminalEvent) -> None:
            ended.append(event)
            super().end(event)

    ended: list[TerminalEvent] = []
    streamer = Streamer()
    streamer.cancel_message = "Why"
    future = asyncio.get_running_loop().create_future()
    future.cancel()

    chunks = [chunk async for chunk in streamer.stream(future)]

    assert [event.message for event in ended] == ["Why"]
    assert '"message":"Why"' in chunks[-1]


async def test_has_subclasses_and_weak_references_in_both_builds() -> None:
    class Streamer(EventStreamer):
        def __call__(self, event: BaseModel) -> Coroutine[Any, Any, None]:
            heard.append(event)
            return super().__call__(event)

    heard: list[BaseModel] = []
    event = Message(content="Hello")
    bus, streamer = EventBus(), Streamer()
    bus.subscribe(streamer)
    await bus.publish(event)

    assert (heard, streamer.log.last) == ([event], 1)
    assert [ref(each)() for each in (bus, streamer)] == [bus, streamer]


def test_names_the_line_in_a_traceback_in_both_builds() -> None:
    with pytest.raises(ValueError, match="must be at least 1") as caught:
        Log(max_events=0)

    last = traceback.extract_tb(caught.tb)[-1]
    assert Path(last.filename).parts[-3:] == ("asgi_events", "log", "log.py")
    line = (ROOT / "asgi_events/log/log.py").read_text().splitlines()[last.lineno - 1]
    assert line.strip() == "raise ValueError("


def needs_mypyc() -> None:
    require(find_spec("mypyc"), "mypyc is not installed")


@pytest.mark.parametrize("module", MODULES)
def test_compiles_only_what_awaits_nothing(module: str) -> None:
    """Where mypyc cancels what is awaited, Python warns of its deprecated way."""
    tree = ast.parse((ROOT / module).read_text())
    awaits = (ast.Await, ast.AsyncFor, ast.AsyncWith)
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, awaits)] == []


def test_builds_the_extension_modules_and_their_sources(source: Path) -> None:
    needs_mypyc()
    require(shutil.which("cc"), "there is no C compiler")
    said = build("wheel", source, CFLAGS="-O0")

    built = [name for name in names(source) if name.endswith((".so", ".pyd"))]
    assert [name.partition(".")[0] for name in sorted(built)] == [
        "asgi_events/aio/waiter",
        "asgi_events__mypyc",
    ], said
    assert ONE in names(source)
    assert not (source / "build").exists()
    assert list((source / "asgi_events").rglob("*.so")) == []


def test_names_in_the_metadata_what_it_puts_beside_other_packages(source: Path) -> None:
    code = (
        "from setuptools import build_meta as b; "
        "print(b.prepare_metadata_for_build_wheel('.'))"
    )
    made = source / run(source, "-c", code).stdout.splitlines()[-1]

    said = (made / "top_level.txt").read_text().split()
    assert said == ["asgi_events", "asgi_events__mypyc"]


@pytest.mark.parametrize("switch", ["", "0"])
def test_stays_pure_without_the_switch(source: Path, switch: str) -> None:
    build("wheel", source, ASGI_EVENTS_COMPILE=switch, PATH="/nonexistent")

    assert not [name for name in names(source) if name.endswith((".so", ".pyd"))]


def test_stays_pure_on_a_python_that_mypyc_does_not_know(source: Path) -> None:
    later = re.sub(r"NEWEST = .*", "NEWEST = (3, 10)", SETUP)
    (source / "setup.py").write_text(later)

    said = build("wheel", source)

    line = "mypyc does not know this Python, so the package stays pure."
    assert f"ASGI_EVENTS_COMPILE: {line}" in said.splitlines()
    assert not [name for name in names(source) if name.endswith((".so", ".pyd"))]


def test_says_that_a_compiler_is_missing(source: Path) -> None:
    needs_mypyc()
    said = build("wheel", source, CC="/nonexistent/cc")

    begin = "ASGI_EVENTS_COMPILE: this build needs a C compiler, which failed: "
    assert said.splitlines()[-1].startswith(begin)
    assert "Traceback" not in said


def test_says_that_mypy_is_missing(source: Path) -> None:
    (source / "mypyc.py").write_text("raise ImportError")
    said = run(source, "setup.py", "-q", "build").stdout

    assert said.splitlines()[-1] == (
        "ASGI_EVENTS_COMPILE: this build needs mypy >= 2.4, < 2.5, "
        "which is not installed."
    )
    assert "Traceback" not in said


@pytest.mark.parametrize("switch", ["yes", "2", "false"])
def test_refuses_another_value_of_the_switch(source: Path, switch: str) -> None:
    said = build("wheel", source, ASGI_EVENTS_COMPILE=switch)

    assert said == f"ASGI_EVENTS_COMPILE must be 0 or 1, got {switch!r}.\n"


@pytest.mark.parametrize("editable", [True, False])
def test_puts_no_extension_module_beside_a_source(source: Path, editable: bool) -> None:
    if editable:
        said = build("editable", source)
    else:
        said = run(source, "setup.py", "-q", "build_ext", "--inplace").stdout

    assert said.splitlines()[-1] == (
        "ASGI_EVENTS_COMPILE: an editable or in-place build stays pure; unset it."
    )
    assert list(source.rglob("*.so")) == []


def test_asks_for_what_compiles_only_with_the_switch(source: Path) -> None:
    code = (
        "from setuptools import build_meta as b; "
        "print(*b.get_requires_for_build_wheel(), sep=';')"
    )
    asked = [
        run(source, "-c", code, ASGI_EVENTS_COMPILE=switch).stdout.splitlines()[-1]
        for switch in ("0", "1")
    ]
    assert asked == ["", "mypy >= 2.4, < 2.5;asgiref >= 3.8;pydantic >= 2.8"]
