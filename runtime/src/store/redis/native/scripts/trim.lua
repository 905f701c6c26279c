-- Drops what the newest snapshot replaces: the log up to it, and all other sets. Spared are the
-- snapshots that live readers read with the log after them, the slowest reader given up first while
-- they take more than a bound, and a newer set that is under way in this term.
--
-- KEYS: term, head, log, nodes, snapshots.
-- ARGV: term, most bytes to spare.
-- Gives: fenced; or done and the sets that are gone and to be swept.

if is_fenced(KEYS[1], ARGV[1]) then
  return {'fenced'}
end
local head = redis.call('hmget', KEYS[2], 'snapshot', 'cut')
local newest = head[1] and string.match(head[1], '^%S+')
if not newest then
  return {'done', {}}
end
local cut = tonumber(head[2] or '0')
local sets = all_sets(KEYS[5])

-- Gives the bytes of all log up to `position`, what was dropped before included.
local function sum_at(position)
  local at = parse(position)
  local id = number(at.epoch) .. '-' .. number(at.sequence)
  local entry = redis.call('xrevrange', KEYS[3], id, '-', 'count', '1')[1]
  for i = 1, entry and #entry[2] or 0, 2 do
    if entry[2][i] == 'sum' then
      return tonumber(entry[2][i + 1])
    end
  end
  return cut
end

local spared, known = {}, {}
local live = list_reports(KEYS[4], now())
for i = 2, #live, 3 do
  local set = sets[live[i]]
  if set and set.state == 'done' and live[i] ~= newest and not known[live[i]] then
    known[live[i]] = true
    spared[#spared + 1] = live[i]
  end
end
table.sort(spared, is_below)
while #spared > 0 do
  local bytes = math.max(0, sum_at(newest) - sum_at(spared[1]))
  for _, position in ipairs(spared) do
    bytes = bytes + sets[position].bytes
  end
  if bytes <= tonumber(ARGV[2]) then
    break
  end
  known[table.remove(spared, 1)] = nil
end

local floor = spared[1] or newest
local sum, place = sum_at(floor), parse(floor)
redis.call('xtrim', KEYS[3], 'minid', number(place.epoch) .. '-' .. number(place.sequence + 1))
redis.call('hset', KEYS[2], 'cut', number(sum))
local gone = give_up_sets(KEYS[5], sets, function(at, set)
  local under_way = set.state == 'open' and set.begun == ARGV[1] and is_below(newest, at)
  return at == newest or under_way or known[at]
end)
return {'done', gone}
