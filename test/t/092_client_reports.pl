# client_report(): what is noted of it, and what is not, so that who reports is neither
# busy nor used. Needs sessions that report and go on, a restart, and roles that fill the
# places.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool app_holder holder);
use Test::More;

my $node = new_server('client_reports',
	"pool_monitor.max_client_processes = 16\npool_monitor.recycle_interval = 1h\npool_monitor.recycle_margin = 0\n"
);
create_forge($node);
query($node, 'CREATE ROLE app LOGIN; CREATE ROLE crowd LOGIN; CREATE ROLE other LOGIN');
declare(
	$node,
	insert_pool(
		'web',
		workers       => 2,
		pool_size     => 2,
		max_overflow  => 1,
		pool_recycle  => "'1 s'",
		recycle_grace => "'0'"
	  )
	  . insert_pool('plain', pool_size => 5, max_overflow => 0)
);

my $report = 'SELECT pool_monitor.client_report';
my $web    = app_holder($node, 'web', 2);

# What pool_stats has of the pool.
sub counted
{
	my ($columns, $pool) = @_;
	$pool //= 'web';
	return query($node, "SELECT $columns FROM pool_monitor.pool_stats WHERE pool = '$pool'");
}

sub reported
{
	my ($columns) = @_;
	return query($node,
		"SELECT $columns FROM (SELECT * FROM pool_monitor.client_pools ORDER BY process) AS c");
}

subtest 'what it says' => sub {
	is($web->do("sql 0 $report('a', 2, 1, 3, 2, 1, 100, 10, 2.5, 1, 3, 0, 0.75, 0)"),
		'True', 'is noted');
	is(
		reported(
			'pool, process, size, max_overflow, open, checked_out, waiting, checkouts, waits, timeouts, mean_wait, longest_wait, creations, invalidations, processes_declared, processes_reporting, connections, connections_reported'
		),
		'web|a|2|1|3|2|1|100|10|1|0.25|0.75|3|0|2|1|2|3',
		'as it was said'
	);
	is(counted('checkouts, checkout_waits, waited_seconds, checkout_timeouts'),
		'100|10|2.5|1', 'in the sums of its pool');
	is(query($node, 'SELECT pool, waiting FROM pool_monitor.budgets ORDER BY pool'),
		"plain|\nweb|1", 'who waits now is in budgets, where somebody reports');
	is(
		query(
			$node,
			'SELECT pool, checkout_waits, waited_seconds, checkout_timeouts FROM pool_monitor.budgets ORDER BY pool'
		),
		"plain|0|0|0\nweb|10|2.5|1",
		'and how many have waited'
	);
	$web->do("sql 0 $report('a', 2, 1, 3, 0, 0, 150, 11, 3, 1, reports_before => 1)");
	is(counted('checkouts, checkout_waits, waited_seconds, checkout_timeouts'),
		'150|11|3|1', 'the next one counts what came');
	$web->do("sql 0 $report('a', checkouts => 7, waits => 20, reports_before => 0)");
	is(counted('checkouts, checkout_waits'), '157|31', 'a pool that was made anew begins anew');
	$web->do("sql 0 $report('stranger', checkouts => 1000, reports_before => 5)");
	is(counted('checkouts'), '157', 'what may have been counted already is not');
	$web->do("sql 0 $report('stranger', checkouts => 1010, reports_before => 6)");
	is(counted('checkouts'), '167', 'and is where the next begins');
	is(reported("string_agg(process || coalesce(size::text, '-'), ' ')"),
		'a- stranger-', 'what is not said is not known');
};

subtest 'of whom' => sub {
	my $other = holder($node, 'own', user => 'other');
	$other->do("sql 0 $report('x', open => 1, checkouts => 5)");
	is(
		query(
			$node,
			q{SELECT application_name, usename, checkouts, pool FROM pool_monitor.client_pools WHERE process = 'x'}
		),
		'own|other|5|',
		'an application in no pool'
	);
	$other->do(q{sql 0 SET application_name = 'plain'});
	$other->do("sql 0 $report('x', open => 1, checkouts => 5, reports_before => 0)");
	is(counted('checkouts', 'plain'), 5, 'of a pool, when it has just got this name');
	$other->close;
};

