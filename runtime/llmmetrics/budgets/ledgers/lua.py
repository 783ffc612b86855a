"""The Redis ledger's scripts of a call. Each runs whole or not at all, and asks the server as little as can be.

Amounts are text: Lua's numbers are exact below 2^53 alone. The keys of one limit are in one slot of a cluster.

- `meta`, a hash: `schema`; `head`, which is the limit's age, the server's time at which it was advanced, when the next
  lease may end, and a lease; `w|`, the sums of each open window, and `open`, the names of these; `p|`, the windows that
  are not open any more; `q|`, what each quarter of an hour has spent, by basis; `o|`, an owner's settled numbers: all
  below the first; `a|`, alerts that were claimed.
- `reservations`, a hash: amount, moment and state of each call that is not settled; `leases`, a sorted set: their ends.
- `owner:…`, a sorted set: the numbers of an owner that were settled out of order, as ranges: first as member, last as
  score. `corrections`, a list.

Leases end by the limit's age, in milliseconds. It grows by what the server's clock has advanced since the last
question, at most by a tenth of a lease: a clock that jumps, or another server's, ends none too early.

A script answers `{OPEN}` where its window is not open: `lua_windows.OPEN_WINDOW` opens it, and upgrades an older form.
"""

from __future__ import annotations

from llmmetrics.budgets.ledgers.lua_parts import ASKED, LEASES, PRELUDE, SETTLED, SETTLING, SUMS, TAKE

KEYS = ("meta", "reservations", "leases")
"""After these comes the key of what an owner has settled out of order."""

NEWER = "LLMMETRICS_NEWER"

_USUAL = """
-- one window is open, and its sums are exact as numbers
local spent, held, parts, bookings, generation, bound
if state[3] == own and inside == '1' then
  spent, held, parts, bookings, generation, bound = match(state[4], '^(%S+) (%S+) (%S+ %S+ %S+) (%S+) (%S+) (%S+)$')
end
local EXACT = 9e15
"""
"""The rest of a script does the same as the usual way in front of it, for whatever there is, and takes thrice as long:
Lua makes its functions at each call."""

_USUAL_RESERVE = f"""
{_USUAL}
local amount, limit, lease, at = match(about, '(%S+) (%S+) (%S+) (%S+)')
if spent and bound == limit then
  local age, before, due = 0, nil, nil
  if state[2] then
    local a, b, c = match(state[2], '(%S+) (%S+) (%S+)')
    age, before, due = tonumber(a), tonumber(b), tonumber(c)
  end
  local all, most = spent + held + amount, tonumber(limit) or EXACT
  if amount == '0' and not due and all < EXACT then
    local fits = limit == 'none' or (tonumber(spent) < most and all <= most)
    return (fits and '1 ' or '0 ') .. spent .. ' ' .. held .. ' 0 ' .. generation .. ' ' .. bookings
  end
  local settled, low, above = false, 0, 0
  if state[5] then
    local a, b = match(state[5], '(%S+) (%S+)')
    low, above = tonumber(a), b
    settled = tonumber(number) < low
    if not settled and above ~= '0' then
      local range = call('ZRANGEBYSCORE', OWNER, number, '+inf', 'LIMIT', 0, 1)
      settled = range[1] and tonumber(range[1]) <= tonumber(number)
    end
  end
  if before and amount ~= '0' and all < EXACT and all <= most and not settled then
    local time = call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    age = age + math.min(math.max(now - before, 0), math.floor(lease / 10))
    if (not due or due > age) and call('HSETNX', ROWS, id, amount .. ' ' .. at .. ' reserved') == 1 then
      local ends = age + lease
      call('ZADD', LEASES, ends, id)
      if not due or ends < due then due = ends end
      held = format('%d', held + amount)
      call('HSET', META, 'head', format('%d %d %d %s', age, now, due, lease), 'w|' .. own,
        spent .. ' ' .. held .. ' ' .. parts .. ' ' .. bookings .. ' ' .. generation .. ' ' .. bound)
      return '1 ' .. spent .. ' ' .. held .. ' 0 ' .. generation .. ' ' .. bookings
    end
  end
end
"""

