"""The example of LangGraph on a real server: watched, resumed, stopped."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from asgi_events.testing import Client
from asgi_events.wire.sse import Decoder
from tests.bridges.golden import line, tree
from tests.servers import ROOT, TIMEOUT, Server, watched

FIRST_WORDS = "text research/react/think#2/model 'know: '"


async def watch(
    http: httpx.AsyncClient, path: str, last: str | None = None
) -> AsyncIterator[tuple[str | None, str]]:
    """Yield the id and the line of each event after the ``last`` one."""
    headers = {"last-event-id": last} if last else {}
    decoder = Decoder()
    async with http.stream("GET", f"{path}/events", headers=headers) as answer:
        async for part in answer.aiter_bytes():
            for event in decoder.feed(part):
                if event.event is None and event.data:
                    yield event.id, line(json.loads(event.data))


async def start(http: httpx.AsyncClient) -> str:
    answer = await http.post("/research", json={"topic": "tea"})
    return answer.headers["location"]


def calls(lines: list[str]) -> list[str]:
    return [each for each in lines if each.startswith(("agent ", "tool ", "llm "))]


async def test_the_code_in_the_docs_is_a_whole_program() -> None:
    page = (ROOT / "docs" / "bridges.md").read_text()
    section = page.partition("\n## LangChain and LangGraph\n")[2]
    names: dict[str, Any] = {"__name__": "docs"}
    code = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0]
    exec(compile(code, "docs/bridges.md", "exec"), names)

    headers = {"accept": "text/event-stream"}
    answer = await Client(names["app"]).post(
        "/research", json={"topic": "tea"}, headers=headers
    )
    events = await answer.events()
    await names["app"].executions.drain(0)

    said = [json.loads(event.data) for event in events if event.event is None]
    text = [each for each in said if each["event_type"] == "text_delta"]
    assert {each["address"] for each in text} == {
        "research/react/think/GenericFakeChatModel"
    }
    assert said[-1]["result"] == "".join(each["delta"] for each in text)


@pytest.mark.server
async def test_it_streams_resumes_and_stops() -> None:
    env = {"PYTHONPATH": str(ROOT / "examples"), "MODEL": ""}
    seen, stopped = [], []
    last: str | None = None
    with Server("with_langchain:app", "uvicorn", env=env) as server, watched(server):
        async with httpx.AsyncClient(
            base_url=server.url, timeout=TIMEOUT, trust_env=False
        ) as http:
            path = await start(http)
            async for id, event in watch(http, path):
                seen.append(event)
                last = id
                if event == FIRST_WORDS:
                    break
            resumed = [event async for _, event in watch(http, path, last)]
            whole = [event async for _, event in watch(http, path)]

            path = await start(http)
            async for _, event in watch(http, path):
                stopped.append(event)
                if event == FIRST_WORDS:
                    await http.delete(path)

    assert seen + resumed == whole
    assert calls(whole) == tree(
        """
        agent research started
        agent research/react started
        agent research/react/think started
        llm research/react/think/model started
        llm research/react/think/model completed
        agent research/react/think completed
        agent research/react/tools started
        tool research/react/tools/search started
        tool research/react/tools/measure started
        tool research/react/tools/search completed
        tool research/react/tools/measure completed
        agent research/react/tools completed
        agent research/react/think#2 started
        llm research/react/think#2/model started
        llm research/react/think#2/model completed
        agent research/react/think#2 completed
        agent research/react completed
        agent research completed
        """
    )
    after = stopped[stopped.index(FIRST_WORDS) + 1 :]
    assert calls(after) == tree(
        """
        llm research/react/think#2/model cancelled
        agent research/react/think#2 cancelled
        agent research/react cancelled
        agent research cancelled
        """
    )
