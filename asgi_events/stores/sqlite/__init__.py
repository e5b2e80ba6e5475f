"""The store of one machine: a SQLite file that all its processes share.

Two threads serve the event loop, each with a connection of its own. One writes: all
that waits becomes one transaction, so that a hundred executions share one fsync. One
reads, which write-ahead logging lets it do while the other commits; it also looks for
what other processes have written, while anybody watches.

Leases are judged by the wall clock of the machine, the one clock that its processes
share; ``rules`` make that safe. The file belongs on a disk of the machine: a network
file system does not keep its locks.
"""

from asgi_events.stores.sqlite.store import SQLiteStore

__all__ = ["SQLiteStore"]
