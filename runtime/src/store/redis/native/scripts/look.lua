-- Shows lease, newest term, head position and live reports.
--
-- KEYS: lease, term, head, nodes, wake.
-- ARGV: nothing; or instance and report, to be kept as its newest.
-- Gives: lease (node, instance, term, stamp, milliseconds left; empty if none stands), term, head
--   position, id of the newest wake, live reports (instance, reading, record, and so on).

local moment = now()
if ARGV[1] then
  grow_even_if_full(KEYS[4])
  add_report(KEYS[4], moment, ARGV[1], ARGV[2])
end
local live, dead = list_reports(KEYS[4], moment)
if ARGV[1] then
  sweep_reports(KEYS[4], dead)
end
local lease = redis.call('hmget', KEYS[1], 'node', 'instance', 'term', 'stamp')
if lease[3] then
  lease[5] = number(redis.call('pttl', KEYS[1]))
else
  lease = {}
end
return {
  lease, redis.call('get', KEYS[2]) or '', redis.call('hget', KEYS[3], 'at') or '',
  newest_wake(KEYS[5]), live,
}
