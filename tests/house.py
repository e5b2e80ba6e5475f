"""The rooms of the package and the imports between them, as ``docs/architecture.md``
has them and as the code has them.

    python -m tests.house

prints both. A room is a folder of the package, or a module beside the folders.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "asgi_events"

_ROW = re.compile(r"\| (`[a-z_` ]+`) \|.*\| ([^|]*) \|")
_NAME = re.compile(r"`([a-z_]+)`")


@dataclass(frozen=True)
class Import:
    """One module imports another one.

    Attributes:
        importer: The module that imports, without ``asgi_events.``.
        imported: The module of ours that is imported; empty for the package itself.
    """

    importer: str
    imported: str


def modules() -> dict[str, Path]:
    """Every module by its name, without ``asgi_events.``."""
    return {name_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def room(module: str) -> str:
    """The room of a module; the package itself is ``asgi_events``."""
    return module.partition(".")[0] or "asgi_events"


def imports(module: str, file: Path) -> Iterator[Import]:
    """What a module imports of ours, for its types alone, too."""
    for imported in imported_by(file.read_text()):
        yield Import(module, imported)


def imported_by(source: str) -> set[str]:
    """The modules of ours that a source imports, inside of functions, too."""
    return set(_imports(ast.parse(source)))


def all_imports() -> list[Import]:
    """All imports of the package."""
    return [
        each for module, file in modules().items() for each in imports(module, file)
    ]


def rules() -> dict[str, set[str]]:
    """What each room may import: the table in ``docs/architecture.md``, top down.

    A row may import what its last column names, and itself. ``all above`` are the rooms
    of the rows before it.
    """
    allowed: dict[str, set[str]] = {}
    for line in (ROOT / "docs/architecture.md").read_text().splitlines():
        match = _ROW.fullmatch(line)
        if match is None:
            continue
        row = set(_NAME.findall(match[1]))
        named = set(_NAME.findall(match[2]))
        above = set(allowed) if "all above" in match[2] else set()
        missing = named - set(allowed)
        assert not missing, f"the row of {row} names {missing}, which is not above it"
        for name in row:
            allowed[name] = row | named | above
    return allowed


@dataclass(frozen=True)
class Size:
    """How many lines something of the package has, docstrings and comments among them.

    Attributes:
        name: The file's path in the package, for a class or function with its name.
        kind: ``file``, ``class`` or ``function``.
        lines: How many.
    """

    name: str
    kind: str
    lines: int


LONGEST = {"file": 400, "class": 250, "function": 60}
"""How many lines each kind may have."""


def sizes() -> Iterator[Size]:
    """The size of every file, class and function, those inside of others, too."""
    for file in modules().values():
        name, source = file.relative_to(PACKAGE).as_posix(), file.read_text()
        yield Size(name, "file", len(source.splitlines()))
        yield from sizes_in(name, source)


def sizes_in(name: str, source: str) -> Iterator[Size]:
    """The size of every class and function of a source."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            kind = "class" if isinstance(node, ast.ClassDef) else "function"
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            lines = (node.end_lineno or first) - first + 1
            yield Size(f"{name} {node.name}", kind, lines)


def circle(between: set[tuple[str, str]]) -> list[str]:
    """A circle of imports, if there is one."""
    graph: defaultdict[str, set[str]] = defaultdict(set)
    for importer, imported in between:
        graph[importer].add(imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def arrows() -> set[tuple[str, str]]:
    """The imports between rooms, each pair once."""
    pairs = {(room(each.importer), room(each.imported)) for each in all_imports()}
    return {
        (importer, imported) for importer, imported in pairs if importer != imported
    }


def name_of(file: Path) -> str:
    """The name of the module in a file, without ``asgi_events.``."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if (node.module or "").partition(".")[0] == "asgi_events":
                module = (node.module or "").removeprefix("asgi_events").lstrip(".")
                for alias in node.names:
                    yield _submodule(module, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "asgi_events":
                    yield alias.name.removeprefix("asgi_events").lstrip(".")


def _submodule(module: str, name: str) -> str:
    """``from asgi_events.aio import signals`` imports the module, not the package."""
    path = PACKAGE.joinpath(*filter(None, module.split(".")), name)
    is_module = path.with_suffix(".py").exists() or (path / "__init__.py").exists()
    return ".".join(filter(None, [module, name])) if is_module else module


def main() -> int:
    """Print the rooms, what each imports, and what is wrong with that."""
    allowed = rules()
    between = arrows()
    up = 0
    for name in allowed:
        there = sorted(imported for importer, imported in between if importer == name)
        wrong = [imported for imported in there if imported not in allowed[name]]
        up += len(wrong)
        said = f"   NOT {', '.join(wrong)}" if wrong else ""
        print(f"{name:16} -> {', '.join(there) or '-'}{said}")
    files = {(each.importer, each.imported) for each in all_imports()}
    print(
        f"{len(allowed)} rooms, {len(between)} arrows, {up} against the rules; "
        f"{len(modules())} modules, {len(files)} arrows; "
        f"circle: {circle(between) or circle(files) or 'none'}"
    )
    return 1 if up else 0


if __name__ == "__main__":
    sys.exit(main())
