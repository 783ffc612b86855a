"""The Redis ledger's scripts. Each runs whole or not at all. What a call asks of the server is as little as can be.

Amounts are text: Lua's numbers are exact below 2^53 alone. The keys of one limit are in one slot of a cluster.

- `meta`, a hash: `schema`; `head`, which is the limit's age, the server's time at which it was advanced, when the next
  lease may end, and a lease; `open`, the windows whose sums are kept up to date; each window's sums, `w|`; alerts,
  `a|`. A window that is not open is made from the quarters of an hour when a call needs it again.
- `quarters`, a hash: what each quarter of an hour has spent, by basis.
- `reservations`, a hash: amount, moment and state of each call that is not settled; `leases`, a sorted set: their ends.
- `owner:…`, a sorted set for each owner: its settled numbers as ranges, the first as member, the last as score.

Leases end by the limit's age, in milliseconds. It grows by what the server's clock has advanced since the last
question, at most by a tenth of a lease: a clock that jumps, or another server's, ends none too early.
"""

from __future__ import annotations

from llmmetrics.budgets.ledgers.base import AT_ONCE, MOST, QUARTER_HOUR, SCHEMA

KEYS = ("meta", "quarters", "reservations", "leases", "owners", "corrections")
"""After these comes the key of the owner's settled numbers."""

NEWER = "LLMMETRICS_NEWER"

_NUMBERS = f"""
-- whole numbers as text; b may be below 0, what comes out is not
local function limbs(text)
  local sign = 1
  if string.sub(text, 1, 1) == '-' then sign, text = -1, string.sub(text, 2) end
  return sign * tonumber('0' .. string.sub(text, 1, -10)), sign * tonumber(string.sub(text, -9))
end

local function add(a, b)
  if b == '0' then return a end
  if #a < 16 and #b < 16 then
    local sum = a + b
    return sum < 0 and '0' or string.format('%.0f', sum)
  end
  local high, low = limbs(a)
  local high2, low2 = limbs(b)
  high, low = high + high2, low + low2
  local carry = math.floor(low / 1e9)
  high, low = high + carry, low - carry * 1e9
  if high < 0 then return '0' end
  return high == 0 and string.format('%.0f', low) or string.format('%.0f%09.0f', high, low)
end

local function minus(text)
  if text == '0' then return text end
  return string.sub(text, 1, 1) == '-' and string.sub(text, 2) or '-' .. text
end

local function less(a, b)
  if #a ~= #b then return #a < #b end
  return a < b
end

local function bounded(a, b)
  local sum = add(a, b)
  return less('{MOST}', sum) and '{MOST}' or sum
end
"""

_UPGRADE = f"""
-- what schema 1 has written, in nano-dollars
local function upgrade()
  local base = string.sub(META, 1, -5)
  local function pico(text) return (not text or text == '0') and '0' or bounded('0', text .. '000') end
  local fields, meta, open, rows = redis.call('HGETALL', META), {{}}, ' ', {{}}
  for n = 1, #fields, 2 do meta[fields[n]] = fields[n + 1] end
  local held = redis.call('HGETALL', base .. 'held')
  for n = 1, #held, 2 do
    local amount, at, lease = string.match(held[n + 1], '(%d+):(%-?%d+):(%-?%d+)')
    rows[#rows + 1] = {{pico(amount), tonumber(at)}}
    redis.call('HSET', ROWS, 'v1:' .. held[n] .. ':0', pico(amount) .. ' ' .. at .. ' reserved')
    redis.call('ZADD', LEASES, 60000, 'v1:' .. held[n] .. ':0')
  end
  local function window(name, spent)
    local first, last = string.match(name, '(%-?%d+):(%-?%d+)')
    local reserved, limit = '0', meta['l|' .. name]
    for _, row in ipairs(rows) do
      if row[2] >= tonumber(first) and row[2] < tonumber(last) then reserved = bounded(reserved, row[1]) end
    end
    local sums = {{pico(spent), reserved, '0 0 0 1', meta['g|' .. name] or '0', limit and pico(limit) or 'none'}}
    redis.call('HSET', META, 'w|' .. name, table.concat(sums, ' '))
  end
  local windows = redis.call('HGETALL', base .. 'windows')
  for n = 1, #windows, 2 do
    window(windows[n], windows[n + 1])
    open = open .. windows[n] .. ' '
  end
  for name, value in pairs(meta) do
    local kind, rest = string.sub(name, 1, 2), string.sub(name, 3)
    if kind == 'p|' then window(rest, value) end
    if kind == 'q|' then redis.call('HSET', QUARTERS, rest, pico(value) .. ' 0 0 0') end
    if name ~= 'schema' and kind ~= 'w|' then redis.call('HDEL', META, name) end
  end
  for _, row in ipairs(redis.call('LRANGE', base .. 'resets', 0, -1)) do
    local about, amount = string.match(row, '^%[(%[.*%]),(%d+)%]$')
    redis.call('RPUSH', CORRECTIONS, '["reset",' .. about .. ',"' .. pico(amount) .. '"]')
  end
  redis.call('DEL', base .. 'held', base .. 'windows', base .. 'resets')
  redis.call('HSET', META, 'schema', {SCHEMA}, 'open', open, 'head', '0 0 60000 60000')
end
"""

