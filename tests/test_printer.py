"""An execution on a terminal: every character that is printed, and none that is not."""

import io
from datetime import datetime
from typing import Any

import pytest
from pydantic import BaseModel

from asgi_events import EventPrinter, EventType, ExecutionEvent, ExecutionStatus
from asgi_events.events import (
    ConversationEvent,
    CustomEvent,
    InputAnswerEvent,
    InputRequestEvent,
    LogEvent,
    ProgressEvent,
    ReasoningDelta,
    StateEvent,
    TextDelta,
    Usage,
)

LOCAL = datetime(2026, 1, 2, 3, 4, 5, 678900).astimezone()


def call(address: str, status: str = "started", **fields: Any) -> ExecutionEvent[Any]:
    if status not in ("started", "retrying", "recovered"):
        fields.setdefault("execution_time", 0.25)
    return ExecutionEvent[Any](
        event_type=EventType.TOOL_CALL,
        actor=address.rpartition("/")[2].partition("#")[0],
        address=address,
        timestamp=LOCAL,
        execution_status=ExecutionStatus(status),
        **fields,
    )


def log(address: str, message: str, level: Any = "info") -> LogEvent:
    return LogEvent(address=address, message=message, level=level, timestamp=LOCAL)


def text(address: str, delta: str) -> TextDelta:
    return TextDelta(address=address, delta=delta, timestamp=LOCAL)


def reasoning(address: str, delta: str) -> ReasoningDelta:
    return ReasoningDelta(address=address, delta=delta, timestamp=LOCAL)


def custom(address: str, name: str, data: Any = None) -> CustomEvent:
    return CustomEvent(address=address, name=name, data=data, timestamp=LOCAL)


def progress(address: str, current: float, *rest: Any) -> ProgressEvent:
    total, message = (*rest, None, None)[:2]
    return ProgressEvent(
        address=address,
        current=current,
        total=total,
        message=message,
        timestamp=LOCAL,
    )


def printed(*events: BaseModel, file: io.StringIO | None = None, **options: Any) -> str:
    file = file if file is not None else io.StringIO()
    bare = {"show_timestamp": False, "show_address": False}
    printer = EventPrinter(file=file, **bare | options)
    for event in events:
        printer(event)
    return file.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


EXECUTION = [
    call("survey", detail="of /tmp"),
    log("survey", "two files"),
    call("survey/measure"),
    call("survey/measure#2"),
    progress("survey/measure", 1, 4, "reading"),
    progress("survey/measure", 12.5),
    call("survey/measure", "completed"),
    log("survey/measure#2", "too large", "warning"),
    call("survey/measure#2", "failed", message="too large", execution_time=1.25),
    call("survey/count"),
    call("survey/count", "recovered", from_cache=True),
    call("survey/write"),
    text("survey/write", "Two "),
    text("survey/write", "files.\nThe"),
    text("survey/write", " end."),
    call("survey/write", "cancelled"),
    call("survey", "completed", detail="of /tmp", execution_time=125.0),
]


def test_prints_an_execution_as_a_tree() -> None:
    assert printed(*EXECUTION) == (
        "▶ survey of /tmp\n"
        "  two files\n"
        "  ▶ measure\n"
        "  ▶ measure#2\n"
        "    █████░░░░░░░░░░░░░░░  25% 1/4 reading\n"
        "    12.5\n"
        "  ✔ measure 250 ms\n"
        "    warning: too large\n"
        "  ✖ measure#2 too large 1.2 s\n"
        "  ▶ count\n"
        "  ↺ count from cache\n"
        "  ▶ write\n"
        "    │ Two files.\n"
        "    │ The end.\n"
        "  ■ write 250 ms\n"
        "✔ survey of /tmp 2 min 5 s\n"
        "survey: 5 calls, 2 completed, 1 failed, 1 cancelled, 1 recovered "
        "in 2 min 5 s\n"
    )


