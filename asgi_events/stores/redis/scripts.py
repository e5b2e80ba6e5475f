"""The scripts that a Redis server runs for ``RedisStore``.

A log is two keys with one hash tag, so that both are in one slot:

    asgi_events:{KEY}:frames    a stream; the frame of number n has the id 0-n
    asgi_events:{KEY}:log       a hash: epoch, writer, lease, ttl, meta, first, last,
                                largest (frame, in bytes), sign (of life), since and
                                asked (of a suspicion), end, ended, cancel, watched,
                                listed

The hash has the state of the log; the stream only keeps the bytes. The list of all
executions has keys of its own, see ``lists``. Times are milliseconds by the server's
clock. The name of the hash is also the channel that every change is published on. A
script that requests something of the writer returns the writer's name, and
``RedisStore`` publishes the hint, since the writer's channel is in another slot. Every
script may be repeated, so a lost reply does no harm.
"""

import hashlib

from asgi_events.stores.redis.lists import FLAG, LUA

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

-- As in ``stores.rules``.
local function is_alive(time, sign, lease)
  sign = tonumber(sign or 0)
  return sign <= time and time < sign + lease / 2
end

local function show_life(time, since)
  redis.call('HSET', log, 'sign', time)
  if since then redis.call('HDEL', log, 'since', 'asked') end
end
"""


class Script:
    """A Lua script, and the name that the server knows it by.

    The script is declared as one that writes. So a server without memory refuses it
    before it begins, not half way, and so does a replica, which may lack frames that
    the primary has.

    Args:
        body: What follows the definitions that all scripts share.
        even_if_full: Whether a server without memory runs it; only for scripts that
            store no frames of a writer.
        lists: Whether it uses the keys of the list.

    Attributes:
        stores: Whether it stores frames of a writer.
        source: The whole script.
        sha: The name, in hexadecimal.
    """

    def __init__(
        self, body: str, *, even_if_full: bool = False, lists: bool = False
    ) -> None:
        flags = ["allow-oom"] * even_if_full + [FLAG] * lists
        first = f"#!lua flags={','.join(flags)}" if flags else "#!lua"
        self.stores = not even_if_full
        self.source = f"{first}{_PRELUDE}{LUA if lists else ''}{body}".encode()
        self.sha = hashlib.sha1(self.source, usedforsecurity=False).hexdigest().encode()


# NOTE: the first epoch is a time in microseconds, so the writer of a log that expired
# or was deleted cannot write a new log of the same key.
OPEN = Script(
    """
local writer, lease, ttl, meta, after = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local entry = ARGV[6]
local held = redis.call('HMGET', log, 'epoch', 'writer', 'end', 'last', 'lease', 'ttl',
  'since')
local epoch, last = held[1], held[4]
if entry ~= '' and not epoch then
  local sets, time = sets_at(log), now()
  prune(sets, time, 4)
  add(sets, entry, time + lease + ttl)
  redis.call('HSET', log, 'listed', entry)
end
if not epoch then
  local time = redis.call('TIME')
  epoch, last = time[1] .. string.format('%06d', time[2]), after
  redis.call('UNLINK', frames)  -- left by a log whose hash is gone
  redis.call('HSET', log, 'epoch', epoch, 'writer', writer, 'lease', lease,
    'ttl', ttl, 'meta', meta, 'first', after + 1, 'last', after)
elseif held[3] then
  return {'ENDED'}
elseif held[2] ~= writer then
  return {'BUSY', held[2]}
else
  lease, ttl = held[5], held[6]
end
show_life(now(), held[7])
keep(lease, ttl)
return {'OK', epoch, last}
""",
    lists=True,
)

# A long append takes several calls; the last one ends at ``upto``.
APPEND = Script(
    """
local epoch, after, upto = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local ending, max = ARGV[4], tonumber(ARGV[5])
local held = redis.call('HMGET', log, 'epoch', 'last', 'end', 'cancel', 'watched',
  'lease', 'ttl', 'first', 'since', 'largest', 'listed')
