"""The rows of a stream: what a client meets while it follows an execution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import chain, repeat

from asgi_events.events import CancelledEvent, ErrorEvent, LostEvent
from asgi_events.wire import frames
from asgi_events.wire.encoding import encode_json
from asgi_events.wire.sse import KEEP_ALIVE
from tests.client_faults.answers import (
    cut_at,
    cut_reply,
    empty,
    events_of,
    goodbye,
    nothing,
    part,
    plain,
    redirect,
    refuse,
    reset,
    said,
    shaped,
    usual,
    whole_reply,
)
from tests.client_faults.log import Log, with_heartbeats
from tests.client_faults.peer import Answer, Place
from tests.client_faults.row import (
    ANY,
    Check,
    Failure,
    Outcome,
    Question,
    Range,
    Row,
    events,
    resets,
)

SECOND: Range = (0.5, 1.0)
"""The first wait where the server has told no ``retry``."""

AT_ONCE: Range = (0.0, 0.001)
"""The first wait after ``retry: 1``."""


def first_waits(seconds: float, count: int) -> list[Range]:
    """The waits after so many failures in a row."""
    doubled = [min(seconds * 2**failures, 15) for failures in range(count)]
    return [(wait / 2, wait) for wait in doubled]


def every_cut(log: Log, step: int = 1) -> Iterator[Row]:
    """One row for every ``step`` bytes, and each way in which a connection breaks."""
    for framing, then in (("chunked", "fin"), ("close", "fin"), ("chunked", "rst")):
        whole = whole_reply(log, framing)
        size = sum(map(len, whole.pieces())) - (0 if framing == "close" else 5)
        for at in range(0, size, step):
            yield cut_row(log, at, then=then, framing=framing)


def cut_row(log: Log, at: int, *, then: str, framing: str) -> Row:
    """A row whose first connection breaks after so many bytes."""
    passed = cut_reply(log, at, then=then, framing=framing).passed()
    last = log.whole_before(passed)
    ids: list[int | str | None] = [None] if last == log.last else [None, last or None]
    return Row(
        name=f"{framing} {then} at byte {at}",
        plan=(cut_at(at, then=then, framing=framing),),
        # With a RST the kernel may drop what the client has not read yet.
        ids=ids if then == "fin" else None,
        check=_asks_for_no_more_than(last) if then == "rst" else None,
    )


def _asks_for_no_more_than(last: int) -> Check:
    def check(place: Place, outcome: Outcome) -> str | None:
        numbers = [
            int((request.last_event_id or ":0").split(":")[1])
            for request in place.of("events")
        ]
        if len(numbers) > 2 or any(number > last for number in numbers):
            return f"asked for what follows {numbers}; it had {last} events at most"
        return None

    return check


def refusals() -> Iterator[Row]:
    """Responses that are no stream."""
    for status in (408, 425, 429, 500, 502, 503, 504):
        yield Row(
            name=f"{status}, then the stream",
            log=Log.without_retry,
            plan=(refuse(status),),
            ids=[None, None],
            waits=[SECOND],
        )
    yield Row(
        name="502 as a page of a proxy",
        log=Log.without_retry,
        plan=(plain(502, "text/html", "<h1>Bad Gateway</h1>"),),
        ids=[None, None],
        waits=[SECOND],
    )
    yield Row(
        name="502 eight times",
        log=Log.without_retry,
        plan=(refuse(502),) * 8,
        waits=first_waits(1, 8),
    )
    yield Row(
        name="502 twice after events: an event resets the delay",
        plan=(
            refuse(502),
            refuse(502),
            part(4, then="fin"),
            refuse(502),
            refuse(502),
            part(6, then="fin"),
        ),
        ids=[None, None, None, 4, 4, 4, 6],
        waits=[
            *first_waits(1, 2),
            *first_waits(0.001, 3),
            *first_waits(0.001, 1),
        ],
    )
    yield from _retry_after()
    for kind, status, word in (
        ("Forbidden", 403, "not yours"),
        ("UnknownExecution", 404, ""),
        ("Gone or RequestFailed", 410, ""),
        ("RequestFailed", 400, "malformed cursor"),
        ("RequestFailed", 418, "a teapot"),
    ):
        yield Row(
            name=f"{status} at once",
            plan=(refuse(status, word or "It has gone."),),
            seen=lambda log: [],
            failure=Failure(kind, (word,)),
            ids=[None],
            waits=[],
        )
    yield Row(
        name="403 in the middle",
        plan=(part(4, then="fin"), refuse(403, "not yours any more")),
        seen=lambda log: events(log, 1, 4),
        failure=Failure("Forbidden", ("not yours any more",)),
        ids=[None, 4],
    )
    yield Row(
        name="204 at once",
        plan=(empty(204),),
        seen=lambda log: [],
        ids=[None],
        waits=[],
        check=_asked_about,
        judged=True,
    )
    yield Row(
        name="204 after the last event but one",
        plan=(part(11, then="fin"), empty(204)),
        seen=lambda log: events(log, 1, 11),
        ids=[None, 11],
        check=_asked_about,
    )
    yield Row(
        name="204 for who has everything",
        ask=Question(after=12),
        seen=lambda log: [],
        ids=[12],
        waits=[],
        check=_asked_about,
    )


def _asked_about(place: Place, outcome: Outcome) -> str | None:
    kinds = [request.kind for request in place.requests]
    asked = "events" in kinds and "about" in kinds[kinds.index("events") :]
    return None if asked else "nobody has asked for the status"


def _retry_after() -> Iterator[Row]:
    def row(name: str, value: str, wait: Range, status: int = 503) -> Row:
        return Row(
            name=f"{status} with Retry-After: {name}",
            log=Log.without_retry,
            plan=(refuse(status, headers={"retry-after": value}),),
            ids=[None, None],
            waits=[wait],
        )

    now = datetime.now(UTC)
    yield row("7", "7", (7, 7))
    yield row("0", "0", (0, 1))
    yield row("7", "7", (7, 7), status=429)
    yield row("an hour", "3600", (60, 60))
    yield row("a date", format_datetime(now + timedelta(seconds=40), True), (20, 40))
    yield row("a date next year", format_datetime(now + timedelta(366), True), (60, 60))
    yield row("a date that has passed", "Sun, 06 Nov 1994 08:49:37 GMT", (0, 1))
    for value in ("soon", "-7", "1e9", "٣"):
        yield row(repr(value), value, SECOND)
    yield Row(
        name="503 with Retry-After in the middle, then without",
        plan=(
            part(4, then="fin"),
            refuse(503, headers={"retry-after": "9"}),
            refuse(503),
        ),
        ids=[None, 4, 4, 4],
        waits=[AT_ONCE, (9, 9), (0.002, 0.004)],
    )


def tokens() -> Iterator[Row]:
    """401, and what follows it."""
    yield Row(
        name="401 in the middle, and a new token",
        plan=(part(4, then="fin"), refuse(401)),
        ids=[None, 4, 4],
        waits=[AT_ONCE],
    )
    yield Row(
        name="401 at once, and a new token",
        plan=(refuse(401),),
        ids=[None, None],
        waits=[],
    )
    yield Row(
        name="401 for ever",
        plan=(refuse(401, "Who are you?"),) * 4,
        seen=lambda log: [],
        failure=Failure("Unauthorized", ("Who are you?",)),
        ids=[None, None],
        waits=[],
    )
    yield Row(
        name="401 for ever, in the middle",
        plan=(part(4, then="fin"), *(refuse(401, "Who are you?"),) * 4),
        seen=lambda log: events(log, 1, 4),
        failure=Failure("Unauthorized", ("Who are you?",)),
        ids=[None, 4, 4],
        waits=[AT_ONCE],
    )
    yield Row(
        name="401 each time, and then a new token",
        plan=tuple(
            chain.from_iterable(
                (refuse(401), part(number, then="fin")) for number in range(1, 12)
            )
        ),
        waits=[AT_ONCE] * 11,
    )
    yield Row(
        name="every request with a new token",
        plan=(part(2, then="fin"), refuse(502), part(5, then="rst"), refuse(503)),
    )


def words() -> Iterator[Row]:
    """What a server says at the end of a connection."""
    for reason, retry in (("draining", 1234), ("max_duration", 3999), ("backlog", 51)):
        yield Row(
            name=f"goodbye: {reason}",
            plan=(part(4, goodbye(reason, retry)),),
            ids=[None, 4],
            waits=[(retry / 1000, retry / 1000)],
            judged=reason == "backlog",
        )
    yield Row(
        name="goodbye before any event, three times",
        plan=(said(lambda log: goodbye("draining", 1500)),) * 3,
        ids=[None] * 4,
        waits=[(1.5, 1.5)] * 3,
    )
    yield Row(
        name="goodbye after failures",
        plan=(refuse(502), refuse(502), part(4, goodbye("draining", 1500))),
        ids=[None, None, None, 4],
        waits=[*first_waits(1, 2), (1.5, 1.5)],
    )
    yield Row(
        name="goodbye, and the connection breaks",
        plan=(part(4, goodbye("draining", 1500), then="fin"),),
        ids=[None, 4],
        waits=[(1.5, 1.5)],
    )
    for framing in ("chunked", "close"):
        yield Row(
            name=f"a clean end without end, {framing}",
            plan=(part(4, framing=framing),),
            ids=[None, 4],
            waits=[AT_ONCE],
            judged=True,
        )
    yield Row(
        name="clean ends that bring nothing",
        plan=(part(0),) * 3,
        ids=[None] * 4,
        waits=first_waits(0.001, 3),
    )
    for then in ("end", "fin", "rst"):
        yield Row(
            name=f"{then} after the terminal event",
            plan=(part(12, then=then),),
            ids=[None] if then != "rst" else None,
            waits=[] if then != "rst" else None,
        )
    yield Row(
        name="an end with a status of a later version",
        plan=(part(4, frames.end("paused")),),
        seen=lambda log: events(log, 1, 4),
        status="paused",
        ids=[None],
        waits=[],
    )
    yield Row(
        name="an end without a terminal event",
        plan=(part(4, frames.end("cancelled")),),
        seen=lambda log: events(log, 1, 4),
        status="cancelled",
        ids=[None],
    )
    for event, status in (
        (ErrorEvent(message="It has failed."), "failed"),
        (CancelledEvent(), "cancelled"),
        (LostEvent(), "lost"),
    ):
        yield Row(
            name=f"an execution that is {status}, and no end",
            log=lambda log, event=event, status=status: log.ended_by(event, status),
            plan=(part(12, then="fin"),),
            ids=[None],
        )


def resets_() -> Iterator[Row]:
    """What a server says where it cannot continue."""
    for reason in ("malformed", "foreign", "future"):
        yield Row(
            name=f"reset at the start: {reason}",
            ask=Question(after=5),
            plan=(said(lambda log, r=reason: reset(r, 1) + log.frames() + log.end),),
            seen=lambda log, r=reason: [*resets(r, 1), *events(log, 1, 12)],
            ids=[5],
        )
    yield Row(
        name="reset at the start: trimmed",
        plan=(said(lambda log: reset("trimmed", 7) + log.frames(6) + log.end),),
        seen=lambda log: [*resets("trimmed", 7), *events(log, 7, 12)],
        ids=[None],
        waits=[],
        judged=True,
    )
    yield Row(
        name="reset in the middle: trimmed",
        plan=(part(3, then="fin"), said(_trimmed)),
        seen=lambda log: [
            *events(log, 1, 3),
            *resets("trimmed", 7),
            *events(log, 7, 12),
        ],
        ids=[None, 3],
    )
    yield Row(
        name="reset in the middle of a connection: future",
        plan=(said(_forgotten),),
        seen=lambda log: [
            *events(log, 1, 5),
            *resets("future", 1),
            *events(log, 1, 12),
        ],
        ids=[None],
        waits=[],
        judged=True,
    )
    yield Row(
        name="reset, and the connection breaks before an event",
        plan=(
            part(4, then="fin"),
            said(lambda log: reset("foreign", 1), then="fin"),
            said(lambda log: reset("foreign", 1) + log.frames() + log.end),
        ),
        seen=lambda log: [
            *events(log, 1, 4),
            *resets("foreign", 1),
            *resets("foreign", 1),
            *events(log, 1, 12),
        ],
    )
    yield Row(
        name="reset, events again, a cut, and the rest",
        plan=(
            part(6, then="fin"),
            said(lambda log: reset("future", 1) + log.frames(0, 3), then="fin"),
        ),
        seen=lambda log: [
            *events(log, 1, 6),
            *resets("future", 1),
            *events(log, 1, 12),
        ],
        ids=[None, 6, 3],
    )
    yield Row(
        name="reset with a reason of a later version",
        plan=(part(2, then="fin"), said(lambda log: reset("merged", 1) + _all(log))),
        seen=lambda log: [
            *events(log, 1, 2),
            *resets("merged", 1),
            *events(log, 1, 12),
        ],
    )
    yield Row(
        name="reset, and lost without an id",
        log=lambda log: log.ended_by(LostEvent(message="It is not kept."), "lost"),
        plan=(part(4, then="fin"), said(_is_hopeless)),
        seen=lambda log: [
            *events(log, 1, 4),
            *resets("future", 1),
            ("event", ANY, log.value(12)),
        ],
    )
    yield Row(
        name="reset for ever",
        ask=Question(after=5),
        plan=(said(lambda log: reset("future", 1), then="fin"),) * 20,
        seen=ANY,
        failure=Failure("TooManyResets", ("5",)),
        check=_resets_of(5, told=5),
    )
    yield Row(
        name="reset for ever, and the same events",
        plan=(
            part(5, then="fin"),
            *(said(lambda log: reset("future", 1) + log.frames(0, 3), then="fin"),)
            * 20,
        ),
        seen=ANY,
        failure=Failure("TooManyResets", ("5",)),
        check=_resets_of(6, told=5),
    )
    yield Row(
        name="reset for ever in one connection",
        plan=(said(lambda log: (reset("future", 1) + log.frames(0, 3)) * 20),),
        seen=ANY,
        failure=Failure("TooManyResets", ("5",)),
        check=_resets_of(1, told=6),
    )
    yield Row(
        name="a reset each time, and one event more",
        plan=tuple(
            said(
                lambda log, n=n: reset("future", 1) + log.frames(0, n) + b":\n",
                then="fin",
            )
            for n in range(1, 12)
        ),
        seen=lambda log: [
            *chain.from_iterable(
                [*resets("future", 1), *events(log, 1, n)] for n in range(1, 12)
            ),
            *events(log, 12, 12),
        ],
    )


def _trimmed(log: Log) -> bytes:
    return reset("trimmed", 7) + log.frames(6) + log.end


def _forgotten(log: Log) -> bytes:
    return log.frames(0, 5) + reset("future", 1) + _all(log)


def _all(log: Log) -> bytes:
    return log.frames() + log.end


def _is_hopeless(log: Log) -> bytes:
    lost = frames.join(log.payloads[-1], b"")
    return reset("future", 1) + lost + log.end


def _resets_of(requests: int, *, told: int) -> Check:
    """So many requests and resets, and at most one more of each."""

    def check(place: Place, outcome: Outcome) -> str | None:
        asked = len(place.of("events"))
        seen = [kind for kind, *_ in outcome.seen].count("reset")
        if asked - requests not in (0, 1) or seen - told not in (-1, 0, 1):
            return f"{asked} requests, {seen} resets told"
        return None

    return check


def stalls() -> Iterator[Row]:
    """Connections on which nothing comes any more."""
    stalled = Question(stall=0.25)
    for name, answer, last in (
        ("after events", part(4, then="hang"), 4),
        ("in an event", part(4, b'data: {"event_ty', then="hang"), 4),
        ("before the head", nothing("hang"), None),
        ("in the head", cut_at(40, then="hang"), None),
    ):
        yield Row(
            name=f"a stall {name}",
            ask=stalled,
            plan=(answer,),
            ids=[None, last],
            check=_waited_once,
        )
    yield Row(
        name="heartbeats for longer than a stall",
        ask=Question(stall=1.0),
        plan=(
            shaped(
                lambda body: [*[KEEP_ALIVE] * 30, body],
                pause=0.05,
            ),
        ),
        ids=[None],
        waits=[],
    )
    yield Row(
        name="an end, and a connection that stays open",
        plan=(part(12, frames.end("completed"), then="hang"),),
        ids=[None],
        waits=[],
    )
    yield Row(
        name="a goodbye, and a connection that stays open",
        ask=stalled,
        plan=(part(4, goodbye("backlog", 50), then="hang"),),
        ids=[None, 4],
        waits=[(0.05, 0.05)],
    )
    yield Row(
        name="a user who leaves",
        ask=Question(leave=3),
        plan=(part(5, then="hang"),),
        seen=lambda log: events(log, 1, 3),
        status=ANY,
        ids=[None],
        waits=[],
        check=_is_not_cancelled,
    )
    yield Row(
        name="a user who leaves while nothing comes",
        ask=Question(leave=5, waiting=True),
        plan=(part(5, then="hang"),),
        seen=lambda log: events(log, 1, 5),
        status=ANY,
        ids=[None],
        waits=[],
        check=_is_not_cancelled,
    )


def _waited_once(place: Place, outcome: Outcome) -> str | None:
    count = len(outcome.waits)
    return None if count == 1 else f"waited {count} times"


def _is_not_cancelled(place: Place, outcome: Outcome) -> str | None:
    return "it has cancelled the execution" if place.cancelled else None


def shapes() -> Iterator[Row]:
    """The right bytes, in the wrong pieces or with other line ends."""

    def row(name: str, answer: Answer) -> Row:
        return Row(name=name, plan=(answer,), ids=[None], waits=[], judged=True)

    yield row("all in one piece, with a length", shaped(_whole, framing="length"))
    yield row("all in one chunk", shaped(_whole))
    yield row("one byte in a chunk", shaped(_bytes))
    yield row("one byte in a write", shaped(_bytes, framing="close"))
    yield row("seven bytes in a chunk", shaped(_sevens))
    yield row("CR LF", shaped(lambda body: [body.replace(b"\n", b"\r\n")]))
    yield row("CR LF, one byte in a chunk", shaped(_crlf_bytes))
    yield row("CR", shaped(lambda body: [body.replace(b"\n", b"\r")]))
    yield row("a BOM", shaped(lambda body: [b"\xef\xbb\xbf" + body]))
    yield row("half of a BOM in a chunk", shaped(_bom))
    yield row("heartbeats", shaped(lambda body: [with_heartbeats(body)]))
    yield replace(row("blank lines, comments, no spaces", shaped(_loose)), judged=False)
    yield replace(row("the id before the data", shaped(_ids_first)), judged=False)


def _whole(body: bytes) -> list[bytes]:
    return [body]


def _bytes(body: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in body]


def _sevens(body: bytes) -> list[bytes]:
    return [body[at : at + 7] for at in range(0, len(body), 7)]


def _crlf_bytes(body: bytes) -> list[bytes]:
    return _bytes(body.replace(b"\n", b"\r\n"))


def _bom(body: bytes) -> list[bytes]:
    return [b"\xef\xbb", b"\xbf" + body]


def _loose(body: bytes) -> list[bytes]:
    loose = body.replace(b"data: ", b"data:").replace(b"id: ", b"id:")
    return [loose.replace(b"\n\n", b"\n\n\n\n:\n\n: a comment\nunknown: field\nx\n")]


def _ids_first(body: bytes) -> list[bytes]:
    blocks = body.split(b"\n\n")
    turned = [
        b"\n".join(sorted(block.split(b"\n"), key=lambda line: line[:4] != b"id: "))
        for block in blocks
    ]
    return [b"\n\n".join(turned)]


def elsewhere() -> Iterator[Row]:
    """Redirects, and what is no event stream."""
    for status in (301, 302, 307, 308):
        yield Row(
            name=f"a redirect: {status}",
            plan=(part(4, then="fin"), redirect(status, "elsewhere")),
            others={"other": (usual,)},
            ids=[None, 4],
            check=_was_redirected,
        )
    yield Row(
        name="an HTML page",
        plan=(plain(200, "text/html; charset=utf-8", "<h1>Sign in</h1>"),),
        seen=lambda log: [],
        failure=Failure("NotAnEventStream", ("text/html", "/executions/", "/events")),
        ids=[None],
        waits=[],
    )
    yield Row(
        name="JSON in place of a stream, in the middle",
        plan=(part(4, then="fin"), plain(200, "application/json", "{}")),
        seen=lambda log: events(log, 1, 4),
        failure=Failure("NotAnEventStream", ("application/json",)),
        ids=[None, 4],
    )
    yield Row(
        name="no content type",
        plan=(empty(200),),
        seen=lambda log: [],
        failure=Failure("NotAnEventStream", ("/events",)),
        ids=[None],
        waits=[],
    )
    yield Row(
        name="a content type in other letters",
        plan=(_typed("Text/Event-Stream ; charset=UTF-8"),),
        ids=[None],
        waits=[],
    )


def _was_redirected(place: Place, outcome: Outcome) -> str | None:
    found = [(each.path, each.last_event_id) for each in place.of("other")]
    path = f"/executions/{place.log.name}/elsewhere"
    wanted = [(path, place.log.id(4))]
    return None if found == wanted else f"{found}, not {wanted}"


def _typed(media_type: str) -> Answer:
    def answer(log: Log, request: object) -> object:
        reply = whole_reply(log, "chunked")
        return replace(reply, headers={"content-type": media_type})

    return answer  # type: ignore[return-value]


def contents() -> Iterator[Row]:
    """Events that are wrong, or newer than the client."""
    yield Row(
        name="events that were seen already",
        plan=(part(4, then="fin"), part(12, frames.end("completed"), after=0)),
        ids=[None, 4],
        waits=[AT_ONCE],
    )
    yield Row(
        name="each event twice",
        plan=(said(lambda log: b"".join(_twice(log)) + log.end),),
        ids=[None],
        waits=[],
    )
    yield Row(
        name="only events that were seen already, and a break",
        plan=(part(4, then="fin"), *(part(4, after=0, then="fin"),) * 3),
        ids=[None, 4, 4, 4, 4],
        waits=first_waits(0.001, 4),
    )
    yield Row(
        name="a gap",
        plan=(said(lambda log: log.frames(0, 3) + log.frames(4) + log.end),),
        ids=[None, 3],
        waits=[AT_ONCE],
    )
    yield Row(
        name="a gap after a cut",
        plan=(part(4, then="fin"), part(12, frames.end("completed"), after=6)),
        ids=[None, 4, 4],
        waits=first_waits(0.001, 2),
    )
    yield Row(
        name="a gap at the start",
        plan=(part(12, frames.end("completed"), after=2),) * 2,
        ids=[None, None, None],
        waits=first_waits(0.001, 2),
    )
    for name, bad in (
        ("malformed JSON", b'{"event_type":"log",'),
        ("no JSON", b"hello"),
    ):
        yield Row(
            name=f"{name} in the middle",
            plan=(said(lambda log, bad=bad: _with_bad(log, bad)),) * 5,
            seen=lambda log: events(log, 1, 4),
            failure=Failure("MalformedEvent", (":5",)),
            ids=[None],
            waits=[],
        )
    for name, payload in (
        ("an event type of a later version", b'{"event_type":"thought","about":1}'),
        ("an event of ours that is another's", b'{"event_type":"log","text":1}'),
        ("an event without a type", b'{"a":1}'),
        ("a status of a later version", _LATER_CALL),
    ):
        yield Row(
            name=name,
            log=lambda log, payload=payload: _replaced(log, 5, payload),
            plan=(part(5, then="fin"),),
            ids=[None, 5],
        )
    yield Row(
        name="an event with members of a later version",
        log=lambda log: _replaced(log, 5, _LATER),
        seen=ANY,  # the models of Python drop what they do not know
        check=_saw_all,
        ids=[None],
        waits=[],
    )
    yield Row(
        name="an id without a number",
        plan=(said(lambda log: log.frames(0, 4) + _odd(b"hello") + _rest(log, 4)),),
        seen=lambda log: [
            *events(log, 1, 4),
            ("event", ANY, {"event_type": "odd"}),
            *events(log, 5, 12),
        ],
        ids=[None],
    )
    yield Row(
        name="an event without an id",
        plan=(said(lambda log: log.frames(0, 4) + _odd(b"") + _rest(log, 4)),),
        seen=lambda log: [
            *events(log, 1, 4),
            ("event", ANY, {"event_type": "odd"}),
            *events(log, 5, 12),
        ],
        ids=[None],
    )
    yield Row(
        name="a named event of a later version",
        plan=(said(lambda log: log.frames(0, 4) + _HINT + _rest(log, 4)),),
        seen=ANY,
        check=_saw_all,
        ids=[None],
        waits=[],
    )
    yield from _lost_ids()


_LATER = (
    b'{"event_type":"log","level":"info","message":"x","address":"a",'
    b'"timestamp":"2026-01-02T03:04:05Z","later":1}'
)
_LATER_CALL = (
    b'{"event_type":"tool_call","address":"a","timestamp":"2026-01-02T03:04:05Z",'
    b'"actor":"a","execution_status":"paused","from_cache":false}'
)
_HINT = b'event: hint\ndata: {"a":1}\n\n'


def _twice(log: Log) -> Iterator[bytes]:
    for number in range(1, log.last + 1):
        yield from repeat(log.frame(number), 2)


def _with_bad(log: Log, bad: bytes) -> bytes:
    block = frames.join(bad, log.id(5).encode())
    return log.frames(0, 4) + block + _rest(log, 5)


def _rest(log: Log, after: int) -> bytes:
    return log.frames(after) + log.end


def _odd(event_id: bytes) -> bytes:
    return frames.join(b'{"event_type":"odd"}', event_id)


def _replaced(log: Log, number: int, payload: bytes) -> Log:
    payloads = list(log.payloads)
    payloads[number - 1] = payload
    return replace(log, payloads=tuple(payloads))


def _saw_all(place: Place, outcome: Outcome) -> str | None:
    numbers = [n for n in dict.fromkeys(events_of(outcome.seen)) if n]
    return None if numbers == list(range(1, 13)) else f"saw {numbers}"


def _lost_ids() -> Iterator[Row]:
    def lost(log: Log) -> Log:
        return log.ended_by(LostEvent(), "lost", lost=True)

    yield Row(name="an id that ends in :lost", log=lost, ids=[None], waits=[])
    yield Row(
        name="a cut after an id that ends in :lost",
        log=lost,
        plan=(part(12, then="fin"),),
        ids=[None],
        waits=[],
    )
    yield Row(
        name="a lost execution that resets",
        log=lost,
        plan=(
            part(8, then="fin"),
            said(lambda log: reset("future", 1) + log.frames() + log.end),
        ),
        seen=lambda log: [
            *events(log, 1, 8),
            *resets("future", 1),
            *events(log, 1, 12),
        ],
        ids=[None, 8],
    )
    yield Row(
        name="another event of the number of the one that says lost",
        log=lambda log: replace(lost(log), payloads=log.payloads[:4] + _lost_payload()),
        plan=(said(_seen_by_the_writer, then="fin"),),
        seen=lambda log: [
            *events(log, 1, 4),
            ("event", 5, {"event_type": "odd"}),
            *resets("future", 1),
            *events(log, 1, 5),
        ],
        ids=lambda log: [None, f"{log.name}:5"],
    )


def _lost_payload() -> tuple[bytes, ...]:
    return (encode_json(LostEvent()),)


def _seen_by_the_writer(log: Log) -> bytes:
    return log.frames(0, 4) + _odd(f"{log.name}:5".encode())


def connections() -> Iterator[Row]:
    """Connections that do not come about."""
    yield Row(
        name="a connection that is refused, until the server is there",
        log=Log.without_retry,
        late=True,
        ids=[None],
        check=_waited_twice,
    )
    for then in ("fin", "rst"):
        yield Row(
            name=f"a connection that is closed at once: {then}",
            log=Log.without_retry,
            plan=(nothing(then),) * 3,
            ids=[None] * 4,
            waits=first_waits(1, 3),
        )
    yield Row(
        name="a server that is never there",
        ask=Question(give_up=0.2),
        log=Log.without_retry,
        plan=(nothing("rst"),) * 100_000,
        seen=lambda log: [],
        failure=Failure("Unreachable"),
    )
    yield Row(
        name="a server that is never there again",
        ask=Question(give_up=0.2),
        plan=(part(4, then="fin"), *(refuse(502),) * 100_000),
        seen=lambda log: events(log, 1, 4),
        failure=Failure("Unreachable"),
    )
    yield Row(
        name="heads that are cut",
        log=Log.without_retry,
        plan=(cut_at(30, then="fin"), cut_at(9, then="fin")),
        ids=[None] * 3,
        waits=first_waits(1, 2),
    )


def _waited_twice(place: Place, outcome: Outcome) -> str | None:
    count = len(outcome.waits)
    return None if count >= 2 else f"waited {count} times"


def rows() -> list[Row]:
    """Every row but the cuts."""
    return [
        *refusals(),
        *tokens(),
        *words(),
        *resets_(),
        *stalls(),
        *shapes(),
        *elsewhere(),
        *contents(),
        *connections(),
    ]
