"""Builds this checkout's package with compiled modules, once for each state of it."""

import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


@functools.cache
def compiled(*without: str) -> Path:
    """Return a directory to import the compiled package from.

    Args:
        without: Modules that are left as they are, such as ``asgi_events/bus.py``.

    Raises:
        ValueError: One of them is not compiled.
    """
    recipe = (ROOT / "setup.py").read_text()
    for module in without:
        recipe, changed = _leave_out(recipe, module)
        if not changed:
            raise ValueError(f"setup.py does not compile {module}")
    sources = sorted((ROOT / "asgi_events").rglob("*.py"))
    state = hashlib.sha256(recipe.encode() + sys.version.encode())
    for source in sources:
        state.update(source.read_bytes())
    name = f"asgi-events-compiled-{os.getuid()}-{state.hexdigest()[:16]}"
    built = Path(tempfile.gettempdir(), name)
    if not built.exists():
        with tempfile.TemporaryDirectory() as directory:
            _build(Path(directory), recipe).rename(built)
    return built


def _leave_out(recipe: str, module: str) -> tuple[str, bool]:
    lines = recipe.splitlines(keepends=True)
    kept = [line for line in lines if f'"{module}"' not in line]
    return "".join(kept), len(kept) < len(lines)


def _build(directory: Path, recipe: str) -> Path:
    copy, target = directory / "copy", directory / "target"
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(ROOT / "asgi_events", copy / "asgi_events", ignore=ignored)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, copy)
    (copy / "setup.py").write_text(recipe)
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps"]
    subprocess.run(
        [*command, "--target", target, copy],
        check=True,
        env=os.environ | {"ASGI_EVENTS_COMPILE": "1"},
    )
    return target
