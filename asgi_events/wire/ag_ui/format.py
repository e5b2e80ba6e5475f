"""The format of AG-UI 1.0: Server-Sent Events whose ``id`` comes first.

Its clients take a clean end for success, so a connection breaks whose execution
goes on. They resume with the last id that they have read. One event of ours becomes
several of AG-UI. The last one has the id of event number n, and those before it have
``<execution>:<n-1>.1``, ``<execution>:<n-1>.2`` and so on. The end of the run has none:
a client that loses the connection between it and the end of the body needs it again.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from asgi_events.wire.ag_ui.resumed import ResumedRun
from asgi_events.wire.ag_ui.run import AGUIRun
from asgi_events.wire.ag_ui.words import Members
from asgi_events.wire.decoding import read_json
from asgi_events.wire.encoding import encode_json
from asgi_events.wire.formats import Reason
from asgi_events.wire.frames import block_ids, json_block
from asgi_events.wire.sse import KEEP_ALIVE, MEDIA_TYPE, STREAM_START

_ENDS = ("RUN_FINISHED", "RUN_ERROR")


class AGUIFormat:
    """AG-UI 1.0 for one viewer.

    Args:
        run_id: The ``runId`` of an execution that no endpoint of AG-UI has started.
            Those of others are in their conversations.
        thread_id: The ``threadId`` of such an execution.
        resumed: For a run that begins with answers, its ``runId`` and the numbers of
            the questions; None for the whole execution.
    """

    media_type = MEDIA_TYPE
    headers: Mapping[str, str] = {}
    greeting = STREAM_START
    heartbeat = KEEP_ALIVE

    knows_cancelled = True

    def __init__(
        self,
        run_id: str,
        thread_id: str,
        resumed: tuple[str, frozenset[int]] | None = None,
    ) -> None:
        self.key: Hashable = resumed
        run = AGUIRun(run_id, thread_id, knows_cancelled=self.knows_cancelled)
        self._run = run if resumed is None else ResumedRun(run, *resumed)
        self._has_begun = False
        self._execution = ""

    @property
    def waits(self) -> bool:
        """Whether a question is open, which the client may answer."""
        return self._run.waits

    def pause(self) -> bytes:
        """Return the end of a stream of which the client answers questions.

        It has no ids: a client that resumes gets it again.
        """
        return _without_ids(self._run.pause())

    def retry(self, milliseconds: int) -> bytes:
        """Return nothing: no client of AG-UI reads it."""
        return b""

    def frame(self, number: int, event_id: bytes, payload: bytes) -> bytes:
        """Return one event, as no block, one or several."""
        self._has_begun = True
        if not self._execution:
            self._execution = event_id.partition(b":")[0].decode()
        event = read_json(payload)
        if isinstance(event, dict) and (more := self._run.continues(event)):
            return _block(event_id, more)  # most events are that, so it comes first
        said = self._run.take(event, self._execution)
        if not said:
            return b""
        if said[-1]["type"] in _ENDS:
            return _blocks([*block_ids(event_id, len(said))[:-1], b""], said)
        return _blocks(block_ids(event_id, len(said)), said)

    def reset(self, reason: str, first: int) -> bytes | None:
        """Return: the run begins in the middle; None later, where it cannot go back."""
        if self._has_begun:
            return None
        if reason != "trimmed":
            return b""
        self._has_begun = True
        return _without_ids(self._run.begin_at(first))

    def end(self, status: str | None) -> bytes:
        """Return nothing: the terminal event has said it."""
        return b""

    def goodbye(self, reason: Reason) -> None:
        """Return None: the clean end of the body would be the end of the run."""


class AGUIDraftFormat(AGUIFormat):
    """AG-UI for the clients before 1.0, which do not know the outcome ``cancelled``."""

    knows_cancelled = False


class AGUIRewindFormat(AGUIFormat):
    """AG-UI for a client that has seen a part of the run and runs it again.

    The ``MESSAGES_SNAPSHOT`` at the begin takes its messages of the run away, but
    ``@ag-ui/client`` keeps those of reasoning unless a snapshot has one itself. So two
    snapshots come before that one: one has a reasoning, the next makes a text of it,
    which the last one takes away. They have no ids, so all formats number their blocks
    alike.
    """

    _has_rewound = False

    def frame(self, number: int, event_id: bytes, payload: bytes) -> bytes:
        """Return one event; the first one with what rewinds the client."""
        made = super().frame(number, event_id, payload)
        if self._has_rewound or not made:
            return made
        self._has_rewound = True
        started, end, rest = made.partition(b"\n\n")
        return started + end + _REWIND + rest if rest else made


class AGUIDraftRewindFormat(AGUIRewindFormat):
    """Both: those clients are left with an empty reasoning."""

    knows_cancelled = False


def _block(id: bytes, said: Members) -> bytes:
    if not id:
        return json_block(encode_json(said))
    return b"id: %b\ndata: %b\n\n" % (id, encode_json(said))


def _blocks(ids: list[bytes], said: list[Members]) -> bytes:
    return b"".join(map(_block, ids, said))


def _without_ids(said: list[Members]) -> bytes:
    return b"".join(_block(b"", each) for each in said)


def _snapshot(role: str) -> Members:
    message = {"id": "rewind", "role": role, "content": ""}
    return {"type": "MESSAGES_SNAPSHOT", "messages": [message]}


_REWIND = _without_ids([_snapshot("reasoning"), _snapshot("assistant")])