# Each statement of a session that only reports.
sub report_again
{
	my ($how_often) = @_;
	foreach (1 .. $how_often)
	{
		$web->do("sql 1 $report('b', 2, 1)");
		select undef, undef, undef, 0.1;
	}
	return;
}

subtest 'no transaction, no hold, no use' => sub {
	$web->do('sql 1 SELECT 1');
	my $transactions = counted('transactions');
	my $used =
	  'SELECT now() - idle_for FROM pool_monitor.sessions WHERE pool = $$web$$ ORDER BY idle_for LIMIT 1';
	my $holds  = 'SELECT transactions, hold_max FROM pool_monitor.pool_stats WHERE pool = $$web$$';
	my $before = query($node, $holds);
	my $when   = query($node, $used);
	report_again(5);
	is(query($node, $holds), $before, 'in the counters');
	is(query($node, "SELECT abs(extract(epoch FROM ($used) - '$when'::timestamptz)) < 0.1"),
		't', 'idle since it was last used');
	$web->do("sql 1 $_") foreach 'BEGIN', "$report('b', 2, 1)", 'COMMIT';
	is(query($node, $holds), $before, 'nor in a block');
	$web->do("sql 1 $_") foreach 'BEGIN', "$report('b', 2, 1)", 'SELECT 1', 'COMMIT';
	is(counted('transactions'), $transactions + 1, 'but with another statement it is one');
	$web->do("sql 1 SELECT 1");
	is(counted('transactions'), $transactions + 2, 'as what comes after it');
	$web->do("sql 1 $_") foreach 'BEGIN', "$report('b', 2, 1)", 'SET work_mem = 100', 'COMMIT';
	is(counted('transactions'), $transactions + 3,                 'and one that sets something');
	is(query($node, "SELECT ($used) > '$when'::timestamptz"), 't', 'which is a use');
};

subtest 'who only reports is stale' => sub {
	my $idle =
	  "SELECT count(*) FROM pool_monitor.sessions WHERE pool = 'web' AND idle_for > '1 s' AND age > '1.5 s'";
	declare($node, "UPDATE pool_monitor.pools SET recycle_grace = '1 s'");
	$web->do("sql $_ SELECT 1") foreach 0, 1;
	report_again(1) while query($node, $idle) != 2;
	report_again(1);
	is(
		query(
			$node,
			"SELECT string_agg(action, ' ') FROM pool_monitor.recycle('web', dry_run => false)"
		),
		'retired retired',
		'and retired, whatever it said a moment ago'
	);
	$web->close;
};

