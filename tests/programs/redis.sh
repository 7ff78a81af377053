# redis-server under redis-benchmark over a Unix socket, then its data and its dump verified.
# Debian's redis-server and redis-check-rdb are one binary that looks at its name; taking the latter,
# from redis-tools, spares the machine a redis service.
# Needs: /usr/bin/redis-check-rdb /usr/bin/redis-benchmark /usr/bin/redis-cli
# Programs: redis-server redis-benchmark redis-cli
ln -s /usr/bin/redis-check-rdb redis-server
server=

start() {
  ./redis-server --port 0 --unixsocket "$PWD/socket" --save '' --lazyfree-lazy-user-del yes \
    --lazyfree-lazy-user-flush yes >>server.log 2>&1 &
  server=$!
  until [ "$(cli ping 2>/dev/null)" = PONG ]; do
    kill -0 "$server" || { cat server.log >&2; exit 1; }
    sleep 0.1
  done
}

stop() {
  kill -TERM "$server"
  status=0
  wait "$server" || status=$?
  server=
  echo "server ended with status $status"
}

cli() { /usr/bin/redis-cli -s "$PWD/socket" "$@"; }
verify() { cli eval "$(cat "$CASES/verify.lua")" 0; }
trap '[ -z "$server" ] || kill -KILL "$server"' EXIT

start
/usr/bin/redis-benchmark -s "$PWD/socket" -n 40000 -c 20 -P 8 -d 100 -r 20000 -q \
  -t set,get,incr,lpush,rpush,lpop,sadd,hset,spop,zadd,lrange_100,mset >benchmark.log
if grep -i error benchmark.log >&2; then exit 1; fi
[ "$(cli dbsize)" -gt 10000 ]
cli flushall

/usr/bin/redis-benchmark -s "$PWD/socket" -n 20000 -c 10 -d 200 -q -t incr,lpush >>benchmark.log
cli get counter:__rand_int__
cli llen mylist

cli eval "$(cat "$CASES/fill.lua")" 0
verify
cli bgsave >bgsave.log
until cli info persistence | grep -q 'rdb_bgsave_in_progress:0'; do sleep 0.1; done
cli info persistence | grep rdb_last_bgsave_status
/usr/bin/redis-check-rdb dump.rdb | grep -o 'RDB looks OK'
stop

start
cli dbsize
verify
cli info server | grep redis_mode
stop
