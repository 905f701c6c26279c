-- Ends every wait.
local function wake(key)
  redis.call('xadd', key, 'maxlen', '1', '*', 'moved', '1')
end

-- Gives the id of the newest call of `wake`.
local function newest_wake(key)
  local entry = redis.call('xrevrange', key, '+', '-', 'count', '1')[1]
  return entry and entry[1] or '0-0'
end
