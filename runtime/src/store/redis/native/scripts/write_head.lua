-- Changes the head where it stands.
--
-- KEYS: term, head, wake.
-- ARGV: term, position; then what moves in the head.
-- Gives: done, fenced, behind, ahead; or denied and why.
--
-- Passes on a full server: the head replaces itself.

if is_fenced(KEYS[1], ARGV[1]) then
  return {'fenced'}
end
local at = redis.call('hget', KEYS[2], 'at')
if not at then
  return {'behind'}
end
local wrong = misplaced(at, ARGV[2])
if wrong then
  return {wrong}
end
local update = update_from(3)
if ends_elsewhere(update, at) then
  return {'denied', 'a list that ends elsewhere'}
end
grow_even_if_full(KEYS[2])
move_head(KEYS[2], at, update)
wake(KEYS[3])
return {'done'}
