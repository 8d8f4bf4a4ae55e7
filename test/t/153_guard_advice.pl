# What advice says of guards, and that it converges: what it proposes, done, is no finding any
# more. The past is replayed, and made up: see PoolMonitorGuarded and test/modules.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorAdvice;
use PoolMonitorGuarded;
use Test::More;

my $node = advice_server('guard_advice');
create_forge($node);

my @web = (workers => 2, pool_size => 5, max_overflow => 5);

sub declared_as
{
	my (%columns) = @_;
	pools($node, row('web', @web, budget => 10, %columns));
	return;
}

sub of_guard
{
	my ($columns) = @_;
	return query($node, "SELECT $columns FROM pool_monitor.advice WHERE topic = 'guard'");
}

# What it goes by now it went by already so long ago.
sub for_minutes
{
	my ($minutes) = @_;
	query($node, "SELECT forge_guards_age($minutes * 60000000::bigint)");
	return;
}

# When that was, too: a day, and what passes meanwhile.
sub for_a_day
{
	return for_minutes(1500);
}

# Does what the finding of guard proposes.
sub heed
{
	my ($sql) = of_guard('recommendation') =~ /(UPDATE [^;]*;)/ or die "nothing is proposed\n";
	declare($node, $sql);
	return;
}

subtest 'off: nothing to say of a pool that stays within its budget' => sub {
	declared_as();
	past($node, 'web', 1440, max => 10);
	is(of_guard('*'), '', 'at its budget, not above');
	past($node, 'web', 1440, max => 11);
	is(of_guard('*'), '', 'one above it for no time: a client that replaces a connection');
	pools($node, row('web', @web, max_overflow => -1));
	past($node, 'web', 1440, max => 70);
	is(of_guard('*'), '', 'without a budget there is no limit');
};

subtest 'off: by the minutes above its budget' => sub {
	declared_as();
	past($node, 'web', 1440);
	guarded($node, 'web', 30, max => 11, over => 0.5);
	like(of_guard('evidence'), qr/refused 1 login at least, and each new try$/, 'one');
	guarded($node, 'web', 30, max => 18, over => 0.5);
	is(of_guard('severity, pool, setting, proposed'), 'info|web||', 'what it would have done');
	like(
		of_guard('evidence'),
		qr/^18 connections at most in .*last day, budget 10, above it for \d\.\d\d % of the time: a guard would have refused 8 logins at least/,
		'at least, as is said'
	);
	heed();
	is(query($node, 'SELECT guard FROM pool_monitor.declared()'), 'report', 'proposed: report');
	is(of_guard('*'), '', 'then there is nothing more to say, until it has seen something');
};

subtest 'report: the same load, counted' => sub {
	past($node, 'web', 1440);
	guarded($node, 'web', 30, max => 18, over => 0.5, would_be_guarded => 4);
	is(of_guard('severity, setting, current, proposed'), 'info|budget|10|18', 'as many as it had');
	like(of_guard('evidence'), qr/^12\d of \d+ logins in .*; 18 connections at most, budget 10$/,
		'of how many');
	heed();
	is(of_guard('*'), '', 'the budget is raised: nothing more to say of what was before');
	past($node, 'web', 1440, max => 18);
	is(of_guard('*'), '', 'nor of what it does not know yet');
	for_a_day();
	like(of_guard('finding'), qr/would have refused nothing/, 'a day of the same load: ready');
	heed();
	is(query($node, 'SELECT guard, budget FROM pool_monitor.declared()'), 'enforce|18', 'enforced');
	is(of_guard('*'), '', 'and with this load there is nothing to refuse, nor to say');
};

