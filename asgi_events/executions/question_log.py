"""The log of the questions of one execution, and of their answers.

It is beside the log of the execution, in the same store. A frame is a question, or what
closes one. To append a frame is a compare-and-set, and the first frame that closes a
question counts. So of any number of answers, from any processes, one wins, and each
caller learns which one. Every process may append, because all open the log under one
writer's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from asgi_events.events import InputAnswerEvent, InputRequestEvent
from asgi_events.exceptions import Fenced, Gap
from asgi_events.executions.recorder import Opening
from asgi_events.stores.contract import EventStore, Grant
from asgi_events.wire.decoding import read_json
from asgi_events.wire.encoding import encode_json

_WRITER = "questions"  # the name under which every process writes it
_PAGE = 1024 * 1024  # bytes read at once


class Answer(InputAnswerEvent):
    """What closes a question, with its content.

    Attributes:
        token: Tells the same answer of two callers apart.
    """

    token: str


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        request: What is asked.
        answer: What has closed it; None while it is open.
    """

    request: InputRequestEvent
    answer: Answer | None = None


class QuestionLog:
    """What one execution has asked, and what was answered.

    All methods raise ``StoreError`` if the store does not answer.

    Args:
        store: Where it is.
        id: The execution's id.
        lease: Seconds, as for executions.
        ttl: Seconds it is kept after it was opened.
    """

    __slots__ = ("_grant", "_lease", "_store", "_ttl", "key")

    def __init__(self, store: EventStore, id: str, *, lease: float, ttl: float) -> None:
        self.key = f"questions:{id}"  # no execution has such an id
        self._store = store
        self._lease = lease
        self._ttl = ttl
        self._grant: Grant | None = None

    async def read(self) -> dict[int, Question]:
        """All questions by their numbers, in the order in which they were asked."""
        questions, _ = await self._read()
        return questions

    async def keep(self) -> None:
        """Keep it for ``ttl`` from now."""
        await self._open()

    async def ask(self, request: InputRequestEvent) -> None:
        """Append a question, unless there is one of its number."""
        questions, last = await self._open()
        while request.n not in questions:
            questions, last = await self._append(request, last)

    async def close(self, request: InputRequestEvent, answer: Answer) -> Answer:
        """Close a question, unless it is closed; return what has closed it."""
        questions, last = await self._open()
        while True:
            question = questions.get(request.n)
            if question is None:  # the store has lost it
                questions, last = await self._append(request, last)
            elif question.answer is None:
                questions, last = await self._append(answer, last)
            else:
                return question.answer

    async def _open(self) -> tuple[dict[int, Question], int]:
        """Make the log if it is new, so that it can be written, and read it."""
        opening = Opening(
            store=self._store,
            key=self.key,
            writer=_WRITER,
            lease=self._lease,
            ttl=self._ttl,
            meta={},
        )
        self._grant = await opening.open()
        return await self._read()

    async def _append(
        self, event: InputRequestEvent | Answer, last: int
    ) -> tuple[dict[int, Question], int]:
        """Append a frame after ``last``, unless another one is there; read all."""
        assert self._grant is not None
        try:
            await self._store.append(self.key, self._grant, last, [encode_json(event)])
        except (Gap, Fenced):  # the store has lost some of it, or all
            return await self._open()
        return await self._read()

    async def _read(self) -> tuple[dict[int, Question], int]:
        """All questions, and the number of the newest frame."""
        questions: dict[int, Question] = {}
        last = 0
        while page := await self._store.read(self.key, last, _PAGE):
            for frame in page.frames:
                _take(questions, read_json(frame))
            last = page.first + len(page.frames) - 1
            if last >= page.last:
                break
        return questions, last


def _take(questions: dict[int, Question], frame: dict[str, Any]) -> None:
    """Add a frame; of what closes a question, the first counts."""
    if "response_schema" in frame:
        request = InputRequestEvent.model_validate(frame)
        questions.setdefault(request.n, Question(request))
        return
    answer = Answer.model_validate(frame)
    question = questions.get(answer.n)
    if question is not None and question.answer is None:
        questions[answer.n] = Question(question.request, answer)