if not held[1] then return {'MISSING'} end
if held[1] ~= epoch then return {'FENCED'} end
local time, last, first = now(), tonumber(held[2]), tonumber(held[8])
local watched = time < tonumber(held[5] or 0) and 1 or 0
if held[3] then
  if held[3] ~= ending or last ~= upto then return {'ENDED'} end
  return {'OK', last, held[4] and 1 or 0, watched}
end
if last < after then return {'GAP', last} end

local newest = math.max(last, after + #ARGV - 5)
local known = tonumber(held[10] or 0)
local largest = known
for number = last + 1, newest do
  local frame = ARGV[5 + number - after]
  if #frame > largest then largest = #frame end
  redis.call('XADD', frames, '0-' .. number, 'f', frame)
end
if largest > known then redis.call('HSET', log, 'largest', largest) end
redis.call('HSET', log, 'last', newest, 'sign', time)
if held[9] then redis.call('HDEL', log, 'since', 'asked') end
local ended = ending ~= '' and newest >= upto
if ended then
  redis.call('HSET', log, 'end', ending, 'ended', time)
  if held[11] then move(sets_at(log), held[11], ending, time + held[6] + held[7]) end
end
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
""",
    lists=True,
)

# A server without memory still takes signs of life, so it may still end dead logs.
RENEW = Script(
    """
local held = redis.call('HMGET', log, 'epoch', 'last', 'end', 'cancel', 'watched',
  'lease', 'ttl', 'since')
if not held[1] then return {'MISSING'} end
if held[1] ~= ARGV[1] then return {'FENCED'} end
if held[3] then return {'ENDED'} end
local time = now()
show_life(time, held[8])
keep(held[6], held[7])
local watched = time < tonumber(held[5] or 0) and 1 or 0
return {'OK', tonumber(held[2]), held[4] and 1 or 0, watched}
""",
    even_if_full=True,
)

CANCEL = Script(
    """
local held = redis.call('HMGET', log, 'epoch', 'end', 'writer')
if not held[1] or held[2] then return false end
redis.call('HSET', log, 'cancel', 1)
hint()
return held[3]
""",
    even_if_full=True,
)

MARK_WATCHED = Script(
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
local held = redis.call('HMGET', log, 'last', 'end', 'sign', 'lease', 'ttl', 'since',
  'asked', 'writer', 'listed')
if not held[1] or held[2] or tonumber(held[1]) ~= after then return {0} end
local time, lease, since, asked = now(), held[4], tonumber(held[6]), tonumber(held[7])
if is_alive(time, held[3], lease) then return {0} end
if not since or time < asked or time > asked + lease / 4 then
  redis.call('HSET', log, 'since', time, 'asked', time)
  return {0, held[8]}
end
redis.call('HSET', log, 'asked', time)
if time < since + lease / 2 then return {0} end
redis.call('XADD', frames, '0-' .. after + 1, 'f', frame)
redis.call('HSET', log, 'last', after + 1, 'end', ending, 'ended', time)
redis.call('HINCRBY', log, 'epoch', 1)
if held[9] then move(sets_at(log), held[9], ending, time + lease + held[5]) end
keep(lease, held[5])
hint()
return {1}
""",
    even_if_full=True,
    lists=True,
)

