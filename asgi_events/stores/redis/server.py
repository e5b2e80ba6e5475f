"""Checks that a Redis server can keep our promises, and whether it was replaced.

Both connections of a store do so when they are made.
"""

import logging
from collections.abc import Mapping

from asgi_events.exceptions import StoreError
from asgi_events.stores.redis.driver import pack
from asgi_events.stores.redis.errors import explain, is_no_permission
from asgi_events.stores.redis.link import Link

logger = logging.getLogger(__name__)

_OLDEST = 7  # the first version with SPUBLISH; Valkey reports 7 as well


class Server:
    """The server of one store, as it was at the last check.

    Attributes:
        generation: Grows when the server was replaced or restarted, or follows another
            history. If the user may not ask for that, it grows with each connection
            that replaces an earlier one.
    """

    def __init__(self) -> None:
        self.generation = 0
        self._identity: tuple[str | None, str | None] | None = None
        self._warned = False

    async def check(self, link: Link, reconnected: bool) -> None:
        """Check the server of a new connection.

        Args:
            link: The connection.
            reconnected: Whether it replaces an earlier connection.

        Raises:
            StoreError: The server is too old, evicts keys, or is one of several that
                share the keys.
        """
        [info] = await link.ask(pack(b"INFO"))
        if is_no_permission(info):
            self.generation += reconnected
            self._warn("The store's server was not checked", info)
            return
        facts = _facts(info)
        identity = facts.get("run_id"), facts.get("master_replid")
        self.generation += self._identity not in (None, identity)
        self._identity = identity
        _check_version(facts)
        _check_eviction(facts)
        if facts.get("cluster_enabled") == "1":
            await self._check_cluster(link)

    async def _check_cluster(self, link: Link) -> None:
        [info] = await link.ask(pack(b"CLUSTER", b"INFO"))
        if is_no_permission(info):
            self._warn("The store's cluster was not checked for its size", info)
            return
        size = int(_facts(info).get("cluster_size", "1"))
        if size > 1:
            raise StoreError(
                f"The store's server is in a cluster that spreads its keys over {size} "
                "nodes; use a server without cluster mode, or a cluster in which one "
                "node has all slots."
            )

    def _warn(self, what: str, error: Exception) -> None:
        if not self._warned:
            logger.warning("%s: %s", what, explain(error))
        self._warned = True


def _facts(info: object) -> Mapping[str, str]:
    """The reply to INFO or CLUSTER INFO; raises it if it is an error."""
    if isinstance(info, Exception):
        raise info
    assert isinstance(info, bytes)
    lines = (line.partition(":") for line in info.decode().splitlines())
    return {name: value for name, _, value in lines}


def _check_version(facts: Mapping[str, str]) -> None:
    version = facts["redis_version"]
    if int(version.partition(".")[0]) < _OLDEST:
        raise StoreError(
            f"The store's server is Redis {version}; it has to be Redis {_OLDEST}.0 or "
            "newer, or Valkey."
        )


def _check_eviction(facts: Mapping[str, str]) -> None:
    # NOTE: volatile-* is no better than allkeys-*: all our keys have a time to live.
    policy = facts.get("maxmemory_policy", "noeviction")
    if facts.get("maxmemory", "0") != "0" and policy != "noeviction":
        raise StoreError(
            f"The store's server would evict logs, since its maxmemory-policy is "
            f"{policy}; CONFIG SET maxmemory-policy noeviction."
        )