subtest 'report: nothing, or little, or something else' => sub {
	declared_as(guard => "'report'");
	past($node, 'web', 600);
	is(of_guard('*'), '', 'not before a day');
	for_a_day();
	is(of_guard('*'), '', 'which it was there');
	past($node, 'web', 1440);
	guarded($node, 'web', 1, max => 11, would_be_guarded => 3);
	like(of_guard('recommendation'), qr/SET guard = 'enforce' WHERE name = 'web';$/, 'little');
	like(of_guard('finding'),        qr/next to nothing/,                            'as it says');
	declared_as(guard => "'report'", application_name => 'NULL');
	past($node, 'web', 1440);
	is(of_guard('*'), '', 'of a pool that has no pattern nothing can be enforced');
	declared_as(guard => "'report'", connect_rate => 1);
	past($node, 'web', 1440, would_be_guarded => 1, guarded_by_rate => 1);
	is(of_guard('*'), '', 'too fast, before it was declared so');
	for_a_day();
	like(of_guard('recommendation'), qr/^Raise connect_rate or connect_burst/, 'too fast');
	declare($node, "UPDATE pool_monitor.pools SET connect_rate = 50 WHERE name = 'web'");
	is(of_guard('*'), '', 'it may be faster: nothing more to say of what was before');
	for_a_day();
	past($node, 'web', 1440);
	guarded(
		$node, 'web', 60,
		would_be_guarded    => 3,
		guarded_by_reserves => 2,
		guarded_by_rate     => 1
	);
	like(of_guard('recommendation'), qr/^Lower what other pools have reserved/,
		'mostly for others');
	like(of_guard('evidence'),
		qr/\(0 above the limit, 1[12]\d for what others have reserved, 60 above connect_rate\)/,
		'as is said');
	declared_as(guard => "'report'");
	past($node, 'web', 1440);
	guarded($node, 'web', 30, max => 26, over => 0.5, would_be_guarded => 4);
	like(
		of_guard('recommendation'),
		qr/^More processes run than are declared.*'enforce'/,
		'more than it can have by its declaration'
	);
};

subtest 'enforce: which limit to raise, or what to stop' => sub {
	declared_as(guard => "'enforce'");
	past($node, 'web', 1440, max => 10);
	is(of_guard('*'), '', 'nothing was refused');
	guarded($node, 'web', 1, max => 10, guarded => 5);
	is(of_guard('*'), '', 'next to nothing was');
	guarded($node, 'web', 30, max => 10, guarded => 4);
	is(of_guard('severity, setting, current, proposed'),
		'critical|budget|10|20', 'its client may open more');
	heed();
	is(of_guard('*'), '', 'with more it is not at its limit');
	declared_as(guard => "'enforce'", budget => 'NULL');
	past($node, 'web', 1440, max => 20);
	guarded($node, 'web', 30, max => 20, guarded => 4);
	my $web = app_holder($node, 'web', 2);
	is(of_guard('severity, setting'), 'critical|', 'no more than is declared');
	like(of_guard('recommendation'), qr/More processes run than the 2/, 'but more processes');
	like(of_guard('evidence'),       qr/most are now 2 from/,           'from where most are');
	$web->close;
	past($node, 'web', 1440, max => 20);
	guarded($node, 'web', 1440, max => 20, guarded => 1);
	guarded($node, 'web', 600, max => 20);
	is(of_guard('severity'), 'warning', 'not in the last hour');
	declared_as(guard => "'enforce'", budget => 'NULL');
	past($node, 'web', 1440, guarded => 1, guarded_by_rate => 1);
	for_a_day();
	like(of_guard('recommendation'), qr/^Raise connect_rate/, 'too fast, not too many');
	past($node, 'web', 1440, guarded => 1, guarded_by_reserves => 1);
	like(of_guard('recommendation'), qr/^Raise its own reserved/, 'for the reserves of others');
	is(of_guard('setting'), '', 'and no budget');
	declare($node, "UPDATE pool_monitor.pools SET reserved = 2 WHERE name = 'web'");
	is(of_guard('*'), '', 'it has some of its own: nothing more to say of what was before');
};

subtest 'whatever its guard is: refused for the reserves of others' => sub {
	foreach my $guard (qw(off report))
	{
		declared_as(guard => "'$guard'");
		past($node, 'web', 1440, guarded => 1, guarded_by_reserves => 1);
		unlike(
			of_guard('finding'),
			qr/all was taken/,
			"$guard: what was reserved before is not now"
		);
		for_a_day();
		is(of_guard('severity, pool'), 'critical|web', "$guard: told");
		like(of_guard('finding'), qr/all was taken that other pools have not reserved$/, 'why');
		like(of_guard('evidence'),
			qr/^14[34]\d of \d+ logins in .*, [56]\d of them in the last hour; 3 connections/,
			'how many');
	}
	pools($node, row('ems'));
	past($node, 'ems', 1440);
	past($node, '(undeclared)', 1440, guarded => 1, guarded_by_reserves => 1);
	for_a_day();
	like(of_guard('pool, recommendation'), qr/^\|Declare a pool for those/, 'what is undeclared');
	past($node, '(undeclared)', 1440);
	is(of_guard('*'), '', 'nobody was');
};