# The script learns the size of a frame only by copying it, and the server does nothing
# else meanwhile. So it reads only as many at once as would fit if all were as large as
# the largest frame of the log.
READ = Script(
    """
local function id(entry) return tonumber(string.sub(entry[1], 3)) end

local after, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
local held = redis.call('HMGET', log, 'first', 'last', 'end', 'sign', 'cancel', 'meta',
  'lease', 'ended', 'largest')
if not held[1] then return false end
local first, last = math.max(after + 1, tonumber(held[1])), tonumber(held[2])
local most = math.floor(1048576 / math.max(tonumber(held[9] or 1048576), 1))
most = math.min(math.max(most, 1), 256)
local page, size, number, count = {}, 0, first, math.min(16, most)
while size < limit and number <= last do
  local entries = redis.call('XRANGE', frames, '0-' .. number, '+', 'COUNT', count)
  if #page == 0 then first = entries[1] and id(entries[1]) or last + 1 end  -- lost?
  if #entries == 0 then break end
  for _, entry in ipairs(entries) do
    local frame = entry[2][2]
    size = size + #frame
    if size > limit and #page > 0 then break end
    page[#page + 1] = frame
  end
  number, count = id(entries[#entries]) + 1, math.min(count * 4, most)
end
local alive = held[3] or is_alive(now(), held[4], held[7])
return {first, last, held[3] or '', alive and 1 or 0, held[5] and 1 or 0, held[6],
  held[8] or '', page}
""",
    even_if_full=True,
)

DELETE = Script(
    """
local entry = redis.call('HMGET', log, 'listed')[1]
if entry then remove(sets_at(log), entry) end
redis.call('UNLINK', frames, log)
hint()
""",
    even_if_full=True,
    lists=True,
)

# A walk through the smallest set. It ends early, and is to go on at the member that it
# returns, so that the server is not busy with it for long.
LIST = Script(
    """
local name, before, limit, wanted = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local sets, time = sets_at(name), now()
prune(sets, time, 256)
local walked, fewest, others = sets .. 'all', nil, {}
for number = 5, #ARGV do
  local set = sets .. ARGV[number]
  local count = redis.call('ZCARD', set)
  if not fewest or count < fewest then
    if fewest then others[#others + 1] = walked end
    walked, fewest = set, count
  else
    others[#others + 1] = set
  end
end

local page, looked, count = {}, 0, 64
local function take(member)
  for _, set in ipairs(others) do
    if not redis.call('ZSCORE', set, member) then return end
  end
  local held = redis.call('HMGET', string.sub(sets, 1, -6) .. '{'
    .. string.match(member, ' (%S+)$') .. '}:log', 'listed', 'first', 'last', 'end',
    'sign', 'lease', 'cancel', 'meta', 'ended')
  if not held[1] or member_of(held[1]) ~= member then return end
  local alive = (held[4] or is_alive(time, held[5], held[6])) and '1' or '0'
  if wanted ~= '' and alive ~= wanted then return end
  page[#page + 1] = {member, held[2], held[3], held[4] or '', alive, held[7] or '',
    held[8], held[9] or ''}
end

while #page < limit do
  local from = before == '' and '+' or '(' .. before
  local members = redis.call('ZRANGE', walked, from, '-', 'BYLEX', 'REV', 'LIMIT', 0,
    count)
  for _, member in ipairs(members) do
    take(member)
    if #page == limit then return {'', page} end
  end
  if #members < count then return {'', page} end
  before, looked, count = members[#members], looked + #members, 256
  if looked > 2000 then return {before, page} end
end
""",
    even_if_full=True,
    lists=True,
)

# Which of many logs are not in the list, as numbers from 1.
UNLISTED = Script(
    """
local found = {}
for number, name in ipairs(ARGV) do
  if not redis.call('HMGET', name, 'listed')[1] then found[#found + 1] = number end
end
return found
""",
    even_if_full=True,
    lists=True,
)

# Adds a log of an earlier version to the list.
ADD_TO_LIST = Script(
    """
local held = redis.call('HMGET', log, 'epoch', 'listed', 'end')
if not held[1] or held[2] then return end
local entry = ARGV[1]
if held[3] then entry = entry_with(entry, held[3]) end
add(sets_at(log), entry, now() + redis.call('PTTL', log))
redis.call('HSET', log, 'listed', entry)
""",
    even_if_full=True,
    lists=True,
)
