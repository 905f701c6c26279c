-- Notes that chunks of a snapshot will follow. Gives up what nobody will commit any more: sets of
-- earlier terms, and lower ones of this term.
--
-- KEYS: term, snapshots.
-- ARGV: term, position.
-- Gives: fenced; done; or again, if a set at this very place must be swept before; then the sets
--   that are gone and to be swept: position, count of chunks, and so on.

if is_fenced(KEYS[1], ARGV[1]) then
  return {'fenced'}
end
grow_even_if_full(KEYS[2])
local sets = all_sets(KEYS[2])
local gone = give_up_sets(KEYS[2], sets, function(at, set)
  return set.state == 'done' or (set.begun == ARGV[1] and not is_below(at, ARGV[2]))
end)
local own = sets[ARGV[2]]
if own and own.state == 'gone' then
  return {'again', gone}
end
if not own then
  write_set(KEYS[2], ARGV[2], { begun = ARGV[1], state = 'open', chunks = 0 })
end
return {'done', gone}