PRELUDE = f"""
local META, QUARTERS, ROWS, LEASES, OWNERS, CORRECTIONS, OWNER = unpack(KEYS)
local id, given = ARGV[1], {{}}
for each in string.gmatch(ARGV[2], '%S+') do given[#given + 1] = each end
local own = given[1] .. ':' .. given[2]
{_NUMBERS}
local state = redis.call('HMGET', META, 'schema', 'head', 'open', 'w|' .. own)
if state[1] ~= '{SCHEMA}' then
  if not state[1] then
    redis.call('HSET', META, 'schema', {SCHEMA})
  elseif tonumber(state[1]) > {SCHEMA} then
    return redis.error_reply('{NEWER}')
  else
    {_UPGRADE}
    upgrade()
    state = redis.call('HMGET', META, 'schema', 'head', 'open', 'w|' .. own)
  end
end
local open, changed = state[3] or ' ', {{}}

-- a window's sums: spent, reserved, estimated, worst_case, pending, bookings, generation, limit
local SPENT, RESERVED, BOOKINGS, GENERATION, LIMIT = 1, 2, 6, 7, 8
local PARTS = {{estimated = 3, worst_case = 4, pending = 5}}

local function sums_of(text)
  return {{string.match(text, '(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)')}}
end

local function bounds(name)
  local first, last = string.match(name, '(%-?%d+):(%-?%d+)')
  return tonumber(first), tonumber(last)
end

-- the names and values of a hash of quarters of an hour that a window holds
local function quarters_in(first, last)
  local fields = {{}}
  if last - first > {QUARTER_HOUR} * 3200 then
    local all = redis.call('HGETALL', QUARTERS)
    for n = 1, #all, 2 do
      local at = tonumber(all[n])
      if at >= first and at < last then fields[#fields + 1] = {{all[n], all[n + 1]}} end
    end
    return fields
  end
  for from = first, last - 1, {QUARTER_HOUR} * 1000 do
    local names = {{}}
    for at = from, math.min(last, from + {QUARTER_HOUR} * 1000) - 1, {QUARTER_HOUR} do
      names[#names + 1] = string.format('%.0f', at)
    end
    for n, value in ipairs(redis.call('HMGET', QUARTERS, unpack(names))) do
      if value then fields[#fields + 1] = {{names[n], value}} end
    end
  end
  return fields
end

local function rows_in(first, last)
  local rows, all = {{}}, redis.call('HGETALL', ROWS)
  for n = 1, #all, 2 do
    local amount, at, basis = string.match(all[n + 1], '(%S+) (%S+) (%S+)')
    if tonumber(at) >= first and tonumber(at) < last then rows[#rows + 1] = {{all[n], amount, at, basis}} end
  end
  return rows
end

-- the sums of the question's window; a renewal has none
local sums
if given[1] == '-' then
  sums = nil
elseif state[4] and string.find(open, ' ' .. own .. ' ', 1, true) then
  sums = sums_of(state[4])
else
  sums = state[4] and sums_of(state[4]) or {{'0', '0', '0', '0', '0', '0', '0', 'none'}}
  local first, last = bounds(own)
  for n = 1, 5 do sums[n] = '0' end
  for _, quarter in ipairs(quarters_in(first, last)) do
    local spent, estimated, worst, pending = string.match(quarter[2], '(%S+) (%S+) (%S+) (%S+)')
    sums[1], sums[3] = bounded(sums[1], spent), bounded(sums[3], estimated)
    sums[4], sums[5] = bounded(sums[4], worst), bounded(sums[5], pending)
  end
  for _, row in ipairs(rows_in(first, last)) do
    if row[4] == 'reserved' then sums[2] = bounded(sums[2], row[2]) end
  end
  local still = ' ' .. own .. ' '
  for name in string.gmatch(open, '%S+') do
    local _, over = bounds(name)
    if name ~= own and over > first then still = still .. name .. ' ' end
  end
  open = still
  redis.call('HSET', META, 'open', open)
  changed[own] = sums
end

-- change the sums of a moment, in every window that is open
local function change(at, change_one)
  at = tonumber(at)
  for name in string.gmatch(open, '%S+') do
    local first, last = bounds(name)
    if at >= first and at < last then
      if not changed[name] then
        changed[name] = name == own and sums or sums_of(redis.call('HGET', META, 'w|' .. name))
      end
      change_one(changed[name])
    end
  end
end

local function hold(at, amount)
  change(at, function(each) each[RESERVED] = bounded(each[RESERVED], amount) end)
end

local function book(at, amount, basis, again)
  local part = PARTS[basis]
  change(at, function(each)
    each[SPENT] = bounded(each[SPENT], amount)
    if not again then each[BOOKINGS] = string.format('%.0f', each[BOOKINGS] + 1) end
    if part then each[part] = bounded(each[part], amount) end
  end)
  local quarter = string.format('%.0f', at - at % {QUARTER_HOUR})
  local now = redis.call('HGET', QUARTERS, quarter)
  local parts = now and {{string.match(now, '(%S+) (%S+) (%S+) (%S+)')}} or {{'0', '0', '0', '0'}}
  parts[1] = bounded(parts[1], amount)
  if part then parts[part - 1] = bounded(parts[part - 1], amount) end
  redis.call('HSET', QUARTERS, quarter, table.concat(parts, ' '))
end

-- take a row off, with what it holds or has booked; return its moment, and whether it was booked
local function take(row)
  local amount, at, basis = string.match(row, '(%S+) (%S+) (%S+)')
  redis.call('HDEL', ROWS, id)
  if basis == 'reserved' then
    redis.call('ZREM', LEASES, id)
    hold(at, minus(amount))
  else
    book(at, minus(amount), basis, true)
  end
  return at, basis ~= 'reserved'
end

local age, before, due, usual = 0, nil, nil, 60000
if state[2] then
  local a, b, c, d = string.match(state[2], '(%S+) (%S+) (%S+) (%S+)')
  age, before, due, usual = tonumber(a), tonumber(b), tonumber(c), tonumber(d)
end
local ticked = false

-- advance the age, and book the leases that have ended as worst case
local function tick(lease)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  usual = lease or usual
  age = age + math.min(math.max(now - (before or now), 0), math.floor(usual / 10))
  before, ticked = now, true
  if not due or due > age then return 0 end
  local ended = redis.call('ZRANGEBYSCORE', LEASES, '-inf', age, 'LIMIT', 0, {AT_ONCE})
  for _, each in ipairs(ended) do
    redis.call('ZREM', LEASES, each)
    local amount, at = string.match(redis.call('HGET', ROWS, each) or '', '(%S+) (%S+) reserved')
    if amount then
      redis.call('HSET', ROWS, each, amount .. ' ' .. at .. ' worst_case')
      hold(at, minus(amount))
      book(at, amount, 'worst_case')
    end
  end
  due = tonumber(redis.call('ZRANGE', LEASES, 0, 0, 'WITHSCORES')[2])
  return #ended
end

local function end_at(ends)
  redis.call('ZADD', LEASES, ends, id)
  if not due or ends < due then due = ends end
end

local function store()
  local fields = {{}}
  if ticked then
    local ends = due and string.format('%.0f', due) or '-'
    fields = {{'head', string.format('%.0f %.0f %s %.0f', age, before, ends, usual)}}
  end
  for name, each in pairs(changed) do
    fields[#fields + 1] = 'w|' .. name
    fields[#fields + 1] = table.concat(each, ' ')
  end
  if #fields > 0 then redis.call('HSET', META, unpack(fields)) end
end

local function settled(number)
  local range = redis.call('ZRANGEBYSCORE', OWNER, number, '+inf', 'LIMIT', 0, 1)
  return range[1] and tonumber(range[1]) <= number
end

-- note that a number is settled; return whether it was not before
local function settle(number, at)
  local near = redis.call('ZRANGEBYSCORE', OWNER, number - 1, '+inf', 'WITHSCORES', 'LIMIT', 0, 2)
  local first, last, n = tostring(number), number, 1
  if #near == 0 and redis.call('EXISTS', OWNER) == 0 then redis.call('HSET', OWNERS, string.match(id, '^(.*):'), at) end
  if near[n] and tonumber(near[n + 1]) == number - 1 then first, n = near[n], 3 end
  if near[n] then
    local from = tonumber(near[n])
    if from <= number then return false end
    if from == number + 1 then
      last = near[n + 1]
      redis.call('ZREM', OWNER, near[n])
    end
  end
  redis.call('ZADD', OWNER, last, first)
  return true
end
"""

