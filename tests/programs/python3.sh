# python3: its own small-object allocator over malloc, then malloc for every object.
# Needs: /usr/bin/python3
# Programs: python3
export PYTHONHASHSEED=0
/usr/bin/python3 "$CASES/workload.py"
PYTHONMALLOC=malloc /usr/bin/python3 "$CASES/workload.py"
