"""Where sync actors run: a daemon thread for each call.

Not the event loop's pool. That has a handful of threads, which nested calls would wait
for one another in, for ever; and the process waits for them when it ends, though what
runs there may have been cancelled long ago. The price is that nothing bounds the number
of threads but the number of calls at a time: bound those with a semaphore.
"""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from threading import Thread
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class DaemonThreads(Executor):
    """An executor that never makes a call wait, nor the process."""

    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """Call ``fn`` in a thread of its own."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        Thread(target=run, name="asgi_events actor", daemon=True).start()
        return future


threads: Any = DaemonThreads()
