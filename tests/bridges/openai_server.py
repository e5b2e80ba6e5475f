"""A fake OpenAI server, in the event loop of the test, that says what it is told to.

It knows the Responses API, streamed and not. The name of a model is the key of what the
server says, in the order of the requests.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any, Self

from agents import OpenAIResponsesModel
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

Item = dict[str, Any]
_calls = count(1)

HANG: Item = {"type": "hang"}
"""What the server says nothing after, without an end of its answer."""


def say(*deltas: str) -> Item:
    """A message in pieces."""
    content = {"type": "output_text", "text": "".join(deltas), "annotations": []}
    return {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [content],
        "deltas": [("response.output_text.delta", delta) for delta in deltas],
    }


def think(*deltas: str) -> Item:
    """A summary of the reasoning, in pieces."""
    return {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "".join(deltas)}],
        "deltas": [("response.reasoning_summary_text.delta", d) for d in deltas],
    }


def ask(tool: str, **arguments: Any) -> Item:
    """A call of a function, or of a handoff."""
    return {
        "type": "function_call",
        "id": f"fc_{tool}",
        "call_id": f"call_{next(_calls)}",  # the framework wants each only once
        "name": tool,
        "arguments": json.dumps(arguments),
        "status": "completed",
        "deltas": [],
    }


class FakeOpenAI:
    """``async with FakeOpenAI(guide=[[say("Hi")]]) as openai: openai.model("guide")``.

    Attributes:
        tasks: The connections that are open.
    """

    def __init__(self, **answers: Iterable[list[Item]]) -> None:
        self._answers = {model: iter(steps) for model, steps in answers.items()}
        self._closing = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self._client = AsyncOpenAI(
            base_url=f"http://127.0.0.1:{port}/v1",
            api_key="none",
            max_retries=0,
            # To read the certificates takes most of the time of a test.
            http_client=DefaultAsyncHttpxClient(verify=False),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()
        self._closing.set()
        self._server.close()
        if self.tasks:
            await asyncio.wait(self.tasks)

    def model(self, name: str) -> OpenAIResponsesModel:
        return OpenAIResponsesModel(name, self._client)

    async def _connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.split("content-length:")[1].split()[0])
            request = json.loads(await reader.readexactly(length))
            await self._answer(request, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()
            self.tasks.discard(task)

    async def _answer(
        self, request: Mapping[str, Any], writer: asyncio.StreamWriter
    ) -> None:
        items = next(self._answers[request["model"]], None)
        if items is None:
            writer.write(_head("500 Oh", "application/json") + b'{"error": "out"}')
            return await writer.drain()
        output = [{k: v for k, v in i.items() if k != "deltas"} for i in items]
        response = {
            "id": "resp_1",
            "object": "response",
            "created_at": 0,
            "model": request["model"],
            "status": "completed",
            "output": output,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": {
                "input_tokens": 3,
                "output_tokens": 5,
                "total_tokens": 8,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens_details": {"reasoning_tokens": 0},
            },
        }
        if not request.get("stream"):
            if HANG in items:
                await self._closing.wait()
            writer.write(_head("200 OK", "application/json"))
            writer.write(json.dumps(response).encode())
            return await writer.drain()
        writer.write(_head("200 OK", "text/event-stream"))
        number = 0

        def event(type: str, **fields: Any) -> None:
            nonlocal number
            data = {"type": type, "sequence_number": number, **fields}
            writer.write(f"event: {type}\ndata: {json.dumps(data)}\n\n".encode())
            number += 1

        event("response.created", response={**response, "output": []})
        for index, item in enumerate(items):
            if item is HANG:
                await writer.drain()
                await self._closing.wait()
                return
            for type, delta in item["deltas"]:
                place = {"output_index": index, "item_id": item["id"]}
                part = "summary_index" if "summary" in type else "content_index"
                event(type, delta=delta, logprobs=[], **place, **{part: 0})
            event("response.output_item.done", output_index=index, item=output[index])
        event("response.completed", response=response)
        await writer.drain()


def _head(status: str, type: str) -> bytes:
    return (
        f"HTTP/1.1 {status}\r\ncontent-type: {type}\r\nconnection: close\r\n\r\n"
    ).encode()
