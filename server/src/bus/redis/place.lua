#!lua name=livehelp_1
-- Gives a message the place after the last one and says so, in one step.
-- KEYS: the conversation's counter, its channel. ARGS: the caller's last known place, milliseconds for which the
-- counter outlives its last use, the sealed message.
local function place(keys, args)
  local last = tonumber(redis.call('GET', keys[1]) or '0')
  local floor = tonumber(args[1])
  if floor > last then
    last = floor
  end
  local seq = string.format('%.0f', last + 1)
  redis.call('SET', keys[1], seq, 'PX', args[2])
  redis.call('PUBLISH', keys[2], seq .. ' ' .. args[3])
  return tonumber(seq)
end

redis.register_function('livehelp_place_1', place)