SHOWS = [
    call("ask", input={"question": "Why?"}),
    reasoning("ask", "Let me "),
    reasoning("ask", "think.\nI know"),
    text("ask", "Because "),
    text("ask", "it is."),
    reasoning("ask", "Done"),
    call("ask/look"),
    call("ask/look", "retrying", message="busy", attempt=1, delay=1.5),
    call("ask/look", "retrying", attempt=2, delay=0.0),
    call("ask/look", "completed", output=["a", 1], execution_time=2.0),
    custom("ask", "approval", {"by": "Ada"}),
    custom("", "ping"),
    StateEvent(address="ask", state={"step": 2}, timestamp=LOCAL),
    ConversationEvent(thread="t", run="r", messages=[{"id": "1"}], timestamp=LOCAL),
    call("ask", "completed", output="it is", usage=Usage(input_tokens=12)),
]


def test_prints_what_calls_show() -> None:
    assert printed(*SHOWS) == (
        '▶ ask input {"question":"Why?"}\n'
        "  ┆ Let me think.\n"
        "  ┆ I know\n"
        "  │ Because it is.\n"
        "  ┆ Done\n"
        "  ▶ look\n"
        "  ↻ look busy (attempt 1 failed, next in 1.5 s)\n"
        "  ↻ look (attempt 2 failed, next in 0 ms)\n"
        '  ✔ look 2.0 s output ["a",1]\n'
        '  • approval {"by":"Ada"}\n'
        "• ping\n"
        '  • state {"step":2}\n'
        '• conversation [{"id":"1"}]\n'
        '✔ ask 250 ms output "it is" 12 tokens in\n'
        "ask: 2 calls, 2 completed in 250 ms\n"
    )


def test_prints_what_calls_show_in_ascii_too() -> None:
    raw = io.BytesIO()
    printer = EventPrinter(False, False, file=io.TextIOWrapper(raw, encoding="ascii"))
    for event in [reasoning("a", "m"), call("a/b", "retrying"), custom("a", "c")]:
        printer(event)
    assert raw.getvalue().decode() == "  : m\n  ~ b (retrying)\n  * c\n"


def test_prints_all_tokens_of_a_call_that_are_known() -> None:
    known = [
        Usage(input_tokens=7, output_tokens=0),
        Usage(input_tokens=0, output_tokens=3),
        Usage(output_tokens=4),
        Usage(),
    ]
    assert printed(*(call("a/b", "completed", usage=usage) for usage in known)) == (
        "  ✔ b 250 ms 7 tokens in 0 tokens out\n"
        "  ✔ b 250 ms 0 tokens in 3 tokens out\n"
        "  ✔ b 250 ms 4 tokens out\n"
        "  ✔ b 250 ms\n"
    )


def question(n: int, message: str, to: str | None = None) -> InputRequestEvent:
    form = {"type": "boolean"}
    return InputRequestEvent(
        address="a", n=n, message=message, response_schema=form, to=to, timestamp=LOCAL
    )


def answer(n: int, action: Any, **more: Any) -> InputAnswerEvent:
    return InputAnswerEvent(address="a", n=n, action=action, timestamp=LOCAL, **more)


def test_prints_questions_and_what_closes_them_in_one_line_each() -> None:
    events = [
        question(1, "Book\nit?"),
        question(2, "Sure?", "bob\x1b[2J"),
        answer(1, "accept", by="ann", content={"seat": "1A"}),
        answer(2, "decline", by="bob\x1b[2J"),
        answer(3, "accept", content=False),
        answer(4, "expired"),
        answer(5, "cancelled"),
    ]
    assert printed(*events) == (
        "  ? 1: Book it?\n"
        "  ? 2: Sure? (to bob\ufffd[2J)\n"
        '  ! 1: answered by ann {"seat":"1A"}\n'
        "  ! 2: declined by bob\ufffd[2J\n"
        "  ! 3: answered false\n"
        "  ! 4: expired\n"
        "  ! 5: cancelled\n"
    )
    assert printed(events[0], show_address=True) == "  ? a: 1: Book it?\n"