subtest 'a day of two modes: why is of the one that it has' => sub {
	declared_as(guard => "'enforce'", budget => 'NULL');
	past($node, 'web', 1440);
	guarded($node, 'web', 1440, max => 20, would_be_guarded => 2);
	guarded($node, 'web', 70,   max => 20);
	guarded($node, 'web', 30,   max => 20, guarded => 4, guarded_by_reserves => 4);
	for_minutes(60);
	like(
		of_guard('recommendation'),
		qr/^Raise its own reserved/,
		'for others, though it had reported so many above the limit'
	);
	like(
		of_guard('evidence'),
		qr/^12\d of \d+ logins in .* \(since what it goes by was changed: 0 above the limit, 12\d for what/,
		'as is said'
	);

	foreach my $guard (qw(off report))
	{
		declared_as(guard => "'$guard'", connect_rate => 1);
		past($node, 'web', 1440);
		guarded($node, 'web', 1440, guarded => 2);
		guarded(
			$node, 'web', 70,
			would_be_guarded => $guard eq 'report' ? 1 : 0,
			guarded_by_rate  => 1
		);
		guarded($node, 'web', 1, guarded => 1, guarded_by_reserves => 1);
		for_minutes(60);
		unlike(
			of_guard('finding'),
			qr/all was taken/,
			"$guard: one is few, whatever enforce refused"
		);
		guarded($node, 'web', 20, guarded => 1, guarded_by_reserves => 1);
		like(
			of_guard('severity, finding, evidence'),
			qr/^critical\|.* all was taken that other pools have not reserved\|2\d of \d+ logins in [^;]* seen of the last day, 2\d of them in the last hour/m,
			"$guard: 20 are not, and they are all"
		);
	}
};

subtest 'all that is undeclared has settings' => sub {
	pools($node, row('ems'));
	past($node, $_, 1440) foreach 'ems', '(undeclared)';
	guarded($node, '(undeclared)', 30, max => 18, would_be_guarded => 4);
	is(of_guard('*'), '', 'no limit');
	my @steps = (
		['undeclared_budget = 10', 'undeclared_guard = .report.'],
		[
			'undeclared_guard = report',
			'undeclared_budget = 18; SELECT pg_reload_conf\(\); If not, .*undeclared_guard = .enforce.'
		],
		['undeclared_budget = 18', ''],
	);
	foreach (@steps)
	{
		my ($setting, $proposed) = @$_;
		my ($name,    $value)    = $setting =~ /(\w+) = (\w+)/;
		query($node, "ALTER SYSTEM SET pool_monitor.$setting");
		$node->reload;
		wait_for($node, "SELECT current_setting('pool_monitor.$name')", $setting, $value);
		my $told = of_guard('pool, recommendation');
		$proposed eq ''
		  ? is($told, '', 'nothing to say')
		  : like($told, qr/^\|.*$proposed/, 'proposed');
	}
	query($node, 'ALTER SYSTEM RESET pool_monitor.undeclared_budget; ');
	query($node, 'ALTER SYSTEM RESET pool_monitor.undeclared_guard');
	$node->reload;
};

subtest 'names, and muting' => sub {
	pools($node, row("50 % o''clock%s", budget => 1, pool_size => 1, max_overflow => 4));
	past($node, "50 % o''clock%s", 1440);
	guarded($node, "50 % o''clock%s", 30, max => 4, over => 0.5);
	heed();
	is(query($node, 'SELECT guard FROM pool_monitor.declared()'),
		'report', 'a name with anything in it');
	query($node, "UPDATE pool_monitor.pools SET guard = 'off'; SELECT pool_monitor.reload();");
	past($node, "50 % o''clock%s", 1440);
	guarded($node, "50 % o''clock%s", 30, max => 4, over => 0.5);
	isnt(of_guard('*'), '', 'told');
	query($node, "INSERT INTO pool_monitor.muted VALUES (NULL, 'guard', NULL, 'no guard here')");
	is(of_guard('*'), '', 'muted');
	like(query($node, "SELECT evidence FROM pool_monitor.advice WHERE topic = 'muted'"),
		qr/1 guard/, 'and counted');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
