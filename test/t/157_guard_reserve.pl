# What the guard keeps for a pool, from whom, how fast it admits, and what is in the books
# and in the log of it. Needs logins by the dozen at once, and the server log.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorGuard;
use PostgreSQL::Test::Utils;
use Test::More;

# 60 connections, of which 3 are superusers'. Retirement has a pool of its own to look at.
my $node = guard_server('guard_reserve', "pool_monitor.recycle_interval = 100ms\n");
my %off  = (guard        => "'off'");
my %rate = (connect_rate => 1, connect_burst => 4);

sub usable { return query($node, 'SELECT usable FROM pool_monitor.server') }

# What nobody has reserved and is free, but for whoever asks.
sub shared_free
{
	return query($node, 'SELECT DISTINCT shared_free FROM pool_monitor.guards');
}

subtest 'a reserve stays free in a storm of others, and when they are told so' => sub {
	pools($node, guard('kept', 20, reserved => 20), guard('storm', 100), guard('plain', 100, %off));
	my ($kept, $storm, $plain) = map { logins($node, $_) } 'kept', 'storm', 'plain';
	my $free = usable() - 20;
	is(shared_free(), $free - 1, 'what is not reserved is anybody\'s');

	is($storm->do('storm 50'), "admitted=$free refused=" . (50 - $free), 'a storm gets that');
	is(
		$storm->do('said'),
		"remaining connection slots are reserved for pools other than \"storm\"|$free connections are not reserved, and $free of them are taken.|Close connections that are not used, or lower what pools have reserved.",
		'and is told why it gets no more'
	);

	# the server's own slots are taken until those that it refused have ended; one is the asker's
	wait_for($node, 'SELECT available >= 19 FROM pool_monitor.server', 'they have gone');
	is($kept->do('storm 20'), 'admitted=20 refused=0', 'all that is reserved is there');
	is($kept->do('open 1'),   'admitted=0 refused=1',  'and no more, by its own limit');
	like($kept->do('said'), qr/^too many connections for pool "kept"\|The limit is 20 /, 'as told');

	is($plain->do('open 3'), 'admitted=0 refused=3', 'whose guard is off gets nothing of it');
	like(
		$plain->do('said'),
		qr/^remaining connection slots are reserved for pools other than "plain"\|/,
		'and is told so'
	);
	is(logins($node, 'nobody')->do('open 1'), 'admitted=0 refused=1',
		'nor gets what is undeclared');
	is_counted($node, 'plain', 'guarded, refused', '3|0', 'the refusals are in the books');

	my $root = logins($node, 'root', 'postgres');
	is($root->do('open 1'),  'admitted=1 refused=0', 'a superuser is let in above');
	is($plain->do('open 1'), 'admitted=0 refused=1', 'the others are not');
	like(
		$plain->do('said'),
		qr/\|$free connections are not reserved, and $free of them are taken/,
		'and no more are taken than there are'
	);
	$root->close;

	$storm->do('close 2');
	is($plain->do('open 3'), 'admitted=2 refused=1', 'two free places are two places');
	$_->close foreach $kept, $storm, $plain;
};

# A pool that only reports is held to what others have reserved as anybody else, also above
# its own limit.
subtest 'who only reports takes nothing that is reserved, above its limit either' => sub {
	pools(
		$node,
		guard('kept',  50,  reserved => 50),
		guard('tried', 2,   guard    => "'report'"),
		guard('fast',  100, guard    => "'report'", %rate, connect_burst => 1, pool_size => 0)
	);
	my $free = usable() - 50;
	my ($tried, $fast) = map { logins($node, $_) } 'tried', 'fast';

	is($tried->do('open 10'), "admitted=$free refused=" . (10 - $free), 'above its limit');
	is_counted(
		$node, 'tried',
		'would_be_guarded, guarded',
		($free - 2) . '|' . (10 - $free),
		'each is counted as what became of it'
	);
	is_counted(
		$node, 'tried',
		'guarded_by_reserves, guarded_by_rate',
		(10 - $free) . '|0',
		'and why, where it is not its limit'
	);
	is($fast->do('open 3'),   'admitted=0 refused=3', 'nor above its rate');
	is($tried->do('close 2'), 'ok',                   'places get free');
	is($fast->do('open 3'),   'admitted=2 refused=1', 'and are taken');
	$_->close foreach $tried, $fast;
};

