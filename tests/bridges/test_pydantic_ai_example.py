"""The example of pydantic-ai on a real server: watched, resumed, stopped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import httpx
import httpx_sse
import pytest

from tests.payloads import without_place
from tests.servers import ROOT, TIMEOUT, Server, watched

pytestmark = pytest.mark.server

QUESTION = {"question": "Is it warm in Rome?"}
ANSWER = "It is warm in Rome, so take a hat with you. "


@pytest.fixture
def server() -> Iterator[Server]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "examples")])
    names = dict.fromkeys(("EXAMPLE", "AGENT"), "with_pydantic_ai")
    env = {"PYTHONPATH": path, "MODEL": "", **names}
    with (
        Server("tests.bridges.gated_app:app", "uvicorn", env=env) as server,
        watched(server),
    ):
        yield server


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=TIMEOUT, trust_env=False) as client:
        yield client


def events(
    http: httpx.Client, path: str, after: str = "", until: str = ""
) -> list[tuple[str, dict[str, Any]]]:
    """The ids and the JSON of unnamed events, up to the first text ``until``."""
    seen: list[tuple[str, dict[str, Any]]] = []
    headers = {"last-event-id": after} if after else {}
    path = f"{path}/events"
    with httpx_sse.connect_sse(http, "GET", path, headers=headers) as source:
        for event in source.iter_sse():
            if event.event != "message":
                break
            seen.append((event.id, without_place(event.json())))
            if until and seen[-1][1].get("delta") == until:
                break
    return seen


def test_it_streams_resumes_and_stops(http: httpx.Client) -> None:
    started = http.post("/chat", json=QUESTION)
    path = started.headers["location"]
    first = events(http, path, until="in ")
    http.post("/go-on")
    rest = events(http, path, after=first[-1][0])
    whole = events(http, path)

    assert first + rest == whole
    seen = [event for _, event in whole]
    texts = [event for event in seen if event["event_type"] == "text_delta"]
    assert {event["address"] for event in texts} == {"chat/guide/fake#2"}
    assert "".join(event["delta"] for event in texts) == ANSWER
    tool = [event for event in seen if event["event_type"] == "tool_call"]
    assert tool[0]["input"] == {"city": "Rome"}
    assert tool[1]["output"] == "sunny, 31 °C"
    assert seen[-1]["result"] == ANSWER

    stopped = (http.post("/chat", json=QUESTION)).headers["location"]
    events(http, stopped, until="in ")
    assert (http.delete(stopped)).status_code == 202
    last = [event for _, event in events(http, stopped)][-4:]
    assert [(e["address"], e["execution_status"]) for e in last[:3]] == [
        ("chat/guide/fake#2", "cancelled"),
        ("chat/guide", "cancelled"),
        ("chat", "cancelled"),
    ]
    assert last[3]["event_type"] == "cancelled"
