"""What a Redis server runs for ``RedisStore``.

A log is two keys with one hash tag, so that every script stays in one slot:

    asgi_events:{KEY}:frames    a stream; the frame of number n has the id 0-n
    asgi_events:{KEY}:log       a hash: epoch, writer, lease, ttl, meta, first, last,
                                deadline (of the lease), end, cancel, watched

The hash says what is so, the stream only keeps the bytes. Times are milliseconds by the
server's clock. The name of the hash is also the channel on which every change is
hinted. All scripts may be repeated: a lost reply does no harm.
"""

import hashlib

_PRELUDE = """
local frames, log = KEYS[1], KEYS[2]

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function keep(lease, ttl)
  redis.call('PEXPIRE', frames, lease + ttl)
  redis.call('PEXPIRE', log, lease + ttl)
end

local function hint()
  redis.call('SPUBLISH', log, '')
end
"""


class Script:
    """A Lua script, and the name the server knows it by.

    As one that may write it is refused as a whole, and not when half of it is done, by
    a server that is full, and by a replica, whose log may lack what the primary's has.
    ``even_if_full`` is for what stores no frames.
    """

    def __init__(self, body: str, *, even_if_full: bool = False) -> None:
        flags = " flags=allow-oom" if even_if_full else ""
        self.source = f"#!lua{flags}{_PRELUDE}{body}".encode()
        self.sha = hashlib.sha1(self.source, usedforsecurity=False).hexdigest().encode()


# NOTE: the first epoch is a time in microseconds: who wrote a log that has expired, or
# was deleted, is not the writer of a new log of the same key.
OPEN = Script("""
local writer, lease, ttl, meta = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local held = redis.call('HMGET', log, 'epoch', 'writer', 'end', 'last', 'lease', 'ttl')
local epoch, last = held[1], held[4]
if not epoch then
  local time = redis.call('TIME')
  epoch, last = time[1] .. string.format('%06d', time[2]), 0
  redis.call('UNLINK', frames)  -- of a log whose hash was evicted
  redis.call('HSET', log, 'epoch', epoch, 'writer', writer, 'lease', lease,
    'ttl', ttl, 'meta', meta, 'first', 1, 'last', 0)
elseif held[3] then
  return {'ENDED'}
elseif held[2] ~= writer then
  return {'BUSY', held[2]}
else
  lease, ttl = held[5], held[6]
end
redis.call('HSET', log, 'deadline', now() + lease)
keep(lease, ttl)
return {'OK', epoch, last}
""")

# A long append comes in several calls: ``upto`` is where the last of them ends.
APPEND = Script("""
local epoch, after, upto = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local ending, max = ARGV[4], tonumber(ARGV[5])
local held = redis.call('HMGET', log, 'epoch', 'last', 'end', 'cancel', 'watched',
  'lease', 'ttl', 'first')
if held[1] ~= epoch then return {'FENCED'} end
local time, last, first = now(), tonumber(held[2]), tonumber(held[8])
local watched = time < tonumber(held[5] or 0) and 1 or 0
if held[3] then
  if held[3] ~= ending or last ~= upto then return {'ENDED'} end
  return {'OK', last, held[4] and 1 or 0, watched}
end
if last < after then return {'GAP', last} end

local newest = math.max(last, after + #ARGV - 5)
for number = last + 1, newest do
  redis.call('XADD', frames, '0-' .. number, 'f', ARGV[5 + number - after])
end
redis.call('HSET', log, 'last', newest, 'deadline', time + held[6])
local ended = ending ~= '' and newest >= upto
if ended then redis.call('HSET', log, 'end', ending) end
if newest - first >= max then
  while newest - first >= max do
    first = first + math.floor((newest - first + 1) / 4)
  end
  redis.call('XTRIM', frames, 'MINID', '0-' .. first)
  redis.call('HSET', log, 'first', first)
end
keep(held[6], held[7])
if newest > last or ended then hint() end
return {'OK', newest, held[4] and 1 or 0, watched}
""")

CANCEL = Script(
    """
local held = redis.call('HMGET', log, 'epoch', 'end')
if not held[1] or held[2] then return 0 end
redis.call('HSET', log, 'cancel', 1)
hint()
return 1
""",
    even_if_full=True,
)

ATTEND = Script(
    """
local held = redis.call('HMGET', log, 'epoch', 'end', 'watched')
if not held[1] or held[2] then return end
local until_ = now() + ARGV[1]
redis.call('HSET', log, 'watched', math.max(until_, tonumber(held[3] or 0)))
""",
    even_if_full=True,
)

REAP = Script(
    """
local after, frame, ending = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local held = redis.call('HMGET', log, 'last', 'end', 'deadline', 'lease', 'ttl')
local time = now()
if not held[1] or held[2] or tonumber(held[1]) ~= after then return 0 end
if time < tonumber(held[3]) then return 0 end
redis.call('XADD', frames, '0-' .. after + 1, 'f', frame)
redis.call('HSET', log, 'last', after + 1, 'end', ending, 'deadline', time + held[4])
redis.call('HINCRBY', log, 'epoch', 1)
keep(held[4], held[5])
hint()
return 1
""",
    even_if_full=True,
)

READ = Script(
    """
local function id(entry) return tonumber(string.sub(entry[1], 3)) end

local after, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
local held = redis.call('HMGET', log, 'first', 'last', 'end', 'deadline', 'cancel',
  'meta')
if not held[1] then return false end
local first, last = math.max(after + 1, tonumber(held[1])), tonumber(held[2])
local page, size, number, count = {}, 0, first, 16
while size < limit and number <= last do
  local entries = redis.call('XRANGE', frames, '0-' .. number, '+', 'COUNT', count)
  if #page == 0 then first = entries[1] and id(entries[1]) or last + 1 end  -- evicted?
  if #entries == 0 then break end
  for _, entry in ipairs(entries) do
    local frame = entry[2][2]
    size = size + #frame
    if size > limit and #page > 0 then break end
    page[#page + 1] = frame
  end
  number, count = id(entries[#entries]) + 1, math.min(count * 4, 256)
end
local alive = held[3] or now() < tonumber(held[4])
return {first, last, held[3] or '', alive and 1 or 0, held[5] and 1 or 0, held[6], page}
""",
    even_if_full=True,
)

DELETE = Script(
    """
redis.call('UNLINK', frames, log)
hint()
""",
    even_if_full=True,
)
