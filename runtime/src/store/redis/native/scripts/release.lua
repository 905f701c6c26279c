-- Ends the lease of a term.
--
-- KEYS: lease, wake.
-- ARGV: term.

if redis.call('hget', KEYS[1], 'term') == ARGV[1] then
  redis.call('del', KEYS[1])
  wake(KEYS[2])
end
return {'done'}