RESERVE = f"""
{ASKED}{_USUAL_RESERVE}{SUMS}{LEASES}{SETTLED}
local expired, known = 0, false
lease, number = tonumber(lease), tonumber(number)
if due or amount ~= '0' then expired = tick(lease) end
if sums[8] ~= limit then
  sums[8] = limit
  changed[own] = sums
end
local fits = limit == 'none' or less(sums[1], limit)
fits = fits and (limit == 'none' or not less(limit, add(add(sums[1], sums[2]), amount)))
if amount ~= '0' then
  if fits and not settled(number) then
    known = call('HSETNX', ROWS, id, amount .. ' ' .. at .. ' reserved') == 0
    if not known then
      end_at(age + lease)
      hold(at, amount)
    end
  elseif not fits then
    known = call('HEXISTS', ROWS, id) == 1
  end
end
head()
store()
return table.concat({{(fits or known) and 1 or 0, sums[1], sums[2], expired, sums[7], sums[6]}}, ' ')
"""

RENEW = f"""
{PRELUDE}{LEASES}{SETTLED}{TAKE}
local amount, lease, at = match(about, '(%S+) (%S+) (%S+)')
lease = tonumber(lease)
if not settled(tonumber(number)) then
  tick(lease)
  local row = call('HGET', ROWS, id)
  if not row or not match(row, ' reserved$') then
    if row then take(row) end
    call('HSET', ROWS, id, amount .. ' ' .. at .. ' reserved')
    hold(at, amount)
  end
  end_at(age + lease)
  head()
  store()
end
return table.concat({{1}}, ' ')
"""

SETTLE = f"""
{ASKED}{_USUAL}{SETTLED}{SETTLING}
local amount, basis, at = match(about, '(%S+) (%S+) (%S+)')
local first, row, taken = settle(tonumber(number), at), nil, '0'
if first then
  row = call('HGET', ROWS, id)
  if row then taken = match(row, '^(%S+) ' .. at .. ' reserved$') end
end
if first and spent and taken and basis == 'known' and tonumber(held) < EXACT then
  local of_quarter, rest = match(state[6] or '0 0 0 0', '^(%S+) (.*)$')
  if spent + amount < EXACT and of_quarter + amount < EXACT then
    if row then
      call('HDEL', ROWS, id)
      call('ZREM', LEASES, id)
      held = format('%d', math.max(held - taken, 0))
    end
    if amount ~= '0' then
      spent, bookings = format('%d', spent + amount), format('%d', bookings + 1)
      fields[#fields + 1] = 'q|' .. quarter
      fields[#fields + 1] = format('%d ', of_quarter + amount) .. rest
    end
    call('HSET', META, 'w|' .. own,
      spent .. ' ' .. held .. ' ' .. parts .. ' ' .. bookings .. ' ' .. generation .. ' ' .. bound, unpack(fields))
    return spent .. ' ' .. generation .. ' ' .. bookings .. ' 1 0'
  end
end
{SUMS}{TAKE}
local booked = false
if first then
  if row then at, booked = take(row) end
  if amount ~= '0' then book(at, amount, basis, booked) end
  store()
end
return table.concat({{sums[1], sums[7], sums[6], first and 1 or 0, booked and 1 or 0}}, ' ')
"""

DEFER = f"""
{PRELUDE}{SETTLED}
local amount, at = match(about, '(%S+) (%S+)')
local over = settled(0)
local first = not over and call('HEXISTS', ROWS, id) == 0
if first then
  call('HSET', ROWS, id, amount .. ' ' .. at .. ' pending')
  book(at, amount, 'pending')
  store()
end
return table.concat({{sums[1], sums[7], sums[6], first and 1 or 0, 0, over and 1 or 0}}, ' ')
"""

BALANCE = f"""
{PRELUDE}{LEASES}
local expired = due and tick() or 0
head()
store()
return table.concat({{sums[1], sums[2], sums[3], sums[4], sums[5], expired, sums[7], sums[6]}}, ' ')
"""

CLAIM_ALERT = f"""
{PRELUDE}
return table.concat({{call('HSETNX', META, 'a|' .. own .. '|' .. sums[7] .. '|' .. about, 1)}}, ' ')
"""
