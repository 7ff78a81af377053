# Work for perl.sh. Hash order is random from run to run, so keys are sorted before they are printed.
use strict;
use warnings;
use Data::Dumper;
use List::Util qw(sum max);

my $seed = 12345;
sub pseudo_random { $seed = ($seed * 1103515245 + 12345) % 2147483648; return $seed % $_[0]; }

my %count;
my $text = join ' ', map { join '', map { chr(97 + pseudo_random(26)) } 0 .. pseudo_random(6) } 1 .. 60000;
$count{$_}++ for split / /, $text;
my @top = (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count)[0 .. 9];
print "words: ", scalar(keys %count), " @top\n";

my $matches = () = $text =~ /\b(\w)(\w)\w*\2\1\b/g;
(my $changed = $text) =~ s/([aeiou]+)/<$1>/g;
print "matches: $matches, changed: ", length($changed), " ", unpack('%32C*', $changed), "\n";

my %tree;
for my $i (1 .. 30000) {
  push @{ $tree{ $i % 97 }{ $i % 13 } }, { id => $i, name => "n$i" x ($i % 5) };
}
delete $tree{$_} for grep { $_ % 3 == 0 } keys %tree;
local $Data::Dumper::Sortkeys = 1;
my $dump = Dumper(\%tree);
print "dump: ", length($dump), " ", unpack('%32C*', $dump), "\n";

my @sorted = sort { $a <=> $b } map { pseudo_random(1000000) } 1 .. 100000;
print "sorted: $sorted[0] $sorted[50000] $sorted[-1] ", sum(@sorted), " ", max(@sorted), "\n";

my $long = '';
$long .= chr(pseudo_random(256)) x pseudo_random(2000) for 1 .. 5000;
print "long string: ", length($long), " ", unpack('%32C*', $long), "\n";

for my $child (1 .. 4) {
  defined(my $pid = open(my $pipe, '-|')) or die "fork: $!";
  if (!$pid) {
    my @list = map { [$_ x 3] } 1 .. 20000;
    print sum(map { length $_->[0] } @list) + $child, "\n";
    exit 0;
  }
  print "child $child: ", <$pipe>;
  close $pipe or die "child $child: $?";
}
