-- Prolongs the lease of a term.
--
-- KEYS: lease, term, head, nodes.
-- ARGV: term, acknowledged position, TTL in milliseconds, instance, report.
-- Gives: fenced; behind; or done, open claims, live reports.

if redis.call('hget', KEYS[1], 'term') ~= ARGV[1] or is_fenced(KEYS[2], ARGV[1]) then
  return {'fenced'}
end
local head = redis.call('hmget', KEYS[3], 'at', 'claims')
if misplaced(head[1] or START, ARGV[2]) == 'behind' then
  return {'behind'}
end
-- The first write takes no room, so that a full server lets all of them pass.
redis.call('pexpire', KEYS[1], ARGV[3])
local moment = now()
redis.call('hset', KEYS[1], 'stamp', number(moment + tonumber(ARGV[3])))
redis.call('hset', KEYS[4], 'ttl', ARGV[3])
add_report(KEYS[4], moment, ARGV[4], ARGV[5])
local live, dead = list_reports(KEYS[4], moment)
sweep_reports(KEYS[4], dead)
return {'done', open_claims(head[2]), live}
