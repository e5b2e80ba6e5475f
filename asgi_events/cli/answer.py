"""Shows what an execution of any server asks, and answers it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from asgi_events.cli.form import ask, complaints, content_of, fields, one_line, sentence
from asgi_events.cli.lines import say, writable
from asgi_events.cli.tail import open_client
from asgi_events.client import Question
from asgi_events.exceptions import (
    AlreadyAnswered,
    AsgiEventsError,
    InvalidInput,
    QuestionClosed,
    UnknownExecution,
    UnknownQuestion,
)
from asgi_events.wire.encoding import encode_json

COUNTS = 0
ANOTHER = 1
# 2 is argparse's, for wrong options.
CLOSED = 3
UNKNOWN = 4
TROUBLE = 5
DOES_NOT_FIT = 6

_EXIT: dict[type[AsgiEventsError], int] = {
    AlreadyAnswered: ANOTHER,
    QuestionClosed: CLOSED,
    UnknownExecution: UNKNOWN,
    UnknownQuestion: UNKNOWN,
    InvalidInput: DOES_NOT_FIT,
}

_STANDS = {"accept": "answered", "decline": "declined"}


class Answering:
    """The questions of one execution, on the command line.

    Args:
        url: The URL of the execution.
        headers: Headers of each request.
        as_json: Print JSON, and ask for nothing.

    Raises:
        WrongOption: The URL is not that of an execution, or a header is not valid.
    """

    def __init__(self, url: str, *, headers: Mapping[str, str], as_json: bool) -> None:
        self._client, id = open_client(url, headers)
        self._execution = self._client.execution(id)
        self._as_json = as_json

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def answer(self, n: int | None, text: str | None) -> int:
        """Show what is open, and answer it; return the exit status.

        Args:
            n: The number of the question; None for all that are open.
            text: The answer, JSON or a bare word; ``-`` for what the standard input
                has. None asks for it on a terminal.
        """
        try:
            if n is None:
                return self._show_all()
            question = self._execution.question(n)
            if text is None:
                return self._show(question)
            text = sys.stdin.read().strip() if text == "-" else text
            return self._send(question, text)
        except tuple(_EXIT) as error:
            return _told(error)

    def decline(self, n: int) -> int:
        """Decline to answer; return the exit status."""
        try:
            return self._done(n, self._execution.decline(n))
        except tuple(_EXIT) as error:
            return _told(error)

    def _show_all(self) -> int:
        waiting = self._execution.waiting()
        if len(waiting) == 1:
            return self._show(waiting[0])
        for question in waiting:
            self._print(question)
        if not waiting and not self._as_json:
            say("No question is open.")
        return COUNTS

    def _show(self, question: Question) -> int:
        """Print a question; on a terminal ask for the answer, and send it."""
        self._print(question)
        if question.answer is not None:
            return ANOTHER if question.answer.action in _STANDS else CLOSED
        if self._as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
            return COUNTS
        try:
            content = ask(question.response_schema, _prompt, say)
        except EOFError:
            say("\nNothing was answered.", sys.stderr)
            return TROUBLE
        return self._give(question, content)

    def _send(self, question: Question, text: str) -> int:
        try:
            content = content_of(question.response_schema, text)
        except ValueError as error:
            say(one_line(str(error)), sys.stderr)
            return DOES_NOT_FIT
        wrong = complaints(question.response_schema, content)
        for each in wrong:
            say(each, sys.stderr)
        return DOES_NOT_FIT if wrong else self._give(question, content)

    def _give(self, question: Question, content: Any) -> int:
        return self._done(question.n, self._execution.answer(question.n, content))

    def _done(self, n: int, counts: bool) -> int:
        if self._as_json:
            say(encode_json({"n": n, "counts": counts}).decode())
        elif counts:
            say("This answer counts.")
        else:
            say("The question had this answer already.")
        return COUNTS

    def _print(self, question: Question) -> None:
        if self._as_json:
            say(encode_json(question).decode())
        else:
            say("\n".join(_lines(question)))


def _prompt(text: str) -> str:
    return input(writable(text, sys.stdout))


def _lines(question: Question) -> list[str]:
    """A question as lines of text."""
    to = f" (to {question.to})" if question.to is not None else ""
    lines = [f"Question {question.n}{to}: {question.message}"]
    closed = question.answer
    if closed is not None:
        by = f" by {closed.by}" if closed.by is not None else ""
        lines.append(f"  It was {_STANDS.get(closed.action, closed.action)}{by}.")
    else:
        lines += [f"  {field.line}" for field in fields(question.response_schema)]
        if question.expires is not None:
            until = question.expires.astimezone().isoformat(" ", "seconds")
            lines.append(f"  It can be answered until {until}.")
    return [one_line(line) for line in lines]


def _told(error: AsgiEventsError) -> int:
    """Say why there is no answer of ours; return the exit status."""
    if isinstance(error, InvalidInput):
        for each in error.errors:
            say(sentence(each), sys.stderr)
    else:
        say(one_line(str(error)), sys.stderr)
    return _EXIT[type(error)]
