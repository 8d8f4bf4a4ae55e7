# Advice converges: whatever it proposes is done, the same load is measured again, and the
# finding is gone, and no other one of its topic has come. Over estates that are made up
# at random, whose past is replayed into the history. PM_SEED has other ones, PM_ESTATES is
# how many (10).
use strict;
use warnings FATAL => 'all';
use List::Util qw(min max sum0);
use PoolMonitor;
use PoolMonitorAdvice;
use Test::More;

my $seed    = $ENV{PM_SEED} // 13;
my $estates = $ENV{PM_ESTATES} || 10;
srand $seed;
note "PM_SEED=$seed";

my $most_rounds = 12;
my $node        = advice_server('converges');

sub any_of { return $_[int rand @_] }

# ---- an estate ----

# A pool as it is declared, some with a surge, or with a budget below its ceiling, at it or
# above; really there may be more workers than that. The load has two
# levels of busy connections, in the last hours of the day and before.
sub any_pool
{
	my ($name) = @_;
	my %pool = (
		name         => $name,
		servers      => any_of(1,      1,          2),
		workers      => any_of(1,      2,          3, 4),
		pool_size    => any_of(1,      2,          5, 10, 20),
		max_overflow => any_of(0,      2,          5, 10),
		recycle      => any_of('NULL', "'30 min'", "'2 h'")
	);
	$pool{max_overflow} = -1 if rand() < 0.1;
	$pool{surge}        = any_of(0, 0, 0, 25, 100);
	if (rand() < 0.3)
	{
		my $ceiling =
		  $pool{servers} * $pool{workers} * ($pool{pool_size} + max($pool{max_overflow}, 0));
		$pool{budget} = max(1, int $ceiling * any_of(0.7, 1, 1.2, 1.5));
	}
	$pool{really} = $pool{workers} + (rand() < 0.2 ? any_of(1, 2) : 0);
	my $most =
	  $pool{servers} * $pool{really} * ($pool{pool_size} + max($pool{max_overflow}, 3));
	my $peak = int($most * any_of(0.05, 0.3, 0.6, 0.9, 1.4)) + 1;
	$pool{load} = [
		{minutes => 1440, level => $peak * any_of(0.1, 0.3), peak => int($peak / 2), share => 0.2},
		{
			minutes => any_of(60, 300),
			level   => $peak * any_of(0.3, 0.8),
			peak    => $peak,
			share   => any_of(0.03, 0.3)
		}
	];
	return \%pool;
}

# What would be measured of this load, with the sizes that the pool has now.
sub measured
{
	my ($pool, $load) = @_;
	my $declared = $pool->{servers} * $pool->{workers};
	my $real     = $pool->{servers} * max($pool->{really}, $pool->{workers});
	my $each  = $pool->{max_overflow} < 0 ? 1_000_000 : $pool->{pool_size} + $pool->{max_overflow};
	my @parts = ([$load->{peak}, $load->{share}], [$load->{level}, 1 - $load->{share}]);
	my @busy  = map { min($_->[0], $real * $each) } @parts;
	my @open  = map { max($_, $real * $pool->{pool_size}) } @busy;
	my $over  = max(0, $open[0] - $real * $pool->{pool_size});
	return (
		$pool->{name}, $load->{minutes},
		busy            => sum0(map { $busy[$_] * $parts[$_][1] } 0, 1),
		max_busy        => int max(@busy),
		connections     => sum0(map { $open[$_] * $parts[$_][1] } 0, 1),
		max_connections => int max(@open),
		overflow        =>
		  sum0(map { $open[$_] > $declared * $pool->{pool_size} ? $parts[$_][1] : 0 } 0, 1),
		exhausted    => sum0(map { $busy[$_] >= $declared * $each ? $parts[$_][1] : 0 } 0, 1),
		connects     => int(4 * $over),
		disconnects  => int(4 * $over),
		transactions => 6000
	);
}

