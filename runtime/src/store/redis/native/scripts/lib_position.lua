-- Positions and terms as text.
--
-- A position is <epoch>-<sequence>-<term id>, a term <epoch>-<term id>: decimal numbers below 2^53
-- without leading zeros, and 32 lower-case hexadecimal digits. So equal things are equal texts.

local START = '0-0-00000000000000000000000000000000'

-- Writes a whole number. Plain `..` rounds from 10^14 on.
local function number(value)
  return string.format('%.0f', value)
end

local function parse(text)
  local epoch, sequence, id = string.match(text, '^(%d+)%-(%d+)%-(%x+)$')
  if not epoch then
    error('ZONESYNC bad data: a position')
  end
  return {
    epoch = tonumber(epoch), sequence = tonumber(sequence), id = id, term = epoch .. '-' .. id,
  }
end

local function epoch_of(term)
  return tonumber(string.match(term, '^(%d+)%-%x+$') or error('ZONESYNC bad data: a term'))
end

-- Orders by epoch, then sequence, then id.
local function is_below(a, b)
  a, b = parse(a), parse(b)
  if a.epoch ~= b.epoch then
    return a.epoch < b.epoch
  end
  if a.sequence ~= b.sequence then
    return a.sequence < b.sequence
  end
  return a.id < b.id
end

-- Compares where the head stands with where a write wants it: nil if it is there. A head at the
-- same epoch and sequence but of another reign is behind: what the write builds on is not there.
local function misplaced(head, wanted)
  if head == wanted then
    return nil
  end
  local h, w = parse(head), parse(wanted)
  if h.epoch < w.epoch or (h.epoch == w.epoch and h.sequence <= w.sequence) then
    return 'behind'
  end
  return 'ahead'
end
