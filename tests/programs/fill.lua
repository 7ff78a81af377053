-- Fills a redis server with strings, lists, hashes and sorted sets of all sizes, and deletes a third.
for i = 1, 20000 do
  redis.call('SET', 'string:' .. i, string.rep(tostring(i), i % 50 + 1))
  redis.call('RPUSH', 'list:' .. i % 100, i)
  redis.call('HSET', 'hash:' .. i % 200, 'field' .. i, string.rep('h', i % 300))
  redis.call('ZADD', 'zset:' .. i % 50, i * 7919 % 10007, 'member' .. i)
end
for i = 1, 20000, 3 do
  redis.call('DEL', 'string:' .. i)
end
for i = 2, 20000, 3 do
  redis.call('APPEND', 'string:' .. i, string.rep('tail', i % 100))
end
redis.call('SET', 'large', string.rep('x', 5000000))
return redis.call('DBSIZE')