# Whom a default, a trigger or a function makes say something has not said it.
subtest 'in a SELECT of it alone' => sub {
	my $one    = app_holder($node, 'web', 1);
	my $before = counted('checkouts');
	query($node, <<"EOS");
CREATE VIEW sly AS $report('sly', checkouts => 1000, reports_before => 0);
CREATE FUNCTION sly() RETURNS bool LANGUAGE sql AS \$\$$report('sly', checkouts => 1000, reports_before => 0)\$\$;
CREATE FUNCTION sly_cursor() RETURNS bool LANGUAGE plpgsql AS \$\$
	DECLARE r record;
	BEGIN
		FOR r IN $report('sly', checkouts => 1000, reports_before => 0) LOOP END LOOP;
		RETURN true;
	END \$\$;
GRANT SELECT ON sly TO app;
EOS
	query($node,
		"CREATE TABLE seen (by_the_way bool DEFAULT pool_monitor.client_report('sly', checkouts => 1000, reports_before => 0), n int); GRANT ALL ON seen TO app"
	);
	foreach my $statement (
		"$report('sly', checkouts => 1000, reports_before => 0), 1",
		"$report('sly', checkouts => n, reports_before => 0) FROM generate_series(1000, 1001) AS n",
		"$report('sly', checkouts => (SELECT 1000), reports_before => 0)",
		"$report('sly', checkouts => length(pg_backend_pid()::text), reports_before => 0)",
		'INSERT INTO seen (n) VALUES (1)',
		'SELECT client_report FROM sly',
		'SELECT sly()',
		'SELECT sly_cursor()',
		"DO \$\$ BEGIN PERFORM pool_monitor.client_report('sly', checkouts => 1000, reports_before => 0); END \$\$"
	  )
	{
		my $transactions = counted('transactions');
		unlike($one->do("sql 0 $statement"), qr/^error/, 'nothing is noted');
		is(counted('transactions'), $transactions + 1, 'and it is a transaction');
	}
	is(counted('checkouts'),                                $before, 'nor counted');
	is(reported("count(*) FILTER (WHERE process = 'sly')"), 0,       'nor shown');
	is($one->do("sql 0 $report('late', checkouts => 5, reports_before => 3)"),
		'True', 'reports are numbered');
	is($one->do("sql 0 $report('late', checkouts => 4, reports_before => 2)"),
		'False', 'a late one is left out');
	is($one->do("sql 0 $report('late', checkouts => 6, reports_before => 4)"),
		'True', 'then they go on');
	is(counted('checkouts'), $before + 1, 'with what came since');
	$one->close;
	my (undef, $out, $err) = $node->psql('postgres',
		"$report('told', reports_before => 3); $report('told', reports_before => 2); $report('told'), 1"
	);
	is($out, "t\nf\nf|1", 'it is false');
	like(
		$err,
		qr/NOTICE: .*One with as many reports_before.*NOTICE: .*must be a SELECT of client_report\(\) alone/s,
		'and told why'
	);
};

subtest 'of another role under the same names' => sub {
	my $one  = app_holder($node, 'web', 1);
	my $evil = holder($node, 'web', user => 'other');
	$one->do("sql 0 $report('mine', checkouts => 1, reports_before => 0)");
	is($evil->do("sql 0 $report('mine', checkouts => 1, reports_before => 1000)"),
		'True', 'it is another process');
	is($one->do("sql 0 $report('mine', checkouts => 2, reports_before => 1)"),
		'True', 'and silences nobody');
	is(reported("count(*) FILTER (WHERE process = 'mine')"), 2, 'both are shown');
	$_->close foreach $one, $evil;
};

subtest 'what it can not be' => sub {
	$web = app_holder($node, 'web', 1);
	my %wrong = (
		"NULL"            => 'process must be given',
		"''"              => 'process must be of 1 to 63 bytes, not 0',
		"repeat('x', 64)" => 'process must be of 1 to 63 bytes, not 64',
		"'a', -1"         => 'size must be between 0 and 1000000, not -1',
		"'a', 1, -2"      => 'max_overflow must be between -1 \(unbounded\) and 1000000, not -2',
		"'a', open => 1000001"         => 'open must be between 0 and 1000000, not 1000001',
		"'a', checkouts => -1"         => 'checkouts must be between 0 and 1000000000000, not -1',
		"'a', waited_seconds => 'NaN'" =>
		  'waited_seconds must be between 0 and 1000000000000, not NaN',
		"'a', longest_wait => -0.1" =>
		  'longest_wait must be between 0 and 1000000000000, not -0\.1',
		"'a', checked_out_seconds => -1" =>
		  'checked_out_seconds must be between 0 and 1000000000000, not -1',
		"'a', reports_before => -1" => 'reports_before must be between 0 and 1000000000000, not -1'
	);
	foreach my $values (sort keys %wrong)
	{
		my (undef, undef, $err) = $node->psql('postgres', "$report($values)");
		like($err, qr/ERROR:  $wrong{$values}/, $values);
	}
	$web->do("sql 0 $report(E'caf\\u00e9\\n')");
	is(reported("count(*) FILTER (WHERE process = 'caf???')"), 1,
		'what is not ASCII is shown as ?');
};

