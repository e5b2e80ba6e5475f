"""The menu of the package, what importing it costs, and which way imports point."""

import ast
import inspect
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import get_type_hints

import pytest

import asgi_events
from asgi_events import Executions
from asgi_events.executions import ExecutionsOptions

MENU = [
    "EventBus",
    "EventPrinter",
    "EventSourceResponse",
    "EventStreamer",
    "EventType",
    "EventsApp",
    "EventsMiddleware",
    "ExecutionEvent",
    "ExecutionResult",
    "ExecutionState",
    "ExecutionStatus",
    "Executions",
    "Message",
    "ServerSentEvent",
    "agent",
    "current_state",
    "llm",
    "tool",
]

# The lowest layer first. A module imports from layers below its own, and only there.
# A name ending in .* stands for all modules of a package.
LAYERS = [
    ["types"],
    ["headers"],
    [
        "exceptions",
        "sse",
        "errors",
        "options",
        "rounds",
        "signals",
        "threads",
        "pauses",
        "terminal",
        "grace",
    ],
    ["events"],
    ["encoding", "wheel"],
    [
        "bus",
        "cache",
        "memory_cache",
        "frames",
        "stores",
        "stores.hints",
        "stores.rules",
    ],
    ["stores.redis_scripts", "stores.sqlite_schema"],
    ["stores.sqlite_file"],
    ["stores.redis_connection", "stores.sqlite_threads", "stores.sqlite_housekeeping"],
    ["stores.redis_hints", "stores.redis_server", "stores.sqlite_watches"],
    ["state", "log", "stores.*"],
    ["actors", "cursor", "responses"],
    ["streamer", "printer", "inputs", "recorder", "follower", "audience"],
    ["execution", "keeper"],
    ["run", "remote", "idempotency"],
    ["executions"],
    ["answers"],
    ["request"],
    ["origins"],
    ["app"],
    ["middleware"],
    [""],  # the package itself
    ["server", "inspect", "adapters.body", "demo.*"],
    ["adapters", "adapters.*", "demo"],
    ["cli"],
    ["__main__"],
]

# Imports inside functions, of what is optional or chosen at run time.
DEFERRED = {("actors", "memory_cache"), ("stores", "stores.*")}

ROOT = Path(asgi_events.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))


def _module(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def _layer(module: str) -> int:
    wanted = {module, f"{module.partition('.')[0]}.*" if "." in module else module}
    for number, layer in enumerate(LAYERS):
        if wanted & set(layer):
            return number
    raise AssertionError(f"{module!r} has no layer: give it one in LAYERS")


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in (
        "TYPE_CHECKING",
        "typing.TYPE_CHECKING",
    )


def _imports(tree: ast.AST, deferred: bool = False) -> Iterator[tuple[str, bool]]:
    """The modules of ours that are imported, and whether inside a function."""
    for node in ast.iter_child_nodes(tree):
        if _is_type_checking(node):
            continue
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if (node.module or "").partition(".")[0] == "asgi_events":
                module = (node.module or "").removeprefix("asgi_events").lstrip(".")
                for alias in node.names:
                    yield _submodule(module, alias.name), deferred
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "asgi_events":
                    yield alias.name.removeprefix("asgi_events").lstrip("."), deferred
        else:
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from _imports(node, deferred or inside)


def _submodule(module: str, name: str) -> str:
    """``from asgi_events.demo import actors`` imports the module, not the package."""
    path = ROOT.joinpath(*filter(None, module.split(".")), name)
    is_module = path.with_suffix(".py").exists() or (path / "__init__.py").exists()
    return ".".join(filter(None, [module, name])) if is_module else module


def _matches(module: str, pattern: str) -> bool:
    return module == pattern or (
        pattern.endswith(".*") and module.startswith(pattern[:-1])
    )


def test_offers_exactly_its_menu() -> None:
    assert asgi_events.__all__ == MENU


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
    assert public == set(MENU)


def test_says_its_version() -> None:
    assert asgi_events.__version__.count(".") == 2


def test_is_typed() -> None:
    assert (ROOT / "py.typed").exists()


def test_lists_the_options_of_executions_as_they_are() -> None:
    keywords = {
        name
        for name, parameter in inspect.signature(Executions).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    assert set(ExecutionsOptions.__annotations__) == keywords


def test_types_the_options_of_executions_as_they_are() -> None:
    hints = get_type_hints(Executions.__init__)
    assert get_type_hints(ExecutionsOptions) == {
        name: hints[name] for name in ExecutionsOptions.__annotations__
    }


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
        "asgiref",
        "pydantic",
        # what pydantic brings
        "annotated_types",
        "pydantic_core",
        "typing_extensions",
        "typing_inspection",
        "_typing_extensions",
    }


@pytest.mark.parametrize("file", FILES, ids=_module)
def test_imports_only_from_the_layers_below(file: Path) -> None:
    importer = _module(file)
    upward = {
        (imported, deferred)
        for imported, deferred in _imports(ast.parse(file.read_text()))
        if _layer(imported) >= _layer(importer)
        and not (
            deferred
            and any(
                importer == who and _matches(imported, what) for who, what in DEFERRED
            )
        )
    }
    assert upward == set()
