"""The OpenAPI document of every actor of ``examples/``, and what a run of it sends.

What is expected is the document of ``examples/hello.py``, with what a row of ``ACTORS``
says in place of its actor.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.bridges import examples
from tests.servers import ROOT

GOLDEN = ROOT / "tests" / "http" / "hello.openapi.json"
TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT}
ANY_OBJECTS = {
    "type": "array",
    "items": {"type": "object", "additionalProperties": True},
}
ANSWER = "Answer the last message; the front end sends all of them each time."
MEASURE = "Measure the temperature. An actor is one call too when {} calls it."


@dataclass(frozen=True)
class Row:
    """An actor, as its code has it.

    Attributes:
        given: An input.
        members: The schema of each member of the input.
        model: The model of the input; without one it has a member for each parameter.
        result: The schema of the result.
        summary: What its docstring says.
    """

    given: dict[str, Any]
    members: dict[str, Any]
    model: str | None = None
    result: Any = None
    summary: str | None = None


TEA = {"topic": "tea"}
KENYA = {"place": "Kenya"}
HELLO = [{"role": "user", "content": "Is it warm?"}]

ACTORS = {
    "hello.research": Row(TEA, {"topic": TEXT}, model="Topic"),
    "hello.search": Row({"query": "tea"}, {"query": TEXT}, result=TEXTS),
    "hello.write": Row({"prompt": "tea"}, {"prompt": TEXT}),
    "streaming_api.search": Row({"query": "tea"}, {"query": TEXT}, result=TEXTS),
    "streaming_api.write": Row({"prompt": "tea"}, {"prompt": TEXT}),
    "trip.chat": Row({"messages": HELLO}, {"messages": ANY_OBJECTS}, summary=ANSWER),
    "with_approval.shop": Row({"complaint": "It is broken"}, {"complaint": TEXT}),
    "with_langchain.measure": Row(
        KENYA, {"place": TEXT}, summary=MEASURE.format("LangChain")
    ),
    "with_langchain.research": Row(TEA, {"topic": TEXT}),
    "with_mcp.research": Row(TEA, {"topic": TEXT}),
    "with_openai_agents.measure": Row(
        KENYA, {"place": TEXT}, summary=MEASURE.format("an agent")
    ),
    "with_openai_agents.research": Row(TEA, {"topic": TEXT}),
    "with_opentelemetry.research": Row(TEA, {"topic": TEXT}),
    "with_pydantic_ai.chat": Row(
        {"question": "Is it warm?"}, {"question": TEXT}, model="Question"
    ),
    "chat.chat": Row(
        {"question": "Is it warm?"},
        {"question": TEXT | {"minLength": 1, "maxLength": 4000}},
    ),
}
NOT_OVER_HTTP = {"streaming_api.omni_agent"}  # it takes an ExecutionState


def expected(name: str, row: Row) -> Any:
    """The whole document of one actor."""
    actor = name.partition(".")[2]
    text = GOLDEN.read_text().replace("Research", actor.capitalize())
    document = json.loads(text.replace("research", actor))
    schemas = document["components"]["schemas"]
    start = document["paths"][f"/{actor}"]["post"]
    start["summary"] = row.summary or start["summary"]

    del schemas["Topic"]
    model = row.model or actor
    start["requestBody"]["content"]["application/json"]["schema"] = {
        "$ref": f"#/components/schemas/{model}"
    }
    schemas[model] = {
        "title": model,
        "type": "object",
        "properties": {
            member: {"title": member.capitalize()} | schema
            for member, schema in row.members.items()
        },
        "required": list(row.members),
    } | ({} if row.model else {"additionalProperties": False})

    result = row.result or TEXT
    for part in ("", actor.capitalize()):
        schemas[f"{part}CompleteEvent"]["properties"]["result"] = result
    execution = schemas[f"{actor.capitalize()}Execution"]
    execution["properties"]["result"] = {"anyOf": [result, {"type": "null"}]}
    return document


def made(data: Path) -> Any:
    """What ``tests.bridges.examples`` makes of each actor."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.bridges.examples"],
        cwd=ROOT,
        env=os.environ | {"DATA": str(data)},
        input=json.dumps({name: row.given for name, row in ACTORS.items()}),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def check(document: Any, part: str, *sent: Any) -> None:
    """All JSON that was sent is what a component of the document describes."""
    resource = Resource(contents=document, specification=DRAFT202012)
    registry: Any = Registry().with_resource("urn:document", resource)
    schema = {"$ref": f"urn:document#/components/schemas/{part}"}
    validator = Draft202012Validator(schema, registry=registry)
    errors = [(str(e), each) for each in sent for e in validator.iter_errors(each)]
    assert errors == []


def test_has_a_row_for_every_actor() -> None:
    assert set(examples.names()) == ACTORS.keys() | NOT_OVER_HTTP


def test_is_right_for_every_actor_and_what_it_sends(tmp_path: Path) -> None:
    for name, each in made(tmp_path).items():  # once: some of them import a lot
        document = each["document"]
        assert document == expected(name, ACTORS[name]), name

        actor = name.partition(".")[2].capitalize()
        *events, (last, end) = each["sent"]
        assert {event for event, _ in events} == {None}
        check(document, f"{actor}Event", *(data for _, data in events))
        assert (last, end) == ("end", {"status": "completed"})
        check(document, "End", end)
        check(document, f"{actor}Execution", each["about"])
