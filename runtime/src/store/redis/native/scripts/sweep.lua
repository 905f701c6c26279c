-- Drops chunks of a set that is gone, and with the last of them the set.
--
-- KEYS: term, snapshots, chunks.
-- ARGV: term, position, number of the first chunk among KEYS, `last` if these are the last.
-- Gives: done, fenced.

if is_fenced(KEYS[1], ARGV[1]) then
  return {'fenced'}
end
local set = redis.call('hget', KEYS[2], ARGV[2])
if set and read_set(set).state == 'gone' then
  for i = 3, #KEYS do
    redis.call('unlink', KEYS[i])
    redis.call('hdel', KEYS[2], ARGV[2] .. '/' .. number(tonumber(ARGV[3]) + i - 3))
  end
  if ARGV[4] == 'last' then
    redis.call('hdel', KEYS[2], ARGV[2])
  end
end
return {'done'}
