"""The menu of the package, and what importing it costs."""

import subprocess
import sys
import types
from pathlib import Path

import pytest

import asgi_events

MENU = [
    "EventBus",
    "EventPrinter",
    "EventSourceResponse",
    "EventStreamer",
    "EventType",
    "EventsApp",
    "EventsMiddleware",
    "Execution",
    "ExecutionEvent",
    "ExecutionResponse",
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

ROOT = Path(asgi_events.__file__).parent


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
