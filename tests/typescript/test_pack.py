"""The file of ``npm pack``, installed into an empty project."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.node import node
from tests.servers import require
from tests.typescript.npm import PACKAGE, run

pytestmark = pytest.mark.node

CODE = re.compile(r"^```ts\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def npm(folder: Path, *arguments: str) -> None:
    program = shutil.which("npm")
    require(program, "npm is not installed")
    assert program is not None
    done = subprocess.run(
        [program, *arguments, "--offline", "--no-audit", "--no-fund"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty project that has installed the package, and nothing else."""
    run("--version")  # with the packages of the package
    copy = tmp_path_factory.mktemp("work") / "copy"
    ignore = shutil.ignore_patterns("node_modules", "dist", "test")
    shutil.copytree(PACKAGE, copy, ignore=ignore)
    copy.joinpath("node_modules").symlink_to(PACKAGE / "node_modules")
    npm(copy, "pack")
    project = tmp_path_factory.mktemp("project")
    project.joinpath("package.json").write_text('{"type": "module"}')
    (packed,) = copy.glob("*.tgz")
    npm(project, "install", str(packed))
    yield project


def test_has_its_files_and_no_dependency(project: Path) -> None:
    (installed,) = project.glob("node_modules/*/*")
    assert {path.name for path in installed.iterdir()} == {
        *("LICENSE", "README.md", "dist", "package.json")
    }
    package = json.loads(installed.joinpath("package.json").read_text())
    assert "dependencies" not in package
    for entry in (".", "./react"):
        for target in package["exports"][entry].values():
            assert installed.joinpath(target).exists()


def test_runs_in_node(project: Path) -> None:
    script = (
        'import { Client, initialState, reduce } from "@asgi-events/client";'
        'const run = new Client("http://127.0.0.1").run("x");'
        'const { status } = reduce(initialState, [{ event_type: "lost" }]);'
        "console.log(run.id, status);"
    )
    printed = subprocess.check_output(
        [node(), "--input-type=module", "-e", script], cwd=project, text=True
    )
    assert printed == "x lost\n"


IN_A_PAGE = "--module esnext --moduleResolution bundler --lib es2022,dom"
IN_NODE = "--module nodenext --lib es2022 --types node --typeRoots"


@pytest.mark.parametrize("where", ["a page", "Node.js"])
def test_has_the_types_that_its_readme_uses(project: Path, where: str) -> None:
    examples = CODE.findall((PACKAGE / "README.md").read_text())
    given = (
        "declare function token(): Promise<string>;\n"
        "declare function show(text: string): void;\n"
    )
    project.joinpath("first.ts").write_text(given + examples[0])
    project.joinpath("second.ts").write_text(examples[1])
    shutil.copy(PACKAGE / "test" / "paths.ts", project)
    compiler = PACKAGE / "node_modules" / "typescript-native" / "bin" / "tsc"
    options = ["--strict", "--noEmit", "--exactOptionalPropertyTypes"]
    options += ["--target", "es2022"]
    if where == "a page":
        options += IN_A_PAGE.split()
    else:
        options += [*IN_NODE.split(), str(PACKAGE / "node_modules" / "@types")]
    done = subprocess.run(
        [node(), str(compiler), *options, "first.ts", "second.ts"],
        cwd=project,
        capture_output=True,
        text=True,
    )
    assert done.stdout == ""
