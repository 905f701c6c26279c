-- The fence that each write of a primary passes.

-- Says whether `term` may not write. The zero term never may: nobody was given it.
local function is_fenced(key, term)
  return string.sub(term, 1, 2) == '0-' or redis.call('get', key) ~= term
end

-- Lets the writes behind it pass on a full server. A server asks only at the first write of a
-- script whether there is room, and not at all of a command that takes none.
local function grow_even_if_full(key)
  redis.call('persist', key)
end
