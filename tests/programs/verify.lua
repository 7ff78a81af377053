-- One digest over everything that fill.lua left in the server.
local digest = ''
local function add(text)
  digest = redis.sha1hex(digest .. text)
end
for i = 1, 20000 do
  add(redis.call('GET', 'string:' .. i) or 'none')
end
for i = 0, 199 do
  add(table.concat(redis.call('LRANGE', 'list:' .. i, 0, -1), ','))
  local pairs_of = redis.call('HGETALL', 'hash:' .. i)
  table.sort(pairs_of)
  add(table.concat(pairs_of, ','))
  add(table.concat(redis.call('ZRANGE', 'zset:' .. i, 0, -1, 'WITHSCORES'), ','))
end
add(redis.call('GET', 'large'))
return digest
