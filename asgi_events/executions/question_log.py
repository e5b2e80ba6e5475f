"""The log of the questions of one execution, and of their answers.

It is beside the log of the execution, in the same store. A frame is a question, or what
closes one. To append a frame is a compare-and-set, and the first frame that closes a
question counts. So of any number of answers, from any processes, one wins, and each
caller learns which one. Every process may append, because all open the log under one
writer's name.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from asgi_events.actors.forms import form_from
from asgi_events.events import InputAnswerEvent, InputRequestEvent
from asgi_events.exceptions import Fenced, Gap, Missing
from asgi_events.executions.recorder import Opening
from asgi_events.redaction import Redaction
from asgi_events.stores.contract import EventStore, Grant
from asgi_events.wire.decoding import read_json
from asgi_events.wire.encoding import encode_json

logger = logging.getLogger(__name__)

_WRITER = "questions"  # the name under which every process writes it
_PAGE = 1024 * 1024  # bytes read at once


class HiddenRequest(InputRequestEvent):
    """A question that ``redact`` hides from viewers, without its message."""

    is_hidden: Literal[True] = True


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
        request: What is asked, as viewers may see it.
        answer: What has closed it; None while it is open.
    """

    request: InputRequestEvent
    answer: Answer | None = None

    @property
    def is_hidden(self) -> bool:
        """Whether ``redact`` hides it from viewers."""
        return isinstance(self.request, HiddenRequest)


@dataclass(frozen=True, slots=True)
class Asked:
    """What an execution had asked when somebody looked.

    Attributes:
        questions: By their numbers, in the order in which they were asked.
        last: The number of the newest frame.
    """

    questions: Mapping[int, Question] = field(default_factory=dict)
    last: int = 0


class QuestionLog:
    """What one execution has asked, and what was answered.

    All methods raise ``StoreError`` if the store does not answer.

    Args:
        store: Where it is.
        id: The execution's id.
        lease: Seconds, as for executions.
        ttl: Seconds it is kept after it was last written.
    """

    __slots__ = ("_grant", "_lease", "_store", "_ttl", "key")

    def __init__(self, store: EventStore, id: str, *, lease: float, ttl: float) -> None:
        self.key = f"questions:{id}"  # no execution has such an id
        self._store = store
        self._lease = lease
        self._ttl = ttl
        self._grant: Grant | None = None

    @property
    def opening(self) -> Opening:
        """How it is opened, by every process."""
        return Opening(
            store=self._store,
            key=self.key,
            writer=_WRITER,
            lease=self._lease,
            ttl=self._ttl,
            meta={},
        )

    async def read(self, before: Asked | None = None) -> Asked:
        """Read all; only what is new since ``before``, if that is given."""
        questions = {} if before is None else dict(before.questions)
        last = 0 if before is None else before.last
        while page := await self._store.read(self.key, last, _PAGE):
            if not page.frames:
                break
            for frame in page.frames:
                _take(questions, read_json(frame))
            last = page.first + len(page.frames) - 1
            if last >= page.last:
                break
        return Asked(questions, last)

    async def keep(self) -> None:
        """Keep it for ``ttl`` from now."""
        self._grant = await self.opening.open()

    async def ask(self, request: InputRequestEvent) -> None:
        """Append a question, unless there is one of its number."""
        asked = await self.read()
        while request.n not in asked.questions:
            asked = await self._append(request, asked)

    async def close(
        self, request: InputRequestEvent, answer: Answer, asked: Asked | None = None
    ) -> Question:
        """Close a question, unless it is closed; return it as it is then.

        Args:
            request: The question.
            answer: What closes it.
            asked: What the caller has read.
        """
        if asked is None:
            asked = await self.read()
        while True:
            question = asked.questions.get(request.n)
            if question is None:  # the store has lost it
                asked = await self._append(request, asked)
            elif question.answer is None:
                asked = await self._append(answer, asked)
            else:
                return question

    async def _append(self, event: InputRequestEvent | Answer, asked: Asked) -> Asked:
        """Append a frame to ``asked``, unless another one is there; read what is new.

        If the log is new, or the store has lost some of it, it is opened and read anew.
        """
        if self._grant is None:
            await self.keep()
        assert self._grant is not None
        frames = [encode_json(event)]
        try:
            await self._store.append(self.key, self._grant, asked.last, frames)
        except (Gap, Fenced, Missing):
            await self.keep()
            return await self.read()
        return await self.read(asked)


@dataclass(frozen=True, slots=True)
class ClosedQuestion:
    """A closed question, which can be written again if the store loses it.

    Attributes:
        log: Where it is.
        request: What was asked.
        answer: What has closed it.
    """

    log: QuestionLog
    request: InputRequestEvent
    answer: Answer

    @property
    def opening(self) -> Opening:
        """How its log is opened."""
        return self.log.opening

    async def restore(self) -> bool:
        """Write it again if it is gone; False if something else has closed it."""
        stands = (await self.log.close(self.request, self.answer)).answer
        assert stands is not None
        return (stands.action, stands.token) == (self.answer.action, self.answer.token)


def redacted(request: InputRequestEvent, redaction: Redaction) -> InputRequestEvent:
    """Return a question as viewers may see it; a ``HiddenRequest`` if they may not."""
    shown = redaction.of(request)
    if isinstance(shown, InputRequestEvent):
        try:
            form_from(shown.response_schema)
        except TypeError as error:  # nobody could answer
            logger.error("redact has made a question that is hidden: %s", error)
        else:
            return shown.model_copy(update={"n": request.n})
    return HiddenRequest(**request.model_dump() | {"message": ""})


def _take(questions: dict[int, Question], frame: dict[str, Any]) -> None:
    """Add a frame; of what closes a question, the first counts."""
    if "response_schema" in frame:
        model = HiddenRequest if "is_hidden" in frame else InputRequestEvent
        request = model.model_validate(frame)
        questions.setdefault(request.n, Question(request))
        return
    answer = Answer.model_validate(frame)
    question = questions.get(answer.n)
    if question is not None and question.answer is None:
        questions[answer.n] = Question(question.request, answer)
