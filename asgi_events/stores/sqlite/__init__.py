"""The store of one machine: a SQLite file that all its processes share.

Two threads serve the event loop, each with a connection of its own. One writes: it does
all waiting requests in one transaction, so a hundred executions share one fsync. The
other reads, which it can do while the first one commits, since the file has a
write-ahead log. While anybody watches, it also polls for changes of other processes.

The wall clock of the machine decides when leases are over, since it is the one clock
that all processes share; ``rules`` makes that safe when the clock steps. The file has
to be on a disk of the machine: network file systems do not keep its locks.
"""

from asgi_events.stores.sqlite.store import SQLiteStore

__all__ = ["SQLiteStore"]
