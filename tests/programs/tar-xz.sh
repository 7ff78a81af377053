# tar and xz: an archive compressed by two threads, taken apart again and compared.
# Needs: /usr/bin/tar /usr/bin/xz /usr/bin/awk
# Programs: tar xz
mkdir -p tree/a/b/c tree/d
for i in 1 2 3 4 5 6 7 8; do
  /usr/bin/awk -v seed="$i" 'BEGIN {
    for (n = 0; n < 10000; n++) { seed = (seed * 16807) % 2147483647; print n, seed, seed % 17 }
  }' >"tree/a/b/c/numbers.$i"
  cp "tree/a/b/c/numbers.$i" "tree/d/copy.$i"
done
i=0
while [ $i -lt 400 ]; do
  i=$((i + 1))
  echo "small file $i" >"tree/a/small.$i"
done

/usr/bin/tar --sort=name --mtime=@1000000000 --owner=0 --group=0 --numeric-owner -cf tree.tar tree
echo "archive: $(cksum <tree.tar)"
for level in 0 3 6; do
  /usr/bin/xz -T2 --block-size=1MiB -"$level" -c tree.tar >tree.tar.xz
  echo "level $level: $(cksum <tree.tar.xz)"
done
/usr/bin/xz -T2 -t tree.tar.xz
mkdir out
/usr/bin/xz -T2 -dc tree.tar.xz | /usr/bin/tar -C out -xf -
diff -r tree out/tree
/usr/bin/tar -C out -I '/usr/bin/xz -T2 -1' --sort=name --mtime=@1000000000 -cf again.tar.xz tree
/usr/bin/tar -I /usr/bin/xz -tf again.tar.xz | cksum
