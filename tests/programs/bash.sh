# bash: loops, strings that grow, arrays, substitutions, subshells and pipelines.
# Needs: /bin/bash
# Programs: bash
/bin/bash "$CASES/workload.bash"
