-- Makes a snapshot the head's.
--
-- KEYS: term, head, snapshots, wake, log.
-- ARGV: term, the snapshot as the head names it (position first), its position, count of chunks,
--   where the head is to be moved from or nothing; then what moves in the head.
-- Gives: done, fenced, behind, ahead; or denied and why.
--
-- Passes on a full server: a trim can make room only once a snapshot stands.

if is_fenced(KEYS[1], ARGV[1]) then
  return {'fenced'}
end
local head = redis.call('hmget', KEYS[2], 'at', 'snapshot')
local at, named = head[1] or START, head[2]
if named == ARGV[2] then
  return {'done'}
end
local position, from = ARGV[3], ARGV[5]
if misplaced(at, from == '' and position or from) == 'behind' then
  return {'behind'}
end
if (from ~= '' and at ~= from) or (named and not is_below(string.match(named, '^%S+'), position)) then
  return {'ahead'}
end
local set = find_set(KEYS[3], position)
if not set or not belongs_to(set, ARGV[1]) or set.chunks < tonumber(ARGV[4]) then
  return {'behind'}
end
for n = 0, tonumber(ARGV[4]) - 1 do
  if redis.call('hexists', KEYS[3], position .. '/' .. number(n)) == 0 then
    return {'behind'}
  end
end
local target = from == '' and at or position
local place, update = parse(target), update_from(6)
if from ~= '' and (place.term ~= ARGV[1] or place.sequence <= parse(from).sequence) then
  return {'denied', 'a snapshot at a position that its term cannot reach'}
end
if ends_elsewhere(update, target) then
  return {'denied', 'a list that ends elsewhere'}
end
grow_even_if_full(KEYS[2])
if not head[1] then
  forget_log(KEYS[2], KEYS[5])
end
set.state = 'done'
write_set(KEYS[3], position, set)
move_head(KEYS[2], target, update)
redis.call('hset', KEYS[2], 'snapshot', ARGV[2])
if from ~= '' then
  redis.call('hdel', KEYS[2], 'published')
end
wake(KEYS[4])
return {'done'}
