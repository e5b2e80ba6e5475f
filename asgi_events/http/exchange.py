"""One request about executions, and what its response is made of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from asgi_events.exceptions import AccessDenied, StoreError, UnknownExecution
from asgi_events.executions.execution import Execution
from asgi_events.executions.executions import Executions
from asgi_events.executions.viewers import Place
from asgi_events.http.authorize import Action, Owners
from asgi_events.http.problems import Problem, send_json
from asgi_events.http.request import Request
from asgi_events.http.viewing import ExecutionResponse
from asgi_events.types import ASGIApp, Headers, Receive, Scope, Send
from asgi_events.wire.formats import Format

_LONGEST_WAIT = 60.0  # seconds for an execution that is about to start


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What all requests to an application share.

    Attributes:
        executions: The executions that are served.
        owners: Finds the owner for whom a request acts.
        max_body: Bytes that a request body may have.
        body_timeout: Seconds in which the whole body must arrive; None for any time.
    """

    executions: Executions
    owners: Owners
    max_body: int
    body_timeout: float | None


class Exchange:
    """One request.

    Its methods send nothing. Those that make a response return an ASGI application
    that sends it.

    Args:
        terms: What all requests share.
        request: The request.
        receive: The ASGI ``receive``.

    Attributes:
        request: The request.
        executions: The executions that are served.
    """

    def __init__(self, terms: Terms, request: Request, receive: Receive) -> None:
        self.request = request
        self.executions = terms.executions
        self._terms = terms
        self._receive = receive

    def allow(self, *methods: str) -> None:
        """Check the method.

        Raises:
            Problem: 405, it is another one.
        """
        if self.request.method not in methods:
            raise Problem(
                405,
                f"{self.request.method} is not allowed here. "
                f"Allowed: {', '.join(methods)}.",
                headers={"allow": ", ".join(methods)},
            )

    async def owner_of(
        self,
        action: Action,
        execution: Execution | None = None,
        *,
        actor: str | None = None,
    ) -> str | None:
        """Return the owner for whom the request acts; see ``Owners.owner_of``."""
        owners = self._terms.owners
        return await owners.owner_of(self.request.scope, action, execution, actor=actor)

    async def read_json(self, most: int | None = None) -> bytes:
        """Read the body, which must be JSON, of at most so many bytes.

        See ``Request.read_json``.
        """
        limit = self._terms.max_body
        option: str | None = "max_body"
        if most is not None and most < limit:
            limit, option = most, None
        return await self.request.read_json(
            self._receive,
            limit=limit,
            option=option,
            timeout=self._terms.body_timeout,
        )

    async def find(self, id: str, action: Action) -> Execution:
        """Return the execution, if it belongs to the caller.

        Raises:
            UnknownExecution: There is none, or it is another owner's.
            AccessDenied: The caller may not do that.
            StoreError: The store does not answer.
        """
        execution, owner = await self.look_up(id, action)
        if execution is None or execution.owner != owner:
            raise UnknownExecution(id)
        return execution

    async def look_up(
        self, id: str, action: Action
    ) -> tuple[Execution | None, str | None]:
        """Return the execution, of any owner, and who the caller is.

        Raises:
            AccessDenied: The caller may not do that.
            StoreError: The store does not answer.
        """
        wait = self.request.seconds("wait", _LONGEST_WAIT) if action == "read" else 0.0
        try:
            execution: Execution | None = await self.executions.get(id, wait=wait)
        except UnknownExecution:
            execution = None
        except StoreError:
            # A caller who is refused learns that, and nothing about the store.
            await self.owner_of(action)
            raise
        return execution, await self.owner_of(action, execution)

    async def newest(
        self, thread: str, action: Action, *, actor: str
    ) -> Execution | None:
        """Return the caller's newest execution of a thread, if it is of the actor.

        Raises:
            AccessDenied: The caller may not do that.
            StoreError: The store does not answer.
        """
        owner = await self.owner_of(action)
        execution = await self.executions.newest(thread, owner=owner)
        if execution is None or execution.actor != actor:
            return None
        owner = await self.owner_of(action, execution)
        return execution if owner == execution.owner else None

    @contextmanager
    def place_for(self, owner: str | None) -> Iterator[Place]:
        """Take a viewer's place for what is about to start, or free it in an error.

        Raises:
            LimitReached: There is none, so nothing should be started.
        """
        place = self.executions.viewing.capacity.take(owner)
        try:
            yield place
        except BaseException:
            place.release()
            raise

    async def stream(
        self,
        execution: Execution,
        *,
        headers: Headers | None = None,
        format: Callable[[], Format] | None = None,
        resumes: bool = True,
        place: Place | None = None,
        last_event_id: str | None = None,
        answered: Collection[int] | None = None,
    ) -> ASGIApp:
        """Stream an execution to the caller; see ``ExecutionResponse``."""
        return ExecutionResponse(
            execution,
            headers=headers,
            counts=await self._may_cancel(execution),
            format=format,
            resumes=resumes,
            place=place,
            last_event_id=last_event_id,
            answered=answered,
        )

    def json(
        self, status: int, body: dict[str, Any], headers: Headers | None = None
    ) -> ASGIApp:
        """Answer with JSON."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            head = scope["method"] == "HEAD"
            await send_json(send, status, body, headers=headers, head=head)

        return answer

    async def _may_cancel(self, execution: Execution) -> bool:
        """Return whether the viewer may cancel, and so counts for ``cancel_after``."""
        if self.request.method == "HEAD" or execution.status != "started":
            return True  # it is not a viewer, or there is nothing to cancel
        try:
            owner = await self.owner_of("cancel", execution)
        except AccessDenied:
            return False
        return owner == execution.owner
