"""The examples for MCP and OpenTelemetry in a real server."""

import pytest

from tests.bridges.reloading import reload_and_stop

pytestmark = pytest.mark.server


def test_with_mcp() -> None:
    seen = reload_and_stop(
        "with_mcp", 'progress research/index current=2.0 total=5.0 message="page 2"'
    )

    assert seen == [
        "agent research started",
        'tool research/index started input={"topic": "tea"}',
        'tool research/count started input={"topic": "tea"}',
        'tool research/count completed output={"result": 3}',
        *(
            f'progress research/index current={page}.0 total=5.0 message="page {page}"'
            for page in range(1, 6)
        ),
        'tool research/index completed output={"result": "5 pages about tea"}',
        "agent research completed",
    ]


def test_with_opentelemetry() -> None:
    seen = reload_and_stop("with_opentelemetry", "tool research/guide/search completed")

    assert [line.partition(" usage=")[0] for line in seen] == [
        "agent research started",
        "agent research/guide started",
        "llm research/guide/test started",
        "llm research/guide/test completed",
        "tool research/guide/search started",
        "tool research/guide/measure started",
        "tool research/guide/measure/read started",
        "tool research/guide/search completed",
        "tool research/guide/measure/read completed",
        "tool research/guide/measure completed",
        "llm research/guide/test#2 started",
        "llm research/guide/test#2 completed",
        "agent research/guide completed",
        "agent research completed",
    ]
