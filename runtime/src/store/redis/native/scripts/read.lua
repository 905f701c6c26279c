-- Reads head and log in one step: the entries that follow a place, each building on the one before.
--
-- KEYS: term, head, log.
-- ARGV: position, about how many bytes of records before compression; at least one entry comes.
-- Gives: term, head (field, value, and so on), bytes of the whole log before compression, gap or
--   whole, entries (stream id, fields and values).

local head, fields = redis.call('hgetall', KEYS[2]), {}
for i = 1, #head, 2 do
  fields[head[i]] = head[i + 1]
end
local at = fields.at or START
local bytes = number((tonumber(fields.sum) or 0) - (tonumber(fields.cut) or 0))
local answer = { redis.call('get', KEYS[1]) or '', head, bytes, 'whole', {} }
if at == ARGV[1] then
  return answer
end
local after, place, room = parse(ARGV[1]), ARGV[1], tonumber(ARGV[2])
local from, entries = '(' .. number(after.epoch) .. '-' .. number(after.sequence), answer[5]
local wanted, open = 1, true
while open do
  local page = redis.call('xrange', KEYS[3], from, '+', 'count', wanted)
  for _, entry in ipairs(page) do
    fields = {}
    for i = 1, #entry[2], 2 do
      fields[entry[2][i]] = entry[2][i + 1]
    end
    local size = tonumber(fields.size) or 0
    if fields.previous ~= place or (#entries > 0 and size > room) then
      open = false
      break
    end
    room = room - size
    place = entry[1] .. '-' .. (fields.id or '')
    entries[#entries + 1] = entry
  end
  open = open and #page == wanted
  from = #page > 0 and '(' .. page[#page][1]
  -- As many more as are likely to fit, so that little is read in vain.
  local mean = (tonumber(ARGV[2]) - room) / math.max(1, #entries)
  wanted = math.max(1, math.min(100, math.floor(room / math.max(1, mean))))
end
if #entries == 0 then
  answer[4] = 'gap'
end
return answer
