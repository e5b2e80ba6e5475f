"""The root of all exceptions of this package."""

from typing import Any, Self


class AsgiEventsError(Exception):
    """The root of the tree above."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Task queues pickle what a job raises; ``__init__`` takes other arguments.
        return self._restore, (self.args, self.__dict__)

    @classmethod
    def _restore(cls, args: tuple[Any, ...], facts: dict[str, Any]) -> Self:
        error = cls.__new__(cls, *args)
        error.__dict__.update(facts)
        return error
