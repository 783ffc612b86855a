"""The Redis ledger's scripts. Each runs whole or not at all; time and limits are arguments.

Amounts are whole nano-dollars below 2^53, which Lua's numbers hold exactly.
"""

from __future__ import annotations

KEYS = ("windows", "past", "generations", "limits", "quarters", "held", "leases", "resets", "schema")
"""After these comes the key of the id that the verb is about."""

NEWER = "LLMMETRICS_NEWER"

PRELUDE = f"""
local WINDOWS, PAST, GENERATIONS, LIMITS, QUARTERS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local HELD, LEASES, RESETS, VERSION, SETTLED = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local schema, kept = tonumber(ARGV[1]), tonumber(ARGV[2])
local id, start, ends = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])

local version = redis.call('GET', VERSION)
if not version then
  redis.call('SET', VERSION, schema)
elseif tonumber(version) > schema then
  return redis.error_reply('{NEWER}')
end

local function whole(number) return string.format('%.0f', number) end

local function bounds(field)
  local first, last = string.match(field, '(%-?%d+):(%-?%d+)')
  return tonumber(first), tonumber(last)
end

-- where a window's spend is kept, after seeing to it that it is
local function window_key(field)
  if redis.call('HEXISTS', WINDOWS, field) == 1 then return WINDOWS end
  if redis.call('HEXISTS', PAST, field) == 1 then return PAST end
  -- a new window starts from what was spent in it: its settings have changed in mid-window
  local spent, quarters = 0, redis.call('HGETALL', QUARTERS)
  for n = 1, #quarters, 2 do
    local quarter = tonumber(quarters[n])
    if quarter >= start and quarter < ends then spent = spent + tonumber(quarters[n + 1]) end
    if start > 0 and quarter < start - kept then redis.call('HDEL', QUARTERS, quarters[n]) end
  end
  -- windows that are long over are looked at no more, and forgotten in the end
  for _, each in ipairs(redis.call('HKEYS', WINDOWS)) do
    local _, last = bounds(each)
    if last < start - 172800000 then
      redis.call('HSET', PAST, each, redis.call('HGET', WINDOWS, each))
      redis.call('HDEL', WINDOWS, each)
    end
  end
  for _, each in ipairs(redis.call('HKEYS', PAST)) do
    local _, last = bounds(each)
    if last < start - kept then
      redis.call('HDEL', PAST, each)
      redis.call('HDEL', GENERATIONS, each)
      redis.call('HDEL', LIMITS, each)
    end
  end
  redis.call('HSET', WINDOWS, field, whole(spent))
  return WINDOWS
end

local function forget(call)
  redis.call('HDEL', HELD, call)
  redis.call('ZREM', LEASES, call)
end

local function hold(amount, admitted, lease)
  redis.call('HSET', HELD, id, whole(amount) .. ':' .. whole(admitted))
  redis.call('ZADD', LEASES, whole(lease), id)
end

local function expire(now)
  local over = redis.call('ZRANGEBYSCORE', LEASES, '-inf', whole(now))
  for _, call in ipairs(over) do forget(call) end
  return #over
end

-- spent, reserved, generation
local function standing()
  local field = whole(start) .. ':' .. whole(ends)
  local spent = tonumber(redis.call('HGET', window_key(field), field))
  local reserved = 0
  for _, held in ipairs(redis.call('HVALS', HELD)) do
    local amount, admitted = bounds(held)
    if admitted >= start and admitted < ends then reserved = reserved + amount end
  end
  return spent, reserved, tonumber(redis.call('HGET', GENERATIONS, field) or 0)
end
"""

VERBS = {
    "reserve": """
local now, amount, limit, lease = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local expired = expire(now)
local spent, reserved, generation = standing()
local field = whole(start) .. ':' .. whole(ends)
if limit then redis.call('HSET', LIMITS, field, whole(limit)) else redis.call('HDEL', LIMITS, field) end
local known = redis.call('HEXISTS', HELD, id) == 1
local admitted = known or not limit or (spent < limit and spent + reserved + amount <= limit)
if admitted and amount > 0 and not known and redis.call('EXISTS', SETTLED) == 0 then
  hold(amount, now, lease)
  reserved = reserved + amount
end
return {admitted and 1 or 0, spent, reserved, expired, generation}
""",
    "renew": """
local amount, admitted, lease = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
if redis.call('EXISTS', SETTLED) == 0 then hold(amount, admitted, lease) end
return {}
""",
    "settle": """
local admitted, amount, quarter, remembered = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8], ARGV[9]
local own = whole(start) .. ':' .. whole(ends)
local key = window_key(own)
if redis.call('SET', SETTLED, 1, 'NX', 'PX', remembered) then
  forget(id)
  if amount > 0 then
    redis.call('HINCRBY', QUARTERS, quarter, whole(amount))
    if key == PAST then redis.call('HINCRBY', PAST, own, whole(amount)) end
    -- also in the windows of processes whose settings are others
    for _, each in ipairs(redis.call('HKEYS', WINDOWS)) do
      local first, last = bounds(each)
      if admitted >= first and admitted < last then redis.call('HINCRBY', WINDOWS, each, whole(amount)) end
    end
  end
end
local spent, reserved, generation = standing()
return {spent, reserved, 0, generation}
""",
    "balance": """
local expired = expire(tonumber(ARGV[6]))
local spent, reserved, generation = standing()
return {spent, reserved, expired, generation}
""",
    "reset": """
local spent = standing()
local field = whole(start) .. ':' .. whole(ends)
redis.call('HSET', window_key(field), field, 0)
redis.call('HINCRBY', GENERATIONS, field, 1)
-- a window of other settings that is opened later does not bring it back
for _, each in ipairs(redis.call('HKEYS', QUARTERS)) do
  local quarter = tonumber(each)
  if quarter >= start and quarter < ends then redis.call('HDEL', QUARTERS, each) end
end
redis.call('LPUSH', RESETS, '[' .. ARGV[6] .. ',' .. whole(spent) .. ']')
return {spent}
""",
}
