# Callers that wait for their answer before they ask again, exactly: the machine repair problem.
package PoolMonitorRepair;

use strict;
use warnings FATAL => 'all';
use Exporter   qw(import);
use List::Util qw(min sum);

our @EXPORT = qw(repaired);

# Of so many callers how many are present, as probabilities; $load: hold by thought.
sub present
{
	my ($callers, $connections, $load) = @_;
	my @chances = (1);
	push @chances, $chances[$_] * ($callers - $_) * $load / min($_ + 1, $connections)
	  foreach 0 .. $callers - 1;
	return map { $_ / sum(@chances) } @chances;
}

# Each has a connection for so long, and thinks for so long before it asks again, on average and
# at random. Checkouts a second, the share of time with all connections busy, the share of the
# checkouts that wait (those find what one caller less makes of it), and for how long they do, on
# average of all.
sub repaired
{
	my ($callers, $connections, $hold, $thought) = @_;
	my @present = present($callers,     $connections, $hold / $thought);
	my @found   = present($callers - 1, $connections, $hold / $thought);
	my $mean    = sum(map { $_ * $present[$_] } 0 .. $callers);
	my $rate    = ($callers - $mean) / $thought;
	my ($full, $waiting) = map { sum(0, @$_[$connections .. $#$_]) } \@present, \@found;
	return ($rate, $full, $waiting, $mean / $rate - $hold);
}

1;