subtest 'a reserve that is tried out refuses nobody, and says whom it would have' => sub {
	pools($node, guard('kept', 50, reserved => 50, guard => "'report'"), guard('plain', 100, %off));
	my ($kept, $plain) = map { logins($node, $_) } 'kept', 'plain';
	my $free = usable() - 50;

	is($plain->do('open 10'), 'admitted=10 refused=0', 'all are admitted');
	my $would = counted($node, 'plain', 'would_be_guarded');

	# of this moment only about: the test's own sessions are superusers', and come and go
	cmp_ok($would, '>=', 10 - $free,     'those above what is left are counted');
	cmp_ok($would, '<=', 10 - $free + 1, 'and no others');
	is_counted($node, 'plain', 'guarded_by_reserves', $would, 'all for the reserves of others');
	is($kept->do('open 20'), 'admitted=20 refused=0', 'the pool itself has its reserve');
	is_counted($node, 'kept', 'would_be_guarded', '0', 'which is counted of nobody');
	is(query($node, guards('kept', 'reserved, shared_free IS NULL')), '0|t', 'none is in force');
	$_->close foreach $kept, $plain;
};

subtest 'report admits, and counts those above the limit, and those that are too fast' => sub {
	pools(
		$node,
		guard('limit', 3,  guard => "'report'"),
		guard('fast',  30, guard => "'report'", pool_size => 2, max_overflow => 28, %rate)
	);
	my ($limit, $fast) = map { logins($node, $_) } 'limit', 'fast';
	is($limit->do('open 8'), 'admitted=8 refused=0', 'above the limit');
	is_counted($node, 'limit', 'would_be_guarded, guarded', '5|0', 'are counted');
	is($fast->do('storm 12'), 'admitted=12 refused=0', 'too fast');
	my $would = counted($node, 'fast', 'would_be_guarded');
	ok($would >= 4 && $would <= 6, "2 are base, 4 the burst, the others are counted ($would)");
	is_counted($node, 'fast',  'guarded',                              '0', 'and none is refused');
	is_counted($node, 'fast',  'guarded_by_reserves, guarded_by_rate', "0|$would", 'and why');
	is_counted($node, 'limit', 'guarded_by_reserves, guarded_by_rate', '0|0', 'or for the limit');
	$_->close foreach $limit, $fast;
};

subtest 'a rate holds above base, and not below, and after a pause is a burst again' => sub {
	pools($node, guard('fast', 30, pool_size => 2, max_overflow => 28, %rate, connect_rate => 2));
	my $fast = logins($node, 'fast');
	my ($admitted, $refused) = $fast->do('storm 20') =~ /\d+/g;
	ok($admitted >= 6 && $admitted <= 12,
		"2 below base, a burst of 4, and what came since ($admitted)");
	is(
		$fast->do('said'),
		'too many logins at a time for pool "fast"|2 a second are admitted, and 4 at once.|Try again a little later, with a delay that grows.',
		'and the others are told'
	);
	$fast->do("close $admitted");
	is($fast->do('storm 2'), 'admitted=2 refused=0',         'base is never refused');
	is($fast->do('storm 2') =~ /admitted=(\d)/ && $1 < 3, 1, 'with no token left');
	select undef, undef, undef, 2.5;
	like($fast->do('open 4'), qr/admitted=4 refused=0/, 'after a pause it is a burst again');
	is_counted($node, 'fast', 'guarded', counted($node, 'fast', 'guarded'), 'counted');
	$fast->close;
};

# 30 storms in a little more than 2 seconds: one line a second, each with how many had none.
subtest 'the log has a line a second for each pool, and in it the others' => sub {
	pools($node, guard('loud', 1), guard('other', 1));
	my $offset = -s $node->logfile;
	my ($loud, $other) = map { logins($node, $_) } 'loud', 'other';
	my $since = time;
	my %seen  = (loud => 0, other => 0);

	is($_->do('open 1'), 'admitted=1 refused=0', 'its place') foreach $loud, $other;
	foreach (1 .. 15)
	{
		$seen{loud}  += ($loud->do('storm 10') =~ /refused=(\d+)/)[0];
		$seen{other} += ($other->do('open 1')  =~ /refused=(\d+)/)[0];
		select undef, undef, undef, 0.15;
	}
	select undef, undef, undef, 1.1;
	$seen{$_->[0]} += ($_->[1]->do('open 1') =~ /refused=(\d+)/)[0]
	  foreach [loud => $loud], [other => $other];
	my $most = time - $since + 2;
	is("$seen{loud} $seen{other}", '151 16', 'the clients saw their refusals');
	foreach my $pool ('loud', 'other')
	{
		my $text  = PoolMonitor::log_text($node, $offset);
		my @lines = $text =~ /FATAL:  too many connections for pool "$pool"/g;
		my @rest  = $text =~
		  /pool "$pool"\n.*DETAIL:  The limit is 1 connection, and 1 is taken\. (\d+) more were refused since the last such line/g;
		my $sum = @lines;
		$sum += $_ foreach @rest;
		cmp_ok(scalar @lines, '>=', 2,     "$pool has lines");
		cmp_ok(scalar @lines, '<=', $most, "not more than one a second");
		is($sum, $seen{$pool}, 'they and what they speak of are all refusals');
		is_counted($node, $pool, 'guarded, refused, rejected',
			"$seen{$pool}|0|0", 'as in the books');
	}
	$_->close foreach $loud, $other;
};

