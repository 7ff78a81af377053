# A report on a web server's log: each line taken apart, visits gathered by host, words counted.
use strict;
use warnings;

my (%hosts, %words, %status, @slow);
open my $log, '<', 'access.log' or die "access.log: $!\n";
while (my $line = <$log>) {
  my ($host, $time, $target, $status, $bytes, $referer, $agent) =
    $line =~ m{^(\S+) - - \[([^\]]+)\] "GET (\S+) HTTP/1\.1" (\d+) (\d+) "([^"]*)" "([^"]*)"$} or die "line $.\n";
  my ($path, $query) = split /\?/, $target;
  my %visit = (time => $time, path => [split m{/}, $path], status => $status, bytes => $bytes, agent => $agent);
  for my $pair (split /&/, $query // '') {
    my ($name, $value) = split /=/, $pair;
    $value =~ s/%([0-9a-f]{2})/chr hex $1/gei;
    $visit{query}{$name} = $value;
    $words{$_}++ for split / /, $value;
  }
  push @{ $hosts{$host} }, \%visit;
  $status{$status}++;
  push @slow, sprintf '%08d %s %s', $bytes, $host, lc $referer if $bytes > 90000;
}

print "$_: $status{$_}\n" for sort keys %status;
for my $host ((sort { @{ $hosts{$b} } <=> @{ $hosts{$a} } || $a cmp $b } keys %hosts)[0 .. 19]) {
  my $bytes = 0;
  my %paths;
  for my $visit (@{ $hosts{$host} }) {
    $bytes += $visit->{bytes};
    $paths{ join ' > ', grep { length } @{ $visit->{path} } }++;
  }
  print "$host ", scalar @{ $hosts{$host} }, " $bytes ", (sort { $a cmp $b } keys %paths)[0], "\n";
}
print "$_ $words{$_}\n" for (sort { $words{$b} <=> $words{$a} || $a cmp $b } keys %words)[0 .. 19];
print unpack('%32C*', join "\n", sort @slow), ' ', scalar @slow, "\n";
