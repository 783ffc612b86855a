"""Parts of the Redis ledger's scripts: what is asked, sums, leases, settled numbers."""

from __future__ import annotations

from llmmetrics.budgets.ledgers.base import AT_ONCE, MOST, QUARTER_HOUR, SCHEMA

OPEN = "open"

NUMBERS = f"""
-- whole numbers as text; b may be below 0, what comes out is not
local function limbs(text)
  local sign = 1
  if string.sub(text, 1, 1) == '-' then sign, text = -1, string.sub(text, 2) end
  return sign * tonumber('0' .. string.sub(text, 1, -10)), sign * tonumber(string.sub(text, -9))
end

local function add(a, b)
  if #a < 16 and #b < 16 then
    local sum = a + b
    return sum < 0 and '0' or format('%d', sum)
  end
  local high, low = limbs(a)
  local high2, low2 = limbs(b)
  high, low = high + high2, low + low2
  local carry = math.floor(low / 1e9)
  high, low = high + carry, low - carry * 1e9
  if high < 0 then return '0' end
  return high == 0 and format('%d', low) or format('%d%09d', high, low)
end

local function less(a, b)
  if #a ~= #b then return #a < #b end
  return a < b
end

local function bounded(a, b)
  local sum = add(a, b)
  return #sum > 18 and less('{MOST}', sum) and '{MOST}' or sum
end

local function minus(text)
  return text == '0' and text or '-' .. text
end

-- a window's sums: spent, reserved, estimated, worst_case, pending, bookings, generation, limit
local PARTS = {{estimated = 3, worst_case = 4, pending = 5}}
local function sums_of(text)
  return {{match(text, '(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)')}}
end
"""

ASKED = f"""
local META, ROWS, LEASES, OWNER = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local owner, match, format, call = ARGV[1], string.match, string.format, redis.call
local number, own, inside, quarter, about = match(ARGV[2], '^(%S+) (%S+) (%S+) (%S+) (.*)$')
local id = owner .. ':' .. number
local state = call('HMGET', META, 'schema', 'head', 'open', 'w|' .. own, 'o|' .. owner, 'q|' .. quarter)
if state[1] ~= '{SCHEMA}' or not (state[4] or own == '-') then return '{OPEN}' end
-- names and values that `meta` gets
local fields = {{}}
"""
"""What is asked, and the fields of the hash that it is about. `inside`: whether the moment is in the call's window."""

SUMS = f"""
{NUMBERS}
local open, changed = state[3] or '', {{}}
-- a renewal has no window of its own
local sums = state[4] and sums_of(state[4])

-- the sums of every open window that holds a moment
local last_at, of_last
local function touched(at)
  if at == last_at then return of_last end
  local open_sums, moment = {{}}, tonumber(at)
  for name in string.gmatch(open, '%S+') do
    local first, last = match(name, '(%-?%d+):(%-?%d+)')
    if moment >= tonumber(first) and moment < tonumber(last) then
      if not changed[name] then changed[name] = name == own and sums or sums_of(call('HGET', META, 'w|' .. name)) end
      open_sums[name] = changed[name]
    end
  end
  last_at, of_last = at, open_sums
  return open_sums
end

local function hold(at, amount)
  for _, each in pairs(touched(at)) do each[2] = bounded(each[2], amount) end
end

local quarters = {{[quarter] = state[6] or '0 0 0 0'}}
local function book(at, amount, basis, again)
  local part = PARTS[basis]
  for _, each in pairs(touched(at)) do
    each[1] = bounded(each[1], amount)
    if not again then each[6] = format('%d', each[6] + 1) end
    if part then each[part] = bounded(each[part], amount) end
  end
  local name = format('%d', at - at % {QUARTER_HOUR})
  local text = quarters[name] or call('HGET', META, 'q|' .. name) or '0 0 0 0'
  local of_quarter = {{match(text, '(%S+) (%S+) (%S+) (%S+)')}}
  of_quarter[1] = bounded(of_quarter[1], amount)
  if part then of_quarter[part - 1] = bounded(of_quarter[part - 1], amount) end
  quarters[name] = table.concat(of_quarter, ' ')
  fields[#fields + 1] = 'q|' .. name
  fields[#fields + 1] = quarters[name]
end

local function store()
  for name, each in pairs(changed) do
    fields[#fields + 1] = 'w|' .. name
    fields[#fields + 1] = table.concat(each, ' ')
  end
  if #fields > 0 then call('HSET', META, unpack(fields)) end
end
"""

