"""The names that docs/api.md calls public, and what importing the package costs."""

import ast
import importlib
import re
import subprocess
import sys
import textwrap
import types
from pathlib import Path

import pytest

import asgi_events

ROOT = Path(asgi_events.__file__).parent
REPOSITORY = ROOT.parent
PAGE = (REPOSITORY / "docs/api.md").read_text()

MENU = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`\w+`.*?) \|", PAGE, re.M)))

MODULES = {
    module: re.findall(r"\w+", names)
    for module, names in re.findall(
        r"^\| `(asgi_events\.[\w.]+)` \| (.*?) \|", PAGE, re.MULTILINE
    )
}


def _imports(source: str) -> set[tuple[str, str]]:
    """The names of ours that a source imports, each with its module."""
    return {
        (node.module, alias.name)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").partition(".")[0] == "asgi_events"
        for alias in node.names
    }


def _examples() -> dict[str, str]:
    """The Python code that README, docs and examples show, by where it stands.

    Code that is only a part of a function is put into one.
    """
    code = {
        str(file.relative_to(REPOSITORY)): file.read_text()
        for file in (REPOSITORY / "examples").glob("*.py")
    }
    for file in [REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")]:
        text = file.read_text()
        for number, block in enumerate(
            re.findall(r"^( *)```python\n(.*?)^ *```", text, re.S | re.M), 1
        ):
            body = textwrap.indent(textwrap.dedent(block[1]), "    ")
            code[f"{file.relative_to(REPOSITORY)}, {number}"] = (
                f"async def shown():\n{body}"
            )
    return code


EXAMPLES = _examples()


def test_offers_exactly_its_menu() -> None:
    assert sorted(MENU) == asgi_events.__all__


def test_sorts_its_menu() -> None:
    assert asgi_events.__all__ == sorted(asgi_events.__all__)


@pytest.mark.parametrize("name", MENU)
def test_has_documented_what_it_offers(name: str) -> None:
    offered = getattr(asgi_events, name)
    assert not isinstance(offered, types.ModuleType)
    assert offered.__doc__


def test_offers_nothing_beside_its_menu() -> None:
    public = {
        name
        for name, value in vars(asgi_events).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public == {*MENU, "compiled"}


@pytest.mark.parametrize("module", MODULES)
def test_has_each_public_name_where_the_page_has_it(module: str) -> None:
    if module.startswith("asgi_events.bridges."):
        # CI has all frameworks: see .ci/run.
        imported = pytest.importorskip(module, exc_type=ImportError)
    else:
        imported = importlib.import_module(module)
    for name in MODULES[module]:
        offered = getattr(imported, name)
        assert offered.__doc__ or not isinstance(offered, type), name
    assert sorted(getattr(imported, "__all__", MODULES[module])) == MODULES[module]


def test_has_each_exception_on_the_page() -> None:
    module = importlib.import_module("asgi_events.exceptions")
    assert MODULES[module.__name__] == sorted(
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", "").startswith(f"{module.__name__}.")
    )


@pytest.mark.parametrize("where", EXAMPLES)
def test_shows_only_public_names(where: str) -> None:
    shown = _imports(EXAMPLES[where])
    public = {(module, name) for module in MODULES for name in MODULES[module]}
    assert shown <= public | {("asgi_events", name) for name in MENU}


def test_finds_the_names_and_the_code_that_it_checks() -> None:
    assert len(MENU) == 22
    assert len(MODULES) > 20
    assert len(EXAMPLES) > 20
    assert set().union(*map(_imports, EXAMPLES.values()))


def test_says_its_version() -> None:
    assert asgi_events.__version__.count(".") == 2


def test_says_whether_it_is_compiled() -> None:
    module = importlib.import_module("asgi_events.log.log")
    assert asgi_events.compiled is not isinstance(module.Log.append, types.FunctionType)


def test_is_typed() -> None:
    assert (ROOT / "py.typed").exists()


def test_imports_nothing_that_is_optional() -> None:
    program = (
        "import sys; before = set(sys.modules); import asgi_events;"
        "print(*{m.partition('.')[0] for m in set(sys.modules) - before})"
    )
    imported = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        check=True,
        text=True,
        cwd=ROOT.parent,
    ).stdout.split()
    ours = {
        name
        for name in set(imported) - set(sys.stdlib_module_names)
        if not name.startswith("_sysconfigdata_")  # of the standard library, too
    }
    assert {"asgi_events", "asgiref", "pydantic"} <= ours
    assert ours <= {
        "asgi_events",
        "asgi_events__mypyc",  # of the compiled build
        "asgiref",
        "pydantic",
        # what pydantic brings
        "annotated_types",
        "pydantic_core",
        "typing_extensions",
        "typing_inspection",
        "_typing_extensions",
    }
