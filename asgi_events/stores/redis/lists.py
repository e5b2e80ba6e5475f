"""The list of executions on a Redis server: sets, and what scripts do to them.

    asgi_events:list:all            all executions
    asgi_events:list:owner:OWNER    those of an owner; without OWNER of nobody
    asgi_events:list:actor:ACTOR
    asgi_events:list:thread:THREAD
    asgi_events:list:end:END        those that ended so; without END those that have not
    asgi_events:list:due            when to look whether an execution has expired
    asgi_events:list:built          there once older logs are in these sets, too

All but the last are sorted sets. A member is ``CREATED KEY``, each quoted as in a URL;
all scores are 0, so the order is that of the bytes. The members of ``due`` are entries,
``CREATED KEY SET SET …``, with all sets that an execution is in; the scores are
milliseconds. The hash of the log has its entry in the field ``listed``.

The sets are in other slots than the log. The store only works on servers that have all
slots, so its scripts may use them: they are declared with ``allow-cross-slot-keys``.
"""

FLAG = "allow-cross-slot-keys"

LUA = """
local function sets_at(name) return string.match(name, '^[^{]*') .. 'list:' end

local function member_of(entry) return string.match(entry, '^%S+ %S+') end

local function add(sets, entry, due)
  local member = member_of(entry)
  redis.call('ZADD', sets .. 'all', 0, member)
  for name in string.gmatch(string.sub(entry, #member + 1), '%S+') do
    redis.call('ZADD', sets .. name, 0, member)
  end
  redis.call('ZADD', sets .. 'due', due, entry)
end

local function remove(sets, entry)
  local member = member_of(entry)
  redis.call('ZREM', sets .. 'all', member)
  for name in string.gmatch(string.sub(entry, #member + 1), '%S+') do
    redis.call('ZREM', sets .. name, member)
  end
  redis.call('ZREM', sets .. 'due', entry)
end

-- An entry ends with the set of those that have not ended.
local function entry_with(entry, ending)
  return entry .. string.gsub(ending, '[^%w_.~-]', function (byte)
    return string.format('%%%02X', string.byte(byte))
  end)
end

local function move(sets, entry, ending, due)
  local member, ended = member_of(entry), entry_with(entry, ending)
  redis.call('ZREM', sets .. 'end:', member)
  redis.call('ZADD', sets .. string.match(ended, '%S+$'), 0, member)
  redis.call('ZREM', sets .. 'due', entry)
  redis.call('ZADD', sets .. 'due', due, ended)
  redis.call('HSET', log, 'listed', ended)
end

-- A log may have been renewed, and its entry may have changed.
local function prune(sets, time, count)
  local due = redis.call('ZRANGE', sets .. 'due', '-inf', time, 'BYSCORE', 'LIMIT', 0,
    count)
  for _, entry in ipairs(due) do
    local name = string.sub(sets, 1, -6) .. '{' .. string.match(entry, ' (%S+)')
      .. '}:log'
    local listed = redis.call('HMGET', name, 'listed')[1]
    remove(sets, entry)
    if listed and member_of(listed) == member_of(entry) then
      add(sets, listed, time + redis.call('PTTL', name) + 1)
    end
  end
end
"""