VERBS = {
    "reserve": """
local amount, limit, lease, at, number = given[3], given[4], tonumber(given[5]), given[6], tonumber(given[7])
local expired, known = 0, false
if due or amount ~= '0' then expired = tick(lease) end
if sums[LIMIT] ~= limit then
  sums[LIMIT] = limit
  changed[own] = sums
end
if amount ~= '0' then known = redis.call('HEXISTS', ROWS, id) == 1 end
local fits = limit == 'none' or less(sums[SPENT], limit)
fits = fits and (limit == 'none' or not less(limit, add(add(sums[SPENT], sums[RESERVED]), amount)))
if fits and amount ~= '0' and not known and not settled(number) then
  redis.call('HSET', ROWS, id, amount .. ' ' .. at .. ' reserved')
  end_at(age + lease)
  hold(at, amount)
end
store()
return {(fits or known) and 1 or 0, sums[SPENT], sums[RESERVED], expired, sums[GENERATION], sums[BOOKINGS]}
""",
    "renew": """
local amount, lease, at, number = given[3], tonumber(given[4]), given[5], tonumber(given[6])
if not settled(number) then
  tick(lease)
  local row = redis.call('HGET', ROWS, id)
  if row and string.match(row, ' reserved$') then
    end_at(age + lease)
  else
    if row then take(row) end
    redis.call('HSET', ROWS, id, amount .. ' ' .. at .. ' reserved')
    end_at(age + lease)
    hold(at, amount)
  end
  store()
end
return {}
""",
    "settle": """
local amount, basis, at, number = given[3], given[4], given[5], tonumber(given[6])
local first, booked = settle(number, at), false
if first then
  local row = redis.call('HGET', ROWS, id)
  if row then at, booked = take(row) end
  if amount ~= '0' then book(at, amount, basis, booked) end
end
store()
return {sums[SPENT], sums[GENERATION], sums[BOOKINGS], first and 1 or 0, booked and 1 or 0}
""",
    "defer": """
local amount, at = given[3], given[4]
local over = settled(0)
local first = not over and redis.call('HEXISTS', ROWS, id) == 0
if first then
  redis.call('HSET', ROWS, id, amount .. ' ' .. at .. ' pending')
  book(at, amount, 'pending')
end
store()
return {sums[SPENT], sums[GENERATION], sums[BOOKINGS], first and 1 or 0, 0, over and 1 or 0}
""",
    "balance": """
local expired = due and tick() or 0
store()
return {sums[SPENT], sums[RESERVED], sums[3], sums[4], sums[5], expired, sums[GENERATION], sums[BOOKINGS]}
""",
    "claim_alert": """
store()
return {redis.call('HSETNX', META, 'a|' .. own .. '|' .. sums[GENERATION] .. '|' .. ARGV[3], 1)}
""",
    "reset": """
local first, last = bounds(own)
local amount = sums[SPENT]
for n = 3, 5 do sums[n] = '0' end
sums[SPENT], sums[GENERATION] = '0', string.format('%.0f', sums[GENERATION] + 1)
sums[BOOKINGS] = '0'
changed[own] = sums
-- a window of other settings that is opened later does not bring it back, nor does a settle take it off
for _, quarter in ipairs(quarters_in(first, last)) do redis.call('HSET', QUARTERS, quarter[1], '0 0 0 0') end
for _, row in ipairs(rows_in(first, last)) do
  if row[4] == 'worst_case' then redis.call('HDEL', ROWS, row[1]) end
  if row[4] == 'pending' then redis.call('HSET', ROWS, row[1], '0 ' .. row[3] .. ' pending') end
end
redis.call('LPUSH', CORRECTIONS, '["reset",' .. ARGV[3] .. ',"' .. amount .. '"]')
store()
return {amount}
""",
    "release": """
local first, last = bounds(own)
local amount = sums[4]
for _, quarter in ipairs(quarters_in(first, last)) do
  local worst = string.match(quarter[2], '%S+ %S+ (%S+)')
  if worst ~= '0' then book(quarter[1], minus(worst), 'worst_case', true) end
end
-- what was booked in quarters of an hour that were pruned
sums[SPENT], sums[4], changed[own] = add(sums[SPENT], minus(sums[4])), '0', sums
for _, row in ipairs(rows_in(first, last)) do
  if row[4] == 'worst_case' then redis.call('HDEL', ROWS, row[1]) end
end
redis.call('LPUSH', CORRECTIONS, '["release",' .. ARGV[3] .. ',"' .. amount .. '"]')
store()
return {amount}
""",
}