sub measure
{
	my (@estate) = @_;
	pools(
		$node,
		map {
			row(
				$_->{name},
				servers      => $_->{servers},
				workers      => $_->{workers},
				pool_size    => $_->{pool_size},
				max_overflow => $_->{max_overflow},
				surge        => $_->{surge}  // 0,
				budget       => $_->{budget} // 'NULL',
				pool_recycle => $_->{recycle}
			)
		} @estate
	);
	my @past = map {
		my $pool = $_;
		map { [measured($pool, $_)] } @{$pool->{load}}
	} @estate;
	my %server = (connections => 0, max_connections => 0);
	foreach my $past (grep { $_->[1] != 1440 } @past)
	{
		my (undef, undef, %figures) = @$past;
		$server{$_} += $figures{$_} foreach keys %server;
	}
	replay($node, @past, ['(server)', 1440, %server]);
	return;
}

# ---- what is proposed ----

sub findings
{
	my $rows = query($node, <<'EOS');
SELECT concat_ws('|', topic, coalesce(pool, ''), coalesce(setting, ''), coalesce(proposed::text, ''), evidence)
FROM pool_monitor.advice WHERE topic NOT IN ('undeclared', 'slow_holds', 'lint', 'storm') ORDER BY 1
EOS
	return map {
		my ($topic, $pool, $setting, $proposed, $evidence) = split /\|/, $_, 5;
		{
			topic    => $topic,
			pool     => $pool,
			setting  => $setting,
			proposed => $proposed,
			evidence => $evidence
		}
	} split /\n/, $rows;
}

sub set_server
{
	my ($setting, $value) = @_;
	query($node, "ALTER SYSTEM SET $setting = $value");
	if   ($setting eq 'max_connections') { $node->restart }
	else                                 { $node->reload }
	wait_for($node, "SELECT current_setting('$setting')", "$setting is $value", $value);
	return;
}

# Several pools in one sentence, each with its numbers.
sub heed_together
{
	my ($evidence, %pools) = @_;
	while ($evidence =~ /(\w+) \(pool_size \d+; (\d+) would do, with max_overflow (\d+)\)/g)
	{
		@{$pools{$1}}{qw(pool_size max_overflow)} = ($2, $3);
	}
	return;
}

sub heed
{
	my ($finding, %pools)    = @_;
	my ($setting, $proposed) = @$finding{qw(setting proposed)};
	return heed_together($finding->{evidence}, %pools) if $setting eq '';
	return set_server($setting, $proposed)
	  if $setting eq 'max_connections' || $setting =~ /^pool_monitor/;
	foreach my $pool ($finding->{pool} eq '' ? values %pools : $pools{$finding->{pool}})
	{
		$pool->{$setting eq 'pool_recycle' ? 'recycle' : $setting} =
		  $setting eq 'pool_recycle' ? "'$proposed s'" : $proposed;
	}
	return;
}

# ---- the property ----

# Findings that may not be there: what was done has come again, or elsewhere, where nothing
# else was done meanwhile. Not exhausted, which goes in steps.
sub relapses
{
	my ($done, $before, $now) = @_;
	my %done   = map { ("$_->{topic} $_->{pool}" => 1, $_->{topic} => 1) } @$done;
	my %before = map { ("$_->{topic} $_->{pool}" => 1) } @$before;
	my %other =
	  map { ($_->{pool} => 1) } grep { $_->{topic} =~ /exhausted|declaration|unbounded/ } @$done;
	return map { "$_->{topic} $_->{pool}" } grep {
		my $name = "$_->{topic} $_->{pool}";
		$_->{topic} ne 'exhausted'
		  && ($done{$name} || ($done{$_->{topic}} && !$before{$name} && !$other{$_->{pool}}))
	} @$now;
}

sub converges
{
	my ($what, @estate) = @_;
	my %pools = map { $_->{name} => $_ } @estate;
	my (@done, @before, @relapses, %topics);
	foreach my $round (1 .. $most_rounds)
	{
		measure(@estate);
		my @now   = findings();
		my @to_do = grep { $_->{proposed} ne '' || $_->{evidence} =~ / would do, / } @now;
		push @relapses, map { "round $round: $_" } relapses(\@done, \@before, \@now);
		if (!@to_do)
		{
			is(
				join('; ', @relapses),
				'',
				"$what: done after $round looks: " . join ' ',
				sort keys %topics
			);
			return %topics;
		}
		$topics{$_->{topic}}++ foreach @to_do;
		heed($_, %pools) foreach @to_do;
		@done   = @to_do;
		@before = @now;
	}
	fail("$what: there is still something to do after $most_rounds looks");
	diag join "\n", map { "$_->{topic} $_->{pool} $_->{setting} $_->{proposed}" } findings();
	return %topics;
}

