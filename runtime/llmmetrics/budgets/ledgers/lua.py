"""The Redis ledger's scripts. Each runs whole or not at all; time and limits are arguments.

Amounts are whole nano-dollars below 2^53, which Lua's numbers hold exactly. What is asked of the server at each call
is as little as can be: that, and the number of arguments, is what a call costs.
"""

from __future__ import annotations

from datetime import timedelta

from llmmetrics.budgets.ledgers.base import KEPT, SCHEMA

KEYS = ("windows", "meta", "held", "resets")
"""After these comes the key of the id that the verb is about.

`windows` has what those of now and of lately have spent; `meta` has, by a letter, what is seldom asked for: the
schema, the windows of the past `p|`, generations `g|`, limits `l|` and quarters of an hour `q|`.
"""

NEWER = "LLMMETRICS_NEWER"

_MILLISECOND = timedelta(milliseconds=1)

PRELUDE = f"""
local WINDOWS, META, HELD, RESETS, SETTLED = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, given = ARGV[1], {{}}
for each in string.gmatch(ARGV[2], '%S+') do given[#given + 1] = each end
local start, ends, own = tonumber(given[1]), tonumber(given[2]), given[1] .. ':' .. given[2]

local meta = redis.call('HMGET', META, 'schema', 'g|' .. own, 'l|' .. own)
if not meta[1] then
  redis.call('HSET', META, 'schema', {SCHEMA})
elseif tonumber(meta[1]) > {SCHEMA} then
  return redis.error_reply('{NEWER}')
end
local generation = tonumber(meta[2] or 0)

local function whole(number) return string.format('%.0f', number) end

local function bounds(field)
  local first, last = string.match(field, '(%-?%d+):(%-?%d+)')
  return tonumber(first), tonumber(last)
end

-- a new window starts from what was spent in it: its settings have changed in mid-window
local function open()
  local spent, old = 0, start > 0 and start - {KEPT // _MILLISECOND} or 0
  for _, field in ipairs(redis.call('HKEYS', META)) do
    local kind, name = string.sub(field, 1, 2), string.sub(field, 3)
    if kind == 'q|' then
      local quarter = tonumber(name)
      if quarter >= start and quarter < ends then spent = spent + tonumber(redis.call('HGET', META, field)) end
      if quarter < old then redis.call('HDEL', META, field) end
    elseif kind == 'p|' then
      local _, last = bounds(name)
      if last < old then redis.call('HDEL', META, field, 'g|' .. name, 'l|' .. name) end
    end
  end
  -- windows that have been over for two days are looked at no more
  for _, name in ipairs(redis.call('HKEYS', WINDOWS)) do
    local _, last = bounds(name)
    if last < start - 172800000 then
      redis.call('HSET', META, 'p|' .. name, redis.call('HGET', WINDOWS, name))
      redis.call('HDEL', WINDOWS, name)
    end
  end
  redis.call('HSET', WINDOWS, own, whole(spent))
  return spent
end

-- what this window has spent, and where that is kept
local function window()
  local spent = redis.call('HGET', WINDOWS, own)
  if spent then return tonumber(spent), WINDOWS, own end
  local past = 'p|' .. own
  spent = redis.call('HGET', META, past)
  if spent then return tonumber(spent), META, past end
  return open(), WINDOWS, own
end

-- what calls in flight hold of this window, how many leases have ended by now, whether this call holds something
local function held(now)
  local reserved, expired, known, calls = 0, 0, false, redis.call('HGETALL', HELD)
  for n = 1, #calls, 2 do
    local amount, admitted, lease = string.match(calls[n + 1], '(%d+):(%-?%d+):(%-?%d+)')
    if now and tonumber(lease) <= now then
      redis.call('HDEL', HELD, calls[n])
      expired = expired + 1
    else
      local at = tonumber(admitted)
      if at >= start and at < ends then reserved = reserved + tonumber(amount) end
      if calls[n] == id then known = true end
    end
  end
  return reserved, expired, known
end
"""

VERBS = {
    "reserve": """
local now, amount, limit, lease = given[3], tonumber(given[4]), tonumber(given[5]), given[6]
local spent = window()
if limit and given[5] ~= meta[3] then
  redis.call('HSET', META, 'l|' .. own, given[5])
elseif meta[3] and not limit then
  redis.call('HDEL', META, 'l|' .. own)
end
local reserved, expired, known = held(tonumber(now))
local admitted = known or not limit or (spent < limit and spent + reserved + amount <= limit)
if admitted and amount > 0 and not known and redis.call('EXISTS', SETTLED) == 0 then
  redis.call('HSET', HELD, id, given[4] .. ':' .. now .. ':' .. lease)
  reserved = reserved + amount
end
return {admitted and 1 or 0, spent, reserved, expired, generation}
""",
    "renew": """
local amount, admitted, lease = given[1], given[2], given[3]
if redis.call('EXISTS', SETTLED) == 0 then
  redis.call('HSET', HELD, id, amount .. ':' .. admitted .. ':' .. lease)
end
return {}
""",
    "settle": """
local admitted, amount, quarter, remembered = tonumber(given[3]), tonumber(given[4]), given[5], given[6]
local spent, key, field = window()
if redis.call('SET', SETTLED, 1, 'NX', 'PX', remembered) then
  redis.call('HDEL', HELD, id)
  if amount > 0 then
    redis.call('HINCRBY', META, 'q|' .. quarter, given[4])
    redis.call('HINCRBY', key, field, given[4])
    spent = spent + amount
    -- also in the windows of processes whose settings are others
    for _, each in ipairs(redis.call('HKEYS', WINDOWS)) do
      local first, last = bounds(each)
      if each ~= own and admitted >= first and admitted < last then redis.call('HINCRBY', WINDOWS, each, given[4]) end
    end
  end
end
return {spent, (held()), 0, generation}
""",
    "balance": """
local spent = window()
local reserved, expired = held(tonumber(given[3]))
return {spent, reserved, expired, generation}
""",
    "reset": """
local spent, key, field = window()
redis.call('HSET', key, field, 0)
redis.call('HINCRBY', META, 'g|' .. own, 1)
-- a window of other settings that is opened later does not bring it back
for _, each in ipairs(redis.call('HKEYS', META)) do
  local quarter = tonumber(string.match(each, '^q|(%-?%d+)$'))
  if quarter and quarter >= start and quarter < ends then redis.call('HDEL', META, each) end
end
redis.call('LPUSH', RESETS, '[' .. ARGV[3] .. ',' .. whole(spent) .. ']')
return {spent}
""",
}
