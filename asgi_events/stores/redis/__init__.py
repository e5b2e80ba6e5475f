"""The store of many processes: logs in Redis 7 or Valkey.

What a frame survives is the server's to say. With ``appendfsync always`` all that was
acknowledged survives; with ``everysec`` the last second or two may be lost with the
power, or with a server process that is killed while its disk is slow; without
``appendonly`` everything is. A writer that is still there sends again what is missing,
as it does when a replica takes over that had not got the newest frames.

A process has two connections to the server, however many logs it writes and watches:
one for commands, one for hints.
The server may be one in cluster mode, if it has all slots. With access control lists
this user will do::

    ACL SETUSER asgi_events on >password resetkeys ~asgi_events:* resetchannels
        &asgi_events:* -@all +info +evalsha +script|load +hmget +hset +hdel +hincrby
        +xadd +xrange +xtrim +unlink +pexpire +time +spublish +ssubscribe
        +sunsubscribe +ping +scan

Add ``+select`` where the database is not 0, ``+cluster|info`` where the server is in
cluster mode, and ``+wait`` for ``durability=replica``. Without ``+info`` the server is
not checked for its version, its eviction policy, and the size of its cluster; and every
new connection counts as one to a server that may have lost something. redis-py tells
its name with ``client|setinfo``, and does not mind when it may not.
"""

from asgi_events.stores.redis.store import RedisStore

__all__ = ["RedisStore"]