def test_names_the_address_of_a_custom_event() -> None:
    assert printed(custom("a/b", "c", 0), show_address=True) == "    • a/b: c 0\n"


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(call("a/b", input="x" * 200), id="input"),
        pytest.param(call("a/b", "completed", output="x" * 200), id="output"),
        pytest.param(custom("a", "c", "x" * 200), id="custom"),
    ],
)
def test_prints_the_beginning_of_a_value(event: BaseModel) -> None:
    line = printed(event)
    assert [line.count("x"), line[-4:]] == [99, "...\n"]


def test_prints_ascii_only_to_a_file_that_has_no_more() -> None:
    raw = io.BytesIO()
    printer = EventPrinter(False, False, file=io.TextIOWrapper(raw, encoding="ascii"))
    for event in [*EXECUTION[:-1], log("", "naïve 😀"), EXECUTION[-1]]:
        printer(event)
    assert raw.getvalue().decode("ascii") == (
        "> survey of /tmp\n"
        "  two files\n"
        "  > measure\n"
        "  > measure#2\n"
        "    #####---------------  25% 1/4 reading\n"
        "    12.5\n"
        "  + measure 250 ms\n"
        "    warning: too large\n"
        "  x measure#2 too large 1.2 s\n"
        "  > count\n"
        "  = count from cache\n"
        "  > write\n"
        "    | Two files.\n"
        "    | The end.\n"
        "  # write 250 ms\n"
        "na\\xefve \\U0001f600\n"
        "+ survey of /tmp 2 min 5 s\n"
        "survey: 5 calls, 2 completed, 1 failed, 1 cancelled, 1 recovered "
        "in 2 min 5 s\n"
    )


def test_shows_timestamps() -> None:
    assert printed(call("a"), log("a", "m"), progress("a", 3), show_timestamp=True) == (
        "03:04:05.678 ▶ a\n03:04:05.678   m\n03:04:05.678   3\n"
    )


def test_shows_whole_addresses() -> None:
    assert printed(call("a"), call("a/b#2"), log("a/b#2", "m"), show_address=True) == (
        "▶ a\n  ▶ a/b#2\n    a/b#2: m\n"
    )


def test_counts_each_execution_for_itself() -> None:
    first = [call("a"), call("a/b", "completed"), call("a", "completed")]
    second = [call("a#2"), call("a#2/b", "failed"), call("a#2", "failed")]
    lines = printed(*first, *second).splitlines()
    assert [line for line in lines if "calls" in line] == [
        "a: 2 calls, 2 completed in 250 ms",
        "a#2: 2 calls, 2 failed in 250 ms",
    ]


def test_prints_any_model() -> None:
    class Note(BaseModel):
        text: str
        more: Any = None

    assert printed(Note(text="é")) == 'Note {"text":"é","more":null}\n'


def test_indents_a_model_that_has_an_address() -> None:
    class Note(BaseModel):
        address: str = "a/b/c"

    assert printed(Note()) == '    Note {"address":"a/b/c"}\n'


def test_shows_the_time_of_printing_for_a_model_without_one() -> None:
    class Note(BaseModel):
        timestamp: str = "yesterday"

    line = printed(Note(), show_timestamp=True)
    time, _, rest = line.partition(" ")
    assert datetime.strptime(time, "%H:%M:%S.%f")
    assert rest == 'Note {"timestamp":"yesterday"}\n'


def test_ends_the_line_of_a_text_before_another_begins() -> None:
    assert printed(
        text("a", "one "),
        text("a", "two"),
        text("b", "three"),
        log("a", "m"),
        text("b", "four"),
        call("a"),
    ) == ("  │ one two\n  │ three\n  m\n  │ four\n▶ a\n")