subtest 'a fixed budget, and a server that is too small: both at once' => sub {
	my %pool = (
		name         => 'ems',
		servers      => 1,
		workers      => 3,
		really       => 3,
		pool_size    => 6,
		max_overflow => 8,
		recycle      => "'30 min'",
		load         => [{minutes => 1440, level => 10, peak => 41, share => 0.03}]
	);
	set_server('max_connections',                30);
	set_server('pool_monitor.connection_budget', 20);
	measure(\%pool);
	is(
		join(', ', map { "$_->{topic} $_->{setting} $_->{proposed}" } findings()),
		'overcommitted max_connections 45, overcommitted pool_monitor.connection_budget 42',
		'two settings, and no more than is needed'
	);
	converges('a fixed budget', \%pool);
	is(query($node, 'SELECT status, usable, connection_budget FROM pool_monitor.server'),
		'ok|42|42', 'which is the fixed point');
};

subtest 'a share that is kept free' => sub {
	set_server('pool_monitor.connection_budget', -1);
	foreach my $share (0, 20, 33, 90)
	{
		set_server('pool_monitor.headroom_percent', $share);
		is(
			query($node, <<"EOS"),
SELECT count(*) FILTER (WHERE (m - 3) * (100 - $share) / 100 < n), count(*) FILTER (WHERE (m - 4) * (100 - $share) / 100 >= n), count(*)
FROM generate_series(1, 1000) AS n, pool_monitor.max_connections_for(n) AS m
EOS
			'0|0|1000',
			"$share %: enough, and one less is not"
		);
	}
	set_server('pool_monitor.headroom_percent', 20);
	is(query($node, 'SELECT pool_monitor.max_connections_for(262143) IS NULL'),
		't', 'more than a server can have: NULL');
};

subtest 'lowering pools is enough, too: all that it takes are named at once' => sub {
	set_server('max_connections',                62);
	set_server('pool_monitor.connection_budget', 59);
	my @estate = map {
		{
			name         => "p$_",
			servers      => 1,
			workers      => 1,
			really       => 1,
			pool_size    => 5,
			max_overflow => 20,
			recycle      => "'30 min'",
			load         => [{minutes => 1440, level => 4, peak => 5 + $_, share => 0.03}]
		}
	} 1 .. 4;
	my %pools = map { $_->{name} => $_ } @estate;
	measure(@estate);
	my @lower = grep { $_->{topic} eq 'overcommitted' && $_->{pool} ne '' } findings();
	is(join(' ', map { $_->{pool} } @lower), 'p1 p2 p3', 'three of them free 41 and more');
	heed($_, %pools) foreach @lower;
	measure(@estate);
	is(join(' ', map { "$_->{topic} $_->{pool}" } findings()), '', 'nothing is left to say');
};

subtest 'a reserve is as large in the end as it was' => sub {
	set_server('max_connections',                82);
	set_server('pool_monitor.connection_budget', 65);
	my %bouncer = (
		name         => 'bouncer',
		servers      => 1,
		workers      => 2,
		really       => 2,
		pool_size    => 4,
		max_overflow => 0,
		budget       => 14,
		recycle      => "'30 min'",
		load         => [{minutes => 1440, level => 6, peak => 20, share => 0.3}]
	);
	my %topics = converges('a reserve', \%bouncer);
	is(join(' ', sort keys %topics), 'exhausted', 'its size was raised');
	cmp_ok($bouncer{pool_size}, '>', 10, 'as far as it takes');
	is($bouncer{budget} - 2 * $bouncer{pool_size}, 6, 'and six are left in need');
};

my %seen;
foreach my $i (1 .. $estates)
{
	my $kept = any_of(0, 20, 30);
	subtest "estate $i" => sub {
		set_server('pool_monitor.headroom_percent',  $kept);
		set_server('pool_monitor.connection_budget', any_of(-1, 30, 65));
		set_server('max_connections',                any_of(40, 80, 150));
		my %topics = converges("estate $i", map { any_pool("p$_") } 1 .. any_of(1, 2, 4, 6));
		$seen{$_} = 1 foreach keys %topics;
	};
}
is(
	join(' ', sort keys %seen),
	'declaration exhausted idle overcommitted overflow pool_recycle unbounded',
	'there was something to say of everything that has a number'
) if $seed == 13 && $estates == 10;

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
