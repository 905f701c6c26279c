-- What the nodes last said of themselves: a hash of instance -> <time> <reading> <record>. The time
-- is the server's in milliseconds, <reading> the position of a snapshot or `-`, the record opaque.
-- The field `ttl` holds the TTL that was named last, in milliseconds.

local REPORTS_MAX = 10000
local TTL_DEFAULT = 3000

local function now()
  local time = redis.call('time')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Keeps `report`, <reading> <record>, as the newest of `instance`.
local function add_report(key, moment, instance, report)
  redis.call('hset', key, instance, number(moment) .. ' ' .. report)
end

-- Gives instance, reading and record of each live report, one after the other, and the instances
-- that have been silent for twice the TTL, or longest of too many.
local function list_reports(key, moment)
  local all = redis.call('hgetall', key)
  local ttl, live, dead = TTL_DEFAULT, {}, {}
  for i = 1, #all, 2 do
    if all[i] == 'ttl' then
      ttl = tonumber(all[i + 1]) or TTL_DEFAULT
    end
  end
  local oldest, oldest_at = nil, nil
  for i = 1, #all, 2 do
    if all[i] ~= 'ttl' then
      local time, reading, at = string.match(all[i + 1], '^(%d+) (%S+) ()')
      time = tonumber(time)
      if not time or time + 2 * ttl <= moment then
        dead[#dead + 1] = all[i]
      else
        live[#live + 1] = all[i]
        live[#live + 1] = reading
        live[#live + 1] = string.sub(all[i + 1], at)
        if not oldest_at or time < oldest_at then
          oldest, oldest_at = all[i], time
        end
      end
    end
  end
  if #live / 3 > REPORTS_MAX then
    dead[#dead + 1] = oldest
  end
  return live, dead
end

local function sweep_reports(key, dead)
  for _, instance in ipairs(dead) do
    redis.call('hdel', key, instance)
  end
end
