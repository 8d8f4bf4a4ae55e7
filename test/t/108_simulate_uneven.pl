# simulate() of processes that get unequal shares of the checkouts, as they report, against
# Erlang's formulas. Needs a past, which regress has not, and a session that reports.
use strict;
use warnings FATAL => 'all';
use PoolMonitor       qw(:DEFAULT query insert_pool holder);
use PoolMonitorAdvice qw(advice_server pools replay app_holder);
use Test::More;

my $node = advice_server('simulate_uneven');
create_forge($node);
pools($node, insert_pool('two', workers => 2, pool_size => 5, max_overflow => 0));
my $session = app_holder($node, 'two', 1);
wait_for(
	$node,
	"SELECT count(*) > 0 FROM pool_monitor.history WHERE pool = 'two'",
	'the pool has a history'
);
$node->append_conf('postgresql.conf', "pool_monitor.sample_interval = 60s\n");
$node->reload;

# A load of 6 for two times 5 connections; exponential holds of 0.5 s on average.
replay($node, ['two', 120, busy => 6, max_busy => 10, connections => 10, transactions => 720]);
query($node,
	"SELECT count(replay_holds('two', (-500000 * ln((i - 0.5) / 20000))::bigint, 1)) FROM generate_series(1, 20000) AS i"
);

# What both have had of checkouts until now.
my $sent = 0;

sub report
{
	my (%checkouts) = @_;
	is(
		$session->do(
			"sql 0 SELECT pool_monitor.client_report('$_', 5, 0, 5, 3, 0, $checkouts{$_}, 0, 0, 0, reports_before => $sent)"
		),
		'True',
		"$_ reports"
	) foreach sort keys %checkouts;
	$sent++;
	return;
}

# Erlang's C of processes with these shares of the load, and whether that is simulated.
sub waits
{
	my ($arguments, @shares) = @_;
	my $exact = join ' + ', map { "$_ * pool_monitor.erlang_c(5, 6 * $_)" } @shares;
	return query($node,
		"SELECT waiting BETWEEN 0.97 * e.c AND 1.03 * e.c FROM (SELECT $exact AS c) AS e, pool_monitor.simulate($arguments) AS s"
	);
}

subtest 'each process has its share of the checkouts, as it reports' => sub {
	is(waits("'two'", 0.5, 0.5), 't', 'where nobody reports all are alike');
	report(a => 10_000, b => 10_050);
	is(waits("'two'", 0.5, 0.5), 't', 'as when they differ by chance');
	report(a => 24_000, b => 16_050);
	is(waits("'two'",                          0.6, 0.4), 't', 'else each has its share');
	is(waits("'two', workers => 4, load => 2", 0.6, 0.4),
		't', 'and of twice as many each two have them');
	report('0cron' => 3);
	is(waits("'two'", 0.6, 0.4),
		't', 'one more than declared, with a few, takes no place of theirs');
	query($node, 'CREATE ROLE guest LOGIN');
	my $more  = app_holder($node, 'two', 1);
	my $guest = holder($node, 'two', user => 'guest');
	$guest->do(
		q{sql 0 SELECT pool_monitor.client_report('guest', 7, 0, 5, 3, 0, 900000, reports_before => 0)}
	);
	is(waits("'two'", 0.6, 0.4), 't', 'nor does one that does not speak for the pool');
	$_->close foreach $guest, $more;
	my $calibration = q{SELECT calibration FROM pool_monitor.simulate('two')};
	$session->do(q{sql 0 SELECT pool_monitor.client_report('before', 7, 0)});
	like(
		query($node, $calibration),
		qr/^off: clients report sizes 7 \+ 0/,
		'one that has other sizes is told of'
	);
	query($node, q{SELECT forge_silence('before', 91000)});
	unlike(query($node, $calibration), qr/clients report sizes/, 'not when it is silent');
	is(
		query(
			$node,
			"SELECT waiting BETWEEN 0.97 * e.c AND 1.03 * e.c FROM (SELECT pool_monitor.erlang_c(5, 3) AS c) AS e, pool_monitor.simulate('two', workers => 1, load => 0.5)"
		),
		't',
		'of one process there is nothing to share'
	);
};

subtest 'a declaration of more processes than any server has connections is refused' => sub {
	declare($node, 'UPDATE pool_monitor.pools SET servers = 10000, workers = 1000, pool_size = 0');
	my ($rc, $out, $err) =
	  $node->psql('postgres',
		"SELECT pool FROM pool_monitor.simulate('two', workers => 1, pool_size => 5)");
	like(
		$err,
		qr/as declared, must have at most 262143 connections, not 10000000.*HINT/s,
		'a declaration of more processes than any server has connections'
	);
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
