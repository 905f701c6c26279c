-- Compares head and lease with what a node saw.
--
-- KEYS: lease, head, wake.
-- ARGV: head position, term of the lease or nothing.
-- Gives: moved or still, and the id of the newest wake.

local head = redis.call('hget', KEYS[2], 'at') or START
local lease = redis.call('hget', KEYS[1], 'term')
-- A lease that ran out counts, too: whoever saw it looks again, and then waits beside none.
local moved = head ~= ARGV[1] or (lease or '') ~= ARGV[2]
return { moved and 'moved' or 'still', newest_wake(KEYS[3]) }
