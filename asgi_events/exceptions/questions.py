"""What goes wrong with a question and with its answer."""

from asgi_events.exceptions.root import AsgiEventsError


class UnknownQuestion(AsgiEventsError):
    """The execution has asked no question of that number.

    Attributes:
        id: The execution's id.
        n: What was taken for its number.
    """

    def __init__(self, id: str, n: int | str) -> None:
        self.id = id
        self.n = n
        super().__init__(f"Execution {id!r} has asked no question {n}.")


class NotAnswered(AsgiEventsError):
    """A question has no answer.

    Attributes:
        n: The number of the question.
        message: What was asked.
    """

    def __init__(self, n: int, message: str, how: str) -> None:
        self.n = n
        self.message = message
        super().__init__(f"Question {n} {how}: {message}")


class InputDeclined(NotAnswered):
    """Somebody has declined to answer.

    Attributes:
        by: Who, if the server knows.
    """

    def __init__(self, n: int, message: str, by: str | None) -> None:
        self.by = by
        super().__init__(n, message, "was declined")


class InputExpired(NotAnswered):
    """Nobody has answered in time.

    Attributes:
        timeout: Seconds in which it could be answered.
    """

    def __init__(self, n: int, message: str, timeout: float | None) -> None:
        self.timeout = timeout
        super().__init__(n, message, f"was not answered within {timeout} s")


class AnswerRefused(AsgiEventsError):
    """An answer came too late.

    Attributes:
        id: The execution's id.
        n: The number of the question.
        action: What has closed the question: ``accept``, ``decline``, ``expired`` or
            ``cancelled``.
        by: Who has, if the server knows.
    """

    def __init__(
        self, id: str, n: int, action: str, by: str | None = None, *, how: str
    ) -> None:
        self.id = id
        self.n = n
        self.action = action
        self.by = by
        super().__init__(f"Question {n} of execution {id!r} {how}.")


class AlreadyAnswered(AnswerRefused):
    """Another answer was first."""

    def __init__(self, id: str, n: int, action: str, by: str | None) -> None:
        who = "" if by is None else f" by {by!r}"
        how = "accepted" if action == "accept" else "declined"
        super().__init__(id, n, action, by, how=f"was {how}{who} already")


class QuestionClosed(AnswerRefused):
    """Nobody waits for the answer any more."""

    def __init__(self, id: str, n: int, action: str) -> None:
        how = "has expired" if action == "expired" else "is not open any more"
        super().__init__(id, n, action, how=how)
