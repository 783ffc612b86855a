"""The Redis ledger's scripts that are seldom run: a window opens, an older form is upgraded, an operator corrects."""

from __future__ import annotations

from llmmetrics.budgets.ledgers.base import QUARTER_HOUR, SCHEMA
from llmmetrics.budgets.ledgers.lua import NEWER
from llmmetrics.budgets.ledgers.lua_parts import NUMBERS, PRELUDE

_IN_WINDOW = f"""
local function bounds(name)
  local first, last = match(name, '(%-?%d+):(%-?%d+)')
  return tonumber(first), tonumber(last)
end

-- the names and values of the quarters of an hour that a window holds
local function quarters_in(first, last)
  local held = {{}}
  if last - first > {QUARTER_HOUR} * 3200 then
    local all = redis.call('HGETALL', META)
    for n = 1, #all, 2 do
      local at = tonumber(match(all[n], '^q|(%-?%d+)$'))
      if at and at >= first and at < last then held[#held + 1] = {{match(all[n], '^q|(.*)'), all[n + 1]}} end
    end
    return held
  end
  for from = first, last - 1, {QUARTER_HOUR} * 1000 do
    local names = {{}}
    for at = from, math.min(last, from + {QUARTER_HOUR} * 1000) - 1, {QUARTER_HOUR} do
      names[#names + 1] = 'q|' .. format('%d', at)
    end
    for n, value in ipairs(redis.call('HMGET', META, unpack(names))) do
      if value then held[#held + 1] = {{string.sub(names[n], 3), value}} end
    end
  end
  return held
end

local function rows_in(first, last)
  local held, all = {{}}, redis.call('HGETALL', ROWS)
  for n = 1, #all, 2 do
    local amount, at, basis = match(all[n + 1], '(%S+) (%S+) (%S+)')
    if tonumber(at) >= first and tonumber(at) < last then held[#held + 1] = {{all[n], amount, at, basis}} end
  end
  return held
end
"""

_UPGRADE = f"""
-- what schema 1 has written, in nano-dollars, with leases by the wall clock
local function upgrade()
  local base = string.sub(META, 1, -5)
  local function pico(text) return (not text or text == '0') and '0' or bounded('0', text .. '000') end
  local all, meta, open, rows = redis.call('HGETALL', META), {{}}, {{}}, {{}}
  for n = 1, #all, 2 do meta[all[n]] = all[n + 1] end
  local held = redis.call('HGETALL', base .. 'held')
  for n = 1, #held, 2 do
    local amount, at = match(held[n + 1], '(%d+):(%-?%d+):%-?%d+')
    rows[#rows + 1] = {{pico(amount), tonumber(at)}}
    redis.call('HSET', ROWS, 'v1:' .. held[n] .. ':0', pico(amount) .. ' ' .. at .. ' reserved')
    redis.call('ZADD', LEASES, 60000, 'v1:' .. held[n] .. ':0')
  end
  local function window(kind, name, spent)
    local first, last = bounds(name)
    local reserved, limit = '0', meta['l|' .. name]
    for _, row in ipairs(rows) do
      if row[2] >= first and row[2] < last then reserved = bounded(reserved, row[1]) end
    end
    local sums = {{pico(spent), reserved, '0 0 0 1', meta['g|' .. name] or '0', limit and pico(limit) or 'none'}}
    redis.call('HSET', META, kind .. name, table.concat(sums, ' '))
  end
  for name, value in pairs(meta) do
    local kind, rest = string.sub(name, 1, 2), string.sub(name, 3)
    if kind == 'p|' then window(kind, rest, value) end
    if kind == 'q|' then redis.call('HSET', META, name, pico(value) .. ' 0 0 0') end
    if kind == 'g|' or kind == 'l|' then redis.call('HDEL', META, name) end
  end
  local windows = redis.call('HGETALL', base .. 'windows')
  for n = 1, #windows, 2 do
    window('w|', windows[n], windows[n + 1])
    open[#open + 1] = windows[n]
  end
  for _, row in ipairs(redis.call('LRANGE', base .. 'resets', 0, -1)) do
    local about, amount = match(row, '^%[(%[.*%]),(%d+)%]$')
    redis.call('RPUSH', base .. 'corrections', '["reset",' .. about .. ',"' .. pico(amount) .. '"]')
  end
  redis.call('DEL', base .. 'held', base .. 'windows', base .. 'resets')
  local fields = {{'schema', {SCHEMA}, 'open', table.concat(open, ' '), 'head', '0 0 60000 60000'}}
  redis.call('HSET', META, unpack(fields))
end
"""

OPEN_WINDOW = f"""
local META, ROWS, LEASES = KEYS[1], KEYS[2], KEYS[3]
local own, match, format = ARGV[1], string.match, string.format
{NUMBERS}{_IN_WINDOW}{_UPGRADE}
local schema = redis.call('HGET', META, 'schema')
if not schema then
  redis.call('HSET', META, 'schema', {SCHEMA})
elseif tonumber(schema) > {SCHEMA} then
  return redis.error_reply('{NEWER}')
elseif schema ~= '{SCHEMA}' then
  upgrade()
end
if own == '-' or redis.call('HEXISTS', META, 'w|' .. own) == 1 then return {{1}} end
-- it starts from what was spent in it: its settings have changed in mid-window, or a clock has gone back
local past = redis.call('HGET', META, 'p|' .. own)
local sums = past and sums_of(past) or {{'0', '0', '0', '0', '0', '0', '0', 'none'}}
local first, last = bounds(own)
for n = 1, 5 do sums[n] = '0' end
for _, quarter in ipairs(quarters_in(first, last)) do
  local spent, estimated, worst, pending = match(quarter[2], '(%S+) (%S+) (%S+) (%S+)')
  sums[1], sums[3] = bounded(sums[1], spent), bounded(sums[3], estimated)
  sums[4], sums[5] = bounded(sums[4], worst), bounded(sums[5], pending)
end
for _, row in ipairs(rows_in(first, last)) do
  if row[4] == 'reserved' then sums[2] = bounded(sums[2], row[2]) end
end
local still = {{own}}
for name in string.gmatch(redis.call('HGET', META, 'open') or '', '%S+') do
  local _, over = bounds(name)
  if over > first then
    still[#still + 1] = name
  else
    redis.call('HSET', META, 'p|' .. name, redis.call('HGET', META, 'w|' .. name))
    redis.call('HDEL', META, 'w|' .. name)
  end
end
redis.call('HDEL', META, 'p|' .. own)
redis.call('HSET', META, 'w|' .. own, table.concat(sums, ' '), 'open', table.concat(still, ' '))
return {{1}}
"""

