"""The rows for real programs, in the order in which they are shown."""

import memcached
import redis

rows = [*redis.rows, *memcached.rows]
