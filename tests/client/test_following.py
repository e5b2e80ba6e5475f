"""A stream over any number of connections: the plan alone, without I/O."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel

from asgi_events.client.actions import Answer, Broken, Emit, Sleep, Steps
from asgi_events.client.following import MAX_RESETS, Following
from asgi_events.events import ExecutionStatus, LogEvent
from asgi_events.exceptions import (
    EventTooLarge,
    Forbidden,
    Gone,
    MalformedEvent,
    NotAnEventStream,
    Refused,
    RequestFailed,
    TooManyResets,
    Unauthorized,
    UnknownExecution,
    Unreachable,
)
from asgi_events.wire.decoding import EventDecoder, ResetEvent
from asgi_events.wire.frames import end, json_block, lost_frame, reset
from asgi_events.wire.sse import KEEP_ALIVE, STREAM_START
from tests.client.world import (
    CUT,
    ID,
    REFUSED,
    SILENT,
    URL,
    Reply,
    World,
    about,
    answer,
    complete,
    event,
    events,
    failed,
    finish,
    numbers,
    problem,
    stream,
)

EVENTS = f"/executions/{ID}/events"

RETRY = b"retry: 20\n"


def goodbye(reason: str = "draining", retry: int | None = 2500) -> bytes:
    lines = "" if retry is None else f"retry: {retry}\n"
    return f'event: goodbye\n{lines}data: {{"reason":"{reason}"}}\n\n'.encode()


WHOLE = [1, 2, 3, "complete"]

# What each connection gets; what the user sees; after which number each one asks; how
# long the client waits before each but the first.
RESUMES: dict[str, tuple[list[Any], list[Any], list[Any], list[float]]] = {
    "whole": ([stream(events(1, 3) + finish(4))], WHOLE, [None], []),
    "byte by byte": (
        [stream(*(bytes([each]) for each in events(1, 3) + finish(4)))],
        WHOLE,
        [None],
        [],
    ),
    "cut after an event": (
        [stream(events(1, 2), CUT), stream(event(3) + finish(4))],
        WHOLE,
        [None, 2],
        [1.0],
    ),
    "ended after an event": (
        [stream(events(1, 2)), stream(event(3) + finish(4))],
        WHOLE,
        [None, 2],
        [1.0],
    ),
    "cut in an event": (
        [stream(events(1, 2) + event(3)[:-1]), stream(event(3) + finish(4))],
        WHOLE,
        [None, 2],
        [1.0],
    ),
    "cut in a character": (
        [
            stream(event(1, {"n": 1, "text": "ü"})[:-15]),
            stream(events(1, 3) + finish(4)),
        ],
        WHOLE,
        [None, None],
        [1.0],
    ),
    "cut before the end": (
        [stream(events(1, 3) + complete(4), CUT)],
        WHOLE,
        [None],
        [],
    ),
    "ended before the end": ([stream(events(1, 3) + complete(4))], WHOLE, [None], []),
    "refused": ([REFUSED, stream(events(1, 3) + finish(4))], WHOLE, [None] * 2, [1.0]),
    "empty": ([stream(), stream(events(1, 3) + finish(4))], WHOLE, [None] * 2, [1.0]),
    "again and again": (
        [REFUSED] * 6 + [stream(events(1, 3) + finish(4))],
        WHOLE,
        [None] * 7,
        [1.0, 2.0, 4.0, 8.0, 15.0, 15.0],
    ),
    "an event forgives": (
        [
            REFUSED,
            REFUSED,
            stream(events(1, 2), CUT),
            REFUSED,
            stream(event(3) + finish(4)),
        ],
        WHOLE,
        [None, None, None, 2, 2],
        [1.0, 2.0, 1.0, 2.0],
    ),
    "only a heartbeat": (
        [stream(STREAM_START + KEEP_ALIVE), stream(KEEP_ALIVE)]
        + [stream(events(1, 3) + finish(4))],
        WHOLE,
        [None] * 3,
        [1.0, 2.0],
    ),
    "retry": (
        [stream(RETRY + events(1, 2), CUT), stream(event(3) + finish(4))],
        WHOLE,
        [None, 2],
        [0.02],
    ),
    "retry alone": (
        [stream(b"retry: 40\n\n"), stream(events(1, 3) + finish(4))],
        WHOLE,
        [None, None],
        [0.04],
    ),
    "retry in parts": (
        [stream(STREAM_START, RETRY, CUT), stream(events(1, 3) + finish(4))],
        WHOLE,
        [None, None],
        [0.02],
    ),
    "goodbye": (
        [stream(RETRY + events(1, 2) + goodbye()), stream(event(3) + finish(4))],
        WHOLE,
        [None, 2],
        [2.5],
    ),
    "goodbye, then a failure": (
        [
            stream(RETRY + event(1), goodbye()),
            stream(event(2), CUT),
            stream(event(3) + finish(4)),
        ],
        WHOLE,
        [None, 1, 2],
        [2.5, 0.02],
    ),
    "goodbye without a retry": (
        [stream(RETRY + events(1, 3), goodbye(retry=None)), stream(finish(4))],
        WHOLE,
        [None, 3],
        [0.02],
    ),
    "a repeat": (
        [stream(events(1, 2), CUT), stream(events(1, 3) + events(2, 3) + finish(4))],
        WHOLE,
        [None, 2],
        [1.0],
    ),
    "a gap": (
        [stream(RETRY + event(1) + event(3)), stream(events(2, 3) + finish(4))],
        WHOLE,
        [None, 1],
        [0.02],
    ),
    "an empty id": (
        [
            stream(events(1, 2) + b"id:\ndata: {}\n\n", CUT),
            stream(event(3) + finish(4)),
        ],
        [1, 2, "None", 3, "complete"],
        [None, 2],
        [1.0],
    ),
    "a name of a later version": (
        [
            stream(events(1, 2) + b"event: hint\ndata: {}\nid: %b:3\n\n" % ID.encode()),
            stream(finish(4)),
        ],
        [1, 2, "complete"],
        [None, 3],
        [1.0],
    ),
}


@pytest.mark.parametrize("case", RESUMES)
def test_gives_each_event_once(case: str) -> None:
    script, expected, cursors, pauses = RESUMES[case]
    world = World(*script)

    seen, following = world.follow()

    ids = [None if number is None else f"{ID}:{number}" for number in cursors]
    assert numbers(seen) == expected
    assert following.status is ExecutionStatus.COMPLETED
    assert world.requests == [("GET", EVENTS, id) for id in ids]
    assert world.pauses == pauses
    assert [seconds for _, seconds in world.told] == pauses
    assert following.number == 4


def test_resumes_wherever_it_is_cut() -> None:
    whole = RETRY + events(1, 3) + finish(4)
    for place in range(len(whole) + 1):
        last = whole[:place].count(b"\n\n")
        rest = b"".join(event(n) for n in range(last + 1, 4)) + finish(4)
        after = [] if last >= 4 else [stream(rest)]

        seen, following = World(stream(whole[:place], CUT), *after).follow()

        assert (place, numbers(seen)) == (place, WHOLE)
        assert following.status == "completed"


BROKEN = [REFUSED, CUT, stream(CUT), stream()] + [
    answer(status, problem(status, "Not now."))
    for status in (408, 425, 429, 500, 502, 503, 504)
]


@pytest.mark.parametrize("reply", BROKEN)
def test_tries_again(reply: Any) -> None:
    world = World(stream(event(1), CUT), reply, reply, stream(finish(2)))

    seen, _ = world.follow()

    assert numbers(seen) == [1, "complete"]
    assert [id for _, _, id in world.requests] == [None] + [f"{ID}:1"] * 3
    assert world.pauses == [1.0, 2.0, 4.0]


RETRY_AFTER: dict[str, float] = {
    "7": 7.0,
    "61": 60.0,
    "9" * 5000: 60.0,
    "Sun, 22 Nov 2026 12:00:09 GMT": 9.0,
    "Sun, 22 Nov 2026 13:00:00 GMT": 60.0,
    # What asks for no pause does not let it ask in a circle.
    "0": 1.0,
    "Sun, 22 Nov 2026 11:00:00 GMT": 1.0,
    "soon": 1.0,
    "-5": 1.0,
    f"Sun, 22 Nov {'9' * 20} 12:00:09 GMT": 1.0,
    "": 1.0,
}


@pytest.mark.parametrize("value", RETRY_AFTER)
def test_obeys_a_retry_after(value: str) -> None:
    busy = answer(503, problem(503, "Not now."), retry_after=value)
    world = World(busy, stream(finish(1)))

    world.follow()

    assert world.pauses == [RETRY_AFTER[value]]
    assert world.told == [("503 Not now.", RETRY_AFTER[value])]


def test_spreads_its_pauses() -> None:
    for dice, pause in ((0.0, 0.5), (0.5, 0.75), (1.0, 1.0)):
        world = World(REFUSED, stream(finish(1)))
        object.__setattr__(world.terms, "dice", lambda dice=dice: dice)
        world.follow()
        assert world.pauses == [pause]


def test_does_not_spread_a_goodbye() -> None:
    world = World(stream(goodbye("backlog", 70)), stream(finish(1)))
    object.__setattr__(world.terms, "dice", lambda: 0.0)

    world.follow()

    assert world.told == [("goodbye, backlog", 0.07)]


def test_waits_fifteen_seconds_at_most() -> None:
    world = World(stream(b"retry: 99000\n", CUT), stream(finish(1)))

    world.follow()

    assert world.pauses == [15.0]


def test_begins_after_a_number() -> None:
    world = World(stream(event(6) + finish(7)))

    seen, following = world.follow(after=5)

    assert numbers(seen) == [6, "complete"]
    assert world.requests == [("GET", EVENTS, f"{ID}:5")]


def test_asks_for_a_stream_that_nothing_compresses() -> None:
    world = World(stream(finish(1)))

    world.follow()

    assert world.sent[0].headers == {
        "authorization": "t",
        "accept": "text/event-stream",
        "accept-encoding": "identity",
        "cache-control": "no-store",
    }


# The end


@pytest.mark.parametrize(
    "last, status",
    [
        (finish(1), "completed"),
        (failed(1), "failed"),
        (lost_frame(ID, 1) + end("lost"), "lost"),
        (complete(1) + end("vanished"), "vanished"),
        (complete(1) + end(None), "completed"),
        (complete(1) + b"event: end\ndata: [\n\n", "completed"),
        (complete(1) + b"event: end\ndata: 1\n\n", "completed"),
        (complete(1) + b"event: end\ndata: %b\n\n" % (b"[" * 100_000), "completed"),
        (json_block(b'{"event_type":"lost","message":"m"}'), "lost"),
        (event(1, {"event_type": "complete", "later": 1}), "completed"),
    ],
    ids=range(10),
)
def test_knows_the_end(last: bytes, status: str) -> None:
    seen, following = World(stream(last)).follow()

    assert len(seen) == 1
    assert following.status == status
    assert following.terminal is seen[0]


def test_asks_how_it_ended_after_a_204() -> None:
    world = World(Reply(status=204), about("failed", error="No tea."))

    seen, following = world.follow(after=9)

    assert (seen, following.status) == ([], ExecutionStatus.FAILED)
    assert [path for _, path, _ in world.requests] == [EVENTS, EVENTS[:-7]]


def test_asks_how_it_ended_after_an_end_alone() -> None:
    world = World(stream(end(None)), about("lost"))

    seen, following = world.follow(after=9)

    assert (seen, following.status) == ([], ExecutionStatus.LOST)


def test_asks_nothing_after_an_end_with_a_status() -> None:
    _, following = World(stream(end("cancelled"))).follow(after=9)

    assert following.status is ExecutionStatus.CANCELLED


def test_takes_no_event_for_the_end_that_another_one_follows() -> None:
    world = World(
        stream(event(1, {"event_type": "error"}) + event(2), CUT), stream(finish(3))
    )

    seen, following = world.follow()

    assert numbers(seen) == ["error", 2, "complete"]
    assert following.status == "completed"


# Sizes


@pytest.mark.parametrize(
    "part", [b"data: " + b"x" * 94, b"data: x\n" * 13], ids=["line", "block"]
)
def test_holds_no_more_of_an_event_than_it_may(part: bytes) -> None:
    world = World(stream(events(1, 2), *[part] * 1000), max_event_bytes=5000)
    seen: list[Any] = []
    following = Following(world.terms, ID, after=0, decoder=EventDecoder())

    with pytest.raises(EventTooLarge, match="max_event_bytes=5000"):
        world.run(following.plan(), seen)

    assert numbers(seen) == [1, 2]


def test_reads_any_number_of_events_and_heartbeats() -> None:
    parts = [event(number) + KEEP_ALIVE for number in range(1, 200)]
    world = World(stream(*parts, finish(200)), max_event_bytes=200)

    seen, _ = world.follow()

    assert len(seen) == 200


# Resets


@pytest.mark.parametrize("reason", ["malformed", "foreign", "future", "trimmed"])
def test_tells_a_reset(reason: str) -> None:
    world = World(stream(reset(reason, 4) + event(4) + finish(5)))

    seen, following = world.follow(after=9)

    assert seen[0] == ResetEvent(reason=reason, first=4)
    assert numbers(seen[1:]) == [4, "complete"]


def test_begins_again_after_a_reset_in_the_middle() -> None:
    world = World(
        stream(events(1, 5) + reset("future", 1) + events(1, 2), CUT),
        stream(event(3) + lost_frame(ID, 4) + end("lost")),
    )

    seen, following = world.follow()

    assert numbers(seen) == [1, 2, 3, 4, 5, "future", 1, 2, 3, "lost"]
    assert [id for _, _, id in world.requests] == [None, f"{ID}:2"]
    assert following.status == "lost"


@pytest.mark.parametrize(("first", "id"), [(1, None), (4, f"{ID}:3")])
def test_begins_where_a_reset_has_said_after_a_cut(first: int, id: str | None) -> None:
    world = World(
        stream(events(1, 5) + reset("future", first), CUT),
        stream(events(first, 6) + finish(7)),
    )

    seen, _ = world.follow()

    again = [*range(first, 7), "complete"]
    assert numbers(seen) == [1, 2, 3, 4, 5, "future", *again]
    assert [id for _, _, id in world.requests] == [None, id]


def test_takes_the_end_back_with_a_reset() -> None:
    world = World(
        stream(complete(1) + reset("future", 1), CUT),
        stream(reset("future", 1) + events(1, 1) + finish(2)),
    )

    seen, following = world.follow()

    assert numbers(seen) == ["complete", "future", "future", 1, "complete"]


def test_gives_up_a_server_that_resets_for_ever() -> None:
    again = stream(reset("future", 1) + events(1, 2), CUT)
    world = World(stream(events(1, 2), CUT), *[again] * MAX_RESETS)
    seen: list[Any] = []
    following = Following(world.terms, ID, after=0, decoder=EventDecoder())

    with pytest.raises(TooManyResets, match=r"has reset the stream 5 times \(future\)"):
        world.run(following.plan(), seen)

    assert numbers(seen) == [1, 2] + ["future", 1, 2] * (MAX_RESETS - 1)


def test_believes_a_server_that_resets_with_new_events() -> None:
    resets = [stream(reset("trimmed", n) + event(n), CUT) for n in range(3, 30, 3)]
    world = World(stream(event(1), CUT), *resets, stream(finish(28)))

    seen, _ = world.follow()

    assert len([each for each in seen if isinstance(each, ResetEvent)]) == 9


# Events


class Chart(BaseModel):
    event_type: Literal["chart"] = "chart"
    points: list[int]


def test_makes_typed_events() -> None:
    world = World(
        stream(
            event(1, LogEvent(message="m"))
            + event(2, Chart(points=[1]))
            + event(3, {"event_type": "newer", "x": 1})
            + event(4, {"event_type": "log", "message": "m", "newer": 1})
            + finish(5)
        )
    )

    seen, _ = world.follow(types=[Chart])

    assert isinstance(seen[0], LogEvent)
    assert seen[1:4] == [
        Chart(points=[1]),
        {"event_type": "newer", "x": 1},
        LogEvent(message="m", timestamp=seen[3].timestamp),
    ]


@pytest.mark.parametrize(
    "block, id",
    [
        (b"data: {\nid: 4ad0:2\n\n", "4ad0:2"),
        (b"data: {\n\n", None),
        (b"data: %b\n\n" % (b"[" * 100_000), None),
        (b"event: reset\ndata: {}\n\n", None),
    ],
    ids=range(4),
)
def test_names_an_event_that_is_malformed(block: bytes, id: str | None) -> None:
    world = World(stream(event(1) + block + finish(3)))
    seen: list[Any] = []
    following = Following(world.terms, ID, after=0, decoder=EventDecoder())

    with pytest.raises(MalformedEvent) as raised:
        world.run(following.plan(), seen)

    assert raised.value.id == id
    assert (numbers(seen), following.number) == ([1], 1)


def test_counts_an_event_only_when_it_is_given() -> None:
    world = World()
    following = Following(world.terms, ID, after=0, decoder=EventDecoder())
    steps = Steps(following.plan())
    steps.begin()
    steps.done({})
    steps.done(Answer(status=200, url=URL, headers=stream().headers))
    counted = []
    action = steps.done(events(1, 3))
    while isinstance(action, Emit):
        counted.append(following.number)
        action = steps.done(None)

    assert counted == [1, 2, 3]


# Errors


@pytest.mark.parametrize(
    "status, error",
    [
        (400, RequestFailed),
        (403, Forbidden),
        (404, UnknownExecution),
        (410, RequestFailed),
        (418, RequestFailed),
    ],
)
def test_raises_at_once_what_does_not_pass(status: int, error: type[Exception]) -> None:
    world = World(stream(event(1), CUT), answer(status, problem(status, "Because.")))
    seen: list[Any] = []
    following = Following(world.terms, ID, after=0, decoder=EventDecoder())

    with pytest.raises(error, match="Because"):
        world.run(following.plan(), seen)

    assert world.pauses == [1.0]
    assert not issubclass(error, Gone)


def test_asks_for_a_new_token_after_a_401() -> None:
    world = World(
        stream(event(1), CUT),
        answer(401, problem(401, "Expired.")),
        stream(finish(2)),
    )
    world.tokens = ["a", "b", "c"]

    seen, _ = world.follow()

    assert numbers(seen) == [1, "complete"]
    assert [send.headers["authorization"] for send in world.sent] == ["a", "b", "c"]
    assert world.pauses == [1.0]


def test_gives_up_after_two_401s_in_a_row() -> None:
    no = answer(401, problem(401, "Expired."), www_authenticate="Basic")
    world = World(no, REFUSED, no, no)
    following = Following(world.terms, ID, after=0, decoder=EventDecoder())

    with pytest.raises(Unauthorized, match="Expired") as raised:
        world.run(following.plan(), [])

    assert raised.value.challenge == "Basic"
    assert (len(world.requests), world.asked) == (4, 4)


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", ""])
def test_names_a_page_that_is_no_stream(kind: str) -> None:
    page = Reply(headers={"content-type": kind} if kind else {}, body=(b"<html>",))
    world = World(page)
    following = Following(world.terms, ID, after=0, decoder=EventDecoder())

    with pytest.raises(NotAnEventStream) as raised:
        world.run(following.plan(), [])

    assert (raised.value.content_type, raised.value.url) == (kind, f"{URL}/events")


def test_gives_up_after_a_while_without_a_connection() -> None:
    world = World(stream(event(1), CUT), *[REFUSED] * 7, give_up_after=60.0)
    following = Following(world.terms, ID, after=0, decoder=EventDecoder())
    seen: list[Any] = []

    with pytest.raises(Unreachable, match="given up after 60 s; connection refused"):
        world.run(following.plan(), seen)

    assert world.pauses == [1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0]
    assert numbers(seen) == [1]


def test_gives_up_in_time_where_nobody_answers_any_more() -> None:
    world = World(stream(event(1), CUT), SILENT, SILENT, give_up_after=60.0)
    following = Following(world.terms, ID, after=0, decoder=EventDecoder())

    with pytest.raises(Unreachable, match="given up after 60 s; no byte"):
        world.run(following.plan(), [])

    assert world.time == 1060.0
    assert world.sent[0].timeout == 60.0


def test_never_gives_up_what_connects() -> None:
    quiet = [stream(STREAM_START, CUT)] * 100
    world = World(*quiet, stream(finish(1)), give_up_after=10.0)

    world.follow()

    assert len(world.pauses) == 100


def test_gives_up_a_server_that_skips_events_for_ever() -> None:
    world = World(*[stream(STREAM_START, event(2))] * 5, give_up_after=10.0)
    following = Following(world.terms, ID, after=0, decoder=EventDecoder())

    with pytest.raises(Unreachable, match="the stream has skipped events"):
        world.run(following.plan(), [])


def test_never_gives_up_where_it_must_not() -> None:
    world = World(*[REFUSED] * 1000, stream(finish(1)), give_up_after=None)

    world.follow()

    assert world.pauses[-1] == 15.0


def test_says_that_the_server_was_busy() -> None:
    busy = answer(429, problem(429, "max_viewers=1 is reached."), retry_after="50")
    world = World(*[busy] * 3, give_up_after=100.0)
    following = Following(world.terms, ID, after=0, decoder=EventDecoder())

    with pytest.raises(Refused, match="max_viewers=1") as raised:
        world.run(following.plan(), [])

    assert (raised.value.status, raised.value.retry_after) == (429, 50)


def test_does_not_try_again_what_cannot_work() -> None:
    world = World(Broken("the certificate is wrong", OSError(), is_final=True))
    following = Following(world.terms, ID, after=0, decoder=EventDecoder())

    with pytest.raises(Unreachable, match="the certificate is wrong"):
        world.run(following.plan(), [])


def test_goes_on_if_on_reconnect_fails(caplog: pytest.LogCaptureFixture) -> None:
    def fail(reason: str, seconds: float) -> None:
        raise ValueError(reason)

    world = World(REFUSED, stream(finish(1)))
    object.__setattr__(world.terms, "on_reconnect", fail)

    seen, _ = world.follow()

    assert numbers(seen) == ["complete"]
    assert "on_reconnect has failed" in caplog.text


def test_does_an_interrupted_step_again() -> None:
    world = World()
    following = Following(world.terms, ID, after=0, decoder=EventDecoder())
    steps = Steps(following.plan())
    steps.begin()
    steps.done({})
    action = steps.done(REFUSED)

    assert isinstance(action, Sleep)
    assert steps.begin() is action
