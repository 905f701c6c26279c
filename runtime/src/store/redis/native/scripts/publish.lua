-- Appends one batch to the log and moves the head to it.
--
-- KEYS: term, head, log, wake.
-- ARGV: term, position, previous position, fingerprint before, fingerprint after, bytes of the record
--   before compression, record as stored; then what moves in the head.
-- Gives: done, fenced, behind, ahead; or denied and why.
--
-- The entry is the first write, so a full server refuses the whole.

if is_fenced(KEYS[1], ARGV[1]) then
  return {'fenced'}
end
local head = redis.call('hmget', KEYS[2], 'at', 'published', 'sum')
local at = head[1] or START
if at == ARGV[2] and head[2] == ARGV[5] then
  return {'done'}
end
local wrong = misplaced(at, ARGV[3])
if wrong then
  return {wrong}
end
local position, update = parse(ARGV[2]), update_from(8)
if position.term ~= ARGV[1] or position.sequence <= parse(ARGV[3]).sequence then
  return {'denied', 'a batch at a position that its term cannot reach'}
end
if ends_elsewhere(update, ARGV[2]) then
  return {'denied', 'a list that ends elsewhere'}
end
if not head[1] then
  forget_log(KEYS[2], KEYS[3])
end
local sum = number((head[1] and tonumber(head[3]) or 0) + tonumber(ARGV[6]))
redis.call(
  'xadd', KEYS[3], number(position.epoch) .. '-' .. number(position.sequence), 'id', position.id,
  'previous', ARGV[3], 'before', ARGV[4], 'after', ARGV[5], 'size', ARGV[6], 'sum', sum,
  'record', ARGV[7]
)
move_head(KEYS[2], ARGV[2], update)
redis.call('hset', KEYS[2], 'published', ARGV[5], 'sum', sum)
wake(KEYS[4])
return {'done'}
