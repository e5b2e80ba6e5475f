"""Real clients, each as one coroutine that watches a stream until the client stops.

``watch(client, url)`` runs one of ``CLIENTS`` and returns the events that it passed to
its user, in order. After a cut most clients reconnect by themselves. curl and httpx do
not, so the code here reconnects them, as their users would.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import httpx_sse

from tests.apps import RETRY
from tests.servers import TIMEOUT, require

HERE = Path(__file__).parent

LINGER = 10 * RETRY  # milliseconds in which a client that reconnects has done so


@dataclass(frozen=True, slots=True)
class Seen:
    """An event as a client passes it to its user."""

    event: str
    id: str
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What a client shall do.

    Attributes:
        url: The URL of the stream.
        body: The JSON of a POST; None for a GET.
        headers: Further headers of the request.
        last_event_id: The ``Last-Event-ID`` of its first request.
        close: Whether it closes at the event ``end``; otherwise it decides by itself.
        on_seen: Called with each event at once.
    """

    url: str
    body: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    last_event_id: str | None = None
    close: bool = True
    on_seen: Callable[[Seen], None] = lambda _: None

    @property
    def method(self) -> str:
        return "GET" if self.body is None else "POST"

    @property
    def all_headers(self) -> dict[str, str]:
        headers = {"accept": "text/event-stream", **self.headers}
        if self.body is not None:
            headers["content-type"] = "application/json"
        return headers


Client: TypeAlias = Callable[[Watch], Coroutine[Any, Any, list[Seen]]]


async def watch(client: str, url: str, **options: Any) -> list[Seen]:
    """Return what ``client`` sees at ``url`` until it stops."""
    async with asyncio.timeout(3 * TIMEOUT):
        return await CLIENTS[client](Watch(url=url, **options))


async def _curl(watch: Watch) -> list[Seen]:
    require(shutil.which("curl"), "curl is not installed")
    arguments = ["--no-buffer", "--silent", "--request", watch.method, watch.url]
    for name, value in watch.all_headers.items():
        arguments += ["--header", f"{name}: {value}"]
    if watch.body is not None:
        arguments += ["--data", json.dumps(watch.body)]
    seen: list[Seen] = []
    last_event_id = watch.last_event_id
    while True:
        cursor = []
        if last_event_id is not None:
            cursor = ["--header", f"Last-Event-ID: {last_event_id}"]
        blocks = _Blocks(watch.on_seen)
        code, _ = await _run("curl", *arguments, *cursor, on_line=blocks.take)
        seen += blocks.seen
        last_event_id = blocks.last_event_id or last_event_id
        if code == 0 and not blocks.lines:  # 204
            return seen
        if watch.close and seen and seen[-1].event == "end":
            return seen
        await asyncio.sleep(RETRY / 1000)


class _Blocks:
    """Splits the output of curl into blocks, as a short script of its user would."""

    def __init__(self, on_seen: Callable[[Seen], None]) -> None:
        self.lines = 0
        self.seen: list[Seen] = []
        self.last_event_id: str | None = None
        self._on_seen = on_seen
        self._fields: dict[str, str] = {}

    def take(self, line: str) -> None:
        self.lines += 1
        name, _, value = line.partition(":")
        if name:
            self._fields[name] = value.removeprefix(" ")
        if line:
            return
        fields, self._fields = self._fields, {}
        self.last_event_id = fields.get("id", self.last_event_id)
        self.seen.append(
            Seen(
                fields.get("event", "message"),
                fields.get("id", ""),
                fields.get("data", ""),
            )
        )
        self._on_seen(self.seen[-1])


async def _httpx(watch: Watch) -> list[Seen]:
    seen: list[Seen] = []
    last_event_id = watch.last_event_id
    async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as client:
        while True:
            headers = dict(watch.all_headers)
            if last_event_id is not None:
                headers["last-event-id"] = last_event_id
            try:
                async with httpx_sse.aconnect_sse(
                    client, watch.method, watch.url, json=watch.body, headers=headers
                ) as source:
                    if source.response.status_code == 204:
                        return seen
                    async for event in source.aiter_sse():
                        # NOTE: as the specification says, it repeats the last id.
                        seen.append(Seen(event.event, event.id, event.data))
                        watch.on_seen(seen[-1])
                        last_event_id = event.id or last_event_id
                if watch.close and seen and seen[-1].event == "end":
                    return seen
            except httpx.TransportError:
                pass
            await asyncio.sleep(RETRY / 1000)


def _node(script: str) -> Client:
    async def run(watch: Watch) -> list[Seen]:
        require(shutil.which("node"), "node is not installed")
        require(
            (HERE / "node_modules" / ".package-lock.json").exists(),
            "the npm clients are not installed (npm ci --prefix tests/clients)",
        )
        options = {
            "url": watch.url,
            "method": watch.method,
            "headers": watch.all_headers,
            "body": None if watch.body is None else json.dumps(watch.body),
            "lastEventId": watch.last_event_id,
            "close": watch.close,
            "linger": LINGER,
        }
        given = json.dumps({k: v for k, v in options.items() if v is not None})
        seen: list[Seen] = []
        end = None

        def on_line(line: str) -> None:
            nonlocal end
            printed = json.loads(line)
            if "event" in printed:
                seen.append(Seen(**printed))
                watch.on_seen(seen[-1])
            else:
                end = printed

        code, errors = await _run("node", str(HERE / script), given, on_line=on_line)
        assert (code, errors, end) == (0, "", {"closed": True})
        return seen

    return run


async def _run(*command: str, on_line: Callable[[str], None]) -> tuple[int | None, str]:
    """Run a command; return its exit status and errors. Only whole lines are read."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        while (line := await process.stdout.readline()).endswith(b"\n"):
            on_line(line.decode().removesuffix("\n"))
    except BaseException:
        if process.returncode is None:
            process.kill()
        raise
    finally:
        _, errors = await process.communicate()
        if errors:
            print(f"{command}:\n{errors.decode()}")
    return process.returncode, errors.decode()


CLIENTS: dict[str, Client] = {
    "curl": _curl,
    "httpx": _httpx,
    "eventsource": _node("eventsource.mjs"),
    "eventsource-client": _node("eventsource-client.mjs"),
    "fetch-event-source": _node("fetch-event-source.mjs"),
}
