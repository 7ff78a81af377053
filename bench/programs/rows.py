"""The rows for real programs, in the order in which they are shown."""

import git_repack
import gxx_templates
import interpreters
import memcached_server
import redis_server
import sqlite_reports
import xz_text

MODULES = (redis_server, memcached_server, sqlite_reports, interpreters, gxx_templates, git_repack, xz_text)
rows = [row for module in MODULES for row in module.rows]
