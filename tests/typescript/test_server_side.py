"""``useExecution`` where there is no page: what a server renders."""

from __future__ import annotations

import json
import re
import subprocess
from html import unescape
from pathlib import Path

import pytest

from tests.clients.node import node
from tests.typescript.pages import REACTS, bundle

pytestmark = pytest.mark.node


@pytest.mark.parametrize("react", REACTS)
def test_renders_what_is_there_before_any_event(react: str, tmp_path: Path) -> None:
    options = ("--platform=node", "--format=cjs")
    made = bundle(react, tmp_path, *options, entry="react-server.jsx")
    done = subprocess.run(
        [node(), str(made)], capture_output=True, text=True, timeout=60, check=True
    )

    said = re.findall(r"<p>(.*?)</p>", unescape(done.stdout))
    assert done.stderr == ""
    assert [json.loads(each) for each in said] == [
        [None, "idle", None, {}, []],
        ["x", "connecting", None, {}, []],
    ]
