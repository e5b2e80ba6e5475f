"""The store of many processes: logs in Redis 7 or Valkey.

The server decides what a frame survives. With ``appendfsync always`` every acknowledged
frame survives. With ``everysec`` a loss of power may lose the last second or two, and
so may a server process that is killed while its disk is slow. Without ``appendonly``
all frames are lost. A writer that is still running sends missing frames again; it also
does so when a replica takes over that did not have the newest frames.

A process has two connections to the server, however many logs it writes and watches:
one for commands, one for hints. The server may be in cluster mode if it has all slots.
With access control lists, this user has all permissions that the store needs::

    ACL SETUSER asgi_events on >password resetkeys ~asgi_events:* resetchannels
        &asgi_events:* -@all +info +evalsha +script|load +hmget +hset +hdel +hincrby
        +xadd +xrange +xtrim +zadd +zrem +zrange +zcard +zscore +unlink +pexpire +pttl
        +time +spublish +ssubscribe +sunsubscribe +ping +scan

Add ``+select`` where the database is not 0, ``+cluster|info`` where the server is in
cluster mode, and ``+wait`` for ``durability=replica``. Without ``+info`` the store
cannot check the server's version, its eviction policy and the size of its cluster, and
it takes the server of every new connection for one that may have lost something.
redis-py also sends ``client|setinfo``, and ignores a refusal.
"""

from asgi_events.stores.redis.store import RedisStore

__all__ = ["RedisStore"]
