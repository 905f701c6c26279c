-- Takes in what a node has seen.
--
-- KEYS: term, head, wake.
-- ARGV: highest epoch seen, position or nothing, a term id that nobody holds, furthest jump of an
--   epoch.
-- Gives: done and the newest epoch; far.
--
-- Passes on a full server, as acquire does.

local stored = redis.call('get', KEYS[1])
local epoch, seen = stored and epoch_of(stored) or 0, tonumber(ARGV[1])
local head = redis.call('hmget', KEYS[2], 'list', 'claims')
local lost, named, behind = false, seen, epoch < seen
if ARGV[2] ~= '' and not covers(head[1], ARGV[2]) and not claims_contain(head[2], ARGV[2]) then
  lost = parse(ARGV[2])
  named = math.max(seen, lost.epoch)
  behind = behind or epoch <= lost.epoch
end
if named > epoch + tonumber(ARGV[4]) or named >= 9007199254740991 then
  return {'far'}
end
local claims = lost and add_claim(head[2], ARGV[2])
if behind or claims then
  grow_even_if_full(KEYS[2])
  if behind then
    epoch = math.max(epoch, named) + 1
    redis.call('set', KEYS[1], number(epoch) .. '-' .. ARGV[3])
  end
  if claims then
    redis.call('hset', KEYS[2], 'claims', claims)
  end
  wake(KEYS[3])
end
return {'done', number(epoch)}