COLOURED = (
    "\x1b[36m▶ \x1b[1ma\x1b[0m\n"
    "  \x1b[2mm\x1b[0m\n"
    "  \x1b[33mwarning: w\x1b[0m\n"
    "  \x1b[31merror: e\x1b[0m\n"
    "  \x1b[2m1\x1b[0m\n"
    "  \x1b[31m✖ \x1b[1mb\x1b[0m \x1b[31moops\x1b[0m \x1b[2m250 ms\x1b[0m\n"
    "  \x1b[35m↺ \x1b[1mc\x1b[0m \x1b[35mfrom cache\x1b[0m\n"
    "  \x1b[33m■ \x1b[1md\x1b[0m \x1b[2m250 ms\x1b[0m\n"
    "\x1b[32m✔ \x1b[1ma\x1b[0m \x1b[2m250 ms\x1b[0m\n"
    "\x1b[1ma: 4 calls, 1 completed, 1 failed, 1 cancelled, 1 recovered "
    "in 250 ms\x1b[0m\n"
)
COLOURFUL = [
    call("a"),
    log("a", "m"),
    log("a", "w", "warning"),
    log("a", "e", "error"),
    progress("a", 1),
    call("a/b", "failed", message="oops"),
    call("a/c", "recovered", from_cache=True),
    call("a/d", "cancelled"),
    call("a", "completed"),
]


@pytest.mark.parametrize("no_color", [None, ""], ids=["unset", "empty"])
def test_colours_a_terminal(
    no_color: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color is not None:
        monkeypatch.setenv("NO_COLOR", no_color)
    assert printed(*COLOURFUL, file=Terminal()) == COLOURED


def test_dims_what_calls_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    shows = [
        call("a", input=1),
        reasoning("a", "b\nc"),
        text("a", "d"),
        call("a/b", "retrying", message="e", attempt=1),
        custom("a", "f", 2),
    ]
    assert printed(*shows, file=Terminal()) == (
        "\x1b[36m▶ \x1b[1ma\x1b[0m \x1b[2minput 1\x1b[0m\n"
        "  ┆ \x1b[2mb\x1b[0m\n"
        "  ┆ \x1b[2mc\x1b[0m\n"
        "  │ d\n"
        "  \x1b[33m↻ \x1b[1mb\x1b[0m \x1b[31me\x1b[0m (attempt 1 failed)\n"
        "  • \x1b[1mf\x1b[0m 2\n"
    )


def test_dims_timestamps_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert printed(log("a", "m"), file=Terminal(), show_timestamp=True) == (
        "\x1b[2m03:04:05.678\x1b[0m   \x1b[2mm\x1b[0m\n"
    )


@pytest.mark.parametrize("no_color", ["1", "0", "no"])
def test_does_not_colour_when_no_color_is_set(
    no_color: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    assert printed(*COLOURFUL, file=Terminal()) == printed(*COLOURFUL)


def test_does_not_colour_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b" not in printed(*COLOURFUL)


HOSTILE = (
    "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029]))
    + "\x1b]0;title\x07\x1b[2J\x9b2J"
    + "".join(map(chr, [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]))  # bidi
    + "\u061c\u200b\u200e\u200f\u2060\ufeff\u00ad\u034f\u3164a\u200d\u200c"
    + "".join(map(chr, [*range(0xE0000, 0xE0080), *range(0xE0100, 0xE01F0)]))
)


class Hostile(BaseModel):
    address: str = ""
    note: str = HOSTILE


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(call(f"a{HOSTILE}"), id="name"),
        pytest.param(call("a", detail=HOSTILE), id="detail"),
        pytest.param(call("a/b", "failed", message=HOSTILE), id="message"),
        pytest.param(call(f"a{HOSTILE}", "completed"), id="summary"),
        pytest.param(log("a", HOSTILE), id="log"),
        pytest.param(log(f"a{HOSTILE}", "m"), id="address of a log"),
        pytest.param(progress("a", 1, 2, HOSTILE), id="progress"),
        pytest.param(text("a", HOSTILE), id="text"),
        pytest.param(reasoning("a", HOSTILE), id="reasoning"),
        pytest.param(custom("a", HOSTILE, HOSTILE[32:]), id="custom"),
        # JSON escapes the first 32.
        pytest.param(call("a", input={HOSTILE[32:]: 1}), id="input"),
        pytest.param(Hostile(), id="any model"),
        pytest.param(Hostile(address=f"a/{HOSTILE}"), id="any address"),
    ],
)
def test_lets_no_control_character_reach_the_terminal(event: BaseModel) -> None:
    out = printed(event, show_address=True)
    allowed = set("\t\n") | set(map(chr, range(0x20, 0x7F)))
    assert sorted(set(out) & (set(HOSTILE) - allowed)) == []


