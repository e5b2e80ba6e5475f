"""The examples run as they stand, on a real server where they say so."""

import asyncio
import importlib
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from asgi_events.testing import Client, Connection, virtual_time
from tests.payloads import data, kinds

README = Path(__file__).parent.parent / "README.md"
EXAMPLES = README.parent / "examples"
STREAM = {"accept": "text/event-stream", "content-type": "application/json"}

HELLO = [
    "agent_call",
    "tool_call",
    "tool_call",
    "log",
    *["progress"] * 3,
    "llm_call",
    *["text_delta"] * 11,
    "llm_call",
    "agent_call",
    "complete",
]


@pytest.fixture
def example(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """A fresh import of the module under ``examples`` that a test names."""
    sys.path.insert(0, str(EXAMPLES))
    known = set(sys.modules)
    try:
        yield importlib.import_module(request.param)
    finally:
        sys.path.remove(str(EXAMPLES))
        for name in set(sys.modules) - known:
            if (EXAMPLES / f"{name}.py").exists():
                del sys.modules[name]


@pytest.mark.parametrize("example", ["hello"], indirect=True)
async def test_hello_streams_a_whole_execution(example: ModuleType) -> None:
    body = b'{"topic": "tea"}'
    async with Connection(
        example.app, "POST", "/research", headers=STREAM, body=body
    ) as connection:
        events = await connection.events()
    await example.app.executions.drain(0)

    assert kinds(events) == HELLO
    assert data(events)[-1]["result"].startswith("There is tea in China, tea in India")


async def test_the_first_code_of_the_readme_is_a_whole_program(tmp_path: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)[0]
    (tmp_path / "app.py").write_text(code)
    app = runpy.run_path(str(tmp_path / "app.py"))["app"]

    body = b'{"topic": "tea"}'
    with virtual_time():
        async with Connection(
            app, "POST", "/research", headers=STREAM, body=body
        ) as connection:
            events = await connection.events()
    id = (events[0].id or "").partition(":")[0]
    headers = {"last-event-id": f"{id}:2"}
    resumed = await Client(app).get(f"/executions/{id}/events", headers=headers)
    await app.executions.drain(0)

    assert kinds(events)[:3] == ["agent_call", "tool_call", "tool_call"]
    assert data(events)[-1]["result"] == (
        "There is tea in China, tea in India, tea in Kenya. "
    )
    assert data(await resumed.events()) == data(events[2:])


@pytest.mark.parametrize("example", ["middleware"], indirect=True)
async def test_middleware_starts_an_execution_from_a_view(example: ModuleType) -> None:
    page = await Client(example.app).get("/")
    started = await (await Client(example.app).post("/start")).json()
    async with Connection(example.app, "GET", started["events"]) as connection:
        events = await connection.events()
    await example.app.executions.drain(0)

    assert page.body == (EXAMPLES / "reconnect.html").read_bytes()
    assert kinds(events) == HELLO


@pytest.mark.parametrize("path", ["/stream", "/response"])
@pytest.mark.parametrize("example", ["streaming_api"], indirect=True)
async def test_streaming_api_does_the_same_in_both_ways(
    example: ModuleType, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    body = b'{"query": "tea"}'
    async with Connection(
        example.app, "POST", path, headers=STREAM, body=body
    ) as connection:
        events = await connection.events()

    assert kinds(events) == [kind for kind in HELLO if kind != "progress"]
    assert data(events)[-1] == {
        "event_type": "complete",
        "message": "Execution completed successfully",
        "cache_stats": {
            "hits": 0,
            "misses": 1,
            "hit_rate": 0.0,
            "size": 1,
            "maxsize": 1024,
        },
    }
    assert connection.headers["content-type"].startswith("text/event-stream")
    assert "✔ omni_agent/search" in capsys.readouterr().out


@pytest.mark.parametrize("example", ["streaming_api"], indirect=True)
async def test_streaming_api_stops_its_task_when_the_client_leaves(
    example: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    body = b'{"query": "tea"}'
    async with Connection(
        example.app, "POST", "/response", headers=STREAM, body=body
    ) as connection:
        await connection.event()
        connection.disconnect()
        await connection.end()
    await asyncio.sleep(0)

    assert "■ omni_agent" in capsys.readouterr().out


WAYS = {
    "with_starlette": ["/stream", "/mounted/research", "/events/research"],
    "with_fastapi": ["/stream", "/mounted/research", "/events/research"],
    "with_litestar": ["/stream", "/mounted/research", "/events/research"],
    "with_quart": ["/stream", "/events/research"],
    "with_django": ["/stream", "/events/research"],
}


@pytest.mark.parametrize(
    ("example", "path"),
    [(name, path) for name, paths in WAYS.items() for path in paths],
    indirect=["example"],
)
async def test_every_framework_streams_in_every_way(
    example: ModuleType, path: str
) -> None:
    body = b'{"topic": "tea"}'
    headers = STREAM | {"host": "localhost", "content-length": str(len(body))}
    async with Connection(
        example.app, "POST", path, headers=headers, body=body
    ) as connection:
        events = await connection.events()
    await example.app.executions.drain(0)
    if mounted := getattr(example, "mounted", None):
        await getattr(mounted, "executions", example.app.executions).drain(0)

    assert connection.status == 200
    assert kinds(events) == HELLO
    retained = path != "/stream"
    assert (events[-1].event == "end") is retained
    assert all(bool(event.id) is retained for event in events if event.event is None)
    mount = path.removesuffix("/research")
    location = f"{mount}/executions/{(events[0].id or '').partition(':')[0]}"
    assert connection.headers.get("location") == (location if retained else None)
    assert connection.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert connection.headers["cache-control"] == "no-cache, no-transform"


def test_starts_hypercorn_in_every_page_so_that_it_hears_signals() -> None:
    """Its default stops worker processes without a signal, so streams would hang."""
    root = README.parent
    pages = ["*.md", "docs/*.md", "examples/*.py", "benchmarks/*.py"]
    files = [file for page in pages for file in root.glob(page)]
    files += (root / "asgi_events").rglob("*.py")
    commands = [
        line
        for file in files
        for line in file.read_text().splitlines()
        if re.search(r"\bhypercorn .*\b\w+:app\b", line)
    ]

    assert len(commands) >= 10
    assert [line for line in commands if "--workers 0" not in line] == []