subtest 'what is refused here makes nobody starved, and retirement goes on' => sub {
	pools(
		$node,
		guard('full', 2, max_overflow => 2, budget => 2),
		guard(
			'old', 4,
			pool_recycle  => "'1 s'",
			recycle_grace => "'0'",
			recycle_mode  => "'terminate'"
		)
	);
	my ($full, $old) = map { logins($node, $_) } 'full', 'old';
	$full->do('open 2');
	$old->do('open 4');
	my $end = time + 60;
	is($full->do('open 3'), 'admitted=0 refused=3', 'a pool is full');
	$full->do('open 1') until counted($node, 'old', 'retired') >= 2 || time > $end;
	cmp_ok(counted($node, 'old', 'retired'), '>=', 2, 'while logins are refused all the time');
	is(query($node, "SELECT status FROM pool_monitor.budgets WHERE pool = 'full'"),
		'ok', 'it is not starved, though it may open more');
	is(query($node, q{SELECT refused FROM pool_monitor.server}), '0', 'no login counts as refused');
	is(
		query(
			$node,
			q{SELECT count(*) FROM pool_monitor.events WHERE event IN ('retirement_paused', 'refused')}
		),
		'0',
		'and there is no such event'
	);
	$_->close foreach $full, $old;
};

subtest 'a burst of them is one event, which ends' => sub {
	wait_for(
		$node,
		q{SELECT count(*) FROM pool_monitor.events WHERE event = 'guarded' AND pool = 'loud' AND NOT detail ? 'grown'},
		'it was told',
		1
	);
	wait_for(
		$node,
		q{SELECT detail->>'guarded' FROM pool_monitor.events WHERE event = 'guarded_over' AND pool = 'loud'},
		'and how many they were',
		151
	);
};

# Whoever authenticates has a slot of the server's, whatever is reserved. With fewer slots than
# clients that try at once the server's own refusal comes first.
my $small = guard_server('guard_slots', "max_connections = 20\nauthentication_timeout = 3s\n");

subtest 'a storm of many times max_connections, without a password' => sub {
	pools($small, guard('kept', 5, reserved => 5), guard('storm', 5));
	my ($kept, $storm) = map { logins($small, $_) } 'kept', 'storm';
	print {$storm->{in}} "storm 300\n";
	$storm->{in}->flush;
	my ($in, $tried) = (0, 0);
	while ($in < 5 && $tried < 300)
	{
		$in += ($kept->do('open 1') =~ /admitted=(\d)/)[0];
		$tried++;
	}
	is($in,            5,                        'the reserve is there');
	is($storm->answer, 'admitted=5 refused=295', 'the storm gets its limit');
	my ($guarded, $refused) = split /\|/, counted($small, 'storm', 'guarded, refused');
	is($guarded + $refused, 295, 'each is counted as what it was');
	note("the guard refused $guarded, the server $refused; the reserve took $tried tries");
	is(counted($small, 'kept', 'guarded'), 0, 'of the other pool the guard refused none');
	$_->close foreach $kept, $storm;
};

subtest 'slots of logins under way are beyond it' => sub {
	my $hba = $small->data_dir . '/pg_hba.conf';
	my $was = slurp_file($hba);
	query($small, q{CREATE ROLE slow LOGIN PASSWORD 'secret'});
	unlink $hba;
	append_to_file($hba, "local all slow scram-sha-256\n$was");
	$small->reload;
	pools($small, guard('kept', 5, reserved => 5), guard('storm', 5));
	my ($kept, $slow) = (logins($small, 'kept'), logins($small, 'storm', 'slow'));
	my $end = time + 60;
	wait_for($small, 'SELECT connections FROM pool_monitor.server', 'nobody is there', 1);
	$slow->do('halt 30');
	like($kept->do('open 1'), qr/refused=1/, 'nobody gets in, with a reserve that is free');
	like($kept->do('said'),   qr/^sorry, too many clients already/, 'and the server says so');
	my ($in, $tried) = (0, 0);

	while ($in < 5 && time < $end)
	{
		$in += ($kept->do('open 1') =~ /admitted=(\d)/)[0];
		$tried++;
		select undef, undef, undef, 0.1;
	}
	is($in, 5, 'authentication_timeout ends that');
	is_counted($small, 'kept', 'guarded, refused', '0|' . ($tried - 4), 'each is in the books');
	is_counted($small, 'storm', 'guarded, refused + auth_failures, auth_failures BETWEEN 18 AND 20',
		'0|30|t', 'so are the others');
	note('of the others the server refused ' . counted($small, 'storm', 'refused'));
	$_->close foreach $kept, $slow;
};

done_testing();
