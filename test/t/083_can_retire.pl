# A client that recycles later than declared, while its sessions are retired; and whether a
# pool can be retired at all. Needs sessions that age, are used, and go.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorAdvice;
use Test::More;

my $node = advice_server('can_retire');

sub verdict
{
	my ($pool) = @_;
	return query($node,
		"SELECT verdict || ': ' || array_to_string(reasons, '; ') FROM pool_monitor.can_retire('$pool')"
	);
}

sub late
{
	return query($node,
		"SELECT retired, retired_late FROM pool_monitor.pool_stats WHERE pool = '$_[0]'");
}

my @mine = (usename => "'app'", pool_recycle => "'1 s'", recycle_grace => "'0'", pool_size => 20);

subtest 'what the declaration says' => sub {
	pools(
		$node,
		row('good',   usename     => "'app'", pool_recycle => "'2 s'"),
		row('stays',  usename     => "'app'", pool_recycle => "'1 s'"),
		row('off',    usename     => "'app'", recycle_mode => "'off'"),
		row('never',  usename     => "'app'", pool_recycle => 'NULL'),
		row('blind',  usename     => "'app'", pre_ping     => 'false'),
		row('anyone', client_addr => 'NULL'),
		row('fresh',  usename     => "'app'")
	);
	my @seen = map { [$_, 1440, busy => 1, transactions => 10] } 'good', 'stays', 'off', 'never',
	  'blind',
	  'anyone';
	replay($node, @seen);
	is(
		verdict('good'),
		'not yet: no session of it has ended at pool_recycle or later, by its client or retired: that the client recycles is only declared',
		'no client was seen to recycle'
	);
	my $stays = app_holder($node, 'stays', 1);
	my $good  = app_holder($node, 'good',  1);
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.sessions WHERE pool = 'good' AND age > '2.1 s'",
		'one is over age', 1
	);
	$good->close;
	wait_for(
		$node,
		"SELECT ended_client FROM pool_monitor.pool_stats WHERE pool = 'good'",
		'which its client ends', 1
	);
	is(verdict('good'), 'yes: ', 'nothing speaks against it');
	wait_for(
		$node,
		"SELECT age > '3.5 s' FROM pool_monitor.sessions WHERE pool = 'stays'",
		'another one is far over age'
	);
	$stays->close;
	wait_for(
		$node,
		"SELECT ended_client FROM pool_monitor.pool_stats WHERE pool = 'stays'",
		'until its application ends', 1
	);
	like(
		verdict('stays'),
		qr/^not yet: half of its sessions that have ended had lived for 00:00:0[3-9]/,
		'which says nothing of recycling'
	);
	is(verdict('off'), 'no: recycle_mode is off', 'off');
	is(
		verdict('never'),
		'no: the client never recycles: pool_recycle is not declared',
		'no pool_recycle'
	);
	like(verdict('blind'), qr/^no: pre_ping is off: [^;]*$/, 'pre_ping');
	is(verdict('anyone'),
		'no: neither usename nor client_addr is declared: anybody can bear its application_name',
		'no identity');
	is(verdict('fresh'), 'not yet: no transaction of it was seen in the last day', 'nothing seen');
	replay($node, @seen, ['fresh', 30, busy => 1, transactions => 10]);
	like(
		verdict('fresh'),
		qr/^not yet: it was watched for 00:(?:29|30):\d\d of the last day: too short/,
		'not long enough'
	);
	is(
		query(
			$node,
			'SELECT count(*), count(*) FILTER (WHERE verdict = \'yes\') FROM pool_monitor.can_retire()'
		),
		'7|1',
		'without a name: each pool'
	);
	is(query($node, "SELECT count(*) FROM pool_monitor.can_retire('nobody')"),
		0, 'no such pool: no row');
};

# Retires all that is stale, by hand.
sub retire
{
	my ($pool, $n) = @_;
	wait_for($node, "SELECT count(*) FROM pool_monitor.sessions WHERE pool = '$pool' AND stale",
		"$n are stale", $n);
	is(
		query(
			$node,
			"SELECT count(*) FROM pool_monitor.recycle('$pool', dry_run => false) WHERE action = 'retired'"
		),
		$n,
		'and are retired'
	);
	return;
}

subtest 'retired sessions whose client had used them past their age' => sub {
	pools($node, row('late', @mine), row('punctual', @mine), row('calm', @mine));
	replay($node, map { [$_, 1440, busy => 1, transactions => 10] } 'late', 'punctual');
	my $calm = app_holder($node, 'calm', 1);
	retire('calm', 1);
	my $punctual = app_holder($node, 'punctual', 3);
	retire('punctual', 3);
	is(late('punctual'),                                  '3|0', 'they had not been used');
	is(advice($node, 'count(*)', 'over_age of punctual'), 0,     'the client is punctual: silent');
	is(verdict('punctual'),                               'yes: ', 'go on');

	my $late = app_holder($node, 'late', 3);
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.sessions WHERE pool = 'late' AND age > interval '1.2 s'",
		'over age',
		3
	);
	$late->do("sql $_ SELECT 1") foreach 0 .. 2;
	retire('late', 3);
	is(late('late'), '3|3', 'they had been used');
	is(query($node, "SELECT count(*) FROM pool_monitor.sessions WHERE pool = 'late'"),
		0, 'those that would show it are gone');
	like(
		advice($node, "severity || ' ' || evidence", 'over_age of late'),
		qr/^warning 3 of 3 sessions retired since .*, with pool_recycle 00:00:01$/,
		'the client recycles later'
	);
	like(verdict('late'), qr/^no: 3 of 3 retired sessions had been used past pool_recycle/, 'stop');
	like(
		advice($node, 'recommendation', 'over_age of late'),
		qr/SELECT pool_monitor\.reset\('late'\)/,
		'mended: count anew'
	);
	my $again = app_holder($node, 'late', 1);
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.sessions WHERE pool = 'late' AND age > interval '1.7 s'",
		'over age once more',
		1
	);
	$again->do('sql 0 SELECT 1');
	like(
		verdict('late'),
		qr/^no: 1 of its sessions were used .*; 3 of 3 retired sessions/,
		'seen live besides'
	);
	is(advice($node, 'count(*)', 'over_age of late'), 1, 'which advice says once');
	$again->close;
	wait_for($node, "SELECT connections FROM pool_monitor.budgets WHERE pool = 'late'",
		'it has gone', 0);
	query($node, "SELECT pool_monitor.reset('late')");
	is(advice($node, 'count(*)', 'over_age of late'), 0, 'then it is gone');
	$_->close foreach $late, $punctual, $calm;
};

