"""Performs the actions of plans, in the thread of the caller."""

from __future__ import annotations

from contextlib import suppress
from threading import Event, Lock
from typing import Any

from asgi_events.client import http as library
from asgi_events.client.actions import (
    Action,
    Answer,
    Authorize,
    Broken,
    Close,
    Done,
    Emit,
    Follow,
    Outcome,
    Read,
    Send,
    Sleep,
    Steps,
)
from asgi_events.client.terms import Auth, RequestHeaders, Terms, checked_headers


def advance(steps: Steps[Any], connection: SyncConnection) -> Emit | Done:
    """Perform actions until there is an event, or the end."""
    action = steps.abandon() if connection.is_closed else steps.begin()
    while not isinstance(action, Emit | Done):
        told = None if connection.is_closed else connection.perform(action)
        try:
            action = steps.abandon() if connection.is_closed else steps.done(told)
        except BaseException:  # the plan has decided that it is over
            connection.close()
            raise
    return action


class SyncConnection:
    """Performs the actions of one plan, with one response at a time."""

    def __init__(
        self,
        http: Any,
        auth: Auth | None,
        terms: Terms,
        connections: set[SyncConnection],
    ) -> None:
        self._http = http
        self._auth = auth
        self._terms = terms
        self._connections = connections
        self._response: Any = None
        self._chunks: Any = None
        self._woken = Event()
        self._is_used = Lock()  # by the thread that performs an action
        connections.add(self)

    @property
    def is_closed(self) -> bool:
        """Whether its user has left."""
        return self._woken.is_set()

    def perform(self, action: Action) -> Outcome:
        """Perform an action; if that is interrupted, the response is closed."""
        with self._is_used:
            try:
                match action:
                    case Authorize():
                        return self._headers()
                    case Send():
                        request = library.request_of(self._http, action, self._terms)
                        return self._send(request)
                    case Follow():
                        return self._follow(action)
                    case Read():
                        return self._read()
                    case Sleep():
                        self._woken.wait(action.seconds)
                    case Close():
                        self._close()
            except BaseException:
                self._close()
                raise
            finally:
                if self.is_closed:
                    self._close()
            return None

    def close(self) -> None:
        """Close the response, and end a wait that is under way.

        Another thread that reads just now closes it after its next byte.
        """
        self._woken.set()
        if self._is_used.acquire(blocking=False):
            try:
                self._close()
            finally:
                self._is_used.release()
        self._connections.discard(self)

    def _headers(self) -> RequestHeaders:
        return checked_headers(self._auth() if callable(self._auth) else self._auth)

    def _send(self, request: Any, **options: Any) -> Answer | Broken:
        try:
            self._response = self._http.send(
                request, stream=True, follow_redirects=False, **options
            )
        except library.failures() as error:
            return library.broken_by(error, self._terms)
        self._chunks = self._response.iter_bytes()
        return library.answer_of(self._response)

    def _follow(self, follow: Follow) -> Answer | Broken:
        if self._response is None:
            return library.INTERRUPTED
        request = library.redirected(self._response, follow.private)
        self._close()
        return self._send(request, auth=None)

    def _read(self) -> bytes | Broken | None:
        if self._chunks is None:
            return library.INTERRUPTED
        try:
            chunk: bytes | None = next(self._chunks, None)
        except library.failures() as error:
            return library.broken_by(error, self._terms)
        return chunk

    def _close(self) -> None:
        chunks, self._chunks = self._chunks, None
        response, self._response = self._response, None
        with suppress(*library.failures()):
            if chunks is not None:
                chunks.close()
            if response is not None:
                response.close()
