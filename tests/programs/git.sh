# git: import, commits, merges, repack and gc with threads, log, blame, clone, fsck.
# Needs: /usr/bin/git /usr/bin/awk
# Programs: git
export GIT_AUTHOR_NAME=author GIT_AUTHOR_EMAIL=author@example.org
export GIT_COMMITTER_NAME=committer GIT_COMMITTER_EMAIL=committer@example.org
export GIT_AUTHOR_DATE='1600000000 +0000' GIT_COMMITTER_DATE='1600000000 +0000'
export GIT_CONFIG_NOSYSTEM=1

/usr/bin/git init -q -b main repository
cd repository
/usr/bin/git config gc.auto 0
/usr/bin/git config pack.threads 2

/usr/bin/awk -f "$CASES/history.awk" | /usr/bin/git fast-import --quiet
/usr/bin/git reset -q --hard main
for i in 1 2 3 4 5 6 7 8 9 10; do
  /usr/bin/git checkout -q -b "topic$i"
  echo "topic $i" >"topic.$i"
  sed -i "$((i * 3))s/^/changed in $i: /" file.1
  /usr/bin/git add .
  /usr/bin/git commit -q -m "topic $i"
  /usr/bin/git checkout -q main
  /usr/bin/git merge -q --no-ff -m "merge $i" "topic$i"
done
/usr/bin/git rev-parse HEAD
/usr/bin/git log --stat --graph --format='%H %an %ad %s' | cksum
/usr/bin/git log -p -S 'line 7 ' --format=%h | cksum
/usr/bin/git blame file.1 | cksum
/usr/bin/git diff HEAD~10 HEAD | cksum
/usr/bin/git grep -c 'line 1' | cksum

/usr/bin/git repack -q -a -d -f --window=20 --depth=20
/usr/bin/git fsck --full --strict
/usr/bin/git gc -q --aggressive --prune=now
/usr/bin/git fsck --full --strict
/usr/bin/git count-objects -v | grep -E '^(count|in-pack|packs|garbage)'
/usr/bin/git archive HEAD | cksum

cd ..
/usr/bin/git clone -q "file://$PWD/repository" clone
/usr/bin/git -C clone fsck --full
/usr/bin/git -C clone rev-parse HEAD
/usr/bin/git -C clone bundle create -q all.bundle --all
/usr/bin/git -C clone bundle verify -q all.bundle