subtest 'places' => sub {
	my $taken    = reported('count(*)');
	my $crowd    = holder($node, 'crowd', user => 'crowd');
	my $of_crowd = "count(*) FILTER (WHERE usename = 'crowd')";
	my @noted    = map { $crowd->do("sql 0 $report('p$_')") } 1 .. 20;
	is(scalar(grep { $_ eq 'True' } @noted), 16 - $taken, 'one role may have all that are free');
	is($noted[19],                           'False',     'and pushes nobody out');
	my (undef, undef, $told) =
	  $node->psql('postgres', "$report('p21')", extra_params => ['-U', 'crowd']);
	like($told, qr/NOTICE: .*As many other processes report as/s, 'as is told');
	is(reported("$of_crowd, count(*)"), (16 - $taken) . '|16', 'they are taken');
	my $other = holder($node, 'own', user => 'other');
	is($other->do("sql 0 $report('one more')"), 'True', 'another role gets some of them');
	is(reported("count(*) FILTER (WHERE process = 'one more'), count(*)"),
		'1|16', 'for which the most silent one gives way of the role that has the most');
	$other->do("sql 0 $report('more $_')") foreach 1 .. 16;
	is(
		query(
			$node,
			"SELECT max(n) - max(n) FILTER (WHERE r = 'other') <= 1, sum(n) FROM (SELECT reported_by, count(*) FROM pool_monitor.client_reports() GROUP BY 1) AS c(r, n)"
		),
		't|16',
		'until no role has more'
	);
	$_->close foreach $crowd, $other;
};

subtest 'a restart' => sub {
	my $before = counted('checkouts');
	$node->restart;
	is(reported('count(*)'), 0,       'nobody has reported yet');
	is(counted('checkouts'), $before, 'what was counted is kept');
	$web = app_holder($node, 'web', 1);
	$web->do("sql 0 $report('a', 2, 1, checkouts => 300, reports_before => 9)");
	is(counted('checkouts'), $before, 'and not counted again');
};

subtest 'declared, observed, reported' => sub {
	my $findings = "array_to_string(findings, '; ')";
	$web->do("sql 0 $report('a', 2, 1, 0, 0, 0)");
	is(reported($findings), '', 'a young session may be of a process that is yet to report');
	my $more = app_holder($node, 'web', 5);
	$_->[0]->do("sql $_->[1] SELECT forge_age(91000000)")
	  foreach [$web, 0], map { [$more, $_] } 0 .. 4;
	my $say = 'its processes say 0, the server has 6 of it for longer than 90 s: at least';
	is(
		reported($findings),
		"$say 3 nobody owns, beside 3 that declared processes can have which do not report",
		'more than those can have that do not report'
	);
	$web->do("sql 0 $report('a', 2, 1, 3, 0, 0)");
	is(reported($findings), '', 'or just as many');
	$web->do("sql 0 $report('$_', 2, 1, 0, 0, 0)") foreach 'a', 'b';
	is(reported($findings), "$say 6 nobody owns\n$say 6 nobody owns", 'sessions that nobody owns');
	$more->close;
	$web->do("sql 0 $report('$_', 2, 1, 3, 0, 0)") foreach 'a', 'b';
	my $young = app_holder($node, 'web', 8);
	my $count = q{SELECT count(*) FROM pool_monitor.sessions WHERE pool = 'web'};
	wait_for($node, $count, 'young ones come', 9);
	my $can = 'its processes can have 6, the server has 9 of it: at least 3 nobody owns';
	is(reported($findings), "$can\n$can", 'more than all can have');
	$young->close;
	wait_for($node, q{SELECT count(*) FROM pool_monitor.sessions WHERE pool = 'web'}, 'they end',
		1);
	$web->do("sql 0 $report('a', 2, 1, 1, 0, 0)");
	is(reported($findings), "\n", 'and one that is owned');
	$web->do("sql 0 $report('a', 2, 1, 3, 3, 2)");
	is(query($node, "SELECT waiting FROM pool_monitor.budgets WHERE pool = 'web'"),
		2, 'of all processes together');
	is(
		reported($findings),
		"full, while others of its processes have 3 free\n",
		'one that is full while others are not'
	);
	$web->do("sql 0 $report('a', 2, 1, 3, 2, 2)");
	is(
		reported($findings),
		"full, while others of its processes have 3 free\n",
		'also when the connection that it reports on has just been given back to who waits'
	);
	$web->do("sql 0 $report('a', 2, 1, 2, 2, 2)");
	is(reported($findings), "\n", 'but not when one waits for a connection that is being opened');
	$web->do("sql 0 $report('a', 2, 1, 3, 3, 2)");
	$web->do("sql 0 $report('c', 5, 10, 1, 0, 0, timeouts => 4, reports_before => 0)");
	is(
		reported("process, $findings"),
		"a|3 processes report, 2 are declared; full, while others of its processes have 18 free\n"
		  . "b|3 processes report, 2 are declared\n"
		  . "c|3 processes report, 2 are declared; size 5 + 10, declared 2 + 1; 4 of 4 checkouts timed out",
		'more processes, other sizes, time-outs'
	);
	is(
		query(
			$node,
			"SELECT severity, evidence, quality FROM pool_monitor.advice WHERE topic = 'clients' AND pool = 'web'"
		),
		'warning|3 processes report, 2 are declared; 4 of 4 checkouts timed out ("c"); full, while others of its processes have 18 free ("a"); size 5 + 10, declared 2 + 1 ("c")|reported',
		'and so says the advice'
	);
	query($node, q{SELECT forge_silence('c', 91000)});
	is(
		reported("$findings, process"),
		"full, while others of its processes have 3 free|a\n|b\n4 of 4 checkouts timed out|c",
		'the sizes of who has been silent are none that it has'
	);
	$web->do("sql 0 $report('c', 2, 1, 1, 0, 0, timeouts => 4, reports_before => 1)");
	is(
		query(
			$node,
			"SELECT count(*) FROM pool_monitor.client_pools WHERE findings @> '{4 of 4 checkouts timed out}'"
		),
		1,
		'for an hour'
	);
};