PRELUDE = f"{ASKED}{SUMS}"

LEASES = f"""
local age, before, due, usual = 0, nil, nil, 60000
if state[2] then
  local a, b, c, d = match(state[2], '(%S+) (%S+) (%S+) (%S+)')
  age, before, due, usual = tonumber(a), tonumber(b), tonumber(c), tonumber(d)
end
local ticked = false

-- advance the age, and book the leases that have ended as worst case
local function tick(lease)
  local time = call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  usual = lease or usual
  age = age + math.min(math.max(now - (before or now), 0), math.floor(usual / 10))
  before, ticked = now, true
  if not due or due > age then return 0 end
  local ended = call('ZRANGEBYSCORE', LEASES, '-inf', age, 'LIMIT', 0, {AT_ONCE})
  for _, each in ipairs(ended) do
    call('ZREM', LEASES, each)
    local amount, at = match(call('HGET', ROWS, each) or '', '(%S+) (%S+) reserved')
    if amount then
      call('HSET', ROWS, each, amount .. ' ' .. at .. ' worst_case')
      hold(at, minus(amount))
      book(at, amount, 'worst_case')
    end
  end
  due = tonumber(call('ZRANGE', LEASES, 0, 0, 'WITHSCORES')[2])
  return #ended
end

local function end_at(ends)
  call('ZADD', LEASES, ends, id)
  if not due or ends < due then due = ends end
end

local function head()
  if ticked then
    fields[#fields + 1] = 'head'
    fields[#fields + 1] = format('%d %d %s %d', age, before, due and format('%d', due) or '-', usual)
  end
end
"""

SETTLED = """
-- the settled numbers of the owner: all below `low`; `above` ranges; the last moment
local low, above = 0, 0
if state[5] then
  local a, b = match(state[5], '(%S+) (%S+)')
  low, above = tonumber(a), tonumber(b)
end

local function settled(number)
  if number < low then return true end
  if above == 0 then return false end
  local range = call('ZRANGEBYSCORE', OWNER, number, '+inf', 'LIMIT', 0, 1)
  return range[1] and tonumber(range[1]) <= number
end
"""

SETTLING = """
-- note that a number is settled; return whether it was not before
local function settle_out_of_order(number)
  local near = call('ZRANGEBYSCORE', OWNER, number - 1, '+inf', 'WITHSCORES', 'LIMIT', 0, 2)
  local first, last, n = tostring(number), number, 1
  if near[n] and tonumber(near[n + 1]) == number - 1 then first, n = near[n], 3 end
  if near[n] then
    local from = tonumber(near[n])
    if from <= number then return false end
    if from == number + 1 then
      last = near[n + 1]
      call('ZREM', OWNER, near[n])
    end
  end
  call('ZADD', OWNER, last, first)
  above = call('ZCARD', OWNER)
  return true
end

local function settle(number, at)
  if number < low then return false end
  if number > low then
    if not settle_out_of_order(number) then return false end
  else
    low = low + 1
    if above > 0 then
      local range = call('ZRANGEBYSCORE', OWNER, low, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
      if tonumber(range[1]) == low then
        low = range[2] + 1
        call('ZREM', OWNER, range[1])
        above = above - 1
      end
    end
  end
  fields[#fields + 1] = 'o|' .. owner
  fields[#fields + 1] = format('%d %d %s', low, above, at)
  return true
end
"""

TAKE = """
-- take a row off, with what it holds or has booked; return its moment, and whether it was booked
local function take(row)
  local amount, at, basis = match(row, '(%S+) (%S+) (%S+)')
  call('HDEL', ROWS, id)
  if basis == 'reserved' then
    call('ZREM', LEASES, id)
    hold(at, minus(amount))
    return at, false
  end
  book(at, minus(amount), basis, true)
  return at, true
end
"""
