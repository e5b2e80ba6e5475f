"""What ``docs/stores.md`` shows of a store of one's own runs as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

TOY = """
from asgi_events.stores import memory
from asgi_events.stores.memory import MemoryStore


class ToyStore(MemoryStore):
    clock_offset = 0.0

    def __init__(self, path):
        super().__init__()
        memory.monotonic = lambda: real() + self.clock_offset


real = memory.monotonic
"""


def test_passes_the_contract_as_it_is_shown(tmp_path: Path) -> None:
    text = (ROOT / "docs/stores.md").read_text()
    part = text.partition("## Write a store of your own")[2]
    (example,) = re.findall(r"   ```python\n(.*?)   ```", part, re.DOTALL)
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package/toy.py").write_text(TOY)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_toy.py").write_text(re.sub("^   ", "", example, flags=re.M))

    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        + ["test_toy.py"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"[1-9]\d+ passed", ran.stdout)
