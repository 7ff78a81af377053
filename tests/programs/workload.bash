# Work for bash.sh: what a shell script allocates for.
set -eu

string=
for ((i = 0; i < 3000; i++)); do
  string+="<$i>"
done
echo "grown string: ${#string} ${string:1000:20}"
echo "replaced: $(cksum <<<"${string//<1/[one}")"

declare -a numbers=()
declare -A words=()
for ((i = 0; i < 20000; i++)); do
  numbers[i * 7 % 20011]=$i
  words[word$((i * 31 % 5003))]+=$((i % 10))
done
echo "array: ${#numbers[@]} $(cksum <<<"${numbers[*]}")"
echo "map: ${#words[@]} ${words[word62]} $(printf '%s\n' "${!words[@]}" | sort | cksum)"

depth() { (($1 == 0)) && echo bottom || (depth $(($1 - 1))); }
echo "nested subshells: $(depth 25)"

sum=0
for i in {1..150}; do
  part=$(echo $((i * i)) | { read -r x; echo "$x"; })
  sum=$((sum + part))
done
echo "pipelines: $sum"

for job in 1 2 3 4; do
  (for ((i = 0; i < 3000; i++)); do s=${s-}$job; done; echo "job $job ${#s}" >"job.$job") &
done
wait
cat job.*

fibonacci() { (($1 < 2)) && REPLY=$1 || { fibonacci $(($1 - 1)); local a=$REPLY; fibonacci $(($1 - 2)); REPLY=$((a + REPLY)); }; }
fibonacci 17
echo "recursion: $REPLY"
mapfile -t lines < <(printf '%s\n' {1..30000})
echo "mapfile: ${#lines[@]} ${lines[29999]}"