_CORRECTIONS = """
local function record(kind, amount)
  call('LPUSH', string.sub(META, 1, -5) .. 'corrections', '["' .. kind .. '",' .. about .. ',"' .. amount .. '"]')
end
"""

RESET = f"""
{PRELUDE}{_IN_WINDOW}{_CORRECTIONS}
local first, last = bounds(own)
local amount = sums[1]
for n = 3, 6 do sums[n] = '0' end
sums[1], sums[7], changed[own] = '0', format('%d', sums[7] + 1), sums
-- a window of other settings that is opened later does not bring it back, nor does a settle take it off
for _, each in ipairs(quarters_in(first, last)) do call('HSET', META, 'q|' .. each[1], '0 0 0 0') end
for _, row in ipairs(rows_in(first, last)) do
  if row[4] == 'worst_case' then call('HDEL', ROWS, row[1]) end
  if row[4] == 'pending' then call('HSET', ROWS, row[1], '0 ' .. row[3] .. ' pending') end
end
record('reset', amount)
store()
return amount
"""

RELEASE = f"""
{PRELUDE}{_IN_WINDOW}{_CORRECTIONS}
local first, last = bounds(own)
local amount = sums[4]
for _, each in ipairs(quarters_in(first, last)) do
  local worst = match(each[2], '%S+ %S+ (%S+)')
  if worst ~= '0' then
    quarters[each[1]] = each[2]
    book(each[1], minus(worst), 'worst_case', true)
  end
end
-- what was booked in quarters of an hour that were pruned
sums[1], sums[4], changed[own] = add(sums[1], minus(sums[4])), '0', sums
for _, row in ipairs(rows_in(first, last)) do
  if row[4] == 'worst_case' then call('HDEL', ROWS, row[1]) end
end
record('release', amount)
store()
return amount
"""

PRUNE = f"""
local META, ROWS, LEASES = KEYS[1], KEYS[2], KEYS[3]
local old, pruned, still, base = tonumber(ARGV[1]), 0, {{}}, string.sub(KEYS[1], 1, -5)
local all = redis.call('HGETALL', META)
for n = 1, #all, 2 do
  local name, value = all[n], all[n + 1]
  local kind, last = string.match(name, '^([wpa])|%-?%d+:(%-?%d+)')
  local quarter, owner = string.match(name, '^q|(%-?%d+)$'), string.match(name, '^o|(.*)')
  if kind and tonumber(last) <= old then
    redis.call('HDEL', META, name)
    if kind ~= 'a' then pruned = pruned + 1 end
  elseif quarter and tonumber(quarter) + {QUARTER_HOUR} <= old then
    redis.call('HDEL', META, name)
  elseif owner and tonumber(string.match(value, '%S+ %S+ (%S+)')) < old then
    redis.call('HDEL', META, name)
    redis.call('DEL', base .. 'owner:' .. owner)
  end
end
for name in string.gmatch(redis.call('HGET', META, 'open') or '', '%S+') do
  if redis.call('HEXISTS', META, 'w|' .. name) == 1 then still[#still + 1] = name end
end
if #all > 0 then redis.call('HSET', META, 'open', table.concat(still, ' ')) end
local rows = redis.call('HGETALL', ROWS)
for n = 1, #rows, 2 do
  local at, basis = string.match(rows[n + 1], '%S+ (%S+) (%S+)')
  if basis ~= 'reserved' and tonumber(at) < old then redis.call('HDEL', ROWS, rows[n]) end
end
for _, row in ipairs(redis.call('LRANGE', base .. 'corrections', 0, -1)) do
  if tonumber(string.match(row, '^%["%a+",%[(%-?%d+)')) < old then
    redis.call('LREM', base .. 'corrections', 0, row)
  end
end
return pruned
"""

NOTE_ANSWER = """
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 1 then redis.call('HINCRBY', KEYS[2], ARGV[3], 1) end
return 1
"""
"""Keep what is pending of an answer: `answers`, `pending`; the owner, the row, the limit's key."""

ANSWERED = """
local row = redis.call('HGET', KEYS[1], ARGV[1])
if row then
  redis.call('HDEL', KEYS[1], ARGV[1])
  local key = cjson.decode(row)[1]
  if redis.call('HINCRBY', KEYS[2], key, -1) < 1 then redis.call('HDEL', KEYS[2], key) end
end
return 1
"""

TALLY = """
if tonumber(ARGV[2]) <= tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
for n = 3, #ARGV, 3 do redis.call('HINCRBY', KEYS[1 + tonumber(ARGV[n])], ARGV[n + 1], ARGV[n + 2]) end
return 1
"""
"""Keys: the marks, a hash for each tag and day. Arguments: mark, number; for each sum its hash, value and amount."""

ADVANCE = """
local before = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0)
if tonumber(ARGV[2]) > before then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
return before
"""
