"""The rows for real programs, in the order in which they are shown."""

import git
import gxx
import interpreters
import memcached
import redis
import sqlite
import xz

rows = [*redis.rows, *memcached.rows, *sqlite.rows, *interpreters.rows, *gxx.rows, *git.rows, *xz.rows]
