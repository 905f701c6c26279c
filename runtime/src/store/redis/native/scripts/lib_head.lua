-- The head: a hash. Lists of terms and claims are texts that scripts change, see `list` and
-- `claims`; the other fields are the client's, put as they come.

local LIST_MAX = 16
local CLAIMS_MAX = 64

local function words(text)
  local all = {}
  for word in string.gmatch(text or '', '%S+') do
    all[#all + 1] = word
  end
  return all
end

-- A list of terms is positions, oldest first: each a term with the last sequence it reached.
local function advance(list, position)
  local all, term = words(list), parse(position).term
  if #all > 0 and parse(all[#all]).term == term then
    all[#all] = position
  else
    if #all >= LIST_MAX then
      table.remove(all, 1)
    end
    all[#all + 1] = position
  end
  return table.concat(all, ' ')
end

-- Says whether `reached` is of the same term as `position` and not below it.
local function speaks_for(reached, position)
  reached, position = parse(reached), parse(position)
  return reached.term == position.term and position.sequence <= reached.sequence
end

local function covers(list, position)
  if position == START then
    return true
  end
  for _, reign in ipairs(words(list)) do
    if speaks_for(reign, position) then
      return true
    end
  end
  return false
end

-- Claims are positions, oldest first, each with `o` before it while open or `s` once settled.
local function claims_contain(claims, position)
  for _, claim in ipairs(words(claims)) do
    if speaks_for(string.sub(claim, 2), position) then
      return true
    end
  end
  return false
end

-- Adds an open claim that none of `claims` speaks for. Gives nil if all places are taken by open
-- ones.
local function add_claim(claims, position)
  local all, wanted = words(claims), parse(position)
  for i, claim in ipairs(all) do
    local old = parse(string.sub(claim, 2))
    if string.sub(claim, 1, 1) == 'o' and old.term == wanted.term then
      all[i] = 'o' .. position
      return table.concat(all, ' ')
    end
  end
  if #all >= CLAIMS_MAX then
    local settled = nil
    for i, claim in ipairs(all) do
      if string.sub(claim, 1, 1) == 's' then
        settled = i
        break
      end
    end
    if not settled then
      return nil
    end
    table.remove(all, settled)
  end
  all[#all + 1] = 'o' .. position
  return table.concat(all, ' ')
end

-- Settles the claims in `known` and drops those that `list` covers.
local function judge_claims(claims, known, list)
  local settled, left = {}, {}
  for _, position in ipairs(words(known)) do
    settled[position] = true
  end
  for _, claim in ipairs(words(claims)) do
    local position = string.sub(claim, 2)
    if not covers(list, position) then
      left[#left + 1] = settled[position] and 's' .. position or claim
    end
  end
  return table.concat(left, ' ')
end

-- Gives the positions of the open claims.
local function open_claims(claims)
  local open = {}
  for _, claim in ipairs(words(claims)) do
    if string.sub(claim, 1, 1) == 'o' then
      open[#open + 1] = string.sub(claim, 2)
    end
  end
  return open
end

-- Reads the arguments from `first` on as what moves in the head with a write: the list that takes
-- the place of the head's, or nothing; settled claims; incarnation and format for a head that is
-- made; then fields and values.
local function update_from(first)
  local fields = {}
  for i = first + 4, #ARGV do
    fields[#fields + 1] = ARGV[i]
  end
  return {
    list = ARGV[first], settled = ARGV[first + 1], incarnation = ARGV[first + 2],
    format = ARGV[first + 3], fields = fields,
  }
end

-- Says whether the update has a list that ends elsewhere than at `position`.
local function ends_elsewhere(update, position)
  local list = words(update.list)
  return #list > 0 and list[#list] ~= position
end

-- Drops a log whose head was lost: nobody can say what it leads to.
local function forget_log(key, log)
  if redis.call('exists', log) == 1 then
    redis.call('del', log)
    redis.call('hdel', key, 'sum', 'cut')
  end
end

-- Moves the head to `position`, which may be where it stands, and all that goes with it. Makes the
-- head if there is none: the claims made before are its first.
local function move_head(key, position, update)
  local old = redis.call('hmget', key, 'at', 'list', 'claims')
  local fields = update.fields
  local function put(field, value)
    fields[#fields + 1] = field
    fields[#fields + 1] = value
  end
  local list = update.list
  if list == '' then
    list = advance(old[2] or '', position)
  end
  if not old[1] then
    put('incarnation', update.incarnation)
    put('format', update.format)
  end
  put('at', position)
  put('list', list)
  put('claims', judge_claims(old[3] or '', update.settled, list))
  redis.call('hset', key, unpack(fields))
end
