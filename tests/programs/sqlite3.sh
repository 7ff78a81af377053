# sqlite3: some 100,000 rows in memory and in a file; index, joins, windows, vacuum.
# Needs: /usr/bin/sqlite3
# Programs: sqlite3
/usr/bin/sqlite3 -batch :memory: <"$CASES/workload.sql"
/usr/bin/sqlite3 -batch file.db <"$CASES/workload.sql"
/usr/bin/sqlite3 -batch file.db 'PRAGMA integrity_check; VACUUM; PRAGMA integrity_check;'
/usr/bin/sqlite3 -batch file.db .dump | cksum
/usr/bin/sqlite3 -batch file.db .dump | /usr/bin/sqlite3 -batch copy.db
/usr/bin/sqlite3 -batch copy.db 'SELECT count(*), sum(price) FROM orders;'
