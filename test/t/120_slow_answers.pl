# The judgement by which scheduled retirement pauses does not go by how fast anything is:
# pools that open one session for each that is gone, late and many at once, or that
# replace most of theirs by themselves, are no herd; one that opens more is, late too.
# Needs real sessions, and a worker that acts.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query app_holder insert_pool);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# LATE: so many are gone before they are answered, in several watches.
use constant {IDLE => 25, LATE => 15, RECYCLED => 15, KNOWN => 45, MOST_LOOKS => 4000};

my $node = new_server('slow_answers', <<'EOC');
pool_monitor.recycle_interval = 200ms
pool_monitor.recycle_margin = 3000
max_connections = 250
EOC
query($node, 'CREATE ROLE app LOGIN');

# The first two lose a session a second, and replace none by themselves. In the third one
# so many reach the age of 1 s by themselves that few have to be retired.
sub pool
{
	my ($name, $size) = @_;
	return insert_pool(
		$name,
		pool_size     => $size,
		max_overflow  => 0,
		budget        => 1000,
		pool_recycle  => "'1 s'",
		recycle_grace => "'0'",
		recycle_mode  => "'terminate'"
	);
}
my @names  = qw(herd late own);
my %holder = map { $_ => app_holder($node, $_, IDLE) } @names[0, 1];
$holder{own} = app_holder($node, 'own', 1);
declare($node, pool('herd', 1) . pool('late', 1) . pool('own', 20));

my (%retired, %answered);

sub look
{
	%retired = split /[|\n]/,
	  query($node, "SELECT pool, retired FROM pool_monitor.pool_stats WHERE pool IS NOT NULL");
	return;
}

# Opens so many for each that is gone since the last time.
sub answer
{
	my ($name, $times) = @_;
	my $lost = $retired{$name} - ($answered{$name} // 0);

	# one of it rests; some of what it recycles may be retired where this is slow
	$lost = 1                                             if $lost > 1 && $name eq 'own';
	$holder{$name}->do("open $lost")                      if $lost > 0;
	app_holder($node, $name, ($times - 1) * $lost)->close if $lost > 0 && $times > 1;
	$answered{$name} = $retired{$name};
	return;
}

sub pauses
{
	my ($name) = @_;
	return query($node,
		"SELECT count(*) FROM pool_monitor.events WHERE event = 'retirement_paused' AND pool = '$name'"
	);
}

subtest 'each answers at once, with one for each: nothing else is normal' => sub {
	foreach (1 .. MOST_LOOKS)
	{
		look();
		last if !grep { $retired{$_} < ($_ eq 'own' ? 8 : KNOWN) } @names;
		answer($_, 1) foreach @names;
		select undef, undef, undef, 0.1;
	}
	cmp_ok($retired{$_}, '>=', 8, "$_: retired from") foreach @names;
	is(pauses($_), 0, "$_: no pause") foreach @names;
};

# Beside one that rests, and is retired, the third one has some that it replaces as soon
# as they are over age.
subtest 'answers that come late, to many at once' => sub {
	my ($recycled, $begun) = (app_holder($node, 'own', RECYCLED), time);
	my %late   = (herd => 0, late => 0);
	my $own    = $retired{own};
	my $rounds = 0;

	foreach (1 .. MOST_LOOKS)
	{
		look();
		answer('own', 1);
		if (time - $begun > 1.1)
		{
			$recycled->close;
			($recycled, $begun) = (app_holder($node, 'own', RECYCLED), time);
			$rounds++;
		}
		foreach my $name ('herd', 'late')
		{
			next if $retired{$name} - $answered{$name} < LATE;
			answer($name, $name eq 'herd' ? 4 : 1);
			$late{$name}++;
		}
		last if pauses('late') || pauses('own');
		last
		  if $late{late} >= 5 && $retired{own} >= $own + 8 && ($late{herd} >= 8 || pauses('herd'));
		select undef, undef, undef, 0.1;
	}
	note("late answers: herd $late{herd}, late $late{late}; own: recycled $rounds times");
	note(
		query(
			$node, "SELECT pool, detail FROM pool_monitor.events WHERE event = 'retirement_paused'"
		)
	);
	is(pauses('late'), 0, 'are no herd, where they are one for each');
	cmp_ok(pauses('herd'), '>=', 1, 'but are, where they are four');
	is(pauses('own'), 0, 'nor is a pool that replaces most of its sessions by itself');
	$recycled->close;
};

$_->close foreach values %holder;
is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