subtest 'time-outs of a pool that was made anew' => sub {
	my $timed_out =
	  q{SELECT count(*) FROM pool_monitor.client_pools WHERE process = 'd' AND findings::text ~ 'timed out'};
	$web->do("sql 0 $report('d', 2, 1, timeouts => 3, reports_before => 0)");
	is(query($node, $timed_out), 1, 'of the old one they are told');
	$web->do("sql 0 $report('d', 2, 1, reports_before => 0)");
	is(query($node, $timed_out), 0, 'the new one has none');
};

subtest 'the advice names five findings of a pool' => sub {
	my $plain = app_holder($node, 'plain', 1);
	my $said =
	  "SELECT evidence FROM pool_monitor.advice WHERE topic = 'clients' AND pool = 'plain'";
	my @sizes = map { qq{size $_ + 0, declared 5 + 0 ("p$_")} } 1 .. 4, 6, 7;
	$plain->do("sql 0 $report('p$_', $_, 0)") foreach 1 .. 4;
	is(
		query($node, $said),
		join('; ', '4 processes report, 1 are declared', @sizes[0 .. 3]),
		'all five'
	);
	$plain->do("sql 0 $report('p$_', $_, 0)") foreach 6, 7;
	is(
		query($node, $said),
		join('; ', '6 processes report, 1 are declared', @sizes[0 .. 3], 'and 2 more'),
		'of seven the first, and how many more'
	);
	$plain->close;
};

subtest 'reset()' => sub {
	my $sums  = 'checkout_waits, waited_seconds, checkout_timeouts';
	my $shown = "SELECT $sums FROM pool_monitor.budgets WHERE pool = 'web'";
	unlike(query($node, $shown), qr/^0\|0\|0$/, 'budgets has sums');
	query($node, "SELECT pool_monitor.reset('web')");
	is(query($node, $shown), '0|0|0', 'which begin anew');
	$web->do(
		"sql 0 $report('c', checkouts => 9, waits => 2, waited_seconds => 0.5, timeouts => 5, reports_before => 2)"
	);
	is(query($node, $shown), '2|0.5|1', 'with what comes then');
	is(counted($sums),       '2|0.5|1', 'as those of pool_stats');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
