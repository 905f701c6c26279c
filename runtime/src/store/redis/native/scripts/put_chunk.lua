-- Stores one chunk of a set.
--
-- KEYS: term, snapshots, the chunk.
-- ARGV: term, position, number, mark, bytes.
-- Gives: done, fenced, behind, ahead.
--
-- The chunk is the first write, so a full server refuses the whole.

if is_fenced(KEYS[1], ARGV[1]) then
  return {'fenced'}
end
local set = find_set(KEYS[2], ARGV[2])
if not set then
  return {'behind'}
end
local place = ARGV[2] .. '/' .. ARGV[3]
local old = redis.call('hget', KEYS[2], place)
if old and belongs_to(set, ARGV[1]) and string.match(old, '%S+$') == ARGV[4]
  and redis.call('exists', KEYS[3]) == 1
then
  return {'done'}
end
if set.state == 'done' then
  return {'ahead'}
end
if not belongs_to(set, ARGV[1]) then
  return {'behind'}
end
redis.call('set', KEYS[3], ARGV[5])
redis.call('hset', KEYS[2], place, number(#ARGV[5]) .. ' ' .. ARGV[4])
if tonumber(ARGV[3]) >= set.chunks then
  set.chunks = tonumber(ARGV[3]) + 1
  write_set(KEYS[2], ARGV[2], set)
end
return {'done'}
