"""What is released: all that its tests need, and nothing that lies about."""

import re
import shutil
import subprocess
import sys
import tarfile
from configparser import ConfigParser
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

import pytest

from tests.servers import require

ROOT = Path(__file__).parents[1]

LEFT_BEHIND = [
    "build/lib/asgi_events/gone.py",
    "asgi_events/__pycache__/gone.cpython-311.pyc",
    "tests/clients/node_modules/gone/index.js",
    "examples/ai_sdk/node_modules/gone/index.js",
    "examples/ai_sdk/dist/gone.js",
    "tests/clients/copilotkit/node_modules/gone/index.js",
    "tests/clients/openapi/node_modules/gone/index.js",
    "tests/clients/react18/node_modules/gone/index.js",
    "clients/typescript/node_modules/gone/index.js",
    "clients/typescript/dist/gone.js",
]


def build(kind: str, root: Path) -> Path:
    """Build ``root`` as a front end does, in the environment that is there."""
    code = f"from setuptools import build_meta as b; print(b.build_{kind}('dist'))"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    return root / "dist" / run.stdout.split()[-1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source distribution, built where older builds have left something."""
    # PEP 639, which setup.cfg follows, needs this one.
    found = int(version("setuptools").partition(".")[0])
    require(found >= 77, "setuptools 77 or later is not installed")
    copy = tmp_path_factory.mktemp("work") / "copy"
    ignore = shutil.ignore_patterns(
        ".*", "*.egg-info", "__pycache__", "node_modules", "build", "dist"
    )
    shutil.copytree(ROOT, copy, ignore=ignore)
    for name in LEFT_BEHIND:
        copy.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        copy.joinpath(name).write_text("")
    return build("sdist", copy)


@pytest.fixture(scope="module")
def unpacked(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(directory, filter="data")
    (root,) = directory.iterdir()
    return root


def files(root: Path, *suffixes: str) -> set[str]:
    return {
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.suffix in suffixes
        and not {"node_modules", "dist", "__pycache__"} & set(path.parts)
    }


def test_has_all_that_its_tests_need_in_its_source_distribution(unpacked: Path) -> None:
    for directory in ("tests", "examples", "clients", "asgi_events"):
        suffixes = (
            *(".py", ".json", ".mjs", ".ts", ".tsx", ".html", ".js", ".jsx"),
            *(".css", ".typed"),
        )
        assert files(unpacked / directory, *suffixes) == files(
            ROOT / directory, *suffixes
        )
    for name in ("README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE", "docs/wire.md"):
        assert (unpacked / name).read_bytes() == (ROOT / name).read_bytes()


def test_runs_its_tests_from_its_source_distribution(unpacked: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"]
        + ["tests/test_events.py", "tests/test_contract.py"],
        cwd=unpacked,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout


def test_leaves_out_what_older_builds_have_left(unpacked: Path) -> None:
    assert [name for name in LEFT_BEHIND if (unpacked / name).exists()] == []


def test_has_the_package_and_nothing_else_in_its_wheel(unpacked: Path) -> None:
    with ZipFile(build("wheel", unpacked)) as wheel:
        names = {PurePosixPath(name) for name in wheel.namelist()}
    package = {str(name) for name in names if name.parts[0] == "asgi_events"}
    found = files(ROOT / "asgi_events", ".py", ".html", ".js", ".css", ".typed")
    assert package >= {f"asgi_events/{name}" for name in found}
    assert all((ROOT / name).exists() for name in package)
    others = {name.parts[0] for name in names} - {"asgi_events"}
    assert len(others) == 1 and others.pop().endswith(".dist-info")


def test_is_tested_with_the_oldest_version_of_each_dependency() -> None:
    """All but what only tests, examples and benchmarks need."""
    setup, tox = ConfigParser(), ConfigParser()
    setup.read(ROOT / "setup.cfg")
    tox.read(ROOT / "tox.ini")
    extras = setup["options.extras_require"]
    needed = [setup["options"]["install_requires"]]
    used = ("ag-ui", "cache", "client", "server", "redis", "retry")
    needed += [extras[name] for name in extras if name in used]
    found = re.findall(r"^([\w-]+)(?:\[\w+\])? >= ([\d.]+)", "\n".join(needed), re.M)
    pins = re.findall(r"^([\w-]+)==([\d.]+)", tox["testenv:lowest"]["deps"], re.M)
    oldest = {name: _parts(version) for name, version in found}
    assert {name: _parts(version) for name, version in pins} == oldest


def _parts(version: str) -> tuple[int, int, int]:
    major, minor, patch, *_ = (*map(int, version.split(".")), 0, 0)
    return major, minor, patch
