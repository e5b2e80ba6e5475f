"""What an execution is, as its process knows it and as a store keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What an execution is, which does not change.

    Attributes:
        id: Its name in URLs and event ids; by default 22 letters and digits.
        actor: The actor's name.
        owner: Who started it, as ``authorize`` returned; None without one.
        created: When it was started.
        fingerprint: A hash of what was asked for, to tell whether the same is asked
            for again.
        thread: The thread that it is a turn of; None without one.
    """

    id: str
    actor: str
    owner: str | None
    created: datetime
    fingerprint: str
    thread: str | None = None

    @classmethod
    def from_meta(cls, id: str, meta: Mapping[str, str]) -> Facts:
        """The facts that a store keeps with a log."""
        return cls(
            id=id,
            actor=meta["actor"],
            owner=meta.get("owner"),
            created=datetime.fromisoformat(meta["created"]),
            fingerprint=meta["fingerprint"],
            thread=meta.get("thread"),
        )

    def to_meta(self) -> dict[str, str]:
        """The facts as a store keeps them with a log."""
        meta = {
            "actor": self.actor,
            "created": self.created.isoformat(),
            "fingerprint": self.fingerprint,
        }
        if self.owner is not None:
            meta["owner"] = self.owner
        if self.thread is not None:
            meta["thread"] = self.thread
        return meta
