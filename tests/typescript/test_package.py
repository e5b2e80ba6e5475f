"""The TypeScript client: its tests, its types, its size, and what is made of it."""

from __future__ import annotations

import pytest

from tests.servers import ROOT
from tests.typescript.events import EVENTS, types
from tests.typescript.npm import run

pytestmark = pytest.mark.node

BUNDLE = ROOT / "asgi_events" / "cli" / "demo" / "static" / "client.js"


def test_passes_its_own_tests() -> None:
    assert "\n# fail 0\n" in run("--test-reporter=tap", "scripts/test.mjs")


def test_has_types_that_hold() -> None:
    assert run("node_modules/typescript-native/bin/tsc") == ""


def test_has_the_events_that_the_server_describes() -> None:
    assert EVENTS.read_text(encoding="utf-8") == types()


def test_is_in_the_wheel_as_its_sources_make_it() -> None:
    made = run("scripts/bundle.mjs", "--print")
    assert BUNDLE.read_text(encoding="utf-8") == made


def test_is_small() -> None:
    assert int(run("scripts/bundle.mjs", "--size")) <= 5000
