"""An example of a bridge in a real server: a reload in the middle, and Stop."""

from collections import Counter
from collections.abc import Iterator

import httpx

from asgi_events.wire.decoding import EventDecoder
from asgi_events.wire.sse import Decoder, ServerSentEvent
from tests.bridges.golden import lines
from tests.payloads import data
from tests.servers import TIMEOUT, Server, watched


def reload_and_stop(example: str, middle: str) -> list[str]:
    """Watch a run of an example, reload at the line ``middle``, and stop another there.

    Returns:
        The lines of the run that was not stopped, without the terminal event.
    """
    with Server(f"examples.{example}:app") as server, watched(server):
        with httpx.Client(
            base_url=server.url, timeout=TIMEOUT, trust_env=False
        ) as http:
            seen = _until(middle, _watch(http, path := _start(http)))
            seen += _watch(http, path, seen[-1].id)
            stopped = _until(middle, _watch(http, path := _start(http)))
            http.delete(path).raise_for_status()
            stopped += _watch(http, path, stopped[-1].id)
    assert _numbers(seen) == list(range(1, len(seen) + 1))
    assert _numbers(stopped) == list(range(1, len(stopped) + 1))
    assert data(stopped)[-1]["event_type"] == "cancelled"
    calls = [e for e in data(stopped) if "execution_status" in e]
    started = [e["address"] for e in calls if e["execution_status"] == "started"]
    ended = [e["address"] for e in calls if e["execution_status"] != "started"]
    assert Counter(ended) == Counter(started)
    assert calls[-1]["execution_status"] == "cancelled"
    return _lines(seen[:-1])


def _start(http: httpx.Client) -> str:
    return str(http.post("/research", json={"topic": "tea"}).headers["location"])


def _watch(
    http: httpx.Client, path: str, since: str | None = None
) -> Iterator[ServerSentEvent]:
    headers = {"last-event-id": since} if since else {}
    decoder = Decoder()
    with http.stream("GET", f"{path}/events", headers=headers) as response:
        for chunk in response.iter_bytes():
            yield from (e for e in decoder.feed(chunk) if e.data and e.event is None)


def _until(middle: str, events: Iterator[ServerSentEvent]) -> list[ServerSentEvent]:
    seen = []
    for event in events:
        seen.append(event)
        if _lines([event]) == [middle]:
            return seen
    raise AssertionError(f"{middle!r} did not come")


def _lines(events: list[ServerSentEvent]) -> list[str]:
    return lines(map(EventDecoder().from_sse, events))


def _numbers(events: list[ServerSentEvent]) -> list[int]:
    return [int((event.id or "").rpartition(":")[2]) for event in events]
