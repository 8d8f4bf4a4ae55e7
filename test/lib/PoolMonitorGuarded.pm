# The past of a pool whose logins the guard refused, or would have, as the history has it.
package PoolMonitorGuarded;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use PoolMonitor qw(:DEFAULT query);
use PoolMonitorAdvice;

our @EXPORT = qw(past guarded);

# So many minutes of a pool that is there all the time: up to the last ones, and these; the
# shares are of the time above budget.
sub past
{
	my ($node, $pool, $minutes, %figures) = @_;
	replay(
		$node,
		[
			$pool, $minutes,
			connections     => 3,
			max_connections => 3,
			connects        => 10,
			transactions    => 100
		]
	);
	guarded($node, $pool, $minutes, %figures);
	return;
}

sub guarded
{
	my ($node, $pool, $minutes, %figures) = @_;
	my @columns = map { $figures{$_} // 0 } qw(guarded would_be_guarded);
	push @columns, $figures{max} // 3,
	  map { $figures{$_} // 0 } qw(over guarded_by_reserves guarded_by_rate);
	query($node, sprintf "SELECT replay_guarded('%s', %s, %s)",
		$pool, $minutes, join ', ', @columns);
	return;
}

1;
