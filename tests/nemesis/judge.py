"""What clients saw, and what of it no fault excuses."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from asgi_events.events import SHUTTING_DOWN
from asgi_events.wire.sse import ServerSentEvent
from tests.nemesis import LEASE, RETENTION

_EXIT = 12.0  # seconds a process may take that was told to stop
_NOTICED = 3.0  # seconds until all workers know that their file is not the file

_STATUS = {
    "complete": "completed",
    "error": "failed",
    "cancelled": "cancelled",
    "lost": "lost",
}

TERMINAL = ("complete", "error", "cancelled", "lost")


@dataclass(slots=True)
class Walk:
    """One execution as its key names it.

    Attributes:
        key: Its ``Idempotency-Key``.
        ids: Every id that a worker gave for the key.
        runs: The process that ran it and the moment, for each time it ran.
        started: When it was asked for.
        answered: When a worker first gave an id for the key.
        ended: When it ended, as its terminal event says.
        seen: When a client first saw that.
        ends: Each terminal event that a client was left with.
    """

    key: str
    ids: set[str] = field(default_factory=set)
    runs: list[tuple[int, float]] = field(default_factory=list)
    started: float = 0.0
    answered: float | None = None
    ended: float | None = None
    seen: float = float("inf")
    ends: set[tuple[str, str]] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class Sight:
    """What one client saw of one execution, over all its connections.

    Attributes:
        last_event_id: What it sends when it comes back.
        next: The number it expects.
        end: Its terminal event, when it has one.
        resets: How often it was told to begin again.
    """

    walk: Walk
    id: str
    last_event_id: str | None = None
    next: int = 1
    end: tuple[str, str] | None = None
    resets: list[str] = field(default_factory=list)
    connections: int = 0


class Judge:
    """Takes note of everything, and accuses.

    Args:
        runs: The file in which workers note what they run.
        rewrites: A writer that lives writes again what had ended, should the store
            lose it.

    Attributes:
        violations: One line each.
        excused: What would be one, had not a fault made it right; by its kind.
        frames: How many were looked at.
    """

    def __init__(self, runs: Path, *, rewrites: bool) -> None:
        self._rewrites = rewrites
        self.walks: dict[str, Walk] = {}
        self.violations: list[str] = []
        self.excused: defaultdict[str, int] = defaultdict(int)
        self.frames = 0
        self._lines = runs.open()
        self.connections = 0
        self.lists = self.listed = 0
        self._bytes: dict[str, str] = {}  # by event id
        self._hurt: dict[int, float] = {}  # when a process was hurt, by pid
        self._told: dict[int, float] = {}  # when a process was told to stop, by pid
        self._rolled_back: list[tuple[float, float]] = []
        self.clock_spread = 0.0  # seconds between the clocks that a store was given

    def hurt(self, pid: int) -> None:
        """A process was killed, or kept from its store for longer than its lease."""
        self._hurt.setdefault(pid, time.monotonic())

    def told_to_stop(self, pid: int) -> None:
        """A process may cancel what it runs."""
        self._told[pid] = time.monotonic()
        self.hurt(pid)

    def rolled_back(self, since: float) -> None:
        """The store has lost, or loses now, what it acknowledged after ``since``."""
        self._rolled_back.append((since, time.monotonic()))

    def accuse(self, what: str) -> None:
        """Note a violation."""
        self.violations.append(what)
        print(f"VIOLATION {what}", flush=True)

    def started(self, walk: Walk, id: str) -> None:
        """A worker has answered with an id for the key."""
        walk.ids.add(id)  # two of them are looked at when the runs are
        if walk.answered is None:
            walk.answered = time.monotonic()

    def saw(self, sight: Sight, event: ServerSentEvent) -> None:
        """A client was sent an event."""
        self.frames += 1
        data = json.loads(event.data or "{}")
        if event.event == "reset":
            self._saw_reset(sight, data)
        elif event.event == "end":
            if sight.end is None:
                self.accuse(f"{sight.id}: end {data} without a terminal event")
                sight.end = ("none", "")
        elif event.event is None:
            self._saw_frame(sight, event, data)

    def _saw_reset(self, sight: Sight, data: dict[str, object]) -> None:
        sight.resets.append(str(data.get("reason")))
        sight.next = int(str(data["first"]))
        if not self._rolled_back:
            self.accuse(f"{sight.id}: reset {data} though the store lost nothing")

    def _saw_frame(
        self, sight: Sight, event: ServerSentEvent, data: dict[str, Any]
    ) -> None:
        kind = str(data.get("event_type"))
        if sight.end is not None:
            self.accuse(f"{sight.id}: {kind} after {sight.end}")
        if event.id is not None:
            self._check_number(sight, event.id, event.data or "")
            sight.last_event_id = event.id
        if kind in TERMINAL:
            sight.end = (kind, event.data or "")
            # It may be seen long after, and its retention begins here.
            age = time.time() - datetime.fromisoformat(data["timestamp"]).timestamp()
            ended = time.monotonic() - age
            sight.walk.ended = min(sight.walk.ended or ended, ended)
            sight.walk.seen = min(sight.walk.seen, time.monotonic())
            sight.walk.ends.add(sight.end)

    def _check_number(self, sight: Sight, event_id: str, data: str) -> None:
        number = int(event_id.split(":")[1])
        if number != sight.next:
            self.accuse(
                f"{sight.id}: got {number}, expected {sight.next}; {sight.resets}"
            )
        sight.next = number + 1
        if self._bytes.setdefault(event_id, data) == data:
            return
        if event_id.endswith(":lost") and self._rolled_back:
            self.excused["ended again after the store lost its end"] += 1
        elif not self._rewrites and self._may_be_gone(sight.walk):
            self.excused["another event after the file was put back"] += 1
        elif self._may_be_gone(sight.walk) and self._writer_was_hurt(sight.walk):
            self.excused["run again under its id after a rollback"] += 1
        else:
            was = self._bytes[event_id]
            self.accuse(f"{event_id}: {data[:99]!r} was {was[:99]!r}")

    def turned_away(self, sight: Sight, status: int) -> bool:
        """A client was answered 204 or 404; whether it need not come back."""
        walk = sight.walk
        if status == 204:
            if sight.end is None:
                self.accuse(f"{sight.id}: 204 for {sight.last_event_id} without an end")
            return True
        kept = RETENTION - 2 - self.clock_spread
        if walk.ended is not None and time.monotonic() > walk.ended + kept:
            return True
        if self._may_be_gone(walk):
            self.excused["404 after the store lost it"] += 1
            return True
        now = time.monotonic()
        runs = [(pid, round(now - moment, 1)) for pid, moment in walk.runs]
        lost = [
            (round(now - since, 1), round(now - at, 1))
            for since, at in self._rolled_back[-3:]
        ]
        self.accuse(
            f"{walk.key} as {sight.id}: {status}, last {sight.last_event_id}, asked "
            f"for {now - walk.started:.1f} s ago, ran {runs} s ago, "
            f"ids {sorted(walk.ids)}, rolled back {lost} s ago"
        )
        return True

    def saw_list(self, listed: Sequence[tuple[str, str]], began: float) -> None:
        """A worker has listed all executions, in the time since ``began``."""
        self.lists += 1
        status_of = dict(listed)
        if len(status_of) < len(listed):
            self.accuse(f"a list has an execution twice: {listed}")
        now, kept = time.monotonic(), RETENTION - 2 - self.clock_spread
        for walk in self.walks.values():
            if walk.ended is None or walk.seen > began or now > walk.ended + kept:
                continue
            if len(walk.ids) != 1 or len(walk.ends) != 1:
                continue
            [id], [(kind, _)] = walk.ids, walk.ends
            if status_of.get(id) == _STATUS[kind]:
                self.listed += 1
            elif any(at >= walk.started for _, at in self._rolled_back):
                self.excused["not listed after a rollback"] += 1
            else:
                self.accuse(f"{id} ended {kind} and is listed as {status_of.get(id)}")

    def _may_be_gone(self, walk: Walk) -> bool:
        """Whether the store lost it, and nobody could write it again."""
        self.look_at_runs()
        # It was stored at some moment from the request to the answer, or to its first
        # run; one that was cancelled before its first step never ran.
        moments = [moment for _, moment in walk.runs[:1]]
        if walk.answered is not None:
            moments.append(walk.answered)
        latest = max(moments, default=walk.started)
        return any(
            since <= latest + 1 and walk.started <= at + _NOTICED
            for since, at in self._rolled_back
        )

    def _writer_was_hurt(self, walk: Walk) -> bool:
        return any(pid in self._hurt for pid, _ in walk.runs)

    def look_at_runs(self) -> None:
        """Read which process ran what."""
        for line in self._lines:
            pid, moment, key = line.split()
            self.walks[key].runs.append((int(pid), float(moment)))

    def judge(self) -> None:
        """Look at everything once more, at the end."""
        self.look_at_runs()
        for walk in self.walks.values():
            self._judge_starts(walk)
            self._judge_ends(walk)

    def _judge_starts(self, walk: Walk) -> None:
        if len(walk.runs) < 2 and len(walk.ids) < 2:
            return
        if self._may_be_gone(walk):
            self.excused["started again after the store lost the key"] += 1
        else:
            self.accuse(f"{walk.key} ran {walk.runs} as {sorted(walk.ids)}")

    def _judge_ends(self, walk: Walk) -> None:
        if len(walk.runs) > 1:
            return
        kinds = sorted({kind for kind, _ in walk.ends})
        if not walk.runs:
            for kind in kinds:
                if kind == "cancelled" and self._was_stopped_early(walk):
                    self.excused["cancelled before its first step"] += 1
                elif kind != "lost":
                    self.accuse(f"{walk.key} never ran and ended {kind}")
            return
        pid = walk.runs[0][0]
        if len(walk.ends) > 1:
            if self._rolled_back and pid in self._hurt:
                self.excused["two ends after a rollback with a dead writer"] += 1
            elif self._rolled_back and not self._rewrites:
                self.excused["two ends after a rollback of what had ended"] += 1
            else:
                self.accuse(
                    f"{walk.key} ended {kinds}: {[end[:99] for _, end in walk.ends]}"
                )
            return
        for kind in kinds:
            if kind == "complete":
                continue
            if kind == "cancelled" and pid in self._told:
                continue
            if kind == "lost" and pid in self._hurt:
                continue
            if kind == "cancelled" and self._was_stopped_early(walk):
                # It was started a second time, after the store had lost the first.
                if any(at > walk.started for _, at in self._rolled_back):
                    self.excused["cancelled, lost, and started again"] += 1
                    continue
            self.accuse(f"{walk.key} of the healthy process {pid} ended {kind}")

    def _was_stopped_early(self, walk: Walk) -> bool:
        """Whether a process was told to stop between its start and its end.

        A start that waits for the store while its process drains is cancelled before
        the actor takes a step, so no process has noted that it ran.
        """
        if walk.ended is None or any(SHUTTING_DOWN not in end for _, end in walk.ends):
            return False
        return any(
            walk.started - _EXIT <= at <= walk.ended for at in self._told.values()
        )

    def summary(self) -> str:
        """What was looked at, in a line."""
        ended: defaultdict[str, int] = defaultdict(int)
        for walk in self.walks.values():
            for kind, _ in walk.ends:
                ended[kind] += 1
        return (
            f"{len(self.walks)} keys, {self.connections} connections, "
            f"{self.lists} lists with {self.listed} that have ended, "
            f"{self.frames} frames, ends {dict(ended)}, excused {dict(self.excused)}, "
            f"lease {LEASE:g} s"
        )
