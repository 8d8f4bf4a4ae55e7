# Holds of so many orders between two looks that a sheet's blocks do not do for them: the
# session adds them itself, and each is counted once, for what it was. Only TAP can have a
# worker that looks once a minute, and read the histogram, which no view shows.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorStatfile;
use Test::More;

my $rounds = 4;
my $node =
  new_server('holds_blocks', "pool_monitor.sample_interval = 60s\nlog_min_messages = warning\n");
declare($node, "INSERT INTO pool_monitor.pools (name, application_name) VALUES ('web', 'web')");

# Two sessions, one after the other in the same slot: the second begins with blocks that
# the first has left. Up and down, so that each order comes again after others.
my @took;
foreach my $session (1, 2)
{
	my $web = PoolMonitor::Holder->new($node, application_name => 'web');
	foreach my $round (1 .. $rounds)
	{
		my @sleeps = (0, map { 0.0004 * 2**$_ } 0 .. 9);
		@sleeps = reverse @sleeps if $round % 2 == 0;
		push @took, map {
			$web->do(
				"sql 0 SELECT extract(epoch FROM clock_timestamp() - statement_timestamp()) * 1000000 FROM pg_sleep($_)"
			)
		} @sleeps;
	}
	$web->close;
	wait_for(
		$node,
		"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'web')",
		"session $session has ended"
	);
}
@took = sort { $a <=> $b } @took;
$node->stop;

# of the account's rows, which come after it
my ($account, %counts);
foreach my $record (@{parsed(contents(file_of($node)))->{records}})
{
	$account = $record->{rows}[0] if $record->{layout} eq 'account';
	next unless defined $account && $account->{name} =~ /^web\0/;
	$counts{account} = $account        if $record->{layout} eq 'account';
	$counts{holds}   = $record->{rows} if $record->{layout} eq 'hold';
}
my @holds = map { ($_->{us}) x $_->{count} } @{$counts{holds}};

subtest 'each hold is counted once' => sub {
	is($counts{account}{'counted transactions'}, scalar @took, 'each transaction is counted');
	is(scalar @holds,                            scalar @took, 'each hold is in the histogram');
};

# A hold is never less than what the statement says of itself; a bucket's middle is off by
# 6.25 % at most.
subtest 'each hold is counted for what it was' => sub {
	my @less = grep { $holds[$_] * 1.0625 < $took[$_] } 0 .. $#took;
	is(scalar @less, 0, 'no hold is less than it can have been');
	my $sum = 0;
	$sum += $_ foreach @holds;
	my $busy = $counts{account}{busy};
	cmp_ok(
		abs($sum - $busy),
		'<=',
		0.0625 * $busy,
		"in sum the holds, $sum us, are the busy time, $busy us"
	);
	cmp_ok($counts{account}{hold_max}, '>=', $took[-1], 'the longest is the longest');
	cmp_ok($counts{account}{hold_max}, '<=', $busy,     'and no more');
};

done_testing();
