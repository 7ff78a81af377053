# node: maps, buffers, JSON, compression in the thread pool, worker threads.
# Needs: /usr/bin/node
# Programs: node
/usr/bin/node "$CASES/workload.js"