PRUNE = f"""
local META, QUARTERS, ROWS, LEASES, OWNERS, CORRECTIONS = unpack(KEYS)
local old, pruned, still = tonumber(ARGV[1]), 0, ' '
for _, field in ipairs(redis.call('HKEYS', META)) do
  local kind, last = string.match(field, '^([wa])|%-?%d+:(%-?%d+)')
  if kind and tonumber(last) <= old then
    redis.call('HDEL', META, field)
    if kind == 'w' then pruned = pruned + 1 end
  end
end
for name in string.gmatch(redis.call('HGET', META, 'open') or '', '%S+') do
  if tonumber(string.match(name, ':(%-?%d+)')) > old then still = still .. name .. ' ' end
end
if redis.call('EXISTS', META) == 1 then redis.call('HSET', META, 'open', still) end
for _, field in ipairs(redis.call('HKEYS', QUARTERS)) do
  if tonumber(field) + {QUARTER_HOUR} <= old then redis.call('HDEL', QUARTERS, field) end
end
local rows = redis.call('HGETALL', ROWS)
for n = 1, #rows, 2 do
  local at, basis = string.match(rows[n + 1], '%S+ (%S+) (%S+)')
  if basis ~= 'reserved' and tonumber(at) < old then redis.call('HDEL', ROWS, rows[n]) end
end
local owners, base = redis.call('HGETALL', OWNERS), string.sub(META, 1, -5)
for n = 1, #owners, 2 do
  -- its first call is that old, and it has asked nothing for two days
  local key = base .. 'owner:' .. owners[n]
  local idle = redis.pcall('OBJECT', 'IDLETIME', key)
  if tonumber(owners[n + 1]) < old and (type(idle) ~= 'number' or idle > 172800) then
    redis.call('DEL', key)
    redis.call('HDEL', OWNERS, owners[n])
  end
end
for _, row in ipairs(redis.call('LRANGE', CORRECTIONS, 0, -1)) do
  if tonumber(string.match(row, '^%["%a+",%[(%-?%d+)')) < old then redis.call('LREM', CORRECTIONS, 0, row) end
end
return pruned
"""

DEFER = """
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

ADVANCE = """
local before = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0)
if tonumber(ARGV[2]) > before then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
return before
"""