subtest 'also on schedule' => sub {
	pools($node, row('scheduled', @mine, recycle_mode => "'terminate'", pool_size => 1000));
	my $late = app_holder($node, 'scheduled', 3);
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.sessions WHERE pool = 'scheduled' AND age > interval '1.7 s'",
		'over age',
		3
	);
	$late->do("sql $_ SELECT 1") foreach 0 .. 2;
	like(verdict('scheduled'),
		qr/^no: 3 of its sessions were used at more than one and a half times pool_recycle/,
		'seen live');
	$node->append_conf('postgresql.conf', "pool_monitor.recycle_interval = 100ms\n");
	$node->reload;
	wait_for(
		$node,
		"SELECT retired FROM pool_monitor.pool_stats WHERE pool = 'scheduled'",
		'all are retired', 3
	);
	is(late('scheduled'), '3|3', 'as those by hand');
	$late->close;
};

subtest 'storms that retirements were answered with' => sub {
	pools(
		$node,
		row('herd',  @mine, pool_size => 1, max_overflow => 0),
		row('later', @mine, pool_size => 1, max_overflow => 0),
		row('calm',  @mine, pool_size => 1, max_overflow => 0)
	);
	my $herd = app_holder($node, 'herd', 1);
	retire('herd', 1);
	my $answer = app_holder($node, 'herd', 60);
	wait_for($node,
		"SELECT count(*) FROM pool_monitor.events WHERE event = 'storm' AND pool = 'herd'",
		'a storm', 1);
	like(
		verdict('herd'),
		qr/retirements were answered with storms of connects, 1 in the last day/,
		'is held against it'
	);
	$_->close foreach $answer, $herd;

	# by hand nobody pauses: a client may come upon it seconds later
	my $late = app_holder($node, 'later', 1);
	retire('later', 1);
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.events WHERE event = 'retired' AND pool = 'later' AND at < now() - interval '6 s'",
		'some seconds pass',
		1
	);
	$answer = app_holder($node, 'later', 60);
	wait_for($node,
		"SELECT count(*) FROM pool_monitor.events WHERE event = 'storm' AND pool = 'later'",
		'a late storm', 1);
	like(verdict('later'), qr/retirements were answered with storms/, 'is one, too');
	$_->close foreach $answer, $late;
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.events WHERE event = 'retired' AND pool = 'calm' AND at < now() - interval '25 s'",
		'one that was retired long ago',
		1
	);
	$answer = app_holder($node, 'calm', 60);
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.events WHERE event = 'storm' AND pool = 'calm'",
		'a storm that is no answer to it', 1
	);
	unlike(verdict('calm'), qr/storms/, 'is not');
	$answer->close;
};

subtest 'pauses' => sub {
	pools($node,
		row('haste', @mine, pool_size => 1, max_overflow => 0, recycle_mode => "'terminate'"));
	my $one = app_holder($node, 'haste', 1);
	wait_for(
		$node,
		"SELECT retired FROM pool_monitor.pool_stats WHERE pool = 'haste'",
		'one is retired on schedule', 1
	);
	my $answer = app_holder($node, 'haste', 60);
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.events WHERE event = 'retirement_paused' AND pool = 'haste'",
		'a storm answers',
		1
	);
	like(
		verdict('haste'),
		qr/its retirement paused for that, 1 times in the last day/,
		'is held against it, too'
	);
	$_->close foreach $answer, $one;
};

subtest 'many punctual ones before' => sub {

	# as after years: there is no room for the events of all
	$node->append_conf('postgresql.conf', "pool_monitor.max_events = 40\n");
	$node->restart;
	pools($node, row('mixed', @mine, recycle_mode => "'terminate'", pool_size => 1000));
	my $punctual = app_holder($node, 'mixed', 40);
	my $retired  = "SELECT retired FROM pool_monitor.pool_stats WHERE pool = 'mixed'";
	wait_for($node, $retired, 'all are retired', 40);
	foreach my $n (1 .. 3)
	{
		my $late = app_holder($node, 'mixed', 1);
		$late->do('sql 0 BEGIN');
		wait_for(
			$node,
			"SELECT count(*) FROM pool_monitor.sessions WHERE pool = 'mixed' AND age > interval '1.7 s'",
			'one is used for long',
			1
		);
		$late->do('sql 0 COMMIT');
		wait_for($node, $retired, 'and retired', 40 + $n);
		$late->close;
	}
	is(late('mixed'), '43|3', 'these are few of all');
	like(
		advice($node, 'evidence', 'over_age of mixed'),
		qr/^3 of \d+ sessions retired in the last day that events tell of, with pool_recycle 00:00:01$/,
		'but not of those that are told of singly'
	);
	like(verdict('mixed'), qr/^no: 3 of \d+ sessions retired in the last day/, 'stop');
	$punctual->close;
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
