"""What an acknowledgement of the server stands for."""

from dataclasses import dataclass
from typing import Any

from asgi_events.exceptions import StoreError, Unavailable
from asgi_events.stores.redis.driver import pack

_SHARE = 800  # milliseconds of each second of the timeout: the reply has to be in time


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A command that waits until what was stored would survive the server.

    Attributes:
        packed: The command.
        what: What it waits for; the message of a failure names it.
    """

    packed: bytes
    what: str

    def failure(self, reply: Any) -> StoreError | None:
        """Why ``reply`` does not confirm what was stored; None if it does."""
        if isinstance(reply, Exception):
            return StoreError(f"The store cannot wait for {self.what}: {reply}")
        if reply:
            return None
        return Unavailable(f"The store has waited in vain for {self.what}.")


def check_durability(durability: str | None) -> None:
    """Check the option.

    Raises:
        ValueError: There is no such durability.
    """
    # NOTE: no "aof": with appendfsync everysec, Valkey 9.1 was seen (strace) to answer
    # 20 WAITAOF after 20 writes with one fdatasync.
    if durability not in (None, "replica"):
        raise ValueError("durability is 'replica', or not given")


def confirmation(durability: str | None, timeout: float) -> Confirmation | None:
    """What confirms ``durability`` within most of ``timeout`` seconds.

    None if nothing has to be confirmed. Raises what ``check_durability`` raises.
    """
    check_durability(durability)
    if durability is None:
        return None
    milliseconds = b"%d" % max(timeout * _SHARE, 1)
    return Confirmation(pack(b"WAIT", b"1", milliseconds), "a replica")
