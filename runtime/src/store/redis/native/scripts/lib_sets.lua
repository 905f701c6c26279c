-- Chunk sets: a hash. <position> -> <term that began it> <state> <chunks> tells of a set; its state
-- is `open`, `done` (a head has named it: it never changes) or `gone` (its chunks are being swept);
-- <chunks> is one above the highest number put. <position>/<number> -> <bytes> <mark> tells of a
-- chunk, <mark> being a hash of what it holds.

-- What a chunk or an entry is reckoned to take beside its bytes.
local RECORD_BYTES = 128

local function read_set(text)
  local begun, state, chunks = string.match(text, '^(%S+) (%S+) (%d+)$')
  if not begun then
    error('ZONESYNC bad data: a chunk set')
  end
  return { begun = begun, state = state, chunks = tonumber(chunks) }
end

local function write_set(key, position, set)
  redis.call('hset', key, position, set.begun .. ' ' .. set.state .. ' ' .. number(set.chunks))
end

-- Gives the set at `position`, if it is there and not gone.
local function find_set(key, position)
  local text = redis.call('hget', key, position)
  local set = text and read_set(text)
  return set and set.state ~= 'gone' and set or nil
end

-- Says whether `term` may take the set as its own: it began it, or some head vouched for it.
local function belongs_to(set, term)
  return set.state == 'done' or set.begun == term
end

-- Gives all sets by position, with the bytes of their chunks.
local function all_sets(key)
  local all, sets, bytes = redis.call('hgetall', key), {}, {}
  for i = 1, #all, 2 do
    local position = string.match(all[i], '^(.*)/%d+$')
    if position then
      local size = tonumber(string.match(all[i + 1], '^(%d+)')) or 0
      bytes[position] = (bytes[position] or 0) + size + RECORD_BYTES
    else
      sets[all[i]] = read_set(all[i + 1])
    end
  end
  for position, set in pairs(sets) do
    set.bytes = bytes[position] or 0
  end
  return sets
end

-- Marks the sets that `keep` does not want as gone, and lists these and all that were: <position>
-- and count of chunks, one after the other.
local function give_up_sets(key, sets, keep)
  local gone = {}
  for position, set in pairs(sets) do
    if set.state ~= 'gone' and not keep(position, set) then
      set.state = 'gone'
      write_set(key, position, set)
    end
    if set.state == 'gone' then
      gone[#gone + 1] = position
      gone[#gone + 1] = number(set.chunks)
    end
  end
  return gone
end
