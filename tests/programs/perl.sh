# perl: hashes, regular expressions, sorting, closures, strings, fork and pipes.
# Needs: /usr/bin/perl
# Programs: perl
/usr/bin/perl "$CASES/workload.pl"
