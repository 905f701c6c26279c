-- Gives the lease with a new term.
--
-- KEYS: lease, term, nodes, wake.
-- ARGV: node, instance, term id, highest epoch known, stamp that stood still or nothing, TTL in
--   milliseconds, furthest jump of an epoch.
-- Gives: granted and the term; held; stale and the newest epoch; far and the newest epoch.
--
-- Passes on a full server: a zone must find a primary to make room.

local lease = redis.call('hmget', KEYS[1], 'instance', 'term', 'stamp')
local stored = redis.call('get', KEYS[2])
local epoch, known = stored and epoch_of(stored) or 0, tonumber(ARGV[4])
if lease[2] then
  local own = lease[1] == ARGV[2]
  if own and string.match(lease[2], '%x+$') == ARGV[3] then
    return {'granted', lease[2]}
  end
  if not own and lease[3] ~= ARGV[5] then
    return {'held'}
  end
end
if epoch > known then
  return {'stale', number(epoch)}
end
if known > epoch + tonumber(ARGV[7]) or known >= 9007199254740991 then
  return {'far', number(epoch)}
end
local term, ttl = number(known + 1) .. '-' .. ARGV[3], tonumber(ARGV[6])
redis.call('del', KEYS[1])
redis.call(
  'hset', KEYS[1], 'node', ARGV[1], 'instance', ARGV[2], 'term', term, 'stamp', number(now() + ttl)
)
redis.call('pexpire', KEYS[1], ARGV[6])
redis.call('set', KEYS[2], term)
redis.call('hset', KEYS[3], 'ttl', ARGV[6])
wake(KEYS[4])
return {'granted', term}
