"""The TypeScript client: its tests, its types, its size, and what is made of it."""

from __future__ import annotations

import shutil

import pytest

from tests.clients.node import node
from tests.servers import ROOT, require
from tests.typescript.generated import files
from tests.typescript.npm import PACKAGE, run

pytestmark = pytest.mark.node

BUNDLE = ROOT / "asgi_events" / "cli" / "demo" / "static" / "client.js"


@pytest.mark.parametrize("which", ["lock file", "machine"])
def test_passes_its_own_tests(which: str) -> None:
    program = node() if which == "lock file" else shutil.which("node")
    require(program, "node is not installed")
    printed = run("--test-reporter=tap", "scripts/test.mjs", program=program)
    assert "\n# fail 0\n" in printed


def test_has_types_that_hold() -> None:
    assert run("node_modules/typescript-native/bin/tsc") == ""


def test_has_the_types_that_the_server_describes() -> None:
    made = files()
    found = {name: (PACKAGE / name).read_text(encoding="utf-8") for name in made}
    assert found == made


def test_is_in_the_wheel_as_its_sources_make_it() -> None:
    made = run("scripts/bundle.mjs", "--print")
    assert BUNDLE.read_text(encoding="utf-8") == made


def test_is_small() -> None:
    assert int(run("scripts/bundle.mjs", "--size")) <= 5_200