@pytest.mark.parametrize(
    "said",
    [
        "naïve 😀 \N{FAMILY}\u200d\N{BOY} 👍🏽 ❤\ufe0f",
        "می\u200cخواهم",  # Persian
        "क्षत्रिय",  # Devanagari
        "שָׁלוֹם",  # Hebrew, two marks on a letter
        "n\u0303\u0302\u0301\u0300",
        "\ttab",
        "\ue0b0",  # of a terminal's own font
    ],
)
def test_prints_what_people_write_as_it_is(said: str) -> None:
    assert printed(log("a", said)) == f"  {said}\n"


def test_prints_no_pile_of_marks() -> None:
    assert printed(log("a", "z" + "\u0301" * 300 + "!")) == (
        "  z" + "\u0301" * 4 + "\ufffd!\n"
    )


def test_makes_a_line_of_a_text_look_like_none_of_its_own() -> None:
    forged = "\n✔ survey 3 ms\n  ▶ rm\n\nsurvey: 1 calls, 1 completed in 3 ms\n"
    out = printed(call("a/b"), text("a/b", forged), call("a/b", "completed"))
    assert out == (
        "  ▶ b\n"
        "    │ \n"
        "    │ ✔ survey 3 ms\n"
        "    │   ▶ rm\n"
        "    │ \n"
        "    │ survey: 1 calls, 1 completed in 3 ms\n"
        "    │ \n"
        "  ✔ b 250 ms\n"
    )


@pytest.mark.parametrize(
    ("event", "line"),
    [
        pytest.param(log("a", "one\ntwo"), "  one two\n", id="log"),
        pytest.param(call("a/b", detail="one\ntwo"), "  ▶ b one two\n", id="detail"),
        pytest.param(
            call("a/b", "failed", message="one\ntwo"),
            "  ✖ b one two 250 ms\n",
            id="message",
        ),
        pytest.param(
            progress("a", 1, None, "one\ntwo"), "  1 one two\n", id="progress"
        ),
        pytest.param(call("a/b\n✔ c"), "  ▶ b ✔ c\n", id="name"),
    ],
)
def test_prints_one_line_for_each_event(event: BaseModel, line: str) -> None:
    assert printed(event) == line


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, "0 ms"),
        (0.0004, "0 ms"),
        (0.25, "250 ms"),
        (0.9996, "1.0 s"),
        (1.0, "1.0 s"),
        (59.94, "59.9 s"),
        (119.96, "2 min 0 s"),
        (120.0, "2 min 0 s"),
        (179.7, "3 min 0 s"),
        (3600.0, "60 min 0 s"),
    ],
)
def test_rounds_a_duration(seconds: float, expected: str) -> None:
    assert printed(call("a/b", "completed", execution_time=seconds)) == (
        f"  ✔ b {expected}\n"
    )


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        pytest.param(progress("a", 0, 4), "░" * 20 + "   0% 0/4", id="none"),
        pytest.param(progress("a", 4, 4), "█" * 20 + " 100% 4/4", id="all"),
        pytest.param(progress("a", 9, 4), "█" * 20 + " 100% 9/4", id="more"),
        pytest.param(progress("a", -1, 4), "░" * 20 + "   0% -1/4", id="less"),
        pytest.param(progress("a", 1, 0), "1", id="of nothing"),
        pytest.param(
            progress("a", float("inf"), 4), "█" * 20 + " 100% inf/4", id="infinite"
        ),
    ],
)
def test_draws_a_bar(event: ProgressEvent, expected: str) -> None:
    assert printed(event) == f"  {expected}\n"


def test_survives_a_progress_that_is_no_number() -> None:
    assert "nan" in printed(progress("a", float("nan"), 4))


def test_survives_a_lone_surrogate() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="utf-8")
    EventPrinter(False, file=file)(log("", "a\ud800b"))
    assert raw.getvalue() == b"a\\ud800b\n"


def test_prints_to_standard_output_as_it_is_at_the_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    printer = EventPrinter(False)
    printer(log("", "m"))
    assert capsys.readouterr().out == "m\n"
